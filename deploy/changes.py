"""What a change set would do, and how certain each change is.

A nested change set lists changes that cannot happen: every resource of a nested stack
that takes another stack's output appears as modified or replaced, because the output
"may" change. So each entry gets a certainty:

CERTAIN     CloudFormation knows the new value, and it differs.
MAY_CHANGE  It depends on a value that is known only while the stack is updated.
UNFOUNDED   The nested template and its inputs stay the same: listed by
            CloudFormation, but it cannot happen.

Pure: everything here works on answers and templates that were fetched elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

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
    physical_id: str = ""

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


def as_json(plan: ChangePlan) -> str:
    """Return a plan for other programs."""
    return json.dumps(
        {
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
        },
        indent=2,
    )


@dataclass(frozen=True)
class ChangeSet:
    """One change set with those of the stacks in it."""

    rows: tuple[Mapping[str, Any], ...]
    """Members named ResourceChange of DescribeChangeSet, of every page."""
    children: Mapping[str, ChangeSet] = field(default_factory=dict)
    """By the logical ID of the nested stack."""


def read(
    change_set: ChangeSet,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    changed_parameters: Mapping[str, str],
    templates: Mapping[tuple[str, ...], Mapping[str, Any]],
) -> tuple[Change, ...]:
    """Return every change of a root change set with its certainty.

    ``changed_parameters`` are those of the root, each with its old and new value.

    ``before`` and ``after`` are the root templates as published; ``templates`` are
    those of the stacks by their path, the old one where a stack goes.
    """
    causes = founded(before, after, frozenset(changed_parameters))
    entries: list[Change] = []
    for row in change_set.rows:
        logical_id = row["LogicalResourceId"]
        entry = _entry((), row, templates)
        if row["ResourceType"] != STACK:
            entries.append(entry)
            continue
        if entry.kind in (
            ChangeKind.ADD,
            ChangeKind.DELETE,
        ) or logical_id not in before.get("Resources", {}):
            entries.append(entry)
            entries += _inside((logical_id,), change_set, templates, None)
            continue
        ceiling = causes.get(logical_id, Certainty.UNFOUNDED)
        if logical_id not in change_set.children:
            # Without a nested change set: only the entry of the stack itself.
            words = _references(after["Resources"].get(logical_id, {}))
            fed = [f"{n}: {v}" for n, v in changed_parameters.items() if n in words]
            entries.append(replace(entry, certainty=ceiling, details=tuple(fed)))
        entries += _inside((logical_id,), change_set, templates, ceiling)
    return tuple(entries)


def founded(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    changed_parameters: frozenset[str],
) -> dict[str, Certainty]:
    """Return which nested stacks can change, and how certain that is.

    A stack certainly changes when its own template, parameters or condition differ or
    refer to a changed parameter of the root. A stack that takes an output of such a
    stack may change, and so on downstream. No other stack can.
    """
    old, new = before.get("Resources", {}), after.get("Resources", {})
    stacks = {name for name, body in new.items() if body.get("Type") == STACK}
    touched_conditions = _touched_conditions(before, after, changed_parameters)
    verdicts: dict[str, Certainty] = {}
    for name in stacks:
        words = _references(new[name])
        if (
            _without_metadata(old.get(name)) != _without_metadata(new[name])
            or words & changed_parameters
            or words & touched_conditions
        ):
            verdicts[name] = Certainty.CERTAIN
    frontier = set(verdicts)
    while frontier:
        frontier = {
            name
            for name in stacks - verdicts.keys()
            if _references(new[name]) & frontier
        }
        verdicts |= dict.fromkeys(frontier, Certainty.MAY_CHANGE)
    return verdicts


def compared(
    path: tuple[str, ...],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> tuple[Change, ...]:
    """Return how two templates differ, where there is no nested change set.

    Whether a modified resource is replaced is not known this way.
    """
    old, new = before.get("Resources", {}), after.get("Resources", {})
    entries = []
    for logical_id in sorted(old.keys() | new.keys()):
        before_body, after_body = old.get(logical_id), new.get(logical_id)
        if _without_metadata(before_body) == _without_metadata(after_body):
            continue
        body = after_body or before_body or {}
        kind = (
            ChangeKind.ADD
            if not before_body
            else ChangeKind.MODIFY
            if after_body
            else ChangeKind.DELETE
        )
        entries.append(
            Change(
                path=path,
                logical_id=logical_id,
                type=str(body.get("Type", "")),
                kind=kind,
                certainty=Certainty.MAY_CHANGE
                if kind is ChangeKind.MODIFY
                else Certainty.CERTAIN,
                is_stateful=is_stateful(body),
                keeps=_retention(body, "DeletionPolicy")
                if kind is ChangeKind.DELETE
                else "",
                details=_changed_properties(before_body, after_body),
            )
        )
    return tuple(entries)


def is_stateful(resource: Mapping[str, Any]) -> bool:
    """Whether a resource of a template has data that cannot be recreated."""
    return (
        resource.get("Type") in STATEFUL_TYPES
        or resource.get("DeletionPolicy") in KEEPING
    )


def _inside(
    path: tuple[str, ...],
    parent: ChangeSet,
    templates: Mapping[tuple[str, ...], Mapping[str, Any]],
    ceiling: Certainty | None,
) -> list[Change]:
    child = parent.children.get(path[-1])
    entries: list[Change] = []
    for row in child.rows if child else ():
        entry = _entry(path, row, templates)
        if ceiling is not None:
            entry = replace(entry, certainty=max(entry.certainty, ceiling))
        entries.append(entry)
        if child and row["ResourceType"] == STACK:
            deeper = (*path, row["LogicalResourceId"])
            entries += _inside(deeper, child, templates, ceiling)
    return entries


def _entry(
    path: tuple[str, ...],
    row: Mapping[str, Any],
    templates: Mapping[tuple[str, ...], Mapping[str, Any]],
) -> Change:
    logical_id = row["LogicalResourceId"]
    body = templates.get(path, {}).get("Resources", {}).get(logical_id, {})
    kind = _kind(row)
    return Change(
        path=path,
        logical_id=logical_id,
        type=row["ResourceType"],
        kind=kind,
        certainty=_certainty(row),
        is_stateful=row["ResourceType"] in STATEFUL_TYPES or is_stateful(body),
        keeps=_keeps(row, kind, body),
        details=tuple(dict.fromkeys(_detail(d) for d in row.get("Details", ()))),
        physical_id=row.get("PhysicalResourceId", ""),
    )


def _kind(row: Mapping[str, Any]) -> ChangeKind:
    action = row["Action"]
    if action == "Remove":
        return ChangeKind.DELETE
    if action in ("Add", "Import"):
        return ChangeKind.ADD
    # A nested stack is never replaced, only what is in it. Conditional: possibly
    # replaced, which an operator must expect.
    if row["ResourceType"] != STACK and row.get("Replacement") in (
        "True",
        "Conditional",
    ):
        return ChangeKind.REPLACE
    return ChangeKind.MODIFY


def _certainty(row: Mapping[str, Any]) -> Certainty:
    """Return how certain an entry is by itself, apart from its stack's inputs."""
    if row["Action"] in ("Add", "Remove", "Import"):
        return Certainty.CERTAIN
    if row["ResourceType"] == STACK:
        # Its template and parameters decide; see ``founded``.
        return Certainty.CERTAIN
    if row["Action"] == "Dynamic" or row.get("Replacement") == "Conditional":
        return Certainty.MAY_CHANGE
    details = row.get("Details", ())
    if not details:
        return Certainty.CERTAIN
    weighty = [
        d
        for d in details
        if row.get("Replacement") != "True"
        or d.get("Target", {}).get("RequiresRecreation") != "Never"
    ] or details
    known = any(
        d.get("Evaluation") == "Static"
        and d.get("Target", {}).get("AfterValue") != UNKNOWN
        for d in weighty
    )
    return Certainty.CERTAIN if known else Certainty.MAY_CHANGE


def _keeps(row: Mapping[str, Any], kind: ChangeKind, body: Mapping[str, Any]) -> str:
    if kind not in (ChangeKind.DELETE, ChangeKind.REPLACE):
        return ""
    policy = str(row.get("PolicyAction", "")).removeprefix("ReplaceAnd")
    if policy in ("Retain", "Snapshot"):
        return policy
    return _retention(
        body, "DeletionPolicy" if kind is ChangeKind.DELETE else "UpdateReplacePolicy"
    )


def _retention(body: Mapping[str, Any], policy: str) -> str:
    value = str(body.get(policy, ""))
    return "Retain" if value.startswith("Retain") else value * (value == "Snapshot")


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
    return f"{name}: {_short(before)} -> {_short(after)}"


def _short(value: Any) -> str:
    text = "nothing" if value is None else " ".join(str(value).split())
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


LONGEST_VALUE = 60


def _touched_conditions(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    changed_parameters: frozenset[str],
) -> frozenset[str]:
    old, new = before.get("Conditions", {}), after.get("Conditions", {})
    touched = {
        name
        for name, body in new.items()
        if old.get(name) != body or _references(body) & changed_parameters
    }
    is_growing = True
    while is_growing:
        more = {n for n, body in new.items() if _references(body) & touched} - touched
        touched |= more
        is_growing = bool(more)
    return frozenset(touched)


def _references(body: Any) -> frozenset[str]:
    """Return at least every name that a piece of a template refers to.

    A name too many makes an entry look more certain than it is, never less.
    """
    if isinstance(body, Mapping):
        return frozenset().union(
            *(_named(name, item) | _references(item) for name, item in body.items())
        )
    if isinstance(body, list):
        return frozenset().union(*map(_references, body))
    return frozenset()


def _named(key: str, value: Any) -> frozenset[str]:
    """Return the names that one intrinsic function or attribute refers to."""
    first = value[0] if isinstance(value, list) and value else value
    if key in ("Ref", "Condition", "Fn::If") and isinstance(first, str):
        return frozenset({first})
    if key == "DependsOn":
        return frozenset([value] if isinstance(value, str) else value)
    if key == "Fn::GetAtt":
        return frozenset({str(first).partition(".")[0]})
    if key == "Fn::Sub":
        pieces = str(first).split("${")[1:]
        return frozenset(p.partition("}")[0].partition(".")[0] for p in pieces)
    return frozenset()


def _without_metadata(resource: Any) -> str:
    """Return a resource as text, without its metadata."""
    if not isinstance(resource, Mapping):
        return ""
    content = {key: value for key, value in resource.items() if key != "Metadata"}
    return json.dumps(content, sort_keys=True)


def _changed_properties(before: Any, after: Any) -> tuple[str, ...]:
    old = (before or {}).get("Properties", {})
    new = (after or {}).get("Properties", {})
    if not before or not after:
        return ()
    return tuple(sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k)))
