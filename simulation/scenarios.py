"""The same days under other conditions: images, workers, and failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from simulation.pool import LAZY
from simulation.tasks import Day, PoolShape
from simulation.workloads import HOUR

USUAL = PoolShape().concurrency


@dataclass(frozen=True, slots=True)
class Scenario:
    """Differences from the usual simulation.

    ``slots`` is what a worker runs at once; the maximum follows, so that as many tasks
    fit. ``simulation`` and ``policy`` are arguments of ``Simulation`` and
    ``ShippedPolicy``.
    """

    about: str
    slots: int = USUAL
    minimum: int | None = None
    simulation: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)

    def reshape(self, day: Day) -> Day:
        """Return the day with pools of this shape."""
        pools = {}
        for name, shape in day.pools.items():
            slots = max(1, shape.concurrency * self.slots // USUAL)
            pools[name] = replace(
                shape,
                concurrency=slots,
                maximum=-(-shape.maximum * shape.concurrency // slots),
                minimum=shape.minimum if self.minimum is None else self.minimum,
            )
        day.pools = pools
        return day


SCENARIOS: Mapping[str, Scenario] = {
    "usual": Scenario("8 tasks a worker, stock image, minimum as the day has it"),
    "lazy": Scenario(
        "image loaded while it runs: 46 s to start", simulation={"image": LAZY}
    ),
    "c=2": Scenario("2 tasks a worker", slots=2),
    "c=4": Scenario("4 tasks a worker", slots=4),
    "c=16": Scenario("16 tasks a worker", slots=16),
    "minimum 0": Scenario("minimum 0", minimum=0),
    "grace 0": Scenario(
        "SIGTERM ends tasks at once (DUMB_INIT_SETSID=1)", simulation={"grace": 0.0}
    ),
    "spot": Scenario(
        "Fargate Spot reclaims a worker once in 20 worker-hours",
        simulation={"interruptions": 0.05},
    ),
    "deployments": Scenario(
        "three deployments a day",
        simulation={"deployments": (9.3 * HOUR, 13 * HOUR, 17.1 * HOUR)},
    ),
    "from running": Scenario(
        "policies add to the tasks that run, not to the desired count",
        policy={"adds_to_running": True},
    ),
}
