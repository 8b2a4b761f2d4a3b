"""Metadata of DAGs: tasks in order, their durations, and how often they are mapped.

Each round reads a few DAGs, unknown ones first, and rereads each at intervals: a DAG
changes, and so do its durations. So no round costs more than another. A task not read
yet has the mean duration of all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fargate_runtime.autoscaler.estimates import TaskDurations
from fargate_runtime.autoscaler.queries import (
    Observation,
    SerializedTask,
    StatementSource,
    TaskHistory,
    history,
    max_active_tasks,
    structures,
)

DAGS_PER_ROUND = 25
REFRESH_SECONDS = 300.0
"""A changed DAG is predicted by its new structure after this time."""

FORGET_SECONDS = 3600.0
"""A DAG that was not observed for this time is forgotten."""

DEFAULT_ACTIVE_TASKS = 16
"""Airflow's own limit of active tasks in a run, where a DAG has none."""


class DagTask(NamedTuple):
    """A task of a DAG; ``parents`` are indexes of earlier tasks in the DAG's order."""

    task_id: str
    queue: str
    pool: str
    is_celery: bool
    is_mapped: bool
    parents: tuple[int, ...]


@dataclass(frozen=True)
class DagMetadata:
    """A DAG, parents before their children, without empty tasks."""

    tasks: Sequence[DagTask] = ()
    mapped: Mapping[str, int] = field(default_factory=dict)
    """How many instances each mapped task had last."""

    max_active_tasks: int = DEFAULT_ACTIVE_TASKS
    """How many tasks of one run may be queued or running at once."""


class DagMetadataStore:
    """Metadata of all DAGs that were observed lately."""

    def __init__(self, default_queue: str) -> None:
        self._default_queue = default_queue
        self._dags: dict[str, DagMetadata] = {}
        self._history: dict[str, dict[tuple[str, str], tuple[float, int]]] = {}
        self._read_at: dict[str, float] = {}
        self._observed_at: dict[str, float] = {}
        self._durations = TaskDurations({})
        self._overall = self._durations.overall

    def refresh(self, source: StatementSource, observed: Observation) -> None:
        """Read some of the observed DAGs that are unknown or were read long ago."""
        now = observed.now
        self._observed_at |= dict.fromkeys(_dags_of(observed), now)
        forgotten = [
            dag for dag, at in self._observed_at.items() if now - at > FORGET_SECONDS
        ]
        for dag in forgotten:
            for by_dag in (self._observed_at, self._dags, self._history, self._read_at):
                by_dag.pop(dag, None)
        due = sorted(
            (self._read_at.get(dag, -REFRESH_SECONDS), dag)
            for dag in self._observed_at
            # A time from the future: the clock of the database was set back.
            if not 0 <= now - self._read_at.get(dag, -REFRESH_SECONDS) < REFRESH_SECONDS
        )
        dags = [dag for _, dag in due[:DAGS_PER_ROUND]]
        if dags:
            self.update(
                dags,
                structures(source, dags, self._default_queue),
                history(source, dags),
                max_active_tasks(source, dags),
            )
            self._read_at |= dict.fromkeys(dags, now)

    def update(
        self,
        dags: Iterable[str],
        tasks: Iterable[SerializedTask],
        history: Iterable[TaskHistory],
        max_active_tasks: Mapping[str, int],
    ) -> None:
        """Replace the metadata of ``dags``."""
        by_dag: dict[str, list[SerializedTask]] = defaultdict(list)
        for task in tasks:
            by_dag[task.dag_id].append(task)
        mapped: dict[str, dict[str, int]] = defaultdict(dict)
        for dag in dags:
            self._history[dag] = {}
        for entry in history:
            if entry.runs:
                key = (entry.dag_id, entry.task_id)
                self._history[entry.dag_id][key] = (entry.seconds, entry.runs)
            if entry.mapped:
                mapped[entry.dag_id][entry.task_id] = entry.mapped
        for dag in dags:
            self._dags[dag] = DagMetadata(
                tasks=topological_order(by_dag[dag]),
                mapped=mapped[dag],
                max_active_tasks=max_active_tasks.get(dag) or DEFAULT_ACTIVE_TASKS,
            )
        self._durations = TaskDurations(
            {
                key: totals
                for tasks in self._history.values()
                for key, totals in tasks.items()
            }
        )
        self._overall = self._durations.overall

    def dag(self, dag_id: str) -> DagMetadata:
        """Return the metadata of a DAG, empty while they are unknown."""
        return self._dags.get(dag_id) or DagMetadata()

    def expected(self, dag_id: str | None, task_id: str | None) -> float:
        """Return the expected duration of a task in seconds."""
        if (dag_id, task_id) not in self._durations.past:
            return self._overall
        return self._durations.expected(str(dag_id), str(task_id))


def _dags_of(observed: Observation) -> set[str]:
    return {
        entry.dag_id
        for entries in (
            *(observed.queued, observed.running, observed.unscheduled),
            *(observed.active, observed.announced),
        )
        for entry in entries
        if entry.dag_id is not None
    }


def topological_order(tasks: Sequence[SerializedTask]) -> list[DagTask]:
    """Return the tasks so that parents precede children, without empty ones.

    Airflow never queues an empty task: its parents become its children's. A cycle,
    which Airflow refuses, would leave its tasks out.
    """
    by_name = {task.task_id: task for task in tasks}
    parents: dict[str, set[str]] = {name: set() for name in by_name}
    for task in tasks:
        for child in task.downstream:
            if child in parents:
                parents[child].add(task.task_id)
    unmet = {name: len(above) for name, above in parents.items()}
    ready = [name for name, count in unmet.items() if not count]
    ordered: list[DagTask] = []
    indexes: dict[str, set[int]] = {}
    """Indexes of a task as a parent: its own, or those of an empty task's parents."""
    for name in ready:
        task = by_name[name]
        above: set[int] = set().union(*(indexes[parent] for parent in parents[name]))
        if task.is_empty:
            indexes[name] = above
        else:
            indexes[name] = {len(ordered)}
            ordered.append(
                DagTask(
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
