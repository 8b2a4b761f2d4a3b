"""Queries of Airflow 3.3's own tables: by indexes alone, counted in SQL.

However long a queue is, the result stays short: equal tasks are counted in the
database, and the smallest groups are merged. No query reads all of a table that grows
with time (``GROWING``); a test checks the plans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from fargate_runtime.autoscaler.database import Row

TABLES = (
    *("dag", "dag_bundle", "dag_run", "dag_version", "serialized_dag", "slot_pool"),
    "task_instance",
)
"""The tables that the autoscaler reads, and that its role may read."""

GROWING = ("dag_run", "task_instance", "dag_version", "serialized_dag")
"""Those of them that grow with every run or every change of a DAG."""

FORECAST_SECONDS = 300
"""How far ahead to look; ``decide`` looks no further than a worker takes to start."""

MAX_GROUPS = 5_000
"""Groups of queued tasks that are distinguished; the rest count by queue alone."""

MAX_RUNS = 2_000
"""Running DAG runs whose next stages are forecast."""

RUNS = 4
"""How many of a DAG's last runs durations are computed from."""

NEWEST_RUNS = 200
"""Among how many of the newest runs those are searched."""

TASKS_OF_RUN = 5_000
"""How many task instances of one run are read for it."""

CELERY = "(ti.executor IS NULL OR ti.executor LIKE '%%CeleryExecutor')"
"""Rows without an executor belong to the default one, and that is Celery's."""

NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"

QUEUED = f"""
WITH counted AS (
    SELECT coalesce(ti.queue, %s) AS queue, ti.dag_id, ti.task_id,
        date_bin('5 s', greatest(
            coalesce(ti.queued_dttm, now()), now() - interval '{FORECAST_SECONDS} s'
        ), 'epoch'::timestamptz) AS since, count(*) AS tasks
    FROM task_instance ti WHERE ti.state = 'queued' AND {CELERY}
    GROUP BY 1, 2, 3, 4
), ranked AS (
    SELECT *, row_number() OVER (ORDER BY tasks DESC) <= {MAX_GROUPS} AS listed
    FROM counted
)
SELECT queue, CASE WHEN listed THEN dag_id END, CASE WHEN listed THEN task_id END,
    extract(epoch FROM max(since))::float8, sum(tasks)::bigint
FROM ranked GROUP BY 1, 2, 3, CASE WHEN listed THEN since END
"""  # noqa: S608 - built from constants

RUNNING = f"""
SELECT coalesce(ti.queue, %s), ti.hostname, ti.dag_id, ti.run_id, ti.task_id,
    extract(epoch FROM coalesce(ti.start_date, now()))::float8
FROM task_instance ti WHERE ti.state IN ('running', 'restarting') AND {CELERY}
"""  # noqa: S608 - as above

_RUNS = f"""
WITH runs AS MATERIALIZED (
    SELECT run.dag_id, run.run_id FROM dag_run run JOIN dag ON dag.dag_id = run.dag_id
    WHERE run.state = 'running' AND NOT dag.is_paused AND NOT dag.is_stale
    LIMIT {MAX_RUNS}
)
"""  # noqa: S608 - as above

UNSCHEDULED = f"""
{_RUNS}
SELECT dag_id, run_id, array_agg(task_id::text), array_agg(mapped) FROM (
    SELECT dag_id, run_id, ti.task_id, count(*) FILTER (WHERE ti.map_index >= 0) mapped
    FROM runs JOIN task_instance ti USING (dag_id, run_id)
    WHERE ti.state IS NULL GROUP BY 1, 2, 3
) tasks GROUP BY 1, 2
"""  # noqa: S608 - as above

ACTIVE = f"""
{_RUNS}
SELECT dag_id, run_id, ti.task_id, ti.state, count(*),
    extract(epoch FROM min(coalesce(ti.start_date, now())))::float8
FROM runs JOIN task_instance ti USING (dag_id, run_id)
WHERE ti.state IN
    ('scheduled', 'queued', 'deferred', 'up_for_retry', 'up_for_reschedule')
GROUP BY 1, 2, 3, 4 LIMIT {MAX_GROUPS}
"""  # noqa: S608 - as above

ANNOUNCED = f"""
SELECT dag_id, extract(epoch FROM next_dagrun_create_after)::float8, 1,
    coalesce(max_active_runs, 1)
FROM dag
WHERE next_dagrun_create_after
        BETWEEN now() - interval '60 s' AND now() + interval '{FORECAST_SECONDS} s'
    AND NOT is_paused AND NOT is_stale AND NOT coalesce(has_import_errors, false)
    AND NOT exceeds_max_non_backfill
UNION ALL
SELECT dag.dag_id, extract(epoch FROM now())::float8, count(*),
    max(coalesce(dag.max_active_runs, 1))
FROM dag_run run JOIN dag ON dag.dag_id = run.dag_id
WHERE run.state = 'queued' AND run.backfill_id IS NULL
    AND coalesce(run.queued_at, run.run_after) > now() - interval '60 s'
    AND run.run_after <= now() AND NOT dag.is_paused AND NOT dag.is_stale
GROUP BY dag.dag_id
"""  # noqa: S608 - as above
"""Runs about to be created, and runs about to begin. One overdue by a minute does not
wait for a worker."""

ACTIVE_RUNS = "SELECT dag_id, count(*) FROM dag_run WHERE state = 'running' GROUP BY 1"

BUNDLES = """
SELECT name, extract(epoch FROM now() - last_refreshed)::float8
FROM dag_bundle WHERE active
"""

MAX_ACTIVE_TASKS = """
SELECT dag_id, max_active_tasks FROM dag WHERE dag_id = ANY(%s::text[])
"""

SLOTS = "SELECT pool, slots FROM slot_pool WHERE slots >= 0"

STRUCTURES = """
SELECT requested.dag_id, task->>'task_id',
    coalesce(task->>'queue', task->'partial_kwargs'->>'queue',
        dag.data->'client_defaults'->'tasks'->>'queue', %s),
    coalesce(task->>'pool', task->'partial_kwargs'->>'pool', 'default_pool'),
    coalesce(task->>'executor', task->'partial_kwargs'->>'executor',
        'CeleryExecutor') LIKE '%%CeleryExecutor',
    coalesce(task->'_is_empty' = 'true', false),
    coalesce(task->'_is_mapped' = 'true' OR task->'_needs_expansion' = 'true', false),
    coalesce(task->'downstream_task_ids', '[]')
FROM unnest(%s::text[]) AS requested(dag_id)
CROSS JOIN LATERAL (
    SELECT id FROM dag_version WHERE dag_version.dag_id = requested.dag_id
    ORDER BY version_number DESC LIMIT 1
) latest
JOIN serialized_dag dag ON dag.dag_version_id = latest.id
CROSS JOIN LATERAL jsonb_array_elements(dag.data->'dag'->'tasks') AS entry
CROSS JOIN LATERAL (SELECT entry->'__var' AS task) AS inner_entry
"""
"""Only a few words of each serialized DAG leave the database."""

_LATEST = f"""
    SELECT run_id FROM (
        SELECT run_id, state FROM dag_run
        WHERE dag_run.dag_id = requested.dag_id AND logical_date IS {{}} NULL
        ORDER BY logical_date DESC LIMIT {NEWEST_RUNS}
    ) newest WHERE state IN ('success', 'failed') LIMIT {RUNS}
"""  # noqa: S608 - as above

HISTORY = f"""
WITH runs AS (
    SELECT requested.dag_id, latest.run_id, latest.place
    FROM unnest(%s::text[]) AS requested(dag_id)
    CROSS JOIN LATERAL (
        SELECT run_id, row_number() OVER () AS place FROM (
            ({_LATEST.format("NOT")}) UNION ALL ({_LATEST.format("")})
        ) both_kinds
    ) latest
)
SELECT dag_id, task_id, coalesce(sum(seconds), 0), sum(ended)::int,
    (array_agg(mapped ORDER BY place))[1]::int
FROM runs CROSS JOIN LATERAL (
    SELECT task_id, count(*) FILTER (WHERE map_index >= 0) AS mapped,
        sum(duration) FILTER (WHERE is_valid) AS seconds,
        count(*) FILTER (WHERE is_valid) AS ended
    FROM (
        SELECT task_id, map_index, duration,
            state = 'success' AND duration BETWEEN 0 AND 864000 AS is_valid
        FROM task_instance ti
        WHERE ti.dag_id = runs.dag_id AND ti.run_id = runs.run_id
        LIMIT {TASKS_OF_RUN}
    ) instances GROUP BY task_id
) tasks
GROUP BY dag_id, task_id
"""  # noqa: S608 - as above
"""Seconds and runs of each task, and how many instances it was mapped to last."""


class StatementSource(Protocol):
    """Executes statements."""

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a statement."""


class QueuedTasks(NamedTuple):
    """Queued tasks of one queue; ``dag_id`` is None for several DAGs."""

    queue: str
    dag_id: str | None
    task_id: str | None
    since: float
    tasks: int


class RunningInstance(NamedTuple):
    """A running task instance, and its host."""

    queue: str
    host: str | None
    dag_id: str
    run_id: str
    task_id: str
    started: float


class UnscheduledTasks(NamedTuple):
    """Tasks of a running DAG run that are not scheduled yet.

    ``instances`` holds for each task to how many instances it was mapped, 0 for a task
    that is not mapped, or not yet.
    """

    dag_id: str
    run_id: str
    task_ids: list[str]
    instances: list[int]


class ActiveInstances(NamedTuple):
    """Instances of one task in a running DAG run, in one state.

    ``since`` is when the first of them began, or now.
    """

    dag_id: str
    run_id: str
    task_id: str
    state: str
    instances: int
    since: float


class AnnouncedRuns(NamedTuple):
    """DAG runs that begin soon, and how many of the DAG may run at once."""

    dag_id: str
    begins: float
    runs: int
    max_active_runs: int


class BundleRefresh(NamedTuple):
    """A DAG bundle, and how many seconds ago it was refreshed; None for never."""

    name: str
    age: float | None


class Observation(NamedTuple):
    """The result of all queries of a round; times are the database clock's."""

    now: float
    queued: list[QueuedTasks]
    running: list[RunningInstance]
    unscheduled: list[UnscheduledTasks]
    active: list[ActiveInstances]
    announced: list[AnnouncedRuns]
    active_runs: dict[str, int]
    slots: dict[str, int]
    bundles: list[BundleRefresh]


class SerializedTask(NamedTuple):
    """A task of a serialized DAG."""

    dag_id: str
    task_id: str
    queue: str
    pool: str
    is_celery: bool
    is_empty: bool
    is_mapped: bool
    downstream: list[str]


class TaskHistory(NamedTuple):
    """Durations of a task's last runs, and how many instances it had last."""

    dag_id: str
    task_id: str
    seconds: float
    runs: int
    mapped: int


def observe(source: StatementSource, default_queue: str) -> Observation:
    """Run the queries of every round."""
    ((now,),) = source.rows(NOW)
    return Observation(
        now=now,
        queued=_all(QueuedTasks, source.rows(QUEUED, (default_queue,))),
        running=_all(RunningInstance, source.rows(RUNNING, (default_queue,))),
        unscheduled=_all(UnscheduledTasks, source.rows(UNSCHEDULED)),
        active=_all(ActiveInstances, source.rows(ACTIVE)),
        announced=_all(AnnouncedRuns, source.rows(ANNOUNCED)),
        active_runs=dict(source.rows(ACTIVE_RUNS)),
        slots=dict(source.rows(SLOTS)),
        bundles=_all(BundleRefresh, source.rows(BUNDLES)),
    )


def structures(
    source: StatementSource, dag_ids: Sequence[str], default_queue: str
) -> list[SerializedTask]:
    """Return the tasks of the latest version of each DAG."""
    return _all(SerializedTask, source.rows(STRUCTURES, (default_queue, list(dag_ids))))


def history(source: StatementSource, dag_ids: Sequence[str]) -> list[TaskHistory]:
    """Return the history of each DAG's tasks."""
    return _all(TaskHistory, source.rows(HISTORY, (list(dag_ids),)))


def max_active_tasks(source: StatementSource, dag_ids: Sequence[str]) -> dict[str, int]:
    """Return how many tasks of one run of each DAG may be active at once."""
    return dict(source.rows(MAX_ACTIVE_TASKS, (list(dag_ids),)))


def _all(kind: Any, rows: list[Row]) -> list[Any]:
    return [kind(*row) for row in rows]
