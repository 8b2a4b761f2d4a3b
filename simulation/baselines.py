"""Other scaling policies, for comparison.

They follow their authors' documentation; where it leaves arithmetic open, the more
favourable reading is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from simulation.model import Simulation
from simulation.pool import Discipline, SimPool, SimWorker


@dataclass(eq=False)
class Fixed:
    """No scaling: as many workers as the minimum."""

    name: str = "fixed"
    discipline: Discipline = Discipline.NONE

    def begin(self, simulation: Simulation) -> None:
        """Nothing to prepare."""

    def sample(self, simulation: Simulation) -> None:
        """Nothing to see."""


@dataclass(slots=True)
class _Track:
    """Target tracking of one pool in motion."""

    period: list[float] = field(default_factory=list)
    points: list[float] = field(default_factory=list)
    out_at: float = -math.inf
    in_at: float = -math.inf


@dataclass(eq=False)
class Tracking:
    """Target tracking with AWS's two alarms: out after 3 periods, in after 15 minutes.

    The arithmetic is unpublished; the needed count is taken as proportional.
    """

    name: str
    target: float
    metric: Callable[[SimPool], float | None]
    discipline: Discipline
    delay: float
    period: int = 60
    cooldown: float = 300.0

    OUT, IN_SECONDS, SLACK = 3, 900, 0.9

    def begin(self, simulation: Simulation) -> None:
        """Forget everything."""
        self._tracks = {name: _Track() for name in simulation.pools}

    def sample(self, simulation: Simulation) -> None:
        """Collect a period, then evaluate the alarms."""
        for name, pool in simulation.pools.items():
            track = self._tracks[name]
            value = self.metric(pool)
            if value is not None:
                track.period.append(value)
            if simulation.now % self.period or not simulation.now:
                continue
            if not track.period:
                track.points.clear()
                continue
            track.points = [
                *track.points,
                sum(track.period) / len(track.period),
            ][-self.IN_SECONDS // self.period :]
            track.period.clear()
            simulation.at(
                simulation.now + self.delay,
                self._act,
                simulation,
                pool,
                track,
                tuple(track.points),
            )

    def _act(
        self,
        simulation: Simulation,
        pool: SimPool,
        track: _Track,
        points: tuple[float, ...],
    ) -> None:
        needed = math.ceil(pool.desired * points[-1] / self.target)
        if len(points) >= self.OUT and min(points[-self.OUT :]) > self.target:
            if simulation.now - track.out_at >= self.cooldown:
                track.out_at = simulation.now
                pool.set_desired(max(pool.desired + 1, needed))
        elif (
            len(points) >= self.IN_SECONDS // self.period
            and max(points) < self.SLACK * self.target
            and simulation.now - max(track.in_at, track.out_at) >= self.cooldown
            and needed < pool.desired
        ):
            track.in_at = simulation.now
            pool.set_desired(needed)


CPU_PERCENT = 70.0


def _cpu(pool: SimPool) -> float | None:
    return pool.cpu_percent


def cpu_tracking() -> Tracking:
    """Target tracking of CPU; AWS measured 363 s until it acts."""
    return Tracking("cpu-tracking", CPU_PERCENT, _cpu, Discipline.NONE, delay=153.0)


def fast_cpu_tracking() -> Tracking:
    """Target tracking of CPU on the metric of 20 seconds; AWS measured 86 s."""
    return Tracking(
        "cpu-20s", CPU_PERCENT, _cpu, Discipline.NONE, delay=16.0, period=20
    )


def backlog_tracking() -> Tracking:
    """Target tracking of tasks in percent of slots, by metric math."""

    def percent(pool: SimPool) -> float:
        tasks = len(pool.queue) + pool.running
        slots = len(pool.workers) * pool.shape.concurrency
        if not slots:
            return 200.0 if tasks else 100.0
        return 100 * tasks / slots

    return Tracking("backlog-tracking", 100.0, percent, Discipline.BUSY, delay=10.0)


@dataclass(eq=False)
class QueueSteps:
    """Two workers more while the queue is long, one less after it was empty."""

    name: str = "queue-steps"
    discipline: Discipline = Discipline.NONE

    LONG, EMPTY_MINUTES, DELAY = 10, 5, 10.0

    def begin(self, simulation: Simulation) -> None:
        """Forget everything."""
        self._empty = dict.fromkeys(simulation.pools, 0)

    def sample(self, simulation: Simulation) -> None:
        """Check the length of the queue once a minute."""
        if simulation.now % 60:
            return
        for name, pool in simulation.pools.items():
            length = len(pool.queue)
            self._empty[name] = 0 if length else self._empty[name] + 1
            # An empty pool would never wake for fewer tasks than LONG.
            if length >= self.LONG or (length and not pool.desired):
                simulation.at(simulation.now + self.DELAY, self._change, pool, 2)
            elif self._empty[name] >= self.EMPTY_MINUTES:
                simulation.at(simulation.now + self.DELAY, self._change, pool, -1)

    @staticmethod
    def _change(pool: SimPool, change: int) -> None:
        pool.set_desired(pool.desired + change)


@dataclass(eq=False)
class Keda:
    """The Helm chart's formula under a horizontal pod autoscaler, as ECS would run it.

    Scale-in goes to the highest result of the last 300 s; the stopped worker is random.
    """

    name: str = "keda"
    discipline: Discipline = Discipline.NONE

    WINDOW, TOLERANCE = 300, 0.1

    def begin(self, simulation: Simulation) -> None:
        """Forget everything."""
        self._needs: dict[str, list[int]] = {name: [] for name in simulation.pools}

    def sample(self, simulation: Simulation) -> None:
        """Apply the formula."""
        for name, pool in simulation.pools.items():
            tasks = len(pool.queue) + pool.running
            needed = math.ceil(tasks / pool.shape.concurrency)
            if (
                pool.desired
                and abs(tasks / pool.shape.concurrency / pool.desired - 1)
                <= self.TOLERANCE
            ):
                needed = pool.desired
            past = self._needs[name] = [*self._needs[name], needed][
                -self.WINDOW // 10 :
            ]
            if needed > pool.desired:
                pool.set_desired(needed)
            elif max(past) < pool.desired:
                pool.set_desired(max(past))


@dataclass(eq=False)
class Mwaa:
    """Workers are added once a minute, and exit by themselves when idle."""

    name: str = "mwaa"
    discipline: Discipline = Discipline.EXIT

    DELAY, WARM_UP, IDLE, PAUSE = 10.0, 180.0, 10.0, 20.0

    def begin(self, simulation: Simulation) -> None:
        """Forget everything."""
        self._required = dict.fromkeys(simulation.pools, 0)
        self._paused: set[SimWorker] = set()
        self._since: dict[SimWorker, float] = {}

    def sample(self, simulation: Simulation) -> None:
        """Let idle workers exit, and add those that the formula requires."""
        for name, pool in simulation.pools.items():
            if not simulation.now % 60:
                tasks = len(pool.queue) + pool.running
                self._required[name] = math.ceil(tasks / pool.shape.concurrency)
                simulation.at(
                    simulation.now + self.DELAY,
                    self._add,
                    pool,
                    self._required[name],
                )
            stay = max(pool.shape.minimum, self._required[name])
            here = [worker for worker in pool.workers if worker not in self._paused]
            for worker in here:
                if not worker.ready:
                    continue
                since = self._since.setdefault(worker, simulation.now)
                if (
                    len(here) > stay
                    and simulation.now - since >= self.WARM_UP
                    and not worker.running
                    and simulation.now - worker.idle_since >= self.IDLE
                ):
                    stay += 1
                    self._paused.add(worker)
                    simulation.pause(pool, worker)
                    simulation.at(
                        simulation.now + self.PAUSE,
                        self._exit,
                        simulation,
                        pool,
                        worker,
                    )

    @staticmethod
    def _add(pool: SimPool, required: int) -> None:
        pool.set_desired(max(pool.desired, required))

    def _exit(self, simulation: Simulation, pool: SimPool, worker: SimWorker) -> None:
        self._paused.discard(worker)
        if pool.queue:
            self._since[worker] = simulation.now - self.WARM_UP + 60
            simulation.consume(pool, worker)
        else:
            simulation.end_worker(pool, worker)
            pool.set_desired(pool.desired - 1)
