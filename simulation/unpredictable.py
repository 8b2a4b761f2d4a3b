"""Tasks no policy can start in time because nothing announces them.

A worker that is launched when a run begins needs more than a minute, so only slots that
are free already serve it within one. How many tasks come late with a number of
workers always kept free, and what those cost, does not depend on any policy.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from simulation.scores import LATE_SECONDS
from simulation.tasks import DAY_SECONDS, Day, SimTask

FREE_WORKERS = (0, 1, 2, 4)


class UnannouncedLoad(NamedTuple):
    """Unannounced tasks of a day."""

    share: float
    """Of the day's tasks."""

    batch: float
    """Tasks that come together, as the mean task sees it."""

    late: tuple[float, ...]
    """Share of the day's tasks that is late with ``FREE_WORKERS`` always free."""

    cost: tuple[float, ...]
    """SimWorker-seconds of those."""


def unannounced_load(day: Day) -> UnannouncedLoad:
    """Return how much of a day no policy can forecast."""
    batches = list(_batches(day))
    number = sum(map(len, batches))
    total = len(day.tasks())
    late = tuple(
        sum(
            _late(batch, free * day.pools[batch[0].pool].concurrency)
            for batch in batches
        )
        / total
        for free in FREE_WORKERS
    )
    return UnannouncedLoad(
        share=number / total,
        batch=sum(len(batch) ** 2 for batch in batches) / number if number else 0.0,
        late=late,
        cost=tuple(free * len(day.pools) * DAY_SECONDS for free in FREE_WORKERS),
    )


def sentence(days: Sequence[tuple[UnannouncedLoad, float]]) -> str:
    """Return a sentence about days, each with the worker-seconds of its plan."""
    loads = [load for load, _ in days]
    if not any(load.share for load in loads):
        return "All of it is announced."
    late = ", ".join(
        f"{fmean(load.late[index] for load in loads):.0%}"
        for index in range(len(FREE_WORKERS))
    )
    cost = ", ".join(
        f"{fmean(load.cost[index] / plan for load, plan in days):.2f}"
        for index in range(1, len(FREE_WORKERS))
    )
    return (
        f"{fmean(load.share for load in loads):.0%} come unannounced, "
        f"{fmean(load.batch for load in loads):.0f} at a time. With "
        f"{', '.join(map(str, FREE_WORKERS))} workers always free\n"
        f"at least {late} of all tasks are late; the free ones cost {cost} of the plan."
    )


def _batches(day: Day) -> Iterator[list[SimTask]]:
    for run in day.runs:
        if not run.announced:
            pools: dict[str, list[SimTask]] = {}
            for stage in run.stages:
                if not stage.parents:
                    for task in stage.tasks:
                        pools.setdefault(task.pool, []).append(task)
            yield from pools.values()


def _late(batch: list[SimTask], slots: int) -> int:
    """Return how many of a batch start late on as many free slots, shortest first."""
    if not slots:
        return len(batch)
    ends = [0.0] * slots
    late = 0
    for task in sorted(batch, key=lambda task: task.duration):
        if ends[0] > LATE_SECONDS:
            late += 1
        else:
            heapq.heapreplace(ends, ends[0] + task.duration)
    return late
