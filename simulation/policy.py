"""Our policy: the shipped ``decide``, carried out as the compiled template says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fargate_runtime.autoscaler.decide import PHASE_SECONDS, decide
from fargate_runtime.autoscaler.forecast import Node, Work, foresee
from fargate_runtime.autoscaler.scheduling import compact
from fargate_runtime.autoscaler.settings import PoolSettings, ScalingProfile, Settings
from fargate_runtime.autoscaler.state import (
    Batch,
    Demand,
    Memory,
    Running,
    Snapshot,
    WorkerState,
)
from fargate_runtime.autoscaler.state import Fleet as FleetState
from fargate_runtime.autoscaler.state import Worker as WorkerReport
from local.step_scaling import AlarmEvaluator, ScalableTarget
from simulation import tasks
from simulation.fleet import Discipline, Fleet
from simulation.model import World
from simulation.step_scaling import Order

LOOK_SECONDS = 300.0
"""How far ahead cron runs are put into the snapshot: beyond what decide looks at."""

DEFICIT, SURPLUS = "WorkerDeficit", "WorkerSurplus"


Changes = list[tuple[float, int]]
"""When a number changed, and to what."""


@dataclass(slots=True)
class Journal:
    """What happened to one pool: what was published, and what it led to."""

    desired: Changes = field(default_factory=list)
    deficit: Changes = field(default_factory=list)
    surplus: Changes = field(default_factory=list)


def _note(changes: Changes, now: float, number: int) -> None:
    if not changes or changes[-1][1] != number:
        changes.append((now, number))


@dataclass(eq=False)
class Native:
    """The autoscaler publishes, the alarms act.

    The documentation of ECS once said that Application Auto Scaling adds to the tasks
    that run and not to the desired count: ``adds_to_running`` is that reading.
    """

    orders: Sequence[Order]
    scaling_profile: ScalingProfile = ScalingProfile.BALANCED
    target_start_seconds: float | None = None
    scale_in_delay_seconds: float | None = None
    predictive_scaling: bool = True
    adds_to_running: bool = False
    discipline: Discipline = Discipline.DRAIN
    journals: dict[str, Journal] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Take the profile's name."""
        self.name = f"ours-{self.scaling_profile}"

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
                    scaling_profile=self.scaling_profile,
                    target_start_seconds=self.target_start_seconds,
                    scale_in_delay_seconds=self.scale_in_delay_seconds,
                    predictive_scaling=self.predictive_scaling,
                )
                for name, shape in world.day.pools.items()
            )
        )
        self.journals = {
            name: Journal(desired=[(0.0, fleet.desired)])
            for name, fleet in world.fleets.items()
        }
        self._memories: dict[str, Memory] = {}
        self._work: dict[tasks.Stage, list[Work]] = {}
        self._expected: dict[tasks.Run, list[tuple[str, Batch]]] = {}
        self._stacks = {
            name: (
                ScalableTarget(),
                [(one, AlarmEvaluator(one.alarm)) for one in self.orders],
            )
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
            _note(self.journals[name].deficit, world.now, pool.deficit)
            _note(self.journals[name].surplus, world.now, pool.surplus)
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

    def _evaluate(
        self, what: tuple[World, Fleet, ScalableTarget, Order, AlarmEvaluator, float]
    ) -> None:
        world, fleet, target, order, watch, value = what
        if not watch.due(value, world.now):
            return
        distance = value - order.alarm.threshold
        change = target.change(order.policy, distance, world.now)
        wanted = fleet.desired + change
        if self.adds_to_running and change > 0:
            running = sum(worker.booted for worker in fleet.workers)
            wanted = max(fleet.desired, running + change)
        fleet.set_desired(wanted)
        _note(self.journals[fleet.name].desired, world.now, fleet.desired)

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
