"""What an operator chose for each pool, and why a choice is refused.

The settings arrive as JSON in the environment of the scheduler's task: a list with
one object a pool, its keys the fields of ``PoolSettings``. All that is wrong is told
at once, each reason with the value and what would be right.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

MOST_WORKERS = 5000
"""Tasks that ECS allows in one service."""

LONGEST_SECONDS = 86_400
"""A start objective or a hold beyond a day is a slip of the keyboard."""


class SettingsError(ValueError):
    """The settings contradict themselves or the world; the message lists how."""


class ScalingProfile(StrEnum):
    """What a pool prefers where money and waiting pull apart."""

    BALANCED = "balanced"
    ECONOMY = "economy"


OBJECTIVE_SECONDS = {ScalingProfile.BALANCED: 15.0, ScalingProfile.ECONOMY: 45.0}
"""The wait that a profile aims at, unless the pool says another. It is met by what is
foreseen; what nobody announced waits for a worker to start."""

HEADROOM = {ScalingProfile.BALANCED: 0.7, ScalingProfile.ECONOMY: 0.2}
"""Spare slots, in standard deviations of the tasks that come unforeseen while a worker
starts."""

STEADY_SECONDS = {ScalingProfile.BALANCED: 60.0, ScalingProfile.ECONOMY: 180.0}
"""Tasks that ran at every moment of as long are the load to keep headroom above; what
comes and goes in bursts is foreseen, or nobody could."""

HOLD_SECONDS = {ScalingProfile.BALANCED: 30.0, ScalingProfile.ECONOMY: 20.0}
"""A drained worker that still has tasks is revived at once, so a short hold will do."""


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """One pool of workers, fed by one Celery queue.

    ``target_start_seconds`` is how long a task may wait for its start, ``scale_in_delay_seconds``
    how long fewer workers must suffice before one is drained, each ``None`` for the
    profile's own; ``predictive_scaling`` whether tasks count that the database only announces.
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
    def objective(self) -> float:
        """The wait to aim at, in seconds."""
        if self.target_start_seconds is None:
            return OBJECTIVE_SECONDS[self.scaling_profile]
        return self.target_start_seconds

    @property
    def hold(self) -> float:
        """How long fewer workers must suffice, in seconds."""
        if self.scale_in_delay_seconds is None:
            return HOLD_SECONDS[self.scaling_profile]
        return self.scale_in_delay_seconds

    @property
    def steady(self) -> float:
        """For how long tasks must have run to count as steady load."""
        return STEADY_SECONDS[self.scaling_profile]

    @property
    def headroom(self) -> float:
        """Spare slots, in standard deviations of what comes unforeseen."""
        return HEADROOM[self.scaling_profile]

    def faults(self) -> list[str]:
        """Return what is wrong with this pool alone."""
        pool = f"pool {self.name!r}"
        faults = []
        if not self.name or not self.queue:
            faults.append(f"{pool}: a pool needs a name and a queue")
        if self.concurrency < 1:
            faults.append(
                f"{pool}: concurrency is {self.concurrency}; a worker runs at least "
                "one task"
            )
        if self.minimum < 0:
            faults.append(
                f"{pool}: minimum is {self.minimum}; use 0 for a pool at rest"
            )
        if not 1 <= self.maximum <= MOST_WORKERS:
            faults.append(
                f"{pool}: maximum is {self.maximum}; a service runs 1 to {MOST_WORKERS}"
            )
        if self.minimum > self.maximum:
            faults.append(
                f"{pool}: minimum {self.minimum} is above maximum {self.maximum}"
            )
        faults += [
            f"{pool}: {name} is {value}; use 0 to {LONGEST_SECONDS} seconds"
            for name, value in (
                ("target_start_seconds", self.objective),
                ("scale_in_delay_seconds", self.hold),
            )
            if not (math.isfinite(value) and 0 <= value <= LONGEST_SECONDS)
        ]
        return faults


@dataclass(frozen=True)
class Settings:
    """Every pool. Raises SettingsError when they cannot be meant."""

    pools: tuple[PoolSettings, ...]

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        faults = [fault for pool in self.pools for fault in pool.faults()]
        if not self.pools:
            faults.append("there is no pool; name at least one")
        for what, values in (
            ("name", Counter(pool.name for pool in self.pools)),
            ("queue", Counter(pool.queue for pool in self.pools)),
        ):
            faults += [
                f"{count} pools have the {what} {value!r}; their demand is the same"
                for value, count in values.items()
                if count > 1
            ]
        if faults:
            raise SettingsError("; ".join(faults))

    @classmethod
    def parse(cls, text: str) -> Settings:
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
    faults = [
        f"{name!r} is unknown; use {', '.join(sorted(known))}"
        for name in entry.keys() - known
    ]
    faults += [f"{name} is missing" for name in REQUIRED if name not in entry]
    for name, value in entry.items():
        kind = TYPES.get(name, object)
        # JSON's true would pass as the number 1.
        if not isinstance(value, kind) or (
            isinstance(value, bool) and kind is not bool
        ):
            faults.append(f"{name} is {value!r}, which has the wrong type")
    if not faults and entry.get("scaling_profile", ScalingProfile.BALANCED) not in list(
        ScalingProfile
    ):
        faults.append(
            f"scaling_profile is {entry['scaling_profile']!r}; use {' or '.join(ScalingProfile)}"
        )
    if faults:
        raise SettingsError(f"pool {entry.get('name')!r}: " + "; ".join(faults))
    values = dict(entry)
    if "scaling_profile" in values:
        values["scaling_profile"] = ScalingProfile(values["scaling_profile"])
    return PoolSettings(**values)
