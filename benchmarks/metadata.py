"""A metadata database as years of Airflow leave it: made in SQL, in the real schema.

Runs in the environment of Airflow, as ``python -m benchmarks.metadata ROWS QUEUED``,
in the environment of the migration job: it makes roles and tables like it, then fills
them. A database that is filled already stays, but for what must be of today.

Two hundred DAGs have fifty task instances a run: forty tasks, eight after each other
in five rows, and one task mapped to ten. Every DAG has one run that is going on; all
others have ended. ``QUEUED`` of the ended tasks wait once more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from fargate_runtime.env import autoscaler_login, database_login, master_login
from fargate_runtime.migration.databases import connect, prepare
from fargate_runtime.migration.scaling_role import admit

DAGS = 200
PLAIN, MAPPED, STAGES = 40, 10, 8
PER_RUN = PLAIN + MAPPED
PER_STAGE = PLAIN // STAGES
VERSIONS = 10
"""Versions of each DAG, all of which Airflow keeps."""

FILLED = ("dag_run", "task_instance")

DEFINITIONS = """
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid), contype <> 'f'
FROM pg_constraint
WHERE conrelid::regclass::text = ANY(%(tables)s)
    AND contype IN ('p', 'u', 'f')
    OR confrelid::regclass::text = ANY(%(tables)s)
ORDER BY contype = 'f'
"""

INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = ANY(%(tables)s) AND schemaname = 'public'
"""

RUNS = """
INSERT INTO dag_run (dag_id, run_id, logical_date, run_after, start_date, end_date,
    queued_at, state, run_type, log_template_id, updated_at, clear_number, span_status)
SELECT 'dag_' || dag, 'scheduled__' || at, at, at, at,
    CASE WHEN number < %(runs)s THEN at + interval '10 min' END, at,
    CASE WHEN number < %(runs)s THEN 'success' ELSE 'running' END,
    'scheduled', 1, at, 0, 'ended'
FROM generate_series(1, %(runs)s) number, generate_series(0, %(dags)s - 1) dag,
    LATERAL (SELECT date_trunc('hour', now()) - (%(runs)s - number) * interval '1 h'
        AS at) times
"""

INSTANCES = """
INSERT INTO task_instance (id, dag_id, run_id, task_id, map_index, start_date, end_date,
    duration, state, try_number, max_tries, hostname, unixname, pool, pool_slots, queue,
    priority_weight, operator, queued_dttm, scheduled_dttm, updated_at, span_status)
SELECT gen_random_uuid(), run.dag_id, run.run_id,
    CASE WHEN place < %(plain)s THEN 'task_' || place ELSE 'mapped' END,
    CASE WHEN place < %(plain)s THEN -1 ELSE place - %(plain)s END,
    CASE WHEN begun THEN at END, CASE WHEN ended THEN at + seconds END,
    CASE WHEN ended THEN extract(epoch FROM seconds) END,
    CASE WHEN ended THEN CASE WHEN place + run.id %% 50 = 0 THEN 'failed'
            ELSE 'success' END
        WHEN begun THEN 'running' WHEN is_queued THEN 'queued' END,
    1, 0, CASE WHEN begun THEN '10.0.' || (run.id %% 50) || '.1' ELSE '' END,
    'airflow', 'default_pool', 1, 'queue_' || (run.id %% 50), 1, 'PythonOperator',
    CASE WHEN begun OR is_queued THEN at END, at, at, 'ended'
FROM dag_run run, generate_series(0, %(per_run)s - 1) place, LATERAL (
    SELECT run.logical_date + place * interval '10 s' AS at,
        (20 + (run.id * 7 + place * 13) %% 100) * interval '1 s' AS seconds,
        run.state = 'success' OR place < 10 AS ended,
        run.state = 'success' OR place < 12 AS begun,
        run.state = 'running' AND place BETWEEN 12 AND 14 AS is_queued
) life
"""

DAG_ROWS = """
INSERT INTO dag (dag_id, is_paused, is_stale, exceeds_max_non_backfill, bundle_name,
    timetable_type, timetable_partitioned, timetable_periodic, partition_mapper_info,
    max_active_tasks, max_active_runs, max_consecutive_failed_dag_runs,
    has_task_concurrency_limits, has_import_errors, fail_fast, next_dagrun,
    next_dagrun_create_after)
SELECT 'dag_' || dag, false, false, false, 'dags', '', false, false, '[]',
    16, 16, 0, false, false, false, at, at
FROM generate_series(0, %(dags)s - 1) dag,
    LATERAL (SELECT now() + dag * interval '30 s' AS at) times
"""

VERSION_ROWS = """
WITH versions AS (
    INSERT INTO dag_version (id, dag_id, version_number, bundle_name, created_at,
        last_updated)
    SELECT gen_random_uuid(), %(dag)s, number, 'dags', now(), now()
    FROM generate_series(1, %(versions)s) number RETURNING id
)
INSERT INTO serialized_dag (id, dag_id, data, created_at, last_updated, dag_hash,
    dag_version_id)
SELECT gen_random_uuid(), %(dag)s, %(data)s, now(), now(), '', id FROM versions
"""

FILLED_WITH = """
SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s
"""

BURST = """
UPDATE task_instance SET state = 'queued', queued_dttm = now() WHERE id IN (
    SELECT id FROM task_instance WHERE state = 'success' LIMIT %(tasks)s
)
"""
"""A backlog: finished tasks that wait once more, spread over the DAGs."""


def serialized(dag: int) -> dict[str, Any]:
    """Return a DAG as Airflow stores it, as far as scaling looks at it."""
    stages = [
        [f"task_{stage * PER_STAGE + place}" for place in range(PER_STAGE)]
        for stage in range(STAGES)
    ]
    stages.append(["mapped"])
    after: list[list[str]] = [*stages[1:], []]
    return {
        "__version": 3,
        "dag": {
            "dag_id": f"dag_{dag}",
            "tasks": [
                {
                    "__type": "operator",
                    "__var": {
                        "task_id": task,
                        "task_type": "PythonOperator",
                        "queue": f"queue_{dag % 50}",
                        "downstream_task_ids": children,
                        "doc_md": "What this task is for, in some words. " * 5,
                        **({"_is_mapped": True} if task == "mapped" else {}),
                    },
                }
                for stage, children in zip(stages, after, strict=True)
                for task in stage
            ],
        },
    }


def fill(cursor: Any, rows: int) -> None:
    """Fill a migrated, empty database with ``rows`` task instances."""
    tables = {"tables": list(FILLED)}
    numbers = {
        "dags": DAGS,
        "runs": rows // (DAGS * PER_RUN),
        "plain": PLAIN,
        "per_run": PER_RUN,
    }
    cursor.execute("INSERT INTO dag_bundle (name, active) VALUES ('dags', true)")
    cursor.execute(DAG_ROWS, numbers)
    for dag in range(DAGS):
        name, data = f"dag_{dag}", json.dumps(serialized(dag))
        cursor.execute(VERSION_ROWS, {"dag": name, "data": data, "versions": VERSIONS})
    # Indexes and references are quicker made at the end than kept up row by row.
    cursor.execute(DEFINITIONS, tables)
    constraints = cursor.fetchall()
    for table, name, _, _ in reversed(constraints):
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE")
    cursor.execute(INDEXES, tables)
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    cursor.execute(RUNS, numbers)
    cursor.execute(INSTANCES, numbers)
    for _, definition in indexes:
        cursor.execute(definition)
    for table, name, definition, _ in constraints:
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
    cursor.execute("VACUUM ANALYZE")


def say(text: str) -> None:
    """Pass on what set-up says."""
    sys.stderr.write(text + "\n")


def refresh(cursor: Any) -> None:
    """Let the clock of a filled database go on: runs are due, and what runs began."""
    cursor.execute(
        "UPDATE dag SET next_dagrun_create_after ="
        " now() + substr(dag_id, 5)::int * interval '30 s'"
    )
    cursor.execute(
        "UPDATE task_instance SET start_date = now() - interval '20 s'"
        " WHERE state = 'running'"
    )


def main() -> None:
    """Fill the database that ``METADATA_NAME`` names, if it is not."""
    rows, queued = int(sys.argv[1]), int(sys.argv[2])
    master = master_login(os.environ)
    owner = database_login(os.environ, "METADATA")
    results = owner._replace(name="celery_results", user="celery_results")
    content = sha256(Path(__file__).read_bytes()).hexdigest()
    with connect(master).cursor() as cursor:
        cursor.execute(FILLED_WITH, (owner.name,))
        comment = cursor.fetchone()
        if comment != (content,):
            cursor.execute(f'DROP DATABASE IF EXISTS "{owner.name}"')
    prepare(master, owner, results, say)
    if comment != (content,):
        subprocess.run(["airflow", "db", "migrate"], stdout=sys.stderr, check=True)  # noqa: S607 - of the environment we run in
    admit(master, owner, autoscaler_login(os.environ), say)
    connection = connect(owner)
    with connection.cursor() as cursor:
        cursor.execute("SET maintenance_work_mem = '512MB'; SET statement_timeout = 0")
        if comment != (content,):
            fill(cursor, rows)
            cursor.execute(BURST, {"tasks": queued})
            cursor.execute("VACUUM ANALYZE task_instance")
            cursor.execute(f"COMMENT ON DATABASE \"{owner.name}\" IS '{content}'")
        refresh(cursor)


if __name__ == "__main__":
    main()
