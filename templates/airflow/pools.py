"""The pools of Celery workers: one entry a pool, and nothing else to change.

Each entry becomes a nested ``workers`` stack and a nested ``scaling`` stack. The
knobs named in ``asks`` become parameters of the parent with the entry's value as
their default; the others are fixed by the entry. CloudFormation allows 200
parameters a template, so fifty pools cannot ask for everything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from compiler.wiring import Template, Value, WiringError, about
from templates.types import (
    Architecture,
    Count,
    CpuUnits,
    Gibibytes,
    Mebibytes,
    Percent,
    QueueName,
    ScalingProfile,
    SecondsOrProfile,
    Switch,
)

V = TypeVar("V", bound=Value)


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One setting of a pool as an operator sees it; ``least`` and ``most`` bound it."""

    field: str
    label: str
    description: str
    least: int | None = None
    most: int | None = None

    @property
    def bounds(self) -> dict[str, int]:
        """The bounds as CloudFormation writes them."""
        bounds = {"MinValue": self.least, "MaxValue": self.most}
        return {key: bound for key, bound in bounds.items() if bound is not None}


KNOBS = (
    Knob(
        field="cpu",
        label="CPU",
        description="CPU units of one worker; 1024 are one vCPU.",
    ),
    Knob(
        field="memory",
        label="Memory",
        description="Memory of one worker in MiB.",
    ),
    Knob(
        field="concurrency",
        label="Tasks at once",
        description="Task instances that one worker runs at once.",
        least=1,
    ),
    Knob(
        field="architecture",
        label="Processor",
        description="Processor of the workers; the image must be built for it.",
    ),
    Knob(
        field="spot_percent",
        label="Spot share",
        description=(
            "Share of the workers on Fargate Spot in percent. AWS takes such a worker "
            "back with two minutes' notice, so only for tasks that are safe to retry."
        ),
    ),
    Knob(
        field="minimum",
        label="Fewest workers",
        description="Fewest workers; 0 lets the pool sleep.",
    ),
    Knob(
        field="maximum",
        label="Most workers",
        description="Most workers that the pool may grow to.",
        least=1,
    ),
    Knob(
        field="fallback_minimum",
        label="Safe floor",
        description=(
            "Workers to raise the pool to while nothing reports its demand; 0 for none."
        ),
    ),
    Knob(
        field="scaling_profile",
        label="Style",
        description=(
            "What matters more: balanced keeps a few slots free for tasks that nobody "
            "announced, economy lets those wait for a worker to start."
        ),
    ),
    Knob(
        field="target_start_seconds",
        label="Start objective",
        description=(
            "Seconds a task may wait for its start. Empty for the profile's own: 15 "
            "balanced, 45 economy."
        ),
    ),
    Knob(
        field="scale_in_delay_seconds",
        label="Hold",
        description=(
            "Seconds for which fewer workers must suffice before one is drained. Empty "
            "for the profile's own: 30 balanced, 20 economy."
        ),
    ),
    Knob(
        field="predictive_scaling",
        label="Look ahead",
        description=(
            "Whether workers start for tasks that the database only announces: cron "
            "runs that are due and the next stages of runs."
        ),
    ),
    Knob(
        field="ephemeral_storage_gib",
        label="Scratch disk",
        description="Scratch disk of one worker in GiB.",
        least=21,
        most=200,
    ),
)


@dataclass(frozen=True, kw_only=True)
class PoolSettings:
    """The knobs of one pool as values that cross into its stacks."""

    queue: QueueName
    cpu: CpuUnits
    memory: Mebibytes
    concurrency: Count
    architecture: Architecture
    spot_percent: Percent
    minimum: Count
    maximum: Count
    fallback_minimum: Count
    scaling_profile: ScalingProfile
    target_start_seconds: SecondsOrProfile
    scale_in_delay_seconds: SecondsOrProfile
    predictive_scaling: Switch
    ephemeral_storage_gib: Gibibytes


@dataclass(frozen=True, kw_only=True)
class Pool:
    """One kind of worker, fed by one Celery queue.

    An objective or a hold of ``None`` is the profile's own.
    """

    name: str
    queue: str
    cpu: int = 2048
    memory: int = 4096
    concurrency: int = 8
    architecture: str = "X86_64"
    spot_percent: int = 0
    minimum: int = 1
    maximum: int = 10
    fallback_minimum: int = 1
    scaling_profile: str = "balanced"
    target_start_seconds: int | None = None
    scale_in_delay_seconds: int | None = None
    predictive_scaling: bool = True
    ephemeral_storage_gib: int = 30
    asks: tuple[str, ...] = tuple(knob.field for knob in KNOBS)

    def settings(self, t: Template) -> PoolSettings:
        """Return the values of the knobs, asking the operator where the entry does."""
        return PoolSettings(
            queue=QueueName(self.queue),
            cpu=self._value(t, CpuUnits, "cpu"),
            memory=self._value(t, Mebibytes, "memory"),
            concurrency=self._value(t, Count, "concurrency"),
            architecture=self._value(t, Architecture, "architecture"),
            spot_percent=self._value(t, Percent, "spot_percent"),
            minimum=self._value(t, Count, "minimum"),
            maximum=self._value(t, Count, "maximum"),
            fallback_minimum=self._value(t, Count, "fallback_minimum"),
            scaling_profile=self._value(t, ScalingProfile, "scaling_profile"),
            target_start_seconds=self._value(
                t, SecondsOrProfile, "target_start_seconds"
            ),
            scale_in_delay_seconds=self._value(
                t, SecondsOrProfile, "scale_in_delay_seconds"
            ),
            predictive_scaling=self._value(t, Switch, "predictive_scaling"),
            ephemeral_storage_gib=self._value(t, Gibibytes, "ephemeral_storage_gib"),
        )

    def _value(self, t: Template, kind: type[V], field: str) -> V:
        given = _as_parameter(getattr(self, field))
        if field not in self.asks:
            return kind(given)
        (knob,) = (knob for knob in KNOBS if knob.field == field)
        choice = about(
            knob.description,
            group=f"Workers of the {self.name} pool, queue {self.queue}",
            label=knob.label,
            Default=given,
            **cast(dict[str, Any], knob.bounds),
        )
        return t.ask(f"{self.name}_workers_{field}", kind, choice.metadata)


def check(pools: tuple[Pool, ...]) -> None:
    """Raise WiringError where the table contradicts itself, in the autoscaler's words."""
    faults = [] if pools else ["there is no pool; name at least one"]
    for what, values in (
        ("name", Counter(pool.name for pool in pools)),
        ("queue", Counter(pool.queue for pool in pools)),
    ):
        faults += [
            f"{count} pools have the {what} {value!r}; their demand is the same"
            for value, count in values.items()
            if count > 1
        ]
    if faults:
        raise WiringError(
            "the table of pools",
            "; ".join(faults),
            "Correct templates/airflow/pools.py",
        )


def _as_parameter(value: str | float | None) -> str | float:
    """Return a value as CloudFormation writes it: a switch in lower case."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value


POOLS = (
    Pool(name="default", queue="default"),
    Pool(name="spot", queue="spot", spot_percent=100, minimum=0, fallback_minimum=0),
)
"""Adding a pool is adding an entry. The first serves Airflow's default queue."""
