"""How few workers start every task in time: list scheduling over counts.

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

from runtime.brain.state import Batch

Slots = dict[int, int]
"""How many slots come free in how many seconds."""

Tasks = Sequence[tuple[int, int, int]]
"""Seconds until they arrive (not positive: they wait already), seconds they run, and
how many; in the order of their arrival."""

ARRIVAL_GRAIN_SECONDS = 5
"""Tasks that were queued within as much count as queued together."""

DURATION_GRAIN = math.log(1.1)
"""Durations that differ by less than a tenth count as equal: estimates are coarser."""


def fits(slots: Slots, tasks: Tasks, objective: int, helped_after: int) -> bool:
    """Return whether every task that more workers could help starts in time.

    A task that starts before ``helped_after`` starts no later for want of a launch.
    """
    counts = dict(slots)
    times = list(counts)
    heapify(times)
    if not times:
        return not tasks
    for arrival, duration, count in tasks:
        left = count
        latest = max(arrival + objective, helped_after)
        while left:
            time = times[0]
            start = max(time, arrival, 0)
            if start > latest:
                return False
            free = counts[time]
            if free > left:
                counts[time] = free - left
                taken = left
            else:
                heappop(times)
                del counts[time]
                taken = free
            left -= taken
            end = start + duration
            if end in counts:
                counts[end] += taken
            else:
                counts[end] = taken
                heappush(times, end)
    return True


def fewest(
    slots: Slots,
    tasks: Tasks,
    *,
    objective: int,
    start_seconds: int,
    per_worker: int,
    most: int,
) -> int:
    """Return how many more workers start every task in time, ``most`` if none do.

    They work from ``start_seconds`` on, ``per_worker`` tasks at once.
    """
    helped_after = start_seconds + ARRIVAL_GRAIN_SECONDS

    def enough(workers: int) -> bool:
        more = slots
        if workers:
            more = dict(slots)
            more[start_seconds] = more.get(start_seconds, 0) + workers * per_worker
        return fits(more, tasks, objective, helped_after)

    if most <= 0 or enough(0):
        return 0
    # As many workers as tasks need are enough, one for what rounding loses.
    number = sum(count for _, _, count in tasks)
    low, high = 0, min(most, -(-number // per_worker) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
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
