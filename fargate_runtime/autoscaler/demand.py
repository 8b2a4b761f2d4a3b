"""Demand of each queue: queued tasks, and the forecast of those that follow.

Tasks that wait for something other than a worker are left out, or workers would be kept
for them for ever: a task that is not scheduled although its parents have ended (it
depends on yesterday's, or its pool is full), what follows a sensor that waits for
hours, runs beyond the number that a DAG may have at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fargate_runtime.autoscaler.dag_metadata import (
    DagMetadata,
    DagMetadataStore,
    DagTask,
)
from fargate_runtime.autoscaler.forecast import TaskCount, TaskNode, forecast
from fargate_runtime.autoscaler.queries import FORECAST_SECONDS, Observation
from fargate_runtime.autoscaler.scheduling import compact
from fargate_runtime.autoscaler.state import Batch, QueueDemand, RunningTask

STUCK_SECONDS = 60.0
"""The scheduler takes seconds; a task ready for longer does not wait for a worker."""

OVERDUE = 3.0
"""A task that has run this many times its expected time does not tell when its children
come."""

TaskKey = tuple[str, str, str]
"""DAG, run and task."""


@dataclass
class _Run:
    """The unfinished tasks of a running DAG run."""

    unscheduled: Mapping[str, int] = field(default_factory=dict)
    """Tasks that are not scheduled, and to how many instances they are mapped yet."""

    scheduled: Counter[str] = field(default_factory=Counter)
    queued: Counter[str] = field(default_factory=Counter)
    running: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    suspended: dict[str, float] = field(default_factory=dict)
    """Tasks that hold no slot and are not done: deferred or up for another try."""

    def started(self, task_id: str) -> list[float]:
        """Return when instances of a task that are not done were started."""
        times = [*self.running.get(task_id, ())]
        if task_id in self.suspended:
            times.append(self.suspended[task_id])
        return times


class DemandEstimator:
    """Turns observations into demand; remembers since when tasks are ready."""

    def __init__(self, metadata: DagMetadataStore) -> None:
        self._metadata = metadata
        self._ready: dict[TaskKey, float] = {}

    def demand(self, observed: Observation) -> dict[str, QueueDemand]:
        """Return the demand of every queue with queued or expected tasks."""
        now = observed.now
        queued: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
        for entry in observed.queued:
            expected = self._metadata.expected(entry.dag_id, entry.task_id)
            queued[entry.queue].append((entry.since, expected, entry.tasks))
        coming = _by_queue(self._coming(observed))
        announced = _by_queue(self._announced(observed))
        return {
            queue: QueueDemand(
                queued=compact(queued[queue], now, FORECAST_SECONDS),
                announced=compact(announced[queue], now, FORECAST_SECONDS),
                coming=compact(coming[queue], now, FORECAST_SECONDS),
            )
            for queue in {*queued, *coming, *announced}
        }

    def running(self, observed: Observation) -> dict[str, list[RunningTask]]:
        """Return the running tasks of each host."""
        hosts: dict[str, list[RunningTask]] = defaultdict(list)
        for entry in observed.running:
            if entry.host:
                expected = self._metadata.expected(entry.dag_id, entry.task_id)
                hosts[entry.host].append(RunningTask(entry.started, expected))
        return hosts

    def _coming(self, observed: Observation) -> Iterator[tuple[str, Batch]]:
        before, self._ready = self._ready, {}
        until = observed.now + FORECAST_SECONDS
        for (dag_id, run_id), run in _runs(observed).items():
            nodes = self._nodes(observed, dag_id, run_id, run, before)
            yield from forecast(nodes, observed.now, until)

    def _announced(self, observed: Observation) -> Iterator[tuple[str, Batch]]:
        room = Counter(observed.active_runs)
        until = observed.now + FORECAST_SECONDS
        for entry in observed.announced:
            runs = max(0, min(entry.runs, entry.max_active_runs - room[entry.dag_id]))
            room[entry.dag_id] += runs
            if not runs:
                continue
            dag = self._metadata.dag(entry.dag_id)
            nodes = []
            for task in dag.tasks:
                number = min(
                    _expected_instances(dag, task), _maximum(dag, task, observed.slots)
                ) * (runs if task.is_celery else 0)
                expected = self._metadata.expected(entry.dag_id, task.task_id)
                waiting = (TaskCount(expected, number),) if number else ()
                nodes.append(TaskNode(task.queue, task.parents, waiting))
            begins = max(entry.begins, observed.now)
            yield from forecast(nodes, observed.now, until, begins=begins)

    def _nodes(
        self,
        observed: Observation,
        dag_id: str,
        run_id: str,
        run: _Run,
        ready_before: Mapping[TaskKey, float],
    ) -> list[TaskNode]:
        """Return the run's unfinished tasks, as far as their end can be predicted."""
        dag = self._metadata.dag(dag_id)
        active = sum(run.queued.values()) + sum(map(len, run.running.values()))
        room = max(0, dag.max_active_tasks - active)
        nodes: list[TaskNode] = []
        index_of: dict[int, int] = {}
        """Index among the nodes, by that in the DAG."""
        unpredictable: set[int] = set()
        for index, task in enumerate(dag.tasks):
            name = task.task_id
            started = run.started(name)
            waits = name in run.unscheduled or run.scheduled[name]
            if not (waits or run.queued[name] or started):
                continue
            expected = self._metadata.expected(dag_id, name)
            longest = OVERDUE * expected + STUCK_SECONDS
            parents = [parent for parent in task.parents if parent in index_of]
            if any(observed.now - at > longest for at in started) or any(
                parent in unpredictable for parent in parents
            ):
                unpredictable.add(index)
            number = 0
            if waits and index not in unpredictable:
                number = run.scheduled[name] + run.unscheduled.get(name, 0)
                number = number or _expected_instances(dag, task)
                number = min(number, _maximum(dag, task, observed.slots))
                if not parents:
                    key = (dag_id, run_id, name)
                    if self._is_stuck(key, observed.now, ready_before):
                        unpredictable.add(index)
                        number = 0
                    number = min(number, room)
                    room -= number
            index_of[index] = len(nodes)
            queued = run.queued[name]
            nodes.append(
                TaskNode(
                    queue=task.queue,
                    parents=[index_of[parent] for parent in parents],
                    waiting=(TaskCount(expected, number),)
                    if number and task.is_celery
                    else (),
                    queued=(TaskCount(expected, queued),) if queued else (),
                    running=[RunningTask(at, expected) for at in started],
                )
            )
        return nodes

    def _is_stuck(
        self, key: TaskKey, now: float, ready_before: Mapping[TaskKey, float]
    ) -> bool:
        """Return whether a task was ready for too long; remember since when."""
        since = self._ready[key] = min(ready_before.get(key, now), now)
        return now - since > STUCK_SECONDS


def _runs(observed: Observation) -> dict[tuple[str, str], _Run]:
    runs: dict[tuple[str, str], _Run] = {}
    for entry in observed.unscheduled:
        runs[entry.dag_id, entry.run_id] = _Run(
            unscheduled=dict(zip(entry.task_ids, entry.instances, strict=True))
        )
    for instances in observed.active:
        run = runs.setdefault((instances.dag_id, instances.run_id), _Run())
        if instances.state == "scheduled":
            run.scheduled[instances.task_id] += instances.instances
        elif instances.state == "queued":
            run.queued[instances.task_id] += instances.instances
        else:
            run.suspended[instances.task_id] = instances.since
    for task in observed.running:
        # A run without waiting tasks queues none.
        if known := runs.get((task.dag_id, task.run_id)):
            known.running[task.task_id].append(task.started)
    return runs


def _expected_instances(dag: DagMetadata, task: DagTask) -> int:
    return dag.mapped.get(task.task_id, 1) if task.is_mapped else 1


def _maximum(dag: DagMetadata, task: DagTask, slots: Mapping[str, int]) -> int:
    """Return how many instances of a task may be active at once."""
    return min(dag.max_active_tasks, slots.get(task.pool, dag.max_active_tasks))


def _by_queue(
    batches: Iterable[tuple[str, Batch]],
) -> dict[str, list[tuple[float, float, int]]]:
    by_queue: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for queue, batch in batches:
        by_queue[queue].append(batch)
    return by_queue
