"""What the tasks of a run wrote down, held against what Airflow says of them.

Every task has one entry as its code begins and one as it has succeeded, in a file that
no fault reaches. The rule: each task of the run ended in success, its last try began
once and ended once, and no try began twice. An earlier try is allowed only where its
worker was killed under it: it began once, there, and never ended.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

GO = "go"
FILE = "ledger"

SINGLE = ("numbers", "total", "deferred")
MAPPED = ("hold", "double")
"""The tasks of the DAG; the mapped ones as often as the run is wide."""

Name = tuple[str, int]
"""A task and its index, -1 where it is not mapped."""


class LedgerError(Exception):
    """A task was lost, ran twice or did not succeed; the message says which and how."""


@dataclass(frozen=True)
class Entry:
    """A line that a task wrote."""

    name: Name
    attempt: int
    event: str
    """``start`` or ``end``."""
    host: str
    at: float
    """Seconds since the epoch."""


@dataclass(frozen=True)
class Instance:
    """A task instance as Airflow tells it."""

    name: Name
    state: str
    attempt: int
    """Its last try."""


@dataclass(frozen=True)
class Ledger:
    """The entries of one run."""

    folder: Path

    def entries(self) -> list[Entry]:
        """Return what was written so far."""
        try:
            text = (self.folder / FILE).read_text()
        except FileNotFoundError:
            return []
        return [_entry(json.loads(line)) for line in text.splitlines()]

    def held(self, task: str) -> list[Entry]:
        """Return the start of each instance of a task that has not ended."""
        entries = self.entries()
        ended = {one.name for one in entries if one.event == "end"}
        started = {
            one.name: one
            for one in entries
            if one.event == "start" and one.name[0] == task
        }
        return [one for name, one in started.items() if name not in ended]

    def go(self) -> None:
        """Let the tasks that wait go on."""
        (self.folder / GO).touch()


def expected(width: int) -> set[Name]:
    """Return every task that a run so wide has."""
    mapped = {(task, index) for task in MAPPED for index in range(width)}
    return {(task, -1) for task in SINGLE} | mapped


def judge(
    entries: Iterable[Entry],
    instances: Iterable[Instance],
    *,
    width: int,
    killed: Collection[str] = (),
) -> list[Name]:
    """Return the tasks that ran again because their worker was killed.

    ``killed`` are the addresses of killed workers. Raises LedgerError when a task was
    lost, ran twice, ran again without that reason, or did not succeed.
    """
    wanted = expected(width)
    kept = list(entries)
    found = Counter(one.name for one in instances)
    by_name = {one.name: one for one in instances}
    wrong = [
        *(f"{label(name)} is not there" for name in sorted(wanted - set(by_name))),
        *(f"{label(name)} is unknown" for name in sorted(set(by_name) - wanted)),
        *(f"{label(name)} is there {n} times" for name, n in found.items() if n > 1),
        *(
            f"{label(one.name)} is {one.state or 'without a state'}"
            for one in by_name.values()
            if one.state != "success"
        ),
    ]
    again: list[Name] = []
    for name in sorted(wanted & set(by_name)):
        last = by_name[name].attempt
        own = [one for one in kept if one.name == name]
        wrong += _of_one(name, last, own, killed)
        again += [name] * (last > 1)
    if wrong:
        raise LedgerError("; ".join(wrong))
    return again


def label(name: Name) -> str:
    """Return a task as a person reads it."""
    task, index = name
    return task if index < 0 else f"{task}[{index}]"


def _of_one(
    name: Name, last: int, entries: list[Entry], killed: Collection[str]
) -> Iterable[str]:
    """Yield what is wrong with the entries of one task."""
    for attempt in sorted({*range(1, last + 1), *(one.attempt for one in entries)}):
        own = [one for one in entries if one.attempt == attempt]
        starts = [one for one in own if one.event == "start"]
        ends = len(own) - len(starts)
        which = f"{label(name)}, try {attempt},"
        if attempt > last:
            yield f"{which} ran and Airflow does not know of it"
        elif len(starts) != 1:
            yield f"{which} began {len(starts)} times"
        elif attempt < last and ends:
            yield f"{which} had succeeded and ran again"
        elif attempt < last and starts[0].host not in killed:
            yield f"{which} was given up though nobody killed its worker"
        elif attempt == last and ends != 1:
            yield f"{which} ended {ends} times"


def _entry(line: Mapping[str, str | int | float]) -> Entry:
    return Entry(
        name=(str(line["task"]), int(line["index"])),
        attempt=int(line["try"]),
        event=str(line["event"]),
        host=str(line["host"]),
        at=float(line["at"]),
    )
