"""Find out why an operation failed: from the parent to the resource that failed first.

The parent only says that a nested stack failed. So the search continues by stack ID in
the nested stack, which CloudFormation remembers after a rollback has deleted it, and
skips resources that were only cancelled. For ECS the reason is in the stopped tasks:
their exit codes and the last lines of their log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from deploy import ecs, stacks
from deploy.aws import Aws, tolerant
from deploy.dist import Dist
from deploy.stacks import StackEvent, StackSummary

SERVICE = "AWS::ECS::Service"

MIGRATION_LOG = re.compile(r"Log: (?P<group>\S+) (?P<stream>[^\s)]+?/[^\s).]+)")
"""How the migration job ends its reason."""

MIGRATION_FAILURE = "migration job failed"

LOG_LINES = 12
STOPPED_TASKS = 3


@dataclass(frozen=True)
class Cause:
    """A resource whose own failure made the operation fail."""

    path: tuple[str, ...]
    logical_id: str
    type: str
    status: str
    reason: str
    time: datetime
    purpose: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Path in the tree of stacks, as Database/Cluster."""
        return "/".join((*self.path, self.logical_id))


@dataclass(frozen=True)
class Diagnosis:
    """Why a stack's last operation failed, and what to do next."""

    stack_name: str
    status: str
    causes: tuple[Cause, ...]
    next_steps: tuple[str, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether the last operation succeeded."""
        return not self.causes and self.status in (
            stacks.SUCCEEDED | {"IMPORT_ROLLBACK_COMPLETE"}
        )


class Diagnoser:
    """Collects causes; can read tasks and logs before a rollback deletes them."""

    def __init__(self, aws: Aws, dist: Dist | None = None) -> None:
        self.aws, self.dist = aws, dist
        self._evidence_by_event: dict[str, tuple[str, ...]] = {}

    def record_evidence(self, event: StackEvent) -> None:
        """Read tasks and logs of a failed resource while they exist."""
        if event.id not in self._evidence_by_event:
            self._evidence_by_event[event.id] = self._evidence(event)

    def diagnose(self, stack: StackSummary) -> Diagnosis:
        """Return why the last operation of a stack failed."""
        causes = self._causes(stack.id, (), None)
        causes.sort(key=lambda cause: cause.time)
        return Diagnosis(
            stack.name,
            stack.status,
            tuple(causes),
            next_steps(stack.status, causes),
        )

    def _causes(
        self, stack_id: str, path: tuple[str, ...], since: datetime | None
    ) -> list[Cause]:
        rows = self._rows(stack_id, since)
        start = since or (rows[0].time if rows else None)
        failures = [row for row in rows if row.is_failure]
        # A later failure of the same resource comes from the rollback.
        inner = {
            row.logical_id: row for row in reversed(failures) if not row.is_of_the_stack
        }
        causes: list[Cause] = []
        for row in inner.values():
            deeper: list[Cause] = []
            if row.is_nested_stack and row.physical_id.startswith("arn:"):
                deeper = self._causes(row.physical_id, (*path, row.logical_id), start)
            causes += deeper or [self._cause(path, row)]
        if not causes:
            own = [row for row in failures if row.is_of_the_stack and row.reason]
            causes = [self._cause(path, row) for row in own[:1]]
        return causes

    def _rows(self, stack_id: str, since: datetime | None) -> list[StackEvent]:
        if since is None:
            return stacks.last_operation(self.aws, stack_id)
        rows = []
        # By ID: a nested stack that the rollback deleted still has its history.
        for row in stacks.events(self.aws, stack_id):
            if row.time >= since:
                rows.append(row)
            elif row.starts_operation:
                break
        return stacks.in_order(rows)

    def _cause(self, path: tuple[str, ...], row: StackEvent) -> Cause:
        self.record_evidence(row)
        return Cause(
            path=path,
            logical_id=row.logical_id,
            type=row.type,
            status=row.status,
            reason=row.reason or "CloudFormation gives no reason.",
            time=row.time,
            purpose=self.dist.purpose(path, row.logical_id) if self.dist else "",
            evidence=self._evidence_by_event[row.id],
        )

    # Evidence from ECS and CloudWatch Logs.

    def _evidence(self, row: StackEvent) -> tuple[str, ...]:
        if row.type == SERVICE and row.physical_id:
            return tolerant(lambda: self._of_service(row.physical_id), ())
        log = MIGRATION_LOG.search(row.reason)
        if log:
            return tolerant(lambda: self._log(log["group"], log["stream"]), ())
        return ()

    def _of_service(self, service_arn: str) -> tuple[str, ...]:
        """Return why the tasks of a service stopped, with the end of their log."""
        cluster, service = cluster_and_service(service_arn)
        listed = self.aws.call(
            "ecs",
            "list_tasks",
            service_arn,
            cluster=cluster,
            serviceName=service,
            desiredStatus="STOPPED",
        )["taskArns"]
        if not listed:
            return ("ECS lists no stopped task: it forgets them within an hour.",)
        tasks = self.aws.call(
            "ecs",
            "describe_tasks",
            service_arn,
            cluster=cluster,
            tasks=listed[:100],
        )["tasks"]
        lines: list[str] = []
        # Tasks that failed come first: one that ECS stopped explains nothing.
        tasks.sort(key=lambda task: not _failed_by_itself(task))
        for task in tasks[:STOPPED_TASKS]:
            lines += self._of_task(task)
        return tuple(dict.fromkeys(lines))

    def _of_task(self, task: Mapping[str, Any]) -> list[str]:
        number = task["taskArn"].rpartition("/")[2]
        lines = [
            f"Task {number} stopped: {task.get('stoppedReason', 'no reason given')}"
        ]
        for container in task.get("containers", ()):
            facts = [
                f"exit code {container['exitCode']}" if "exitCode" in container else "",
                container.get("reason", ""),
            ]
            facts = [fact for fact in facts if fact]
            if facts:
                lines.append(f"Container {container['name']}: {'; '.join(facts)}")
        for name in _failed_containers(task):
            lines += tolerant(partial(self._log_of, task, name, number), ())
        return lines

    def _log_of(
        self, task: Mapping[str, Any], container: str, number: str
    ) -> tuple[str, ...]:
        group, prefix = ecs.log_of(self.aws, task["taskDefinitionArn"], container)
        return self._log(group, f"{prefix}/{container}/{number}") if group else ()

    def _log(self, group: str, stream: str) -> tuple[str, ...]:
        events = self.aws.call(
            "logs",
            "get_log_events",
            group,
            logGroupName=group,
            logStreamName=stream,
            limit=LOG_LINES,
            startFromHead=False,
        )["events"]
        lines = [event["message"].rstrip() for event in events][-LOG_LINES:]
        return (f"Log {group} {stream}", *(f"  {line}" for line in lines if line))


def next_steps(status: str, causes: list[Cause]) -> tuple[str, ...]:
    """Return what to run next, in order."""
    steps: list[str] = []
    if any(MIGRATION_FAILURE in cause.reason for cause in causes):
        steps.append(
            "The database migration failed. No service of the new version runs. Read "
            "the end of its log above, and correct what it names."
        )
    elif causes:
        steps.append("Correct the template or the parameter that it names.")
    after = {
        "ROLLBACK_COMPLETE": (
            "build.py recover ENV    deletes the failed stack",
            "build.py launch ENV     launches it again",
        ),
        "ROLLBACK_FAILED": ("build.py recover ENV    deletes the failed stack",),
        "CREATE_FAILED": ("build.py recover ENV    deletes the failed stack",),
        "UPDATE_ROLLBACK_FAILED": ("build.py recover ENV    continues the rollback",),
        "DELETE_FAILED": ("build.py destroy ENV    deletes the rest",),
        "UPDATE_ROLLBACK_COMPLETE": (
            "make templates",
            "build.py launch ENV     the stack was rolled back",
        ),
    }.get(status, ())
    if not after and status.endswith("_IN_PROGRESS"):
        after = ("build.py events ENV --follow    follows it",)
    return (*steps, *after)


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis for other programs."""
    return {
        "Stack": diagnosis.stack_name,
        "Status": diagnosis.status,
        "Causes": [
            {
                "Name": cause.name,
                "Type": cause.type,
                "Status": cause.status,
                "Reason": cause.reason,
                "Time": cause.time.isoformat(),
                "Evidence": list(cause.evidence),
            }
            for cause in diagnosis.causes
        ],
        "Next": list(diagnosis.next_steps),
    }


def cluster_and_service(arn: str) -> tuple[str, str]:
    """Return the names of cluster and service in the ARN of a service."""
    parts = arn.split("/")
    if len(parts) == len(("service", "cluster", "name")):
        return parts[1], parts[2]
    return "default", parts[-1]


def _failed_by_itself(task: Mapping[str, Any]) -> bool:
    return task.get("stopCode") in ("TaskFailedToStart", "EssentialContainerExited")


def _failed_containers(task: Mapping[str, Any]) -> list[str]:
    return [
        container["name"]
        for container in task.get("containers", ())
        if container.get("exitCode") not in (None, 0)
    ]
