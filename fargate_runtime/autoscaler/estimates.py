"""What the autoscaler learns from what it sees: how long workers start, and tasks run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FIRST_GUESS_SECONDS = 75.0
"""From launch to first task for the stock image, as measured elsewhere: 53 to 62 s
until the container runs, and the worker's own start."""

SHORTEST_START, LONGEST_START = 5.0, 900.0
"""What lies outside is a wrong clock or a lost message, not a start."""

REMEMBERED_STARTS = 50
GUESSES = 5
"""The first guess weighs as much as five observations, then fades."""

QUANTILE = 0.75


@dataclass(frozen=True, slots=True)
class StartUp:
    """How long workers took from launch to ready, the latest last."""

    seen: tuple[float, ...] = ()

    def with_seen(self, seconds: Sequence[float]) -> StartUp:
        """Return this with more observations; impossible ones are left out."""
        sane = tuple(s for s in seconds if SHORTEST_START <= s <= LONGEST_START)
        if not sane:
            return self
        return StartUp((self.seen + sane)[-REMEMBERED_STARTS:])

    @property
    def seconds(self) -> float:
        """The time within which most workers start."""
        guesses = max(0, GUESSES - len(self.seen))
        known = sorted((*self.seen, *(FIRST_GUESS_SECONDS,) * guesses))
        return known[math.ceil(QUANTILE * len(known)) - 1]


UNKNOWN_TASK_SECONDS = 60.0
"""Where nothing at all has ever run."""


@dataclass(frozen=True)
class Durations:
    """How long tasks took: (sum of seconds, number of runs) by DAG and task.

    A task without history is expected to take as long as the mean of all.
    """

    past: Mapping[tuple[str, str], tuple[float, int]]

    def expected(self, dag_id: str, task_id: str) -> float:
        """Return how many seconds the task is expected to run."""
        seconds, runs = self.past.get((dag_id, task_id), (0.0, 0))
        return seconds / runs if runs else self.overall

    @property
    def overall(self) -> float:
        """The mean of everything that ever ran."""
        runs = sum(runs for _, runs in self.past.values())
        if not runs:
            return UNKNOWN_TASK_SECONDS
        return sum(seconds for seconds, _ in self.past.values()) / runs
