"""What is known of each DAG: its tasks in order, how long they take, how often mapped.

Read a few DAGs a round, those first that are unknown, and each anew now and then: a
DAG changes, and so do its durations. So no round costs more than another, and what is
not read yet is taken for the mean of all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fargate_runtime.autoscaler.estimates import Durations
from fargate_runtime.autoscaler.queries import (
    DagTask,
    Observed,
    Past,
    Source,
    history,
    limits,
    structures,
)

DAGS_A_ROUND = 25
REFRESH_SECONDS = 300.0
"""A changed DAG is foreseen by its new shape after as long."""

FORGET_SECONDS = 3600.0
"""What nothing ran of is forgotten after as long."""

FEWEST_ACTIVE = 16
"""Airflow's own limit of active tasks in a run, where a DAG tells none."""


class Task(NamedTuple):
    """A task of a DAG; ``parents`` are places of earlier tasks in the DAG's order."""

    task_id: str
    queue: str
    pool: str
    is_celery: bool
    is_mapped: bool
    parents: tuple[int, ...]


@dataclass(frozen=True)
class Dag:
    """A DAG, parents before their children, without tasks that never run."""

    tasks: Sequence[Task] = ()
    places: Mapping[str, int] = field(default_factory=dict)
    mapped: Mapping[str, int] = field(default_factory=dict)
    """How many instances a mapped task had last."""

    most_active: int = FEWEST_ACTIVE
    """How many tasks of one run may be queued or running at once."""


class Knowledge:
    """All DAGs that anything was heard of lately."""

    def __init__(self, default_queue: str) -> None:
        self._default_queue = default_queue
        self._dags: dict[str, Dag] = {}
        self._past: dict[str, dict[tuple[str, str], tuple[float, int]]] = {}
        self._read: dict[str, float] = {}
        self._wanted: dict[str, float] = {}
        self._durations = Durations({})
        self._overall = self._durations.overall

    def refresh(self, source: Source, observed: Observed) -> None:
        """Read what is unknown or old of the DAGs that are observed, but not all."""
        now = observed.now
        self._wanted |= dict.fromkeys(_dags_of(observed), now)
        gone = [dag for dag, at in self._wanted.items() if now - at > FORGET_SECONDS]
        for dag in gone:
            for known in (self._wanted, self._dags, self._past, self._read):
                known.pop(dag, None)
        due = sorted(
            (self._read.get(dag, -REFRESH_SECONDS), dag)
            for dag in self._wanted
            # A time from the future: the clock of the database went back.
            if not 0 <= now - self._read.get(dag, -REFRESH_SECONDS) < REFRESH_SECONDS
        )
        dags = [dag for _, dag in due[:DAGS_A_ROUND]]
        if dags:
            self.learn(
                dags,
                structures(source, dags, self._default_queue),
                history(source, dags),
                limits(source, dags),
            )
            self._read |= dict.fromkeys(dags, now)

    def learn(
        self,
        dags: Iterable[str],
        tasks: Iterable[DagTask],
        past: Iterable[Past],
        active: Mapping[str, int],
    ) -> None:
        """Take what was read of ``dags`` in place of what was known."""
        by_dag: dict[str, list[DagTask]] = defaultdict(list)
        for task in tasks:
            by_dag[task.dag_id].append(task)
        mapped: dict[str, dict[str, int]] = defaultdict(dict)
        for dag in dags:
            self._past[dag] = {}
        for entry in past:
            if entry.runs:
                key = (entry.dag_id, entry.task_id)
                self._past[entry.dag_id][key] = (entry.seconds, entry.runs)
            if entry.mapped:
                mapped[entry.dag_id][entry.task_id] = entry.mapped
        for dag in dags:
            ordered = in_order(by_dag[dag])
            self._dags[dag] = Dag(
                tasks=ordered,
                places={task.task_id: place for place, task in enumerate(ordered)},
                mapped=mapped[dag],
                most_active=active.get(dag) or FEWEST_ACTIVE,
            )
        self._durations = Durations(
            {key: told for one in self._past.values() for key, told in one.items()}
        )
        self._overall = self._durations.overall

    def dag(self, dag_id: str) -> Dag:
        """Return what is known of a DAG, which may be nothing."""
        return self._dags.get(dag_id) or Dag()

    def expected(self, dag_id: str | None, task_id: str | None) -> float:
        """Return how many seconds a task is expected to run."""
        if (dag_id, task_id) not in self._durations.past:
            return self._overall
        return self._durations.expected(str(dag_id), str(task_id))


def _dags_of(observed: Observed) -> set[str]:
    return {
        entry.dag_id
        for entries in (
            *(observed.queued, observed.running, observed.waiting),
            *(observed.under_way, observed.announced),
        )
        for entry in entries
        if entry.dag_id is not None
    }


def in_order(tasks: Sequence[DagTask]) -> list[Task]:
    """Return the tasks so that parents precede children, without empty ones.

    Airflow never queues an empty task: its parents become its children's. A circle,
    which Airflow refuses, would leave its tasks out.
    """
    by_name = {task.task_id: task for task in tasks}
    parents: dict[str, set[str]] = {name: set() for name in by_name}
    for task in tasks:
        for child in task.downstream:
            if child in parents:
                parents[child].add(task.task_id)
    unmet = {name: len(found) for name, found in parents.items()}
    ready = [name for name, count in unmet.items() if not count]
    ordered: list[Task] = []
    through: dict[str, set[int]] = {}
    """Which places stand for a task as a parent: its own, or an empty task's parents'.
    """
    for name in ready:
        task = by_name[name]
        above: set[int] = set().union(*(through[parent] for parent in parents[name]))
        if task.is_empty:
            through[name] = above
        else:
            through[name] = {len(ordered)}
            ordered.append(
                Task(
                    task_id=name,
                    queue=task.queue,
                    pool=task.pool,
                    is_celery=task.is_celery,
                    is_mapped=task.is_mapped,
                    parents=tuple(sorted(above)),
                )
            )
        for child in dict.fromkeys(task.downstream):
            if child in unmet:
                unmet[child] -= 1
                if not unmet[child]:
                    ready.append(child)
    return ordered
