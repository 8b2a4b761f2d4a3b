"""A day from a task history that is exported from a metadata database.

The file is a CSV with a header, one day at a time; ``history.sql`` beside this file
is the query that gives it.

The history lacks dependencies, so tasks are queued when they were
queued then. What scheduled runs queued in their first seconds counts as announced.
The expected duration of a task is the mean of what it took, that day, in the file.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from fargate_runtime.autoscaler.estimates import TaskDurations
from simulation.tasks import (
    DAY_SECONDS,
    Day,
    PoolShape,
    SimRun,
    SimStage,
    SimTask,
)
from simulation.workloads import WAITING_CPU

COLUMNS = (
    "dag_id",
    "task_id",
    "run_id",
    "queue",
    "run_type",
    "queued",
    "started",
    "ended",
)
FIRST_SECONDS = 10.0
"""What a run queues within as long of its first task belongs to its first stage."""


class HistoryError(Exception):
    """The file is not a task history; the message says where and why."""


class _Row(NamedTuple):
    dag_id: str
    task_id: str
    run_id: str
    queue: str
    run_type: str
    queued: float
    duration: float


def read(
    path: Path,
    shapes: Mapping[str, PoolShape] | None = None,
    *,
    begins: float | None = None,
) -> Day:
    """Return the day in a file; pools that ``shapes`` lacks get the usual shape.

    The day begins at ``begins``, seconds since 1970; by default the midnight before
    the first task. Raises HistoryError.
    """
    rows = _rows(path)
    past: dict[tuple[str, str], tuple[float, int]] = {}
    for row in rows:
        seconds, runs = past.get((row.dag_id, row.task_id), (0.0, 0))
        past[row.dag_id, row.task_id] = (seconds + row.duration, runs + 1)
    first = min(row.queued for row in rows)
    midnight = first // DAY_SECONDS * DAY_SECONDS
    zero = midnight if begins is None else begins
    pools = {
        queue: (shapes or {}).get(queue, PoolShape())
        for queue in sorted({r.queue for r in rows})
    }
    return Day("history", 0, _runs(rows, TaskDurations(past), zero), pools)


def span(path: Path) -> tuple[float, float]:
    """Return when the first task was queued and the last one ended. Raises as above."""
    rows = _rows(path)
    return (
        min(row.queued for row in rows),
        max(row.queued + row.duration for row in rows),
    )


def _runs(rows: Iterable[_Row], durations: TaskDurations, zero: float) -> list[SimRun]:
    begins: dict[tuple[str, str], float] = {}
    stages: dict[tuple[str, str, str, float], list[SimTask]] = {}
    scheduled = set()
    for row in sorted(rows, key=lambda row: row.queued):
        key = (row.dag_id, row.run_id)
        at = row.queued - zero
        first = begins.setdefault(key, at)
        if at - first <= FIRST_SECONDS:
            at = first
            if row.run_type == "scheduled":
                scheduled.add((*key, row.queue, at))
        task = SimTask(
            duration=row.duration,
            estimate=durations.expected(row.dag_id, row.task_id),
            cpu=WAITING_CPU,
            pool=row.queue,
        )
        stages.setdefault((*key, row.queue, at), []).append(task)
    return [
        SimRun(key[3], [SimStage(tasks)], 1.0 if key in scheduled else 0.0)
        for key, tasks in stages.items()
    ]


def _rows(path: Path) -> list[_Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise HistoryError(f"{path} cannot be read: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise HistoryError(
            f"{path} lacks the columns {', '.join(missing)}; "
            "simulation/history.sql gives them"
        )
    try:
        rows = [_row(path, reader.line_num, values) for values in reader]
    except csv.Error as error:
        raise HistoryError(f"{path}, line {reader.line_num}: {error}") from error
    if not rows:
        raise HistoryError(f"{path} holds no tasks")
    days = (max(row.queued for row in rows) - min(row.queued for row in rows)) / 86_400
    if days > 1:
        raise HistoryError(f"{path} spans {days:.1f} days; export one day at a time")
    return rows


def _row(path: Path, line: int, values: Mapping[str, str | None]) -> _Row:
    words = {name: values[name] or "" for name in COLUMNS}
    times = []
    for name in ("queued", "started", "ended"):
        try:
            times.append(float(words[name]))
        except ValueError:
            raise HistoryError(
                f"{path}, line {line}: {name} is {words[name]!r}; use seconds since "
                "1970, as simulation/history.sql does"
            ) from None
    queued, started, ended = times
    if not words["queue"]:
        raise HistoryError(f"{path}, line {line}: the task has no queue")
    if not (math.isfinite(queued) and 0 < ended - started < math.inf):
        raise HistoryError(
            f"{path}, line {line}: a task from {started} to {ended} took no time; "
            "leave out what has not both started and ended"
        )
    return _Row(
        words["dag_id"],
        words["task_id"],
        words["run_id"],
        words["queue"],
        words["run_type"],
        queued,
        ended - started,
    )
