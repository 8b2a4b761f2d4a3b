"""What decides about the desired count: ours, and what others do.

Ours is the shipped ``decide`` with the alarms and step policies of the compiled
template between it and the desired count. The others are built after what their
authors document; where an author leaves arithmetic open, the kinder reading is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autoscaling import Target, Watch
from runtime.brain.decide import PHASE_SECONDS, decide
from runtime.brain.fitting import compact
from runtime.brain.foresight import Node, Work, foresee
from runtime.brain.settings import PoolSettings, Settings, Style
from runtime.brain.state import (
    Batch,
    Demand,
    Memory,
    Running,
    Snapshot,
    WorkerState,
)
from runtime.brain.state import Fleet as FleetState
from runtime.brain.state import Worker as WorkerReport
from simulation import tasks
from simulation.actor import Order
from simulation.fleet import Discipline, Fleet, Worker
from simulation.model import World

LOOK_SECONDS = 300.0
"""How far ahead cron runs are put into the snapshot: beyond what decide looks at."""

DEFICIT, SURPLUS = "WorkerDeficit", "WorkerSurplus"


@dataclass(eq=False)
class Native:
    """Ours: the brain publishes, the alarms act."""

    orders: Sequence[Order]
    style: Style = Style.BALANCED
    objective_seconds: float | None = None
    hold_seconds: float | None = None
    look_ahead: bool = True
    discipline: Discipline = Discipline.DRAIN

    def __post_init__(self) -> None:
        """Take the style's name."""
        self.name = f"ours-{self.style}"

    def begin(self, world: World) -> None:
        """Set every pool up as its scaling stack would."""
        self._settings = Settings(
            tuple(
                PoolSettings(
                    name=name,
                    queue=name,
                    concurrency=shape.concurrency,
                    minimum=shape.minimum,
                    maximum=shape.maximum,
                    style=self.style,
                    objective_seconds=self.objective_seconds,
                    hold_seconds=self.hold_seconds,
                    look_ahead=self.look_ahead,
                )
                for name, shape in world.day.pools.items()
            )
        )
        self._memories: dict[str, Memory] = {}
        self._work: dict[tasks.Stage, list[Work]] = {}
        self._expected: dict[tasks.Run, list[tuple[str, Batch]]] = {}
        self._stacks = {
            name: (Target(), [(one, Watch(one.alarm)) for one in self.orders])
            for name in world.fleets
        }

    def sample(self, world: World) -> None:
        """Decide, tell the workers, publish."""
        decision = decide(self.snapshot(world), self._settings)
        for name, pool in decision.pools.items():
            fleet = world.fleets[name]
            self._memories[name] = pool.memory
            if pool.drain or pool.revive:
                by_name = {worker.name: worker for worker in fleet.workers}
                for identity in pool.drain:
                    world.drain(fleet, by_name[identity])
                for identity in pool.revive:
                    world.revive(fleet, by_name[identity])
            values = {DEFICIT: pool.deficit, SURPLUS: pool.surplus}
            target, watches = self._stacks[name]
            for order, watch in watches:
                value = values[order.metric]
                if value or any(watch.breaches):
                    world.at(
                        world.now + order.alarm.visible_seconds(PHASE_SECONDS),
                        self._evaluate,
                        (world, fleet, target, order, watch, value),
                    )

    @staticmethod
    def _evaluate(what: tuple[World, Fleet, Target, Order, Watch, float]) -> None:
        world, fleet, target, order, watch, value = what
        if watch.due(value, world.now):
            distance = value - order.alarm.threshold
            change = target.change(order.policy, distance, world.now)
            fleet.set_desired(fleet.desired + change)

    def snapshot(self, world: World) -> Snapshot:
        """Return what the loop would read at this moment."""
        announced: dict[str, list[Batch]] = {name: [] for name in world.fleets}
        coming: dict[str, list[Batch]] = {name: [] for name in world.fleets}
        for run in world.day.runs[world.next_run :]:
            if run.at > world.now + LOOK_SECONDS:
                break
            if run.announced:
                for queue, batch in self._announced(run):
                    announced[queue].append(batch)
        for run in world.active:
            for queue, batch in foresee(
                self._nodes(run), world.now, world.now + LOOK_SECONDS
            ):
                coming[queue].append(batch)
        return Snapshot(
            now=world.now,
            queues={
                name: Demand(
                    queued=_queued(world.now, fleet),
                    announced=announced[name],
                    coming=coming[name],
                )
                for name, fleet in world.fleets.items()
            },
            fleets={name: _report(fleet) for name, fleet in world.fleets.items()},
            memories=self._memories,
        )

    def _announced(self, run: tasks.Run) -> list[tuple[str, Batch]]:
        """Return what the database lets one expect of a run that has not begun."""
        if run not in self._expected:
            nodes = [
                node._replace(
                    waiting=[
                        Work(expected, max(1, round(number * run.announced)))
                        for expected, number in node.waiting
                    ]
                )
                for node in self._nodes(run)
            ]
            until = run.at + LOOK_SECONDS
            self._expected[run] = foresee(nodes, run.at, until, begins=run.at)
        return self._expected[run]

    def _nodes(self, run: tasks.Run) -> list[Node]:
        """Return how far a run is."""
        places = {stage: place for place, stage in enumerate(run.stages)}
        nodes = []
        for stage in run.stages:
            first = stage.tasks[0]
            waiting = first.queued_at < 0
            if stage not in self._work:
                self._work[stage] = _work(stage.tasks)
            nodes.append(
                Node(
                    queue=first.pool,
                    parents=[places[parent] for parent in stage.parents],
                    waiting=self._work[stage] if waiting else (),
                    queued=()
                    if waiting
                    else [
                        Work(task.estimate, 1)
                        for task in stage.tasks
                        if task.started_at < 0
                    ],
                    running=()
                    if waiting
                    else [
                        Running(task.started_at, task.estimate)
                        for task in stage.tasks
                        if task.started_at >= 0 and task.ended_at < 0
                    ],
                )
            )
        return nodes


def _work(siblings: Sequence[tasks.Task]) -> list[Work]:
    """Group tasks that are expected to take about as long."""
    entries = ((0.0, task.estimate, 1) for task in siblings)
    return [Work(batch.expected, batch.tasks) for batch in compact(entries, 0.0, 0.0)]


def _queued(now: float, fleet: Fleet) -> Sequence[Batch]:
    if not fleet.queue:
        return ()
    return compact(
        ((task.queued_at, task.estimate, 1) for task in fleet.queue), now, LOOK_SECONDS
    )


def _report(fleet: Fleet) -> FleetState:
    """Return what ECS and the workers tell of a pool."""
    reports = []
    starting = []
    for worker in fleet.workers:
        outdated = worker.revision != fleet.revision
        if not worker.booted:
            if not outdated:
                starting.append(worker.launched_at)
            continue
        state = WorkerState.READY
        if worker.released:
            state = WorkerState.RELEASED
        elif worker.draining:
            state = WorkerState.DRAINING
        elif not worker.ready:
            state = WorkerState.WAITING
        running = tuple(worker.running.values())
        reports.append(WorkerReport(worker.name, state, running, outdated))
    seconds, fleet.start_seconds = fleet.start_seconds, []
    return FleetState(fleet.desired, reports, starting, seconds)


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

    minute: list[float] = field(default_factory=list)
    points: list[float] = field(default_factory=list)
    out_at: float = -math.inf
    in_at: float = -math.inf


@dataclass(eq=False)
class Tracking:
    """Target tracking with AWS's two alarms: out after 3 minutes, in after 15.

    The arithmetic is unpublished; the wanted count is taken as proportional.
    """

    name: str
    target: float
    metric: Callable[[Fleet], float | None]
    discipline: Discipline
    delay: float
    cooldown: float = 300.0

    OUT, IN, SLACK = 3, 15, 0.9

    def begin(self, world: World) -> None:
        """Forget everything."""
        self._tracks = {name: _Track() for name in world.fleets}

    def sample(self, world: World) -> None:
        """Gather a minute, then see what the alarms see."""
        for name, fleet in world.fleets.items():
            track = self._tracks[name]
            value = self.metric(fleet)
            if value is not None:
                track.minute.append(value)
            if world.now % 60 or not world.now:
                continue
            if not track.minute:
                track.points.clear()
                continue
            track.points = [
                *track.points,
                sum(track.minute) / len(track.minute),
            ][-self.IN :]
            track.minute.clear()
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
            len(points) >= self.IN
            and max(points) < self.SLACK * self.target
            and world.now - max(track.in_at, track.out_at) >= self.cooldown
            and wanted < fleet.desired
        ):
            track.in_at = world.now
            fleet.set_desired(wanted)


def cpu_tracking() -> Tracking:
    """Target tracking of CPU at 70 percent; AWS measured 363 s until it acts."""
    return Tracking(
        "cpu-tracking",
        70.0,
        lambda fleet: fleet.cpu_percent,
        Discipline.NONE,
        delay=153.0,
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
