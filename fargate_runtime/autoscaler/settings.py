"""The operator's settings of each pool, and their validation.

The settings arrive as JSON in the environment of the scheduler's task: a list with
one object a pool, its keys the fields of ``PoolSettings``. One message reports all
problems, each with the value and the valid ones.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from fargate_runtime import contract

LONGEST_SECONDS = 86_400
"""A longer target or delay is a typing error."""


class SettingsError(ValueError):
    """The settings are invalid; the message lists all problems."""


class ScalingProfile(StrEnum):
    """What a pool prefers where cost and waiting time conflict."""

    BALANCED = contract.BALANCED
    ECONOMY = contract.ECONOMY


HEADROOM = {ScalingProfile.BALANCED: 0.7, ScalingProfile.ECONOMY: 0.2}
"""Spare slots, in standard deviations of the unannounced tasks that come while a
worker starts."""

STEADY_SECONDS = {ScalingProfile.BALANCED: 60.0, ScalingProfile.ECONOMY: 180.0}
"""Tasks that ran at every moment of this time are the load to keep headroom above;
bursts are either announced or unpredictable."""


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """One pool of workers, fed by one Celery queue.

    ``target_start_seconds`` is how long a task may wait for its start and
    ``scale_in_delay_seconds`` how long fewer workers must suffice before one is
    drained, each ``None`` for the profile's own; with ``predictive_scaling`` tasks
    count that the database only announces.
    """

    name: str
    queue: str
    concurrency: int
    minimum: int
    maximum: int
    scaling_profile: ScalingProfile = ScalingProfile.BALANCED
    target_start_seconds: float | None = None
    scale_in_delay_seconds: float | None = None
    predictive_scaling: bool = True

    @property
    def target_start(self) -> float:
        """The longest wait to aim at, in seconds."""
        if self.target_start_seconds is None:
            return contract.TARGET_START_SECONDS[self.scaling_profile]
        return self.target_start_seconds

    @property
    def scale_in_delay(self) -> float:
        """How long fewer workers must suffice, in seconds."""
        if self.scale_in_delay_seconds is None:
            return contract.SCALE_IN_DELAY_SECONDS[self.scaling_profile]
        return self.scale_in_delay_seconds

    @property
    def steady_seconds(self) -> float:
        """For how long tasks must have run to count as steady load."""
        return STEADY_SECONDS[self.scaling_profile]

    @property
    def headroom(self) -> float:
        """Spare slots, in standard deviations of unannounced tasks."""
        return HEADROOM[self.scaling_profile]

    def problems(self) -> list[str]:
        """Return the problems of this pool alone."""
        pool = f"pool {self.name!r}"
        problems = []
        if not self.name or not self.queue:
            problems.append(f"{pool}: a pool needs a name and a queue")
        if self.concurrency < 1:
            problems.append(
                f"{pool}: concurrency is {self.concurrency}; a worker runs at least "
                "one task"
            )
        if self.minimum < 0:
            problems.append(
                f"{pool}: minimum is {self.minimum}; use 0 for an empty pool"
            )
        if not 1 <= self.maximum <= contract.MOST_WORKERS:
            problems.append(
                f"{pool}: maximum is {self.maximum}; a service runs 1 to "
                f"{contract.MOST_WORKERS}"
            )
        if self.minimum > self.maximum:
            problems.append(
                f"{pool}: minimum {self.minimum} is above maximum {self.maximum}"
            )
        problems += [
            f"{pool}: {name} is {value}; use 0 to {LONGEST_SECONDS} seconds"
            for name, value in (
                ("target_start_seconds", self.target_start),
                ("scale_in_delay_seconds", self.scale_in_delay),
            )
            if not (math.isfinite(value) and 0 <= value <= LONGEST_SECONDS)
        ]
        return problems


@dataclass(frozen=True)
class AutoscalerSettings:
    """The settings of all pools. Raises SettingsError when they are invalid."""

    pools: tuple[PoolSettings, ...]

    def __post_init__(self) -> None:
        """Validate."""
        problems = [problem for pool in self.pools for problem in pool.problems()]
        if not self.pools:
            problems.append("there is no pool; name at least one")
        for what, values in (
            ("name", Counter(pool.name for pool in self.pools)),
            ("queue", Counter(pool.queue for pool in self.pools)),
        ):
            problems += [
                f"{count} pools have the {what} {value!r}; their demand is the same"
                for value, count in values.items()
                if count > 1
            ]
        if problems:
            raise SettingsError("; ".join(problems))

    @classmethod
    def parse(cls, text: str) -> AutoscalerSettings:
        """Return the settings that ``text`` holds as JSON."""
        try:
            entries = json.loads(text)
        except json.JSONDecodeError as error:
            raise SettingsError(f"the settings are not JSON: {error}") from error
        if not isinstance(entries, list):
            raise SettingsError("the settings are not a list of pools")
        return cls(tuple(_pool(entry) for entry in entries))


TYPES: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "queue": str,
    "concurrency": int,
    "minimum": int,
    "maximum": int,
    "scaling_profile": str,
    "target_start_seconds": (int, float),
    "scale_in_delay_seconds": (int, float),
    "predictive_scaling": bool,
}
REQUIRED = ("name", "queue", "concurrency", "minimum", "maximum")


def _pool(entry: Any) -> PoolSettings:
    """Return one pool from its JSON object."""
    if not isinstance(entry, dict):
        raise SettingsError(f"{entry!r} is not a pool: use an object")
    known = {field.name for field in fields(PoolSettings)}
    problems = [
        f"{name!r} is unknown; use {', '.join(sorted(known))}"
        for name in entry.keys() - known
    ]
    problems += [f"{name} is missing" for name in REQUIRED if name not in entry]
    for name, value in entry.items():
        kind = TYPES.get(name, object)
        # JSON's true would pass as the number 1.
        if not isinstance(value, kind) or (
            isinstance(value, bool) and kind is not bool
        ):
            problems.append(f"{name} is {value!r}, which has the wrong type")
    if not problems and entry.get(
        "scaling_profile", ScalingProfile.BALANCED
    ) not in list(ScalingProfile):
        problems.append(
            f"scaling_profile is {entry['scaling_profile']!r}; use "
            f"{' or '.join(ScalingProfile)}"
        )
    if problems:
        raise SettingsError(f"pool {entry.get('name')!r}: " + "; ".join(problems))
    values = dict(entry)
    if "scaling_profile" in values:
        values["scaling_profile"] = ScalingProfile(values["scaling_profile"])
    return PoolSettings(**values)
