"""Offline optimum: cost with perfect knowledge, and a lower bound.

The plan is feasible, so its cost is an upper bound of the optimum; the bound is a
lower one. Both count worker-seconds from the pull of the image on.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count

from simulation.model import SHORTEST_BILL_SECONDS, STAGE_SECONDS
from simulation.tasks import DAY_SECONDS, Day, PoolShape, SimStage, SimTask

DELAY_SECONDS = 60.0
"""How late the plan may start a task."""

LEAD_SECONDS = 57.0
"""A new worker is billed as long before its first task: pull and boot."""

Steps = list[tuple[float, int]]
"""Times at which a number changes, and by how much."""


@dataclass(slots=True, eq=False)
class _Open:
    """A planned worker: when its slots come free, and its first use."""

    begin: float
    slots: list[float]
    end: float


@dataclass(slots=True)
class OptimalPlan:
    """A plan; ``seconds`` are billed and ``end`` is the last end."""

    seconds: float
    end: float
    workers: int
    starts: dict[SimTask, float] = field(repr=False)
    arrivals: dict[SimTask, float] = field(repr=False)


def plan(day: Day) -> OptimalPlan:
    """Return the plan of a day."""
    pools: dict[str, list[_Open]] = {name: [] for name in day.pools}
    closed: dict[str, list[_Open]] = {name: [] for name in day.pools}
    starts: dict[SimTask, float] = {}
    arrivals: dict[SimTask, float] = {}
    left = {stage: sum(len(p.tasks) for p in stage.parents) for stage in day.stages()}
    ends: dict[SimStage, float] = {}
    number = count()
    queue: list[tuple[float, int, SimStage]] = [
        (run.at, next(number), stage)
        for run in day.runs
        for stage in run.stages
        if not stage.parents
    ]
    heapq.heapify(queue)
    last = DAY_SECONDS
    while queue:
        at, _, stage = heapq.heappop(queue)
        for task in stage.tasks:
            arrivals[task] = at
            starts[task] = _place(
                task, at, pools[task.pool], closed[task.pool], day.pools[task.pool]
            )
        end = max(starts[task] + task.duration for task in stage.tasks)
        last = max(last, end)
        for child in stage.children:
            ends[child] = max(ends.get(child, 0.0), end)
            left[child] -= len(stage.tasks)
            if not left[child]:
                heapq.heappush(
                    queue, (ends[child] + STAGE_SECONDS, next(number), child)
                )
    seconds = 0.0
    for name, shape in day.pools.items():
        steps: Steps = []
        for worker in closed[name] + pools[name]:
            begin = max(0.0, worker.begin - LEAD_SECONDS)
            steps += [
                (begin, 1),
                (max(worker.end, begin + SHORTEST_BILL_SECONDS), -1),
            ]
        seconds += _area(steps, shape.minimum, last)
    return OptimalPlan(
        seconds,
        last,
        sum(len(closed[name]) + len(pools[name]) for name in pools),
        starts,
        arrivals,
    )


def _place(
    task: SimTask,
    at: float,
    pool: list[_Open],
    closed: list[_Open],
    shape: PoolShape,
) -> float:
    """Put a task on the open worker that it extends least, or on a new one."""
    best: tuple[float, float, _Open] | None = None
    for worker in [*pool]:
        if worker.end + LEAD_SECONDS < at:
            pool.remove(worker)
            closed.append(worker)
            continue
        start = max(at, worker.slots[0])
        if start - at > DELAY_SECONDS or start - worker.end > LEAD_SECONDS:
            continue
        extension = max(0.0, start + task.duration - worker.end)
        if best is None or (extension, start) < best[:2]:
            best = (extension, start, worker)
    if best and best[0] <= LEAD_SECONDS + task.duration:
        _, start, worker = best
    else:
        start, worker = at, _Open(at, [at] * shape.concurrency, at)
        pool.append(worker)
    heapq.heapreplace(worker.slots, start + task.duration)
    worker.end = max(worker.end, start + task.duration)
    return start


def _area(steps: Steps, least: int, until: float) -> float:
    """Return the area under max(number, least) from 0 to ``until`` or the last step."""
    area, number, before = 0.0, 0, 0.0
    for at, change in sorted(steps):
        area += max(number, least) * (at - before)
        number, before = number + change, at
    return area + least * max(0.0, until - before)


def bound(day: Day, arrivals: dict[SimTask, float], delay: float) -> float:
    """Return the least worker-seconds of any schedule that starts within ``delay``.

    It holds for these times of arrival.
    """
    total = 0.0
    for name, shape in day.pools.items():
        mine = [
            (at, task.duration) for task, at in arrivals.items() if task.pool == name
        ]
        total += max(
            _mandatory(mine, shape.concurrency, delay),
            sum(duration for _, duration in mine) / shape.concurrency,
            shape.minimum * DAY_SECONDS,
        )
    return total


def _mandatory(tasks: Sequence[tuple[float, float]], slots: int, delay: float) -> float:
    """Count whole workers for what must run then, and the rest where it must go."""
    steps: Steps = []
    for at, duration in tasks:
        if duration > delay:
            steps += [(at + delay, 1), (at + duration, -1)]
    whole, spare = _whole(steps, slots)
    total = sum(width * number for _, width, number in whole)
    position = 0
    for begin, end, rest in _groups(tasks, delay):
        room = 0.0
        while position < len(spare) and spare[position][0] < end:
            if spare[position][0] >= begin:
                room += spare[position][1]
            position += 1
        total += max(0.0, rest / slots - room)
    return total


def _whole(
    steps: Steps, slots: int
) -> tuple[list[tuple[float, float, int]], list[tuple[float, float]]]:
    """Return whole workers as (time, width, number), and their spare seconds."""
    whole, spare = [], []
    number, before = 0, 0.0
    for at, change in sorted(steps):
        if number and at > before:
            workers = math.ceil(number / slots)
            whole.append((before, at - before, workers))
            spare.append((before, (workers - number / slots) * (at - before)))
        number, before = number + change, at
    return whole, spare


def _groups(
    tasks: Iterable[tuple[float, float]], delay: float
) -> list[tuple[float, float, float]]:
    """Return connected windows (begin, end) and the movable seconds within each."""
    groups: list[tuple[float, float, float]] = []
    for at, duration in sorted(tasks):
        end = at + delay + duration
        rest = min(duration, delay)
        if groups and at <= groups[-1][1]:
            begin, other, sofar = groups[-1]
            groups[-1] = (begin, max(other, end), sofar + rest)
        else:
            groups.append((at, end, rest))
    return groups
