"""Create, read and clean up change sets.

``proposed`` is a context: whatever happens inside, no unexecuted change set remains,
and no empty stack that only a change set created.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from cli.errors import AwsError, Denied, Failure, Problem, Refused
from deploy import changes, stacks
from deploy.addresses import Publication
from deploy.aws import Aws, tolerant
from deploy.changes import Certainty, Change, ChangePlan, ChangeSet
from deploy.dist import STACK, Dist, Environment
from deploy.stacks import REVIEW, StackSummary

CAPABILITIES = ["CAPABILITY_IAM"]
"""The templates have no named role and no macro: nothing else is needed."""

NOTHING = re.compile(
    r"didn.t contain changes|no updates are to be performed|contains? no changes",
    re.IGNORECASE,
)

NESTED_REFUSED = re.compile(
    r"nested change set|include.?nested.?stacks|nested stacks? (is|are) not supported",
    re.IGNORECASE,
)
"""What CloudFormation answers when it cannot look into the nested stacks."""

NESTED_SET = re.compile(
    r"(?P<id>arn:[\w-]+:cloudformation:[^\s]*:changeSet/[^\s]+?)[.\s]"
)
"""The nested change set that a failure names."""

PATIENCE_SECONDS = 30 * 60
"""A change set with twenty nested ones takes minutes, never this long."""

CHANGE_SETS = 1000
CHANGE_SETS_WARN = 900
"""Of 1000 that a stack may have. Each plan of an unchanged nested stack leaves one that
cannot be deleted."""

PREFIX = "build-"


@dataclass(frozen=True)
class PollInterval:
    """How long to wait between two requests, growing from the first to the last."""

    first: float = 1.0
    last: float = 5.0
    sleep: Callable[[float], None] = time.sleep
    each: float = 0.0
    """At least as long for each polled stack; AWS limits the rate of requests."""

    def waits(self) -> Iterator[float]:
        """Yield how long each wait is."""
        wait = self.first
        while True:
            yield wait
            wait = min(wait * 1.4, self.last)


LOCAL_INTERVAL = PollInterval(0.02, 0.2)
"""An emulator answers at once and has no limits."""


def poll_interval(aws: Aws) -> PollInterval:
    """Return how often to poll a change set."""
    return LOCAL_INTERVAL if aws.is_local else PollInterval()


def check_ready(stack: StackSummary | None) -> None:
    """Refuse to change a stack whose status does not permit it."""
    if stack is None or stack.status == REVIEW or stack.status in stacks.UPDATABLE:
        return
    where = f"Stack {stack.name}"
    if stack.is_busy:
        raise Refused(
            Problem(
                where=where,
                what=f"Stack is {stack.status}: another operation is running.",
                why="CloudFormation takes one operation of a stack at a time.",
                remedy="Follow it with `build.py events ENV --follow`, and run this "
                "again when it has ended.",
            )
        )
    raise Refused(
        Problem(
            where=where,
            what=f"Stack is {stack.status}, which cannot be updated.",
            remedy="`build.py diagnose ENV` explains why; `build.py recover ENV` "
            "recovers the stack.",
        )
    )


@contextmanager
def proposed(
    aws: Aws,
    dist: Dist,
    publication: Publication,
    environment: Environment,
    *,
    is_nested: bool = True,
    interval: PollInterval | None = None,
) -> Iterator[ChangePlan]:
    """Create a change set and return its plan; clean up what is not executed."""
    stack = stacks.find(aws, environment.stack_name)
    check_ready(stack)
    builder = _ChangeSetBuilder(
        aws=aws,
        dist=dist,
        publication=publication,
        environment=environment,
        stack=stack,
        interval=interval or poll_interval(aws),
    )
    executed: list[str] = []
    try:
        plan = builder.plan(is_nested=is_nested)
        executed = plan.executed
        yield plan
    finally:
        builder.clean_up(executed)


NOT_LOOKED_INTO = (
    "CloudFormation did not look into nested stacks. Their changes are read from the "
    "templates, without conditions; whether a resource is replaced is not known."
)


class _ChangeSetBuilder:
    """Creates one change set, reads it and cleans up."""

    def __init__(
        self,
        *,
        aws: Aws,
        dist: Dist,
        publication: Publication,
        environment: Environment,
        stack: StackSummary | None,
        interval: PollInterval,
    ) -> None:
        self.aws, self.dist, self.publication = aws, dist, publication
        self.environment, self.stack, self.interval = environment, stack, interval
        self.is_new = stack is None or stack.status == REVIEW
        self.created: list[str] = []
        self.stack_id = stack.id if stack else ""
        self.notes: list[str] = []
        self.empty_stacks: list[str] = []
        """Nested stacks that a change set may have created."""

    def plan(self, *, is_nested: bool) -> ChangePlan:
        """Return what would happen; without nested change sets if those are refused."""
        try:
            answer = self._settled(is_nested=is_nested)
        except Failure as error:
            if not (is_nested and NESTED_REFUSED.search(str(error))):
                raise
            self.notes.append(
                "CloudFormation refused to look into the nested stacks "
                f"({_reason(error)})."
            )
            self.notes.append(NOT_LOOKED_INTO)
            answer = self._settled(is_nested=False)
        empty = ChangePlan(
            self.environment.stack_name, self.is_new, notes=tuple(self.notes)
        )
        if answer is None:
            return empty
        before = {} if self.is_new else stacks.template(self.aws, self.stack_id)
        root = self._read(answer)
        entries = self._entries(root, before)
        self._warn_of_many(root)
        return replace(
            empty,
            changes=entries,
            notes=tuple(self.notes),
            change_set_id=answer["ChangeSetId"],
            stack_id=answer["StackId"],
        )

    def clean_up(self, executed: Sequence[str]) -> None:
        """Delete unexecuted change sets, and empty stacks that they created."""
        for change_set in self.created:
            if change_set not in executed:
                with suppress(AwsError):
                    # Another operation may have made it obsolete, and deleted it.
                    self._delete(change_set)
        if executed:
            return
        for stack_id in (*self.empty_stacks, *([self.stack_id] if self.is_new else ())):
            if stack_id:
                self._delete_empty(stack_id)

    # Creating.

    def _settled(self, *, is_nested: bool) -> dict[str, Any] | None:
        """Create a change set; return its description, or None when nothing changes."""
        change_set = self._create(is_nested=is_nested)
        waits = self.interval.waits()
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self._describe(change_set)
            status = answer["Status"]
            if status == "CREATE_COMPLETE":
                return answer
            if status == "FAILED":
                reason = answer.get("StatusReason", "")
                if NOTHING.search(reason):
                    return None
                raise self._failed(change_set, reason)
            if time.monotonic() > until:
                raise Failure(
                    Problem(
                        where=f"Stack {self.environment.stack_name}",
                        what=f"Its change set is still {status} after "
                        f"{PATIENCE_SECONDS // 60} minutes.",
                        remedy="Look at it in the console, then run this again.",
                    )
                )
            self.interval.sleep(next(waits))

    def _create(self, *, is_nested: bool) -> str:
        token = uuid.uuid4().hex
        options: dict[str, Any] = {"IncludeNestedStacks": True} if is_nested else {}
        answer = self.aws.call(
            "cloudformation",
            "create_change_set",
            f"Stack {self.environment.stack_name}",
            StackName=self.environment.stack_name,
            ChangeSetName=f"{PREFIX}{token}",
            ClientToken=token,
            ChangeSetType="CREATE" if self.is_new else "UPDATE",
            TemplateURL=self.publication[self.dist.root].url,
            Parameters=_pairs(
                self.environment.parameters, "ParameterKey", "ParameterValue"
            ),
            Tags=_pairs(self.environment.tags, "Key", "Value"),
            Capabilities=CAPABILITIES,
            **options,
        )
        self.stack_id = answer["StackId"]
        self.created.append(answer["Id"])
        return str(answer["Id"])

    def _describe(self, change_set: str) -> dict[str, Any]:
        return self.aws.call(
            "cloudformation",
            "describe_change_set",
            f"Change set {change_set}",
            ChangeSetName=change_set,
            StackName=self.stack_id,
            IncludePropertyValues=True,
        )

    def _failed(self, change_set: str, reason: str) -> Failure:
        """Return why a change set failed, as early validation reports it."""
        invalid = self._invalid(change_set, self.stack_id)
        nested = NESTED_SET.search(reason)
        if nested and not invalid:
            inner = self._describe_nested(nested["id"])
            reason = f"{reason} There: {inner.get('StatusReason', 'no reason given')}"
            invalid = self._invalid(nested["id"], inner.get("StackId", ""))
        return (
            Failure(*invalid)
            if invalid
            else Failure(
                Problem(
                    where=f"Stack {self.environment.stack_name}",
                    what=f"CloudFormation does not accept the change: {reason}",
                    remedy="Correct what it names, then run this again.",
                )
            )
        )

    def _describe_nested(self, change_set: str) -> dict[str, Any]:
        return tolerant(
            lambda: self.aws.call(
                "cloudformation",
                "describe_change_set",
                f"Change set {change_set}",
                ChangeSetName=change_set,
            ),
            {},
        )

    def _invalid(self, change_set: str, stack_id: str) -> list[Problem]:
        try:
            rows = [
                row
                for page in self.aws.pages(
                    "cloudformation",
                    "describe_events",
                    f"Change set {change_set}",
                    ChangeSetName=change_set,
                    **({"StackName": stack_id} if stack_id else {}),
                    Filters={"FailedEvents": True},
                )
                for row in page.get("OperationEvents", ())
            ]
        except (AwsError, Denied):
            # Optional; the change set's own reason remains.
            return []
        return [
            Problem(
                where=row.get("LogicalResourceId") or self.environment.stack_name,
                what=row.get("ValidationStatusReason")
                or row.get("ResourceStatusReason")
                or "CloudFormation's validation rejects it.",
                why=f"At {row['ValidationPath']}."
                if row.get("ValidationPath")
                else f"Reported by {row.get('ValidationName', 'the validation')}.",
                remedy="Correct the template or the parameter, then run make "
                "templates.",
            )
            for row in rows
            if row.get("ValidationFailureMode", "FAIL") == "FAIL"
        ]

    # Reading.

    def _read(self, answer: Mapping[str, Any]) -> ChangeSet:
        """Return a described change set with its further pages and nested ones."""
        rows = list(answer.get("Changes", ()))
        token = answer.get("NextToken")
        if token:
            for page in self.aws.pages(
                "cloudformation",
                "describe_change_set",
                f"Change set {answer['ChangeSetId']}",
                ChangeSetName=answer["ChangeSetId"],
                StackName=answer["StackId"],
                IncludePropertyValues=True,
                NextToken=token,
            ):
                rows += page.get("Changes", ())
        resource_changes = tuple(
            row["ResourceChange"] for row in rows if "ResourceChange" in row
        )
        children = {}
        for row in resource_changes:
            if row["ResourceType"] == STACK and row.get("ChangeSetId"):
                nested = self.aws.call(
                    "cloudformation",
                    "describe_change_set",
                    f"Change set {row['ChangeSetId']}",
                    ChangeSetName=row["ChangeSetId"],
                    IncludePropertyValues=True,
                )
                if row["Action"] == "Add" and nested.get("StackId"):
                    self.empty_stacks.append(nested["StackId"])
                children[row["LogicalResourceId"]] = self._read(nested)
        return ChangeSet(resource_changes, children)

    def _entries(
        self, root: ChangeSet, before: Mapping[str, Any]
    ) -> tuple[Change, ...]:
        templates: dict[tuple[str, ...], Mapping[str, Any]] = {
            (): self.publication.template(self.dist.root)
        }
        unread: list[Mapping[str, Any]] = []
        for row in root.rows:
            if row["ResourceType"] != STACK:
                continue
            path = (row["LogicalResourceId"],)
            templates[path] = self.dist.template_at(path)
            if row["Action"] == "Remove" and row.get("PhysicalResourceId"):
                templates[path] = stacks.template(self.aws, row["PhysicalResourceId"])
            self._add_deeper(path, root, templates)
            if path[0] not in root.children:
                unread.append(row)
        if unread and not self.notes:
            self.notes.append(NOT_LOOKED_INTO)
        entries = changes.read(
            root,
            before,
            templates[()],
            self._changed_parameters(),
            templates,
        )
        compared = [change for row in unread for change in self._compared(row)]
        looked_into = {change.path[0] for change in compared}
        return tuple(
            replace(entry, certainty=Certainty.CERTAIN)
            if entry.logical_id in looked_into and not entry.path
            else entry
            for entry in (*entries, *compared)
        )

    def _add_deeper(
        self,
        path: tuple[str, ...],
        parent: ChangeSet,
        templates: dict[tuple[str, ...], Mapping[str, Any]],
    ) -> None:
        child = parent.children.get(path[-1])
        for row in child.rows if child else ():
            if child and row["ResourceType"] == STACK:
                deeper = (*path, row["LogicalResourceId"])
                templates[deeper] = self.dist.template_at(deeper)
                self._add_deeper(deeper, child, templates)

    def _compared(self, row: Mapping[str, Any]) -> tuple[Change, ...]:
        """Return what changes in a nested stack that has no change set of its own."""
        path = (row["LogicalResourceId"],)
        physical = row.get("PhysicalResourceId")
        if row["Action"] == "Add" or not physical:
            return changes.compared(path, {}, self._published_at(path))
        before = stacks.template(self.aws, physical)
        after = {} if row["Action"] == "Remove" else self._published_at(path)
        return changes.compared(path, before, after)

    def _published_at(self, path: tuple[str, ...]) -> dict[str, Any]:
        body = self.dist.templates[self.dist.root]["Resources"].get(path[0], {})
        relative = str(body.get("Properties", {}).get("TemplateURL", ""))
        if relative not in self.dist.templates:
            return {}
        return self.publication.template(relative)

    def _changed_parameters(self) -> dict[str, str]:
        """Return the root's parameters that change, each with old and new value."""
        if not self.stack:
            return {}
        after = {
            name: str(self.environment.parameters.get(name, body.get("Default", "")))
            for name, body in self.dist.templates[self.dist.root]
            .get("Parameters", {})
            .items()
        }
        before = self.stack.parameters
        return {
            name: f"{before.get(name, 'nothing')} -> {after.get(name, 'nothing')}"
            for name in sorted(after.keys() | before.keys())
            if after.get(name) != before.get(name)
        }

    def _warn_of_many(self, root: ChangeSet) -> None:
        """Warn before a nested stack reaches its quota of change sets."""
        if self.is_new:
            return
        for row in root.rows:
            if not row.get("ChangeSetId") or not row.get("PhysicalResourceId"):
                continue
            page = self.aws.call(
                "cloudformation",
                "list_change_sets",
                f"Stack {row['PhysicalResourceId']}",
                StackName=row["PhysicalResourceId"],
            )
            count = len(page.get("Summaries", ()))
            if page.get("NextToken"):
                count += sum(
                    len(more.get("Summaries", ()))
                    for more in self.aws.pages(
                        "cloudformation",
                        "list_change_sets",
                        f"Stack {row['PhysicalResourceId']}",
                        StackName=row["PhysicalResourceId"],
                        NextToken=page["NextToken"],
                    )
                )
            if count >= CHANGE_SETS_WARN:
                self.notes.append(
                    f"Nested stack {row['LogicalResourceId']} has {count} of "
                    f"{CHANGE_SETS} change sets; each plan of an unchanged stack "
                    "leaves one. Use --no-nested from now on."
                )

    # Cleaning up.

    def _delete(self, change_set: str) -> None:
        self.aws.call(
            "cloudformation",
            "delete_change_set",
            f"Change set {change_set}",
            ChangeSetName=change_set,
            StackName=self.stack_id,
        )

    def _delete_empty(self, stack_id: str) -> None:
        """Delete an empty stack that was created for a change set."""
        stack = stacks.find(self.aws, stack_id)
        if not stack or stack.status != REVIEW:
            return
        others = self.aws.call(
            "cloudformation",
            "list_change_sets",
            f"Stack {stack_id}",
            StackName=stack_id,
        ).get("Summaries", ())
        if all(self._is_ours(summary) for summary in others):
            self.aws.call(
                "cloudformation",
                "delete_stack",
                f"Stack {stack_id}",
                StackName=stack_id,
            )

    def _is_ours(self, summary: Mapping[str, Any]) -> bool:
        """Whether a change set, or the one it is part of, was made here."""
        ids = (summary["ChangeSetId"], summary.get("RootChangeSetId"))
        return any(change_set in self.created for change_set in ids)


def _pairs(members: Mapping[str, str], key: str, value: str) -> list[dict[str, str]]:
    return [{key: name, value: text} for name, text in members.items()]


def _reason(error: Failure) -> str:
    return error.message if isinstance(error, AwsError) else error.problems[0].what
