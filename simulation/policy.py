"""The shipped policy: ``decide``, executed as the compiled template defines it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fargate_runtime.autoscaler.decide import PHASE_SECONDS, decide
from fargate_runtime.autoscaler.forecast import TaskCount, TaskNode, forecast
from fargate_runtime.autoscaler.scheduling import compact
from fargate_runtime.autoscaler.settings import (
    AutoscalerSettings,
    PoolSettings,
    ScalingProfile,
)
from fargate_runtime.autoscaler.state import (
    Batch,
    PoolMemory,
    PoolStatus,
    QueueDemand,
    RunningTask,
    Snapshot,
    Worker,
)
from fargate_runtime.contract import WORKER_DEFICIT, WORKER_SURPLUS
from fargate_runtime.scaling_protocol import WorkerState
from local.step_scaling import AlarmEvaluator, ScalableTarget
from simulation import tasks
from simulation.model import Simulation
from simulation.pool import Discipline, SimPool
from simulation.step_scaling import StepScalingRule

FORECAST_SECONDS = 300.0
"""How far ahead cron runs are put into the snapshot: beyond what decide looks at."""

Changes = list[tuple[float, int]]
"""(time, number) of each change."""

_Alarm = tuple[ScalableTarget, StepScalingRule, AlarmEvaluator]

_Evaluation = tuple[
    Simulation, SimPool, ScalableTarget, StepScalingRule, AlarmEvaluator, float
]


@dataclass(slots=True)
class PoolJournal:
    """Changes of one pool's desired count and published metrics."""

    desired: Changes = field(default_factory=list)
    deficit: Changes = field(default_factory=list)
    surplus: Changes = field(default_factory=list)


def _note(changes: Changes, now: float, number: int) -> None:
    if not changes or changes[-1][1] != number:
        changes.append((now, number))


@dataclass(eq=False)
class ShippedPolicy:
    """The autoscaler publishes metrics, the alarms change the desired count.

    The documentation of ECS once said that Application Auto Scaling adds to the running
    tasks and not to the desired count: ``adds_to_running`` is that reading.
    """

    rules: Sequence[StepScalingRule]
    scaling_profile: ScalingProfile = ScalingProfile.BALANCED
    target_start_seconds: float | None = None
    scale_in_delay_seconds: float | None = None
    predictive_scaling: bool = True
    adds_to_running: bool = False
    discipline: Discipline = Discipline.DRAIN
    journals: dict[str, PoolJournal] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Set the name from the profile."""
        self.name = f"shipped-{self.scaling_profile}"

    def begin(self, simulation: Simulation) -> None:
        """Configure every pool as its scaling stack would."""
        self._settings = AutoscalerSettings(
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
                for name, shape in simulation.day.pools.items()
            )
        )
        self.journals = {
            name: PoolJournal(desired=[(0.0, pool.desired)])
            for name, pool in simulation.pools.items()
        }
        self._memories: dict[str, PoolMemory] = {}
        self._work: dict[tasks.SimStage, list[TaskCount]] = {}
        self._expected: dict[tasks.SimRun, list[tuple[str, Batch]]] = {}
        self._alarms = {
            name: [(target, rule, AlarmEvaluator(rule.alarm)) for rule in self.rules]
            for name, target in ((name, ScalableTarget()) for name in simulation.pools)
        }

    def sample(self, simulation: Simulation) -> None:
        """Decide, command the workers, publish."""
        decisions = decide(self.snapshot(simulation), self._settings).pools
        for name, decision in decisions.items():
            pool = simulation.pools[name]
            self._memories[name] = decision.memory
            if decision.drain or decision.revive:
                by_name = {worker.name: worker for worker in pool.workers}
                for identity in decision.drain:
                    simulation.drain(pool, by_name[identity])
                for identity in decision.revive:
                    simulation.revive(pool, by_name[identity])
            _note(self.journals[name].deficit, simulation.now, decision.deficit)
            _note(self.journals[name].surplus, simulation.now, decision.surplus)
            values = {
                WORKER_DEFICIT: decision.deficit,
                WORKER_SURPLUS: decision.surplus,
            }
            for alarm in self._alarms[name]:
                _, rule, watch = alarm
                value = values[rule.metric]
                if value or any(watch.breaches):
                    simulation.at(
                        simulation.now + rule.alarm.visible_seconds(PHASE_SECONDS),
                        self._evaluate,
                        *(simulation, pool, alarm, value),
                    )

    def _evaluate(
        self, simulation: Simulation, pool: SimPool, alarm: _Alarm, value: int
    ) -> None:
        target, rule, watch = alarm
        if not watch.due(value, simulation.now):
            return
        distance = value - rule.alarm.threshold
        change = target.change(rule.policy, distance, simulation.now)
        desired = pool.desired + change
        if self.adds_to_running and change > 0:
            running = sum(worker.booted for worker in pool.workers)
            desired = max(pool.desired, running + change)
        pool.set_desired(desired)
        _note(self.journals[pool.name].desired, simulation.now, pool.desired)

    def snapshot(self, simulation: Simulation) -> Snapshot:
        """Return what the autoscaler would observe at this moment."""
        announced: dict[str, list[Batch]] = {name: [] for name in simulation.pools}
        coming: dict[str, list[Batch]] = {name: [] for name in simulation.pools}
        for run in simulation.day.runs[simulation.next_run :]:
            if run.at > simulation.now + FORECAST_SECONDS:
                break
            if run.announced:
                for queue, batch in self._announced(run):
                    announced[queue].append(batch)
        for run in simulation.active:
            for queue, batch in forecast(
                self._nodes(run), simulation.now, simulation.now + FORECAST_SECONDS
            ):
                coming[queue].append(batch)
        return Snapshot(
            now=simulation.now,
            queues={
                name: QueueDemand(
                    queued=_queued(simulation.now, pool),
                    announced=announced[name],
                    coming=coming[name],
                )
                for name, pool in simulation.pools.items()
            },
            pools={name: _report(pool) for name, pool in simulation.pools.items()},
            memories=self._memories,
        )

    def _announced(self, run: tasks.SimRun) -> list[tuple[str, Batch]]:
        """Return what the database announces of a run that has not begun."""
        if run not in self._expected:
            nodes = [
                node._replace(
                    waiting=[
                        TaskCount(expected, max(1, round(number * run.announced)))
                        for expected, number in node.waiting
                    ]
                )
                for node in self._nodes(run)
            ]
            until = run.at + FORECAST_SECONDS
            self._expected[run] = forecast(nodes, run.at, until, begins=run.at)
        return self._expected[run]

    def _nodes(self, run: tasks.SimRun) -> list[TaskNode]:
        """Return the progress of a run."""
        places = {stage: place for place, stage in enumerate(run.stages)}
        nodes = []
        for stage in run.stages:
            first = stage.tasks[0]
            waiting = first.queued_at < 0
            if stage not in self._work:
                self._work[stage] = _work(stage.tasks)
            nodes.append(
                TaskNode(
                    queue=first.pool,
                    parents=[places[parent] for parent in stage.parents],
                    waiting=self._work[stage] if waiting else (),
                    queued=()
                    if waiting
                    else [
                        TaskCount(task.estimate, 1)
                        for task in stage.tasks
                        if task.started_at < 0
                    ],
                    running=()
                    if waiting
                    else [
                        RunningTask(task.started_at, task.estimate)
                        for task in stage.tasks
                        if task.started_at >= 0 and task.ended_at < 0
                    ],
                )
            )
        return nodes


def _work(siblings: Sequence[tasks.SimTask]) -> list[TaskCount]:
    """Group tasks of about the same expected duration."""
    entries = ((0.0, task.estimate, 1) for task in siblings)
    return [
        TaskCount(batch.expected, batch.tasks) for batch in compact(entries, 0.0, 0.0)
    ]


def _queued(now: float, pool: SimPool) -> Sequence[Batch]:
    if not pool.queue:
        return ()
    return compact(
        ((task.queued_at, task.estimate, 1) for task in pool.queue),
        now,
        FORECAST_SECONDS,
    )


def _report(pool: SimPool) -> PoolStatus:
    """Return the status of a pool, as ECS and the workers report it."""
    reports = []
    starting = []
    for worker in pool.workers:
        outdated = worker.deployment != pool.deployment
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
        reports.append(Worker(worker.name, state, running, outdated))
    seconds, pool.start_seconds = pool.start_seconds, []
    return PoolStatus(pool.desired, reports, starting, seconds)
