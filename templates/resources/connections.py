"""Every permitted connection, as one table: from, to, port, why.

``templates/security.py`` makes the rules of it, one at either end of each edge.
"""

from __future__ import annotations

from dataclasses import dataclass

from templates.airflow.ports import (
    API_SERVER,
    FLOWER,
    HTTP,
    HTTPS,
    POSTGRESQL,
    TRIGGERER_LOGS,
    VALKEY,
    WORKER_LOGS,
)

TASKS = (
    "api_server",
    "scheduler",
    "dag_processor",
    "triggerer",
    "worker",
    "flower",
    "migration",
)
"""The groups of what runs on Fargate."""

GROUPS = {
    "load_balancer": "Airflow load balancer",
    "api_server": "Airflow API server",
    "scheduler": "Airflow scheduler",
    "dag_processor": "Airflow DAG processor",
    "triggerer": "Airflow triggerer",
    "worker": "Airflow Celery workers",
    "flower": "Celery monitor Flower",
    "migration": "Task that prepares the database before each new version",
    "database": "Aurora PostgreSQL",
    "cache": "Valkey, the Celery broker",
    "endpoints": "Interface endpoints of AWS services",
}
"""Each group and its description, which stays: EC2 replaces a group to change it."""


@dataclass(frozen=True, kw_only=True)
class Edge:
    """One permitted connection; ``why`` is its description, in EC2's alphabet.

    An end that is not in GROUPS is addresses that the operator chooses:
    ``web_clients``, ``outbound`` or ``s3``.
    """

    source: str
    target: str
    port: int
    why: str


EDGES = (
    Edge(
        source="web_clients",
        target="load_balancer",
        port=HTTPS,
        why="Browsers and API clients",
    ),
    Edge(
        source="web_clients",
        target="load_balancer",
        port=HTTP,
        why="Browsers that are redirected to HTTPS, or served where there is none",
    ),
    Edge(
        source="load_balancer",
        target="api_server",
        port=API_SERVER,
        why="Web page, REST API and health checks",
    ),
    Edge(
        source="load_balancer",
        target="flower",
        port=FLOWER,
        why="Celery monitor and its health checks",
    ),
    Edge(
        source="worker",
        target="api_server",
        port=API_SERVER,
        why="Execution API: a task reports its state and reads connections",
    ),
    Edge(
        source="api_server",
        target="worker",
        port=WORKER_LOGS,
        why="Logs of tasks that run now",
    ),
    Edge(
        source="api_server",
        target="triggerer",
        port=TRIGGERER_LOGS,
        why="Logs of triggers that run now",
    ),
    Edge(
        source="api_server",
        target="database",
        port=POSTGRESQL,
        why="Metadata and sessions",
    ),
    Edge(
        source="scheduler",
        target="database",
        port=POSTGRESQL,
        why="Metadata and Celery results",
    ),
    Edge(
        source="dag_processor",
        target="database",
        port=POSTGRESQL,
        why="Parsed DAGs",
    ),
    Edge(
        source="triggerer",
        target="database",
        port=POSTGRESQL,
        why="Triggers and their events",
    ),
    Edge(
        source="worker",
        target="database",
        port=POSTGRESQL,
        why="Celery results only: the worker holds no metadata credentials",
    ),
    Edge(
        source="migration",
        target="database",
        port=POSTGRESQL,
        why="Roles, migration and the first user",
    ),
    Edge(
        source="scheduler",
        target="cache",
        port=VALKEY,
        why="Celery queues, and draining of workers",
    ),
    Edge(source="worker", target="cache", port=VALKEY, why="Celery queues"),
    Edge(source="flower", target="cache", port=VALKEY, why="Celery events"),
    *(
        Edge(source=task, target=target, port=HTTPS, why=why)
        for target, why in (
            ("endpoints", "AWS services by interface endpoints"),
            ("outbound", "AWS services, registries and what DAGs call"),
            ("s3", "S3 by its gateway endpoint"),
        )
        for task in TASKS
    ),
)
