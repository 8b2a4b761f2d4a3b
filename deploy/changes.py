"""What a change set would do, and how certain each change is.

A nested change set lists changes that cannot happen: every resource of a nested stack
that takes another stack's output appears as modified or replaced, because the output
"may" change. So each entry gets a certainty, from a comparison of the templates and
parameters of the whole tree of stacks:

CERTAIN     The new value is known, and it differs.
MAY_CHANGE  It depends on a value that is known only while the stack is updated.
UNFOUNDED   Template and inputs stay the same: listed by CloudFormation, but it cannot
            happen.

Without nested change sets the comparison alone is the plan. Pure: everything here works
on answers and comparisons that were made elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import chain
from typing import Any

from cloudformation.evaluation import is_known
from cloudformation.updates import Action, PropertyUpdate, Update, Updates
from deploy.dist import STACK

STATEFUL_TYPES = frozenset(
    {
        "AWS::Backup::BackupVault",
        "AWS::Cognito::UserPool",
        "AWS::DynamoDB::Table",
        "AWS::EFS::FileSystem",
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::ElastiCache::ServerlessCache",
        "AWS::KMS::Key",
        "AWS::RDS::DBCluster",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
    }
)
"""Types with data that cannot be recreated, whatever their policies say."""

KEEPING = frozenset({"Retain", "RetainExceptOnCreate", "Snapshot"})

UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"
"""Placeholder of a change set for a value that is known only during the update."""

LATER = "known only during the update"


class Certainty(IntEnum):
    """How certain it is that an entry of a change set happens."""

    CERTAIN = 0
    MAY_CHANGE = 1
    UNFOUNDED = 2


class ChangeKind(IntEnum):
    """What happens to a resource, the gravest first."""

    DELETE = 0
    REPLACE = 1
    MODIFY = 2
    ADD = 3


@dataclass(frozen=True)
class Change:
    """One entry: what happens to one resource."""

    path: tuple[str, ...]
    """Logical IDs of the nested stacks that lead to it."""
    logical_id: str
    type: str
    kind: ChangeKind
    certainty: Certainty = Certainty.CERTAIN
    is_stateful: bool = False
    keeps: str = ""
    """Retain or Snapshot, when that happens to the old resource."""
    details: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Path in the tree of stacks, as Database/Cluster."""
        return "/".join((*self.path, self.logical_id))

    @property
    def path_inside(self) -> tuple[str, ...]:
        """Path of the resources in it, if it is a stack."""
        return (*self.path, self.logical_id)

    @property
    def adds_stack(self) -> bool:
        """Whether it is a whole new stack."""
        return self.type == STACK and self.kind is ChangeKind.ADD

    def is_within(self, stacks: Collection[tuple[str, ...]]) -> bool:
        """Whether it is a resource, not a stack, somewhere in one of ``stacks``."""
        paths = (self.path[: end + 1] for end in range(len(self.path)))
        return self.type != STACK and any(path in stacks for path in paths)

    @property
    def endangers_data(self) -> bool:
        """Whether a resource with data is replaced or deleted."""
        return (
            self.is_stateful
            and self.kind in (ChangeKind.DELETE, ChangeKind.REPLACE)
            and self.certainty is not Certainty.UNFOUNDED
        )


@dataclass(frozen=True)
class ChangePlan:
    """What a launch would do."""

    stack_name: str
    is_new: bool
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    change_set_id: str = ""
    stack_id: str = ""
    executed: list[str] = field(default_factory=list, compare=False)
    """Executed change sets, which are not cleaned up."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to change."""
        return not self.change_set_id

    @property
    def relevant(self) -> list[Change]:
        """Entries that can happen: what endangers data first, then the gravest."""
        return sorted(
            (c for c in self.changes if c.certainty is not Certainty.UNFOUNDED),
            key=lambda c: (
                not c.endangers_data,
                c.certainty,
                c.kind,
                c.path,
                c.logical_id,
            ),
        )

    @property
    def unfounded(self) -> int:
        """How many entries of the change set cannot happen."""
        return sum(c.certainty is Certainty.UNFOUNDED for c in self.changes)

    @property
    def dangers(self) -> list[Change]:
        """Entries that replace or delete resources with data."""
        return [change for change in self.relevant if change.endangers_data]


def as_json(plan: ChangePlan) -> dict[str, Any]:
    """Return a plan for other programs."""
    return {
        "Stack": plan.stack_name,
        "IsNew": plan.is_new,
        "Changes": [
            {
                "Name": change.name,
                "Type": change.type,
                "Kind": change.kind.name,
                "Certainty": change.certainty.name,
                "EndangersData": change.endangers_data,
                "Keeps": change.keeps,
                "Details": list(change.details),
            }
            for change in plan.relevant
        ],
        "Unfounded": plan.unfounded,
        "Notes": list(plan.notes),
    }


@dataclass(frozen=True)
class ChangeSet:
    """One change set with those of the stacks in it."""

    rows: tuple[Mapping[str, Any], ...]
    """Members named ResourceChange of DescribeChangeSet, of every page."""
    children: Mapping[str, ChangeSet] = field(default_factory=dict)
    """By the logical ID of the nested stack."""


def read(
    change_set: ChangeSet, updates: Updates, path: tuple[str, ...] = ()
) -> tuple[Change, ...]:
    """Return every change of a change set and those nested in it, with its certainty.

    ``updates`` are what the templates say. They also stand for nested stacks that
    CloudFormation did not look into.
    """
    entries: list[Change] = []
    for row in change_set.rows:
        logical_id = row["LogicalResourceId"]
        inside = (*path, logical_id)
        child = change_set.children.get(logical_id)
        if row["ResourceType"] != STACK or child:
            entries.append(_entry(path, row, updates.get("/".join(inside))))
        if child:
            entries += read(child, updates, inside)
    unread = {
        (*path, update.resource.logical_id)
        for update in updates.values()
        if update.resource.type == STACK
        and update.resource.path == path
        and update.resource.logical_id not in change_set.children
    }
    for update in updates.values():
        full = (*update.resource.path, update.resource.logical_id)
        if full[: len(path) + 1] in unread:
            entries += of_update(update)
    return tuple(entries)


def of_update(update: Update) -> tuple[Change, ...]:
    """Return an update that the templates say as a change; nothing for none."""
    if update.action is Action.NONE:
        return ()
    resource = update.resource
    kind = KINDS[update.action]
    return (
        Change(
            path=resource.path,
            logical_id=resource.logical_id,
            type=resource.type,
            kind=kind,
            certainty=_certainty(update),
            is_stateful=is_stateful(resource.body),
            keeps=_retention(kind, resource.body),
            details=tuple(chain.from_iterable(map(_details, update.properties))),
        ),
    )


KINDS = {
    Action.ADD: ChangeKind.ADD,
    Action.MODIFY: ChangeKind.MODIFY,
    Action.REPLACE: ChangeKind.REPLACE,
    Action.DELETE: ChangeKind.DELETE,
}


def is_stateful(resource: Mapping[str, Any]) -> bool:
    """Whether a resource of a template has data that cannot be recreated."""
    return (
        resource.get("Type") in STATEFUL_TYPES
        or resource.get("DeletionPolicy") in KEEPING
    )


def _entry(
    path: tuple[str, ...], row: Mapping[str, Any], update: Update | None
) -> Change:
    body = update.resource.body if update else {}
    kind, certainty = _verdict(row, update)
    return Change(
        path=path,
        logical_id=row["LogicalResourceId"],
        type=row["ResourceType"],
        kind=kind,
        certainty=certainty,
        is_stateful=row["ResourceType"] in STATEFUL_TYPES or is_stateful(body),
        keeps=_policy(row, kind) or _retention(kind, body),
        details=tuple(dict.fromkeys(_detail(d) for d in row.get("Details", ()))),
    )


def _verdict(
    row: Mapping[str, Any], update: Update | None
) -> tuple[ChangeKind, Certainty]:
    """Return what happens to a row's resource, the gravest that is founded.

    Founded is what the templates say, and what CloudFormation says where it knows both
    values: it knows some that are in no template, such as the zones of the account.
    """
    kind = _kind(row)
    if kind in (ChangeKind.ADD, ChangeKind.DELETE) or update is None:
        return kind, Certainty.CERTAIN
    verdicts: list[tuple[ChangeKind, Certainty]] = []
    if _is_known(row) or _changes_tags(row):
        verdicts.append((kind, Certainty.CERTAIN))
    if update.action is not Action.NONE:
        verdicts.append((KINDS[update.action], _certainty(update)))
    return min(verdicts, default=(kind, Certainty.UNFOUNDED))


def _kind(row: Mapping[str, Any]) -> ChangeKind:
    action = row["Action"]
    if action == "Remove":
        return ChangeKind.DELETE
    if action in ("Add", "Import"):
        return ChangeKind.ADD
    # A nested stack is never replaced, only what is in it.
    if row["ResourceType"] != STACK and row.get("Replacement") == "True":
        return ChangeKind.REPLACE
    return ChangeKind.MODIFY


def _is_known(row: Mapping[str, Any]) -> bool:
    """Whether CloudFormation knows a new value that differs from the old one.

    Of a replacement, one that replaces.
    """
    targets = [detail.get("Target", {}) for detail in row.get("Details", ())]
    if row.get("Replacement") == "True":
        targets = [t for t in targets if t.get("RequiresRecreation") != "Never"]
    return any(
        target.get("AfterValue") not in (None, UNKNOWN)
        and target.get("BeforeValue") not in (None, target["AfterValue"])
        for target in targets
    )


def _changes_tags(row: Mapping[str, Any]) -> bool:
    """Whether the tags change, which are the stack's and in no template."""
    return any(
        detail.get("Target", {}).get("Attribute") == "Tags"
        for detail in row.get("Details", ())
    )


def _certainty(update: Update) -> Certainty:
    return Certainty.CERTAIN if update.is_certain else Certainty.MAY_CHANGE


def _policy(row: Mapping[str, Any], kind: ChangeKind) -> str:
    """Return what CloudFormation says of the old resource."""
    if kind not in (ChangeKind.DELETE, ChangeKind.REPLACE):
        return ""
    policy = str(row.get("PolicyAction", "")).removeprefix("ReplaceAnd")
    return policy if policy in ("Retain", "Snapshot") else ""


def _retention(kind: ChangeKind, body: Mapping[str, Any]) -> str:
    """Return what the template says of the old resource."""
    policies = {
        ChangeKind.DELETE: "DeletionPolicy",
        ChangeKind.REPLACE: "UpdateReplacePolicy",
    }
    value = str(body.get(policies.get(kind, ""), ""))
    return "Retain" if value.startswith("Retain") else value * (value == "Snapshot")


def _details(change: PropertyUpdate) -> Iterator[str]:
    """Yield what the templates change in a property, by its members if it has some."""
    if change.cause:
        yield f"{change.name}: from {change.cause}"
        return
    if not (_has_members(change.old) and _has_members(change.new)):
        yield _difference(change.name, change.old, change.new)
        return
    for member in sorted(change.old.keys() | change.new.keys()):
        old, new = change.old.get(member), change.new.get(member)
        if old != new:
            yield _difference(f"{change.name}.{member}", old, new)


def _has_members(value: Any) -> bool:
    return isinstance(value, Mapping) and is_known(dict.fromkeys(value, ""))


def _difference(name: str, old: Any, new: Any) -> str:
    if all(value is None or isinstance(value, str) for value in (old, new)):
        return f"{name}: {short(old)} -> {short(new)}"
    return name


def _detail(detail: Mapping[str, Any]) -> str:
    target = detail.get("Target", {})
    name = target.get("Name") or target.get("Attribute", "")
    before, after = target.get("BeforeValue"), target.get("AfterValue")
    if after == UNKNOWN:
        after = LATER
    elif detail.get("Evaluation") == "Dynamic" and after is None:
        cause = detail.get("CausingEntity")
        return f"{name}: {LATER}" + (f", from {cause}" if cause else "")
    if before is None and after is None:
        return str(name)
    return f"{name}: {short(before)} -> {short(after)}"


def short(value: Any) -> str:
    """Return a value in one short line."""
    text = "nothing" if value is None else " ".join(str(value).split())
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


LONGEST_VALUE = 60
