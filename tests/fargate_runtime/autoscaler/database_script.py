"""What the tests do in the database: run in the environment of the image.

``database_script.py COMMAND`` reads its values as JSON and prints its answer as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from benchmarks import metadata
from fargate_runtime.autoscaler import queries
from fargate_runtime.autoscaler.database import (
    DatabaseSession,
    DatabaseUnavailableError,
)
from fargate_runtime.env import (
    DatabaseLogin,
    autoscaler_login,
    database_login,
    master_login,
)
from fargate_runtime.migration.databases import connect, prepare
from fargate_runtime.migration.default_pool import resize
from fargate_runtime.migration.scaling_role import admit


def say(text: str) -> None:
    sys.stderr.write(text + "\n")


def set_up() -> None:
    """Do what the migration job does, without its checks and its administrator."""
    airflow = database_login(os.environ, "METADATA")
    results = airflow._replace(name="celery_results", user="celery_results")
    prepare(master_login(os.environ), airflow, results, say)
    subprocess.run(
        ["airflow", "db", "migrate"],  # noqa: S607 - of the environment we run in
        env=os.environ
        | {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": (
                f"{sys.executable} -m fargate_runtime.connections metadata"
            ),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        },
        stdout=sys.stderr,
        check=True,
    )
    let_in()


def let_in() -> None:
    admit(
        master_login(os.environ),
        database_login(os.environ, "METADATA"),
        autoscaler_login(os.environ),
        say,
    )


def default_pool(slots: int) -> Any:
    """Do what the migration job does with the pool; return its slots."""
    resize(database_login(os.environ, "METADATA"), slots, say)
    return sql("SELECT slots FROM slot_pool WHERE pool = 'default_pool'", [])[0][0]


def sql(statement: str, values: list[Any]) -> Any:
    """Return the rows of a statement of the owner's."""
    return _sql(database_login(os.environ, "METADATA"), statement, values)


def sql_as_reader(statement: str) -> Any:
    """Return the rows of a statement of the autoscaler's, or what the server says."""
    try:
        return _sql(autoscaler_login(os.environ), statement)
    except import_module("psycopg2").Error as error:
        return str(error)


def _sql(to: DatabaseLogin, statement: str, values: Sequence[Any] = ()) -> Any:
    with connect(to).cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []


ONE_DAG = """
INSERT INTO dag_bundle (name, active) VALUES ('one', true);
INSERT INTO dag (dag_id, is_paused, is_stale, exceeds_max_non_backfill, bundle_name,
    timetable_type, timetable_partitioned, timetable_periodic, partition_mapper_info,
    max_active_tasks, max_consecutive_failed_dag_runs, has_task_concurrency_limits,
    fail_fast)
VALUES ('dag', false, false, false, 'one', '', false, false, '[]', 16, 0, false, false);
INSERT INTO dag_run (dag_id, run_id, logical_date, run_after, state, run_type,
    clear_number, span_status)
VALUES ('dag', 'run', now(), now(), 'running', 'manual', 0, 'ended');
INSERT INTO task_instance (id, dag_id, run_id, task_id, map_index, state, try_number,
    max_tries, hostname, pool, pool_slots, queue, priority_weight, queued_dttm,
    start_date, duration, span_status)
SELECT gen_random_uuid(), 'dag', 'run', 'task', number, %s, 1, 0, '10.0.0.1',
    'default_pool', 1, 'default', 1, now(), now(), 10, 'ended'
FROM generate_series(0, %s - 1) number
"""

NO_DAG = "DELETE FROM dag_run; DELETE FROM dag; DELETE FROM dag_bundle"


def one_dag(state: str, tasks: int) -> None:
    """Make a DAG with one task, mapped that often, in one state of one run."""
    _sql(database_login(os.environ, "METADATA"), ONE_DAG, (state, tasks))


def no_dag() -> None:
    _sql(database_login(os.environ, "METADATA"), NO_DAG)


def fill(rows: int) -> None:
    with connect(database_login(os.environ, "METADATA")).cursor() as cursor:
        metadata.fill(cursor, rows)


def plans() -> dict[str, list[str]]:
    """Return the plan of every statement of the loop."""
    database = DatabaseSession(autoscaler_login(os.environ))
    explained = {}
    dags = [f"dag_{number}" for number in range(25)]
    for name, values in {
        "NOW": (),
        "QUEUED": ("default",),
        "RUNNING": ("default",),
        "UNSCHEDULED": (),
        "ACTIVE": (),
        "ANNOUNCED": (),
        "ACTIVE_RUNS": (),
        "SLOTS": (),
        "STRUCTURES": ("default", dags),
        "HISTORY": (dags,),
        "MAX_ACTIVE_TASKS": (dags,),
    }.items():
        statement = getattr(queries, name)
        rows = database.rows(f"EXPLAIN (COSTS OFF) {statement}", values)
        explained[name] = [row[0] for row in rows]
    return explained


def observe() -> Any:
    return queries.observe(DatabaseSession(autoscaler_login(os.environ)), "default")


def structures(dags: list[str]) -> Any:
    """Return what is read of the structure of DAGs."""
    return queries.structures(
        DatabaseSession(autoscaler_login(os.environ)), dags, "default"
    )


def history(dags: list[str]) -> Any:
    """Return what is read of the past of DAGs."""
    return queries.history(DatabaseSession(autoscaler_login(os.environ)), dags)


def patience(seconds: float) -> str:
    """Ask a question that takes too long; return what became of it."""
    try:
        DatabaseSession(autoscaler_login(os.environ)).rows(
            "SELECT pg_sleep(%s)", (seconds,)
        )
    except DatabaseUnavailableError as error:
        return str(error)
    return "answered"


if __name__ == "__main__":
    command = globals()[sys.argv[1]]
    sys.stdout.write(json.dumps(command(*json.load(sys.stdin)), default=str) + "\n")
