"""What a DAG run brings next, stage after stage, as far as its structure tells.

Nobody can start a worker within the few seconds between two stages; but the end of
what runs can be estimated, and of what follows it, and so on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from fargate_runtime.autoscaler.state import Batch, Running

STAGE_SECONDS = 2.0
"""From the end of the last parent to a queued child: one round of the scheduler."""

LEFT_OF_ESTIMATE = 0.25
"""A task that outlives its estimate is expected to run a quarter longer, again and
again: what has run long runs on."""

SOONEST = 0.6
"""The share of its expected time after which a parent may well end: a worker that is
there early costs a little, one that is late lets all of the next stage wait."""

SPREAD = 0.4
"""By what share of the mean the longest of several tasks is longer, for every e-fold
of their number; as for durations whose logarithms deviate by a half."""


class Work(NamedTuple):
    """Tasks that are expected to take as long as each other."""

    expected: float
    tasks: int


class Node(NamedTuple):
    """A task of a DAG run with all its mapped instances.

    ``parents`` are the places of its parents among the run's nodes, all before its
    own. Instances that have ended are left out.
    """

    queue: str
    parents: Sequence[int] = ()
    waiting: Sequence[Work] = ()
    """Not queued yet."""

    queued: Sequence[Work] = ()
    running: Sequence[Running] = ()


def left(now: float, task: Running) -> float:
    """Return how much longer a running task is expected to run."""
    elapsed = max(0.0, now - task.started)
    expected = task.expected
    return max(expected - elapsed, LEFT_OF_ESTIMATE * (expected + elapsed))


def foresee(
    nodes: Sequence[Node], now: float, until: float, *, begins: float | None = None
) -> list[tuple[str, Batch]]:
    """Return what the run queues up to ``until``, with the name of the queue.

    ``begins`` is when the run's first tasks are queued, if it has not begun. What is
    queued is taken to start at once: whoever scales sees to that.
    """
    ends: list[float] = []
    coming: list[tuple[str, Batch]] = []
    for node in nodes:
        arrival = end = now
        if node.waiting:
            if begins is not None:
                arrival = begins
            if node.parents:
                arrival = STAGE_SECONDS + max(ends[place] for place in node.parents)
            if arrival <= until:
                coming += [
                    (node.queue, Batch(arrival, work.expected, work.tasks))
                    for work in node.waiting
                ]
        longest = _soonest_end(node)
        if node.waiting or node.queued:
            end = arrival + longest
        if node.running:
            begun = max(task.started for task in node.running)
            end = max(end, begun + longest, now + LEFT_OF_ESTIMATE * longest)
        ends.append(end)
    return coming


def _soonest_end(node: Node) -> float:
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
    return SOONEST * seconds / number * (1 + SPREAD * math.log(number))
