"""Parts of simulated days: the same rules in a fraction of the time."""

from __future__ import annotations

from simulation.tasks import Day
from simulation.workloads import HOUR, KINDS


def part_of_day(kind: str, seed: int, *, begin: float = 9, hours: float = 2) -> Day:
    """Return some hours of a day as a day of its own; by default two busy ones."""
    day = KINDS[kind](seed)
    first, last = begin * HOUR, (begin + hours) * HOUR
    runs = [run for run in day.runs if first <= run.at < last]
    for run in runs:
        run.at -= first
    return Day(kind, seed, runs, day.pools)
