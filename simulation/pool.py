"""The workers of one pool, and what an image takes to start."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random

from fargate_runtime.autoscaler.state import RunningTask
from simulation.tasks import PoolShape, SimTask

IDLE_CPU, WORKER_CPU = 0.04, 2.0


class Discipline(Enum):
    """How workers use task protection."""

    NONE = auto()
    """Nothing."""

    BUSY = auto()
    """They are protected while they run tasks."""

    DRAIN = auto()
    """They are protected before they take tasks, until they are drained."""

    EXIT = auto()
    """ECS never stops them; they exit by themselves when idle (``baselines.Mwaa``)."""


@dataclass(frozen=True, slots=True)
class ImageStartUp:
    """How long a worker takes to start, in seconds.

    Placement is uniform and not billed; then a lognormal pull and a normal boot.
    """

    place: tuple[float, float] = (10.0, 20.0)
    pull: float = 42.0
    pull_sigma: float = 0.15
    boot: float = 15.0
    boot_sigma: float = 3.0
    boot_least: float = 8.0

    def seconds(self, random: Random) -> tuple[float, float]:
        """Return how long the placement takes, and what is billed of the start."""
        placed = random.uniform(*self.place)
        pull = random.lognormvariate(math.log(self.pull), self.pull_sigma)
        return placed, pull + max(
            self.boot_least, random.gauss(self.boot, self.boot_sigma)
        )


LAZY = ImageStartUp(pull=12.0, pull_sigma=0.25, boot=19.0, boot_least=10.0)
"""An image that is loaded lazily, while it runs."""


@dataclass(slots=True, eq=False)
class SimWorker:
    """One ECS task of a pool."""

    name: str
    launched_at: float
    deployment: int
    """Number of the deployment that started it, of whatever revision."""
    booted: bool = False
    billed_from: float = math.inf
    running: dict[SimTask, RunningTask] = field(default_factory=dict)
    cpu: float = IDLE_CPU
    ready: bool = False
    consuming: bool = False
    protected: bool = False
    draining: bool = False
    released: bool = False
    stopping: bool = False
    ended: bool = False
    idle_since: float = 0.0


class SimPool:
    """The workers and the queue of one pool."""

    def __init__(self, name: str, shape: PoolShape) -> None:
        self.name = name
        self.shape = shape
        self.desired = shape.minimum
        self.deployment = 0
        self.workers: list[SimWorker] = []
        """Those that exist and are not being stopped."""

        self.queue: deque[SimTask] = deque()
        self.ring: list[SimWorker] = []
        """Those that consume, the least recently served first."""

        self.start_seconds: list[float] = []
        self.cost = 0.0
        self.kills = 0
        self.launches = 0
        self.most_alive = 0
        self.lives: list[tuple[float, float]] = []
        """Billed times of ended workers."""

        self.deployments: list[tuple[float, float]] = []
        """When each began and ended."""

        self.supply: list[int] = []
        self.demand: list[int] = []
        self.alive: list[int] = []

    def set_desired(self, count: int) -> None:
        """Set the desired count within the pool's bounds, as the target does.

        Application Auto Scaling stops no worker during a deployment.
        """
        if self.outdated:
            count = max(count, self.desired)
        self.desired = max(self.shape.minimum, min(self.shape.maximum, count))

    @property
    def outdated(self) -> list[SimWorker]:
        """Workers of an earlier deployment."""
        return [
            worker for worker in self.workers if worker.deployment != self.deployment
        ]

    @property
    def deploying(self) -> bool:
        """Whether the last deployment has not ended."""
        return bool(self.deployments) and self.deployments[-1][1] == math.inf

    @property
    def running(self) -> int:
        """How many tasks run on workers that are not being stopped."""
        return sum(len(worker.running) for worker in self.workers)

    @property
    def cpu_percent(self) -> float | None:
        """Mean CPU use of the service, as ECS reports it; nothing without workers."""
        ready = [worker for worker in self.workers if worker.ready]
        if not ready:
            return None
        used = sum(min(WORKER_CPU, worker.cpu) for worker in ready)
        return 100 * used / (WORKER_CPU * len(ready))
