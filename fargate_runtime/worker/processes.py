"""Processes of this container, as Linux shows them below ``/proc``.

Only what every process may read: a supervisor of Airflow 3.3 is not dumpable, so its
open files and its environment are closed to the worker.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
ENDED = ("Z", "X")
"""States of a process that runs no more, but whose parent has not read its status."""


class Process(NamedTuple):
    """A process. Its ID may be used again, its start tells it from a later one."""

    pid: int
    started: int
    """In clock ticks since the start of the system."""


class _Stat(NamedTuple):
    state: str
    parent: int
    group: int
    started: int


def find(pid: int) -> Process | None:
    """Return the process of this ID, None where none runs."""
    stat = _stat(pid)
    return Process(pid, stat.started) if stat and stat.state not in ENDED else None


def is_running(process: Process) -> bool:
    """Return whether the process has not ended."""
    return find(process.pid) == process


def children(pid: int) -> list[Process]:
    """Return the running processes whose parent has this ID."""
    return [
        Process(child, stat.started)
        for child, stat in _table().items()
        if stat.parent == pid
    ]


def family(leaders: Iterable[Process]) -> list[Process]:
    """Return what runs of these processes, of their groups and below them.

    A process that moved to another group is found as long as its parent runs, one
    whose parent has ended as long as it stays in the group.
    """
    table = _table()
    members: dict[int, None] = {}
    for leader in leaders:
        stat = table.get(leader.pid)
        if stat and stat.started != leader.started:
            continue
        waiting = [leader.pid]
        waiting += [pid for pid, other in table.items() if other.group == leader.pid]
        while waiting:
            pid = waiting.pop(0)
            if pid in table and pid not in members:
                members[pid] = None
                waiting += [each for each, of in table.items() if of.parent == pid]
    return [Process(pid, table[pid].started) for pid in members]


def send(processes: Iterable[Process], number: int) -> None:
    """Send a signal to each of the processes that still runs."""
    for process in processes:
        if is_running(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _table() -> dict[int, _Stat]:
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal()]
    stats = {pid: _stat(pid) for pid in pids}
    return {
        pid: stat for pid, stat in stats.items() if stat and stat.state not in ENDED
    }


def _stat(pid: int) -> _Stat | None:
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may hold anything.
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[1]), int(fields[2]), int(fields[19]))
