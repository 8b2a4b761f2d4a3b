"""Forecast of the tasks that a DAG run queues next, from its structure.

No worker can start within the few seconds between two stages; but the end of running
tasks can be estimated, and of those that follow, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from fargate_runtime.autoscaler.state import Batch, RunningTask

STAGE_SECONDS = 2.0
"""From the end of the last parent to a queued child: one round of the scheduler."""

OVERRUN = 0.25
"""A task that outlives its estimate is expected to run a quarter longer, again and
again: a task that has run long continues to run."""

EARLIEST_END = 0.6
"""The share of its expected time after which a parent may well end: a worker that is
early costs a little, one that is late lets the whole next stage wait."""

SPREAD = 0.4
"""By which share of the mean the longest of several tasks is longer, for every e-fold
of their number; as for durations whose logarithms deviate by a half."""


class TaskCount(NamedTuple):
    """A number of tasks with the same expected duration."""

    expected: float
    tasks: int


class TaskNode(NamedTuple):
    """A task of a DAG run with all its mapped instances.

    ``parents`` are the indexes of its parents among the run's nodes, all before its
    own. Instances that have ended are left out.
    """

    queue: str
    parents: Sequence[int] = ()
    waiting: Sequence[TaskCount] = ()
    """Not queued yet."""

    queued: Sequence[TaskCount] = ()
    running: Sequence[RunningTask] = ()


def remaining_seconds(now: float, task: RunningTask) -> float:
    """Return how much longer a running task is expected to run."""
    elapsed = max(0.0, now - task.started)
    expected = task.expected
    return max(expected - elapsed, OVERRUN * (expected + elapsed))


def forecast(
    nodes: Sequence[TaskNode], now: float, until: float, *, begins: float | None = None
) -> list[tuple[str, Batch]]:
    """Return the tasks that the run queues up to ``until``, with their queues.

    ``begins`` is when the run's first tasks are queued, if it has not begun. Queued
    tasks are assumed to start at once: the scaling sees to that.
    """
    ends: list[float] = []
    coming: list[tuple[str, Batch]] = []
    for node in nodes:
        arrival = end = now
        if node.waiting:
            if begins is not None:
                arrival = begins
            if node.parents:
                arrival = STAGE_SECONDS + max(ends[index] for index in node.parents)
            if arrival <= until:
                coming += [
                    (node.queue, Batch(arrival, work.expected, work.tasks))
                    for work in node.waiting
                ]
        duration = _earliest_duration(node)
        if node.waiting or node.queued:
            end = arrival + duration
        if node.running:
            begun = max(task.started for task in node.running)
            end = max(end, begun + duration, now + OVERRUN * duration)
        ends.append(end)
    return coming


def _earliest_duration(node: TaskNode) -> float:
    """Return how long after its start the last instance may well have ended.

    From the mean of all instances: the longest of many estimates is the one that is
    most wrong. The longest of many tasks does take longer than one.
    """
    seconds = sum(task.expected for task in node.running)
    number = len(node.running)
    for work in (*node.waiting, *node.queued):
        seconds += work.expected * work.tasks
        number += work.tasks
    if not number:
        return 0.0
    return EARLIEST_END * seconds / number * (1 + SPREAD * math.log(number))
