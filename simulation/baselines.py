"""What others do about the desired count, for comparison.

They are built after what their authors document; where an author leaves arithmetic
open, the kinder reading is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from simulation.fleet import Discipline, Fleet, Worker
from simulation.model import World


@dataclass(eq=False)
class Fixed:
    """Nobody scales: as many workers as the minimum says."""

    name: str = "fixed"
    discipline: Discipline = Discipline.NONE

    def begin(self, world: World) -> None:
        """Nothing to prepare."""

    def sample(self, world: World) -> None:
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

    The arithmetic is unpublished; the wanted count is taken as proportional.
    """

    name: str
    target: float
    metric: Callable[[Fleet], float | None]
    discipline: Discipline
    delay: float
    period: int = 60
    cooldown: float = 300.0

    OUT, IN_SECONDS, SLACK = 3, 900, 0.9

    def begin(self, world: World) -> None:
        """Forget everything."""
        self._tracks = {name: _Track() for name in world.fleets}

    def sample(self, world: World) -> None:
        """Gather a period, then see what the alarms see."""
        for name, fleet in world.fleets.items():
            track = self._tracks[name]
            value = self.metric(fleet)
            if value is not None:
                track.period.append(value)
            if world.now % self.period or not world.now:
                continue
            if not track.period:
                track.points.clear()
                continue
            track.points = [
                *track.points,
                sum(track.period) / len(track.period),
            ][-self.IN_SECONDS // self.period :]
            track.period.clear()
            world.at(
                world.now + self.delay,
                self._act,
                (world, fleet, track, tuple(track.points)),
            )

    def _act(self, what: tuple[World, Fleet, _Track, tuple[float, ...]]) -> None:
        world, fleet, track, points = what
        wanted = math.ceil(fleet.desired * points[-1] / self.target)
        if len(points) >= self.OUT and min(points[-self.OUT :]) > self.target:
            if world.now - track.out_at >= self.cooldown:
                track.out_at = world.now
                fleet.set_desired(max(fleet.desired + 1, wanted))
        elif (
            len(points) >= self.IN_SECONDS // self.period
            and max(points) < self.SLACK * self.target
            and world.now - max(track.in_at, track.out_at) >= self.cooldown
            and wanted < fleet.desired
        ):
            track.in_at = world.now
            fleet.set_desired(wanted)


CPU_PERCENT = 70.0


def _cpu(fleet: Fleet) -> float | None:
    return fleet.cpu_percent


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

    def percent(fleet: Fleet) -> float:
        tasks = len(fleet.queue) + fleet.running
        slots = len(fleet.workers) * fleet.shape.concurrency
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

    def begin(self, world: World) -> None:
        """Forget everything."""
        self._empty = dict.fromkeys(world.fleets, 0)

    def sample(self, world: World) -> None:
        """See the length of the queue once a minute."""
        if world.now % 60:
            return
        for name, fleet in world.fleets.items():
            length = len(fleet.queue)
            self._empty[name] = 0 if length else self._empty[name] + 1
            # A pool at rest would never wake for fewer tasks than are many.
            if length >= self.LONG or (length and not fleet.desired):
                world.at(world.now + self.DELAY, self._change, (fleet, 2))
            elif self._empty[name] >= self.EMPTY_MINUTES:
                world.at(world.now + self.DELAY, self._change, (fleet, -1))

    @staticmethod
    def _change(what: tuple[Fleet, int]) -> None:
        fleet, change = what
        fleet.set_desired(fleet.desired + change)


@dataclass(eq=False)
class Keda:
    """The Helm chart's formula under a horizontal pod autoscaler, as ECS would run it.

    Down goes to the most that was wanted in 300 s; the victim is random.
    """

    name: str = "keda"
    discipline: Discipline = Discipline.NONE

    WINDOW, TOLERANCE = 300, 0.1

    def begin(self, world: World) -> None:
        """Forget everything."""
        self._wanted: dict[str, list[int]] = {name: [] for name in world.fleets}

    def sample(self, world: World) -> None:
        """Follow the formula."""
        for name, fleet in world.fleets.items():
            tasks = len(fleet.queue) + fleet.running
            wanted = math.ceil(tasks / fleet.shape.concurrency)
            if (
                fleet.desired
                and abs(tasks / fleet.shape.concurrency / fleet.desired - 1)
                <= self.TOLERANCE
            ):
                wanted = fleet.desired
            past = self._wanted[name] = [*self._wanted[name], wanted][
                -self.WINDOW // 10 :
            ]
            if wanted > fleet.desired:
                fleet.set_desired(wanted)
            elif max(past) < fleet.desired:
                fleet.set_desired(max(past))


@dataclass(eq=False)
class Mwaa:
    """Workers are added once a minute, and leave by themselves when idle."""

    name: str = "mwaa"
    discipline: Discipline = Discipline.EXIT

    DELAY, WARM_UP, IDLE, PAUSE = 10.0, 180.0, 10.0, 20.0

    def begin(self, world: World) -> None:
        """Forget everything."""
        self._required = dict.fromkeys(world.fleets, 0)
        self._paused: set[Worker] = set()
        self._since: dict[Worker, float] = {}

    def sample(self, world: World) -> None:
        """Let idle workers leave, and add those that the formula requires."""
        for name, fleet in world.fleets.items():
            if not world.now % 60:
                tasks = len(fleet.queue) + fleet.running
                self._required[name] = math.ceil(tasks / fleet.shape.concurrency)
                world.at(
                    world.now + self.DELAY,
                    self._add,
                    (fleet, self._required[name]),
                )
            stay = max(fleet.shape.minimum, self._required[name])
            here = [worker for worker in fleet.workers if worker not in self._paused]
            for worker in here:
                if not worker.ready:
                    continue
                since = self._since.setdefault(worker, world.now)
                if (
                    len(here) > stay
                    and world.now - since >= self.WARM_UP
                    and not worker.running
                    and world.now - worker.idle_since >= self.IDLE
                ):
                    stay += 1
                    self._paused.add(worker)
                    world.pause(fleet, worker)
                    world.at(world.now + self.PAUSE, self._exit, (world, fleet, worker))

    @staticmethod
    def _add(what: tuple[Fleet, int]) -> None:
        fleet, required = what
        fleet.set_desired(max(fleet.desired, required))

    def _exit(self, what: tuple[World, Fleet, Worker]) -> None:
        world, fleet, worker = what
        self._paused.discard(worker)
        if fleet.queue:
            self._since[worker] = world.now - self.WARM_UP + 60
            world.resume(fleet, worker)
        else:
            world.retire(fleet, worker)
            fleet.set_desired(fleet.desired - 1)
