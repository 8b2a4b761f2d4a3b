"""The fewest workers that start every task in time: list scheduling over counts.

Times are whole seconds from now. Slots that come free in the same second, and tasks
that arrive in the same second and take as long, are handled as one, so the work
depends on how many different times there are and not on how many tasks. And it stops
early: a plan has failed as soon as one task would wait too long.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush

from fargate_runtime.autoscaler.state import Batch

Slots = dict[int, int]
"""How many slots come free in how many seconds."""
Tasks = Sequence[tuple[int, int, int]]
"""Seconds until they arrive (not positive: they wait already), seconds they run, and
how many; in the order of their arrival."""

TURNS = 20
"""More tasks than these after each other on one slot are not worth counting."""

ARRIVAL_GRAIN_SECONDS = 5
"""Tasks queued within this time count as queued together."""

DURATION_GRAIN = math.log(1.1)
"""Durations that differ by less than a tenth count as equal: estimates are coarser."""


def late_tasks(
    slots: Slots, tasks: Tasks, target_start: int, helped_after: int, limit: int
) -> int:
    """Return how many tasks start too late that more workers could help.

    A task that starts before ``helped_after`` starts no later for want of a launch.
    Counts no further than just beyond ``limit``.
    """
    counts = dict(slots)
    times = list(counts)
    heapify(times)
    late = 0
    for arrival, duration, count in tasks:
        left = count
        latest = max(arrival + target_start, helped_after)
        while left:
            if not times or times[0] > latest:
                late += left
                if late > limit:
                    return late
                break
            time = times[0]
            free = counts[time]
            if free > left:
                counts[time] = free - left
                taken = left
            else:
                heappop(times)
                del counts[time]
                taken = free
            left -= taken
            end = max(time, arrival, 0) + duration
            if end in counts:
                counts[end] += taken
            else:
                counts[end] = taken
                heappush(times, end)
    return late


def minimum_workers(
    slots: Slots,
    tasks: Tasks,
    *,
    target_start: int,
    start_seconds: int,
    per_worker: int,
    maximum: int,
) -> int:
    """Return how many more workers start every task in time, at most ``maximum``.

    They accept tasks from ``start_seconds`` on, ``per_worker`` at once.
    """
    helped_after = start_seconds + ARRIVAL_GRAIN_SECONDS

    def enough(workers: int) -> bool:
        more = dict(slots)
        more[start_seconds] = more.get(start_seconds, 0) + workers * per_worker
        return not late_tasks(more, tasks, target_start, helped_after, 0)

    if maximum <= 0:
        return 0
    # With a slot for every late task all are in time, so no more are ever needed.
    limit = maximum * per_worker * TURNS
    guess = -(
        -late_tasks(slots, tasks, target_start, helped_after, limit) // per_worker
    )
    low, high = 0, min(maximum, guess)
    stride = 1
    while high - low > 1:
        probe = max(low + 1, high - stride)
        if enough(probe):
            high, stride = probe, stride * 2
        else:
            low, stride = probe, max(1, (high - probe) // 2)
    return high


def compact(
    tasks: Iterable[tuple[float, float, int]], now: float, oldest: float
) -> list[Batch]:
    """Group tasks (arrival, expected seconds, count) that need not be told apart.

    What has waited longer than ``oldest`` seconds is late by any measure, so it does
    not matter how long; then a queue of any length fits into a few hundred entries.
    """
    least = now - oldest
    groups: Counter[tuple[int, int]] = Counter()
    for arrival, expected, count in tasks:
        when = math.ceil((max(arrival, least) - now) / ARRIVAL_GRAIN_SECONDS)
        groups[when, round(math.log(max(expected, 1.0)) / DURATION_GRAIN)] += count
    return [
        Batch(
            now + when * ARRIVAL_GRAIN_SECONDS, math.exp(size * DURATION_GRAIN), count
        )
        for (when, size), count in sorted(groups.items())
    ]
