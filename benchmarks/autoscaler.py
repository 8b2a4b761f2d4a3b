"""Figures of the autoscaler: the decision, its queries, its memory, its start.

The database has five million task instances and is made once, in a minute or two, in
``.cache/``; a smaller one shows how the queries grow with the past, and a third with
what waits. The times are processor time, of the autoscaler and of the database server.
"""

from __future__ import annotations

import json
import os
import sys
from statistics import median

from benchmarks.figures import ROOT, Figure, output, spent
from local.airflow_environment import airflow_environment
from local.datastores import Authority, Postgres

FOLDER = ROOT / ".cache" / "benchmarks"
PASSWORD = "benchmarks"  # noqa: S105 - of a server that lives as long as this process

TASKS = (10_000, 100_000, 1_000_000)
"""UnscheduledTasks tasks for a decision; the middle one has a limit."""

MANY_ROWS, FEW_ROWS, BACKLOG = 5_000_000, 500_000, 100_000
POOLS = 50
STARTS = 5

LOAD = "import boto3, celery, kombu.transport.redis, psycopg2"
START = f"{LOAD}, fargate_runtime.autoscaler.__main__"


def measure() -> list[Figure]:
    """Take every figure of the autoscaler."""
    return [*measure_decision(), *measure_rounds()]


def measure_decision() -> list[Figure]:
    """Take the figures of ``decide``, which needs no database."""
    results = json.loads(
        output([sys.executable, "-m", "benchmarks.decision", *map(str, TASKS)])
    )
    few, some, many = (results[str(tasks)] for tasks in TASKS)
    return [
        Figure(
            what=f"decide, {TASKS[1]:,} tasks wait, CPU milliseconds",
            seconds=some["decide"],
            limit=20,
            floor=few["decide"],
            floor_is=f"with {TASKS[0]:,}",
        ),
        Figure(
            what=f"decide, {TASKS[2]:,} tasks wait, CPU milliseconds",
            seconds=many["decide"],
            floor=some["decide"],
            floor_is=f"with {TASKS[1]:,}",
        ),
        Figure(
            what=f"Demand of {TASKS[1]:,} tasks laid out, CPU milliseconds",
            seconds=some["demand"],
            floor=few["demand"],
            floor_is=f"with {TASKS[0]:,}",
        ),
    ]


def measure_rounds() -> list[Figure]:
    """Take the figures of rounds against a real database."""
    airflow = airflow_environment()
    postgres = Postgres(
        authority=Authority(FOLDER / "tls"),
        master_user="airflow_master",
        master_password=PASSWORD,
        settings={},
        max_connections=50,
    )
    endpoint = postgres.start(FOLDER / "postgres")
    environ = {
        "PATH": f"{airflow.programs}:{os.defpath}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(FOLDER),
        "AIRFLOW_HOME": str(FOLDER / "airflow"),
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": (
            f"{airflow.python} -m fargate_runtime.connections metadata"
        ),
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": str(endpoint.ca_path),
        "METADATA_HOST": "localhost",
        "METADATA_PORT": str(endpoint.port),
        "BROKER_HOST": "localhost",
        "BROKER_PORT": "1",
        "CLUSTER_NAME": "cluster",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "SCALING_POOLS": json.dumps(
            [
                {
                    "name": f"queue_{number}",
                    "queue": f"queue_{number}",
                    "concurrency": 8,
                    "minimum": 0,
                    "maximum": 100,
                }
                for number in range(POOLS)
            ]
        ),
        **{
            f"{who}_{what}": user if what == "USER" else PASSWORD
            for who, user in (
                ("MASTER", "airflow_master"),
                ("METADATA", "airflow"),
                ("SCALING", "scaling"),
                ("BROKER", "celery"),
            )
            for what in ("USER", "PASSWORD")
        },
    }
    python = str(airflow.python)
    try:
        results = []
        for rows, queued in ((MANY_ROWS, 0), (FEW_ROWS, 0), (FEW_ROWS, BACKLOG)):
            here = environ | {"METADATA_NAME": f"airflow_{rows}_{queued}"}
            fill = [python, "-m", "benchmarks.metadata", str(rows), str(queued)]
            spent(fill, ROOT, environ=here)
            results.append(
                json.loads(output([python, "-m", "benchmarks.rounds"], environ=here))
            )
    finally:
        postgres.stop()
    many, few, backlog = results
    load, start = (
        median(
            spent([python, "-c", program], ROOT, environ=environ).cpu
            for _ in range(STARTS)
        )
        for program in (LOAD, START)
    )
    return [
        Figure(
            what=f"Queries of a round, {MANY_ROWS:,} rows, CPU milliseconds",
            seconds=many["statements"],
            limit=50,
            floor=many["floor"],
            floor_is="as many SELECT 1",
        ),
        Figure(
            what=f"The same with {FEW_ROWS:,} rows",
            seconds=few["statements"],
            floor=many["statements"],
            floor_is=f"with {MANY_ROWS:,}",
        ),
        Figure(
            what=f"The same, and {BACKLOG:,} tasks wait",
            seconds=backlog["statements"],
            floor=few["statements"],
            floor_is="without them",
        ),
        *(
            Figure(what=f"  of these, {name}", seconds=milliseconds)
            for name, milliseconds in many["each"].items()
        ),
        Figure(
            what="A whole round of the autoscaler's own, CPU milliseconds",
            seconds=many["round"],
        ),
        Figure(
            what="PoolMemory of the autoscaler, megabytes",
            seconds=many["megabytes"],
            limit=150,
        ),
        Figure(
            what="Start of the autoscaler, CPU",
            seconds=start,
            floor=load,
            floor_is="loading boto3, celery and psycopg2",
        ),
    ]
