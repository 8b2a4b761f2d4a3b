"""Stacks, events and resources, as CloudFormation reports them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cli.errors import AwsError, Problem, UsageError
from deploy.aws import Aws, is_missing
from deploy.dist import STACK

REVIEW = "REVIEW_IN_PROGRESS"

STARTS = frozenset(
    {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", REVIEW}
)
"""Statuses that begin an operation; a rollback belongs to the operation it undoes."""

UPDATABLE = frozenset(
    {
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_ROLLBACK_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
    }
)

SUCCEEDED = frozenset(
    {"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE", "IMPORT_COMPLETE"}
)

CANCELLED = ("resource creation cancelled", "resource update cancelled")
"""Reasons of resources that were cancelled because another one had failed."""


@dataclass(frozen=True)
class StackSummary:
    """A stack as DescribeStacks returns it."""

    id: str
    name: str
    status: str
    reason: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    outputs: Mapping[str, str]
    descriptions: Mapping[str, str]
    is_protected: bool
    started: datetime | None
    role_arn: str = ""
    """The service role that CloudFormation uses; empty for the caller's rights."""
    topic_arns: tuple[str, ...] = ()
    """SNS topics that get its events."""

    @property
    def is_busy(self) -> bool:
        """Whether an operation is running."""
        return is_busy(self.status)


@dataclass(frozen=True)
class StackEvent:
    """One event of a stack."""

    id: str
    stack_id: str
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str
    time: datetime
    token: str = ""
    """ClientRequestToken of the operation."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> StackEvent:
        """Read a row of DescribeStackEvents."""
        return cls(
            id=row["EventId"],
            stack_id=row["StackId"],
            logical_id=row.get("LogicalResourceId", ""),
            physical_id=row.get("PhysicalResourceId", ""),
            type=row.get("ResourceType", ""),
            status=row.get("ResourceStatus", ""),
            reason=row.get("ResourceStatusReason", ""),
            time=row["Timestamp"],
            token=row.get("ClientRequestToken", ""),
        )

    @property
    def is_of_the_stack(self) -> bool:
        """Whether it is about the stack itself, not about a resource in it."""
        return self.physical_id == self.stack_id

    @property
    def is_nested_stack(self) -> bool:
        """Whether it is about a nested stack."""
        return self.type == STACK and not self.is_of_the_stack

    @property
    def starts_operation(self) -> bool:
        """Whether an operation of the stack begins with it."""
        return self.is_of_the_stack and self.status in STARTS

    @property
    def is_failure(self) -> bool:
        """Whether the resource itself failed, and was not only cancelled."""
        return self.status.endswith("_FAILED") and not self.reason.lower().startswith(
            CANCELLED
        )


def is_busy(status: str) -> bool:
    """Whether a stack of this status has a running operation."""
    return status.endswith("_IN_PROGRESS") and status != REVIEW


def is_terminal(status: str) -> bool:
    """Whether an operation of a stack ends with this status."""
    return bool(status) and not status.endswith("_IN_PROGRESS")


def find(aws: Aws, name: str) -> StackSummary | None:
    """Return a stack by name or ID, or None when there is none."""
    try:
        rows = aws.call(
            "cloudformation", "describe_stacks", f"Stack {name}", StackName=name
        )["Stacks"]
    except AwsError as error:
        if is_missing(error):
            return None
        raise
    return _stack(rows[0]) if rows else None


def existing(aws: Aws, name: str) -> StackSummary:
    """Return a stack that must exist."""
    stack = find(aws, name)
    if stack is None or stack.status == REVIEW:
        raise UsageError(
            Problem(
                where=f"Stack {name}",
                what=f"There is no stack of that name in {aws.region}.",
                remedy="Launch it, or correct ENV, --stack-name or --region.",
            )
        )
    return stack


def deleted(aws: Aws, name: str) -> str:
    """Return the ID of the last deleted stack of a name, or nothing.

    CloudFormation lists a deleted stack for 90 days, and describes its events by ID.
    """
    rows = [
        row
        for page in aws.pages(
            "cloudformation",
            "list_stacks",
            f"Stack {name}",
            StackStatusFilter=["DELETE_COMPLETE"],
        )
        for row in page["StackSummaries"]
        if row["StackName"] == name
    ]
    newest = max(
        rows,
        key=lambda row: row.get("DeletionTime") or row["CreationTime"],
        default={"StackId": ""},
    )
    return str(newest["StackId"])


def deletion_events(aws: Aws, stack_id: str) -> list[StackEvent]:
    """Return the events since the deletion of a stack began, the oldest first.

    The rollback of a creation is a deletion, and one that failed and was repeated is
    one deletion.
    """
    ordered = in_order(list(events(aws, stack_id)))
    starts = (
        place
        for place, event in enumerate(ordered)
        if event.is_of_the_stack
        and event.status in ("DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
    )
    return ordered[next(starts, len(ordered)) :]


def events(aws: Aws, stack: str) -> Iterator[StackEvent]:
    """Yield the events of a stack, the newest first; by ID, of a deleted stack too."""
    for page in aws.pages(
        "cloudformation", "describe_stack_events", f"Stack {stack}", StackName=stack
    ):
        for row in page["StackEvents"]:
            yield StackEvent.of(row)


def last_operation(aws: Aws, stack_id: str) -> list[StackEvent]:
    """Return the events of a stack's last operation, the oldest first.

    The rows of a page need not be in order, so the page in which the operation starts
    is read to its end.
    """
    rows: list[StackEvent] = []
    for page in aws.pages(
        "cloudformation",
        "describe_stack_events",
        f"Stack {stack_id}",
        StackName=stack_id,
    ):
        rows += [StackEvent.of(row) for row in page["StackEvents"]]
        if any(row.starts_operation for row in rows):
            break
    return since_start(rows)


def since_start(rows: list[StackEvent]) -> list[StackEvent]:
    """Return the rows of the last operation in order, the oldest first."""
    ordered = in_order(rows)
    starts = [i for i, row in enumerate(ordered) if row.starts_operation]
    return ordered[starts[-1] :] if starts else ordered


def in_order(rows: list[StackEvent]) -> list[StackEvent]:
    """Return rows, the oldest first, that arrived roughly the newest first."""
    oldest_first = list(rows)
    # Sorting is stable: rows of the same time keep their order.
    oldest_first.reverse()
    oldest_first.sort(key=lambda row: row.time)
    return oldest_first


def resources(aws: Aws, stack_id: str) -> list[dict[str, Any]]:
    """Return the resources of one stack, without those of nested ones."""
    return [
        row
        for page in aws.pages(
            "cloudformation",
            "list_stack_resources",
            f"Stack {stack_id}",
            StackName=stack_id,
        )
        for row in page["StackResourceSummaries"]
    ]


def template(aws: Aws, stack_id: str) -> dict[str, Any]:
    """Return the template that a stack was made from."""
    body = aws.call(
        "cloudformation",
        "get_template",
        f"Stack {stack_id}",
        StackName=stack_id,
        TemplateStage="Original",
    )["TemplateBody"]
    if isinstance(body, str):
        loaded: dict[str, Any] = json.loads(body)
        return loaded
    return dict(body)


def name_of(stack_id: str) -> str:
    """Return the name that an ID of a stack holds."""
    return stack_id.split("/")[1] if "/" in stack_id else stack_id


def _stack(row: Mapping[str, Any]) -> StackSummary:
    return StackSummary(
        id=row["StackId"],
        name=row["StackName"],
        status=row["StackStatus"],
        reason=row.get("StackStatusReason", ""),
        parameters={
            p["ParameterKey"]: p.get("ParameterValue", "")
            for p in row.get("Parameters", ())
        },
        tags={t["Key"]: t["Value"] for t in row.get("Tags", ())},
        outputs={o["OutputKey"]: o["OutputValue"] for o in row.get("Outputs", ())},
        descriptions={
            o["OutputKey"]: o.get("Description", "") for o in row.get("Outputs", ())
        },
        is_protected=bool(row.get("EnableTerminationProtection")),
        role_arn=row.get("RoleARN", ""),
        topic_arns=tuple(row.get("NotificationARNs", ())),
        started=row.get("LastUpdatedTime") or row.get("CreationTime"),
    )
