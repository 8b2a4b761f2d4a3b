"""Estimates from observations: start-up times of workers, durations of tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FIRST_GUESS_SECONDS = 75.0
"""From launch to first task with the stock image: 53 to 62 s until the container runs
(published measurements), and the worker's own start."""

SHORTEST_START, LONGEST_START = 5.0, 900.0
"""A value outside comes from a wrong clock or a lost message."""

MAX_OBSERVATIONS = 50
GUESSES = 5
"""The first guess weighs as much as five observations, then fades."""

QUANTILE = 0.75


@dataclass(frozen=True, slots=True)
class StartUpTime:
    """How long workers took from launch to ready, the latest last."""

    observed: tuple[float, ...] = ()

    def with_observed(self, seconds: Sequence[float]) -> StartUpTime:
        """Return this with more observations; implausible ones are left out."""
        plausible = tuple(s for s in seconds if SHORTEST_START <= s <= LONGEST_START)
        if not plausible:
            return self
        return StartUpTime((self.observed + plausible)[-MAX_OBSERVATIONS:])

    @property
    def seconds(self) -> float:
        """The time within which most workers start."""
        guesses = max(0, GUESSES - len(self.observed))
        times = sorted((*self.observed, *(FIRST_GUESS_SECONDS,) * guesses))
        return times[math.ceil(QUANTILE * len(times)) - 1]


UNKNOWN_TASK_SECONDS = 60.0
"""Before anything has run."""


@dataclass(frozen=True)
class TaskDurations:
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
