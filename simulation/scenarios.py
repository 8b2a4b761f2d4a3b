"""The same days in other worlds: other images, workers, and what may go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from simulation.fleet import LAZY
from simulation.tasks import Day, Shape
from simulation.workloads import HOUR

USUAL = Shape().concurrency


@dataclass(frozen=True, slots=True)
class Variant:
    """What differs from the usual world.

    ``slots`` is what a worker runs at once; the maximum follows, so that as many tasks
    fit. ``world`` and ``policy`` are further arguments of ``World`` and ``Native``.
    """

    about: str
    slots: int = USUAL
    minimum: int | None = None
    world: Mapping[str, Any] = field(default_factory=dict)
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


VARIANTS: Mapping[str, Variant] = {
    "usual": Variant("8 tasks a worker, stock image, minimum as the day has it"),
    "lazy": Variant("image loaded while it runs: 46 s to start", world={"image": LAZY}),
    "c=2": Variant("2 tasks a worker", slots=2),
    "c=4": Variant("4 tasks a worker", slots=4),
    "c=16": Variant("16 tasks a worker", slots=16),
    "minimum 0": Variant("pools sleep when nothing is to do", minimum=0),
    "grace 0": Variant(
        "SIGTERM ends tasks at once (DUMB_INIT_SETSID=1)", world={"grace": 0.0}
    ),
    "spot": Variant(
        "AWS takes a worker back once in 20 worker-hours", world={"interruptions": 0.05}
    ),
    "deployments": Variant(
        "three deployments by day",
        world={"deployments": (9.3 * HOUR, 13 * HOUR, 17.1 * HOUR)},
    ),
    "from running": Variant(
        "policies add to the tasks that run, not to the desired count",
        policy={"adds_to_running": True},
    ),
}
