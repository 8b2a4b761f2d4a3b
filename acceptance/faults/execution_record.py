"""Compares the executions that tasks recorded with what Airflow says of the tasks.

Every task of ``fault_dags`` appends an entry as its code starts and one as it
succeeds, to a file that no fault reaches. The rule: each task of the run ended in
success, its last try started once and ended once, and no try started twice. An earlier
try is allowed only where its worker was killed under it: it started once, there, and
never ended.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

GO = "go"
FILE = "executions"

SINGLE = ("numbers", "total", "deferred")
MAPPED = ("hold", "double")
"""The tasks of the DAG; the mapped ones as often as the run is wide."""

TaskKey = tuple[str, int]
"""A task's name and its index, -1 where it is not mapped."""


class RecordError(Exception):
    """A task was lost, ran twice or did not succeed; the message says which and how."""


@dataclass(frozen=True)
class Entry:
    """A line that a task wrote."""

    task: TaskKey
    attempt: int
    event: str
    """``start`` or ``end``."""
    host: str
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class TaskInstance:
    """A task instance as Airflow reports it."""

    task: TaskKey
    state: str
    attempt: int
    """Its last try."""


@dataclass(frozen=True)
class ExecutionRecord:
    """The entries of one run."""

    folder: Path

    def entries(self) -> list[Entry]:
        """Return what was written so far."""
        try:
            text = (self.folder / FILE).read_text()
        except FileNotFoundError:
            return []
        return [_entry(json.loads(line)) for line in text.splitlines()]

    def under_way(self, name: str) -> list[Entry]:
        """Return the start of each instance of a task that has not ended."""
        entries = self.entries()
        ended = {entry.task for entry in entries if entry.event == "end"}
        started = {
            entry.task: entry
            for entry in entries
            if entry.event == "start" and entry.task[0] == name
        }
        return [entry for task, entry in started.items() if task not in ended]

    def go(self) -> None:
        """Let the tasks that wait go on."""
        (self.folder / GO).touch()


def expected_tasks(width: int) -> set[TaskKey]:
    """Return every task that a run so wide has."""
    mapped = {(task, index) for task in MAPPED for index in range(width)}
    return {(task, -1) for task in SINGLE} | mapped


def verify(
    entries: Collection[Entry],
    instances: Iterable[TaskInstance],
    *,
    width: int,
    killed: Collection[str] = (),
) -> list[TaskKey]:
    """Return the tasks that ran again because their worker was killed.

    ``killed`` are the addresses of killed workers. Raises RecordError when a task was
    lost, ran twice, ran again without that reason, or did not succeed.
    """
    expected = expected_tasks(width)
    instances = list(instances)
    counts = Counter(instance.task for instance in instances)
    last = {instance.task: instance.attempt for instance in instances}
    wrong = [
        *(f"{label(task)} is not there" for task in sorted(expected - set(last))),
        *(f"{label(task)} is unknown" for task in sorted(set(last) - expected)),
        *(f"{label(task)} is there {n} times" for task, n in counts.items() if n > 1),
        *(
            f"{label(instance.task)} is {instance.state or 'without a state'}"
            for instance in instances
            if instance.state != "success"
        ),
    ]
    present = sorted(expected & set(last))
    for task in present:
        own = [entry for entry in entries if entry.task == task]
        wrong += _differences(task, last[task], own, killed)
    if wrong:
        raise RecordError("; ".join(wrong))
    return [task for task in present if last[task] > 1]


def label(task: TaskKey) -> str:
    """Return a task as a person reads it."""
    name, index = task
    return name if index < 0 else f"{name}[{index}]"


def _differences(
    task: TaskKey, last: int, entries: list[Entry], killed: Collection[str]
) -> Iterator[str]:
    """Yield what is wrong with the entries of one task."""
    for attempt in sorted({*range(1, last + 1), *(entry.attempt for entry in entries)}):
        own = [entry for entry in entries if entry.attempt == attempt]
        starts = [entry for entry in own if entry.event == "start"]
        ends = len(own) - len(starts)
        which = f"{label(task)}, try {attempt},"
        if attempt > last:
            yield f"{which} ran and Airflow does not know of it"
        elif len(starts) != 1:
            yield f"{which} started {len(starts)} times"
        elif attempt < last and ends:
            yield f"{which} had succeeded and ran again"
        elif attempt < last and starts[0].host not in killed:
            yield f"{which} was given up though its worker was not killed"
        elif attempt == last and ends != 1:
            yield f"{which} ended {ends} times"


def _entry(line: Mapping[str, str | int | float]) -> Entry:
    return Entry(
        task=(str(line["task"]), int(line["index"])),
        attempt=int(line["try"]),
        event=str(line["event"]),
        host=str(line["host"]),
        at=float(line["at"]),
    )
