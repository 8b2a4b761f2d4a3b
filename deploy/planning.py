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
from itertools import groupby
from typing import Any

from cli.errors import AwsError, Denied, Failure, Problem, Refused, Unable
from cloudformation.schemas import SchemaRegistry, installed
from cloudformation.transitions import TRANSITIONS, RefusedUpdate, refused
from cloudformation.updates import Updates, compare
from deploy import changes, stacks, trees
from deploy.addresses import Publication
from deploy.aws import Aws, is_missing, tolerant
from deploy.changes import ChangePlan, ChangeSet
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
    "CloudFormation did not look into nested stacks: their changes are those of the "
    "templates and parameters, and a value that only AWS knows counts as unchanged."
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
        """Return what would happen; without nested change sets if those are refused.

        Nothing is created when an update is one that AWS refuses.
        """
        updates = self._compare()
        try:
            answer = self._settled(is_nested=is_nested)
        except Failure as error:
            if not (is_nested and NESTED_REFUSED.search(str(error))):
                raise
            self.notes.append(
                "CloudFormation refused to look into the nested stacks "
                f"({_reason(error)})."
            )
            answer = self._settled(is_nested=False)
        empty = ChangePlan(
            self.environment.stack_name, self.is_new, notes=tuple(self.notes)
        )
        if answer is None:
            return empty
        root = self._read(answer)
        if any(r["ResourceType"] == STACK for r in root.rows) and not root.children:
            self.notes.append(NOT_LOOKED_INTO)
        self._warn_of_many(root)
        return replace(
            empty,
            changes=changes.read(root, updates),
            notes=tuple(self.notes),
            change_set_id=answer["ChangeSetId"],
            stack_id=answer["StackId"],
        )

    def _compare(self) -> Updates:
        """Return what the templates and parameters say; refuse what AWS refuses."""
        new = trees.published(self.dist, self.publication, self.environment)
        old = None
        if self.stack and not self.is_new:
            old = trees.running(self.aws, self.stack, self.publication)
            note = trees.check_origin(old, new, self.stack)
            self.notes += [note] * bool(note)
        schemas = _schemas()
        updates = compare(old, new, schemas)
        rows = sorted(refused(updates, schemas), key=_order)
        if rows:
            raise Refused(*(_refusal(list(g)) for _, g in groupby(rows, _order)))
        return updates

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
        if self.environment.role_arn:
            options["RoleARN"] = self.environment.role_arn
        if self.environment.topic_arns:
            options["NotificationARNs"] = list(self.environment.topic_arns)
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
        try:
            return self.aws.call(
                "cloudformation",
                "describe_change_set",
                f"Change set {change_set}",
                ChangeSetName=change_set,
                StackName=self.stack_id,
                IncludePropertyValues=True,
            )
        except AwsError as error:
            if not is_missing(error):
                raise
            # Executing one change set deletes all others of the stack.
            raise Refused(
                Problem(
                    where=f"Stack {self.environment.stack_name}",
                    what="Another operation has started in the meantime.",
                    why=error.message,
                    remedy="Follow it with `build.py events ENV --follow`; then run "
                    "this again.",
                )
            ) from error

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
        nothing: dict[str, Any] = {}
        others = tolerant(
            lambda: self.aws.call(
                "cloudformation",
                "list_change_sets",
                f"Stack {stack_id}",
                StackName=stack_id,
            ),
            nothing,
        ).get("Summaries", ())
        # After the list: a change set that is gone from it may be one that another
        # launch executes, and then the stack is not in review any more.
        stack = stacks.find(self.aws, stack_id)
        if not stack or stack.status != REVIEW:
            return
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


def _schemas() -> SchemaRegistry:
    schemas = installed()
    if schemas is None:
        raise Unable(
            Problem(
                where="cfn-lint",
                what="It is not installed, so it is not known which changes replace a "
                "resource.",
                remedy="Run make templates, which installs it.",
            )
        )
    return schemas


def _order(row: RefusedUpdate) -> int:
    return TRANSITIONS.index(row.transition)


def _refusal(rows: Sequence[RefusedUpdate]) -> Problem:
    """Return what one row of the table refuses as a problem."""
    transition = rows[0].transition
    answer = f"{transition.service.name} would answer: {rows[0].answer}"
    return Problem(
        where=", ".join(row.update.resource.name for row in rows),
        what=transition.change,
        why=answer if transition.answer else "",
        remedy=f"{transition.remedy} ({REFUSED_CHANGES}#{transition.name})",
    )


REFUSED_CHANGES = "docs/refused-changes.md"
