"""Demand of each queue from what the database told: what waits, and what will.

What waits for something else than a worker is left out, or workers would be held for
it for ever: a task that nobody schedules although its parents have ended (it depends
on yesterday's, or its pool is full), what follows a sensor that waits for hours, runs
beyond the number that a DAG may have at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fargate_runtime.autoscaler.dag_metadata import Dag, Knowledge, Task
from fargate_runtime.autoscaler.forecast import Node, Work, foresee
from fargate_runtime.autoscaler.queries import LOOK_SECONDS, Observed
from fargate_runtime.autoscaler.scheduling import compact
from fargate_runtime.autoscaler.state import Batch, Demand, Running

STUCK_SECONDS = 60.0
"""The scheduler takes seconds; what is ready for longer waits for no worker."""

OVERDUE = 3.0
"""What has run as many times its expected time says nothing of when its children
come."""

AWAY = ("deferred", "up_for_retry", "up_for_reschedule")
"""States in which a task holds no slot and is not done."""

Place = tuple[str, str, str]
"""DAG, run and task."""

Coming = list[tuple[str, Batch]]


@dataclass
class _Run:
    """What is unfinished of a running DAG run."""

    waiting: Mapping[str, int] = field(default_factory=dict)
    """Tasks that are not scheduled, and to how many instances they are mapped yet."""

    scheduled: Counter[str] = field(default_factory=Counter)
    queued: Counter[str] = field(default_factory=Counter)
    running: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    away: dict[str, float] = field(default_factory=dict)


class Foreseer:
    """Turns observations into demand; remembers what has been ready for how long."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._ready: dict[Place, float] = {}

    def demand(self, observed: Observed) -> dict[str, Demand]:
        """Return the demand of every queue in which anything waits or will."""
        now = observed.now
        expected = self._knowledge.expected
        queued: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
        for entry in observed.queued:
            took = expected(entry.dag_id, entry.task_id)
            queued[entry.queue].append((entry.since, took, entry.tasks))
        coming = _by_queue(self._coming(observed))
        announced = _by_queue(self._announced(observed))
        return {
            queue: Demand(
                queued=compact(queued[queue], now, LOOK_SECONDS),
                announced=compact(announced[queue], now, LOOK_SECONDS),
                coming=compact(coming[queue], now, LOOK_SECONDS),
            )
            for queue in {*queued, *coming, *announced}
        }

    def running(self, observed: Observed) -> dict[str, list[Running]]:
        """Return the running tasks of each host."""
        hosts: dict[str, list[Running]] = defaultdict(list)
        for entry in observed.running:
            if entry.host:
                took = self._knowledge.expected(entry.dag_id, entry.task_id)
                hosts[entry.host].append(Running(entry.started, took))
        return hosts

    def _coming(self, observed: Observed) -> Iterator[tuple[str, Batch]]:
        before, self._ready = self._ready, {}
        for (dag_id, run_id), run in _runs(observed).items():
            dag = self._knowledge.dag(dag_id)
            nodes = _Nodes(self, observed, dag_id, run_id, run, before).build(dag)
            yield from foresee(nodes, observed.now, observed.now + LOOK_SECONDS)

    def is_stuck(self, place: Place, now: float, before: Mapping[Place, float]) -> bool:
        """Return whether a task was ready for too long, and remember since when."""
        since = self._ready[place] = min(before.get(place, now), now)
        return now - since > STUCK_SECONDS

    def expected(self, dag_id: str, task_id: str) -> float:
        """Return how many seconds a task is expected to run."""
        return self._knowledge.expected(dag_id, task_id)

    def _announced(self, observed: Observed) -> Iterator[tuple[str, Batch]]:
        room = Counter(observed.active_runs)
        for entry in observed.announced:
            runs = max(0, min(entry.runs, entry.most_active - room[entry.dag_id]))
            room[entry.dag_id] += runs
            if not runs:
                continue
            dag = self._knowledge.dag(entry.dag_id)
            nodes = []
            for task in dag.tasks:
                number = min(
                    _instances(dag, task), _most(dag, task, observed.slots)
                ) * (runs if task.is_celery else 0)
                took = self._knowledge.expected(entry.dag_id, task.task_id)
                work = (Work(took, number),) if number else ()
                nodes.append(Node(task.queue, task.parents, work))
            begins = max(entry.begins, observed.now)
            until = observed.now + LOOK_SECONDS
            yield from foresee(nodes, observed.now, until, begins=begins)


class _Nodes(NamedTuple):
    """How the nodes of one run are made."""

    foreseer: Foreseer
    observed: Observed
    dag_id: str
    run_id: str
    run: _Run
    before: Mapping[Place, float]

    def build(self, dag: Dag) -> list[Node]:
        """Return the run's unfinished tasks with what can be told of their end."""
        run, now = self.run, self.observed.now
        active = sum(run.queued.values()) + sum(map(len, run.running.values()))
        room = max(0, dag.most_active - active)
        nodes: list[Node] = []
        at: dict[int, int] = {}
        """Where a task of the DAG is among the nodes."""
        blind: set[int] = set()
        """Tasks of whose end nothing can be told."""
        for place, task in enumerate(dag.tasks):
            name = task.task_id
            waits = name in run.waiting or run.scheduled[name]
            if not (
                waits or run.queued[name] or name in run.running or name in run.away
            ):
                continue
            parents = [parent for parent in task.parents if parent in at]
            if self._is_blind(name) or any(parent in blind for parent in parents):
                blind.add(place)
            number = 0
            if waits and place not in blind:
                number = run.scheduled[name] + run.waiting.get(name, 0)
                number = number or _instances(dag, task)
                number = min(number, _most(dag, task, self.observed.slots))
                if not parents:
                    where = (self.dag_id, self.run_id, name)
                    if self.foreseer.is_stuck(where, now, self.before):
                        blind.add(place)
                        number = 0
                    number = min(number, room)
                    room -= number
            at[place] = len(nodes)
            nodes.append(self._node(task, [at[parent] for parent in parents], number))
        return nodes

    def _node(self, task: Task, parents: list[int], number: int) -> Node:
        name = task.task_id
        took = self.foreseer.expected(self.dag_id, name)
        begun = [*self.run.running.get(name, ())]
        if name in self.run.away:
            begun.append(self.run.away[name])
        return Node(
            queue=task.queue,
            parents=parents,
            waiting=(Work(took, number),) if number and task.is_celery else (),
            queued=(Work(took, self.run.queued[name]),)
            if self.run.queued[name]
            else (),
            running=[Running(at, took) for at in begun],
        )

    def _is_blind(self, name: str) -> bool:
        """Return whether a task outlived its estimate so far that it tells nothing."""
        begun = [*self.run.running.get(name, ())]
        if name in self.run.away:
            begun.append(self.run.away[name])
        most = OVERDUE * self.foreseer.expected(self.dag_id, name) + STUCK_SECONDS
        return any(self.observed.now - at > most for at in begun)


def _runs(observed: Observed) -> dict[tuple[str, str], _Run]:
    runs: dict[tuple[str, str], _Run] = {}
    for entry in observed.waiting:
        runs[entry.dag_id, entry.run_id] = _Run(
            waiting=dict(zip(entry.task_ids, entry.instances, strict=True))
        )
    for part in observed.under_way:
        run = runs.setdefault((part.dag_id, part.run_id), _Run())
        if part.state == "scheduled":
            run.scheduled[part.task_id] += part.instances
        elif part.state == "queued":
            run.queued[part.task_id] += part.instances
        else:
            run.away[part.task_id] = part.since
    for one in observed.running:
        # A run of which nothing waits brings nothing.
        known = runs.get((one.dag_id, one.run_id))
        if known:
            known.running[one.task_id].append(one.started)
    return runs


def _instances(dag: Dag, task: Task) -> int:
    return dag.mapped.get(task.task_id, 1) if task.is_mapped else 1


def _most(dag: Dag, task: Task, slots: Mapping[str, int]) -> int:
    """Return how many instances of a task may be active at once."""
    return min(dag.most_active, slots.get(task.pool, dag.most_active))


def _by_queue(
    batches: Iterable[tuple[str, Batch]],
) -> dict[str, list[tuple[float, float, int]]]:
    found: dict[str, list[tuple[float, float, int]]] = defaultdict(list)
    for queue, batch in batches:
        found[queue].append(batch)
    return found
