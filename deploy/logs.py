"""The logs of Airflow's components: lines of their CloudWatch log groups, in order."""

from __future__ import annotations

import heapq
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.errors import Problem, UsageError
from deploy import inventory
from deploy.aws import Aws
from deploy.diagnosis import SERVICE
from deploy.inventory import StackResource

LOG_GROUP = "AWS::Logs::LogGroup"
POOLS = "workers"
"""All pools of workers; each pool also has its own name."""

GROUPS_PER_SECOND = 4
"""AWS allows five calls of FilterLogEvents a second in most regions."""

LATE = timedelta(seconds=30)
"""Lines arrive that late, and after newer ones of other tasks."""


@dataclass(frozen=True)
class ComponentLog:
    """The log group of one component."""

    component: str
    """As operators type it: scheduler, default-workers."""
    group: str
    is_service: bool
    """Whether it runs all the time."""


@dataclass(frozen=True, order=True)
class LogLine:
    """One event of a log group."""

    milliseconds: int
    component: str
    task: str
    """ID of the task."""
    text: str
    id: str

    @property
    def time(self) -> datetime:
        """When it was written."""
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)

    def as_json(self) -> dict[str, str]:
        """Return it for other programs."""
        return {
            "Time": self.time.isoformat(timespec="milliseconds"),
            "Component": self.component,
            "Task": self.task,
            "Message": self.text,
        }


def components(aws: Aws, stack_id: str) -> list[ComponentLog]:
    """Return the log group of every component of a stack."""
    return sorted(
        _components(inventory.take(aws, stack_id, reads_templates=False)),
        key=lambda log: log.component,
    )


def _components(resources: Iterable[StackResource]) -> Iterator[ComponentLog]:
    known = {
        (resource.path, resource.logical_id): resource
        for resource in resources
        if resource.physical_id
    }
    services = {key for key, r in known.items() if r.type == SERVICE}
    in_stack = Counter(path for path, _ in services)
    for (path, logical_id), resource in known.items():
        name = logical_id.removesuffix("Log")
        definition = known.get((path, f"{name}Definition"))
        if resource.type != LOG_GROUP or not definition:
            continue
        # A pool of workers is a stack with one service, which has no name of its own.
        title = path[-1] if path and in_stack[path] == 1 else name
        yield ComponentLog(
            _typed(title), resource.physical_id, is_service=(path, name) in services
        )


def _typed(title: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", title).lower()


def chosen(logs: Sequence[ComponentLog], component: str) -> list[ComponentLog]:
    """Return the logs of a component, or of all that run all the time.

    Raises UsageError for a component that the stack does not have.
    """
    if not component:
        return [log for log in logs if log.is_service]
    word = component.lower().replace("_", "-")
    selected = [
        log
        for log in logs
        if word == log.component
        or (word == POOLS and log.component.endswith(f"-{POOLS}"))
    ]
    if not selected:
        names = ", ".join(log.component for log in logs) or "none"
        raise UsageError(
            Problem(
                where=component,
                what="The stack has no such component.",
                why=f"It has these: {names}.",
                remedy="Name one of them, or none for all that run all the time.",
            )
        )
    return selected


def lines(aws: Aws, logs: Sequence[ComponentLog], since: datetime) -> Iterator[LogLine]:
    """Yield the lines of some components since a time, the oldest first."""
    return heapq.merge(*(_lines(aws, log, since) for log in logs))


def follow(
    aws: Aws, logs: Sequence[ComponentLog], since: datetime
) -> Iterator[LogLine]:
    """Yield the lines since a time, then each new one, for ever.

    Those that arrive late come when they arrive.
    """
    shown: dict[str, int] = {}
    while True:
        newest = since
        for line in lines(aws, logs, since):
            newest = max(newest, line.time)
            if line.id not in shown:
                shown[line.id] = line.milliseconds
                yield line
        since = max(since, newest - LATE)
        begin = _milliseconds(since)
        shown = {key: at for key, at in shown.items() if at >= begin}
        time.sleep(max(1.0, len(logs) / GROUPS_PER_SECOND))


def _lines(aws: Aws, log: ComponentLog, since: datetime) -> Iterator[LogLine]:
    for page in aws.pages(
        "logs",
        "filter_log_events",
        log.group,
        logGroupName=log.group,
        startTime=_milliseconds(since),
    ):
        for event in page["events"]:
            yield _line(log.component, event)


def _line(component: str, event: Mapping[str, Any]) -> LogLine:
    return LogLine(
        milliseconds=event["timestamp"],
        component=component,
        task=event.get("logStreamName", "").rpartition("/")[2],
        text=event["message"].rstrip(),
        id=event["eventId"],
    )


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)
