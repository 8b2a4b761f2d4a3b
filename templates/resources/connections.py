"""Every permitted connection, as one table: source, target, port and reason.

Two security-group rules are made of each, one at either end: in
``templates/security.py``, and where one end is the workers of a pool, in
``templates/resources/worker_group.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from templates.resources.ports import (
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
    "verification",
)
"""The security groups of tasks on Fargate."""

POOL_GROUP = "worker"
"""The group that every worker pool has for itself."""

SECURITY_GROUPS = {
    "load_balancer": "Airflow load balancer",
    "api_server": "Airflow API server",
    "scheduler": "Airflow scheduler",
    "dag_processor": "Airflow DAG processor",
    "triggerer": "Airflow triggerer",
    "worker": "Airflow Celery workers of one pool",
    "flower": "Celery monitor Flower",
    "migration": "Migration job, which prepares the database for each new version",
    "verification": "Verification relay, a task that build.py verify runs",
    "database": "Aurora PostgreSQL",
    "cache": "Valkey, the Celery broker",
    "endpoints": "Interface endpoints of AWS services",
}
"""Each group and its description, which never changes: EC2 would replace the group."""


@dataclass(frozen=True, kw_only=True)
class Connection:
    """One permitted connection; ``why`` is its description, in EC2's alphabet.

    A source or target that is not in SECURITY_GROUPS stands for addresses of the
    operator's: ``web_clients``, ``outbound`` or ``s3``.
    """

    source: str
    target: str
    port: int
    why: str


CONNECTIONS = (
    Connection(
        source="web_clients",
        target="load_balancer",
        port=HTTPS,
        why="Browsers and API clients",
    ),
    Connection(
        source="web_clients",
        target="load_balancer",
        port=HTTP,
        why="Browsers that are redirected to HTTPS, or served where there is none",
    ),
    *(
        Connection(
            source="verification",
            target="load_balancer",
            port=port,
            why="Requests of build.py verify to an internal load balancer",
        )
        for port in (HTTPS, HTTP)
    ),
    Connection(
        source="load_balancer",
        target="api_server",
        port=API_SERVER,
        why="Airflow UI, REST API and health checks",
    ),
    Connection(
        source="load_balancer",
        target="flower",
        port=FLOWER,
        why="Celery monitor and its health checks",
    ),
    Connection(
        source="worker",
        target="api_server",
        port=API_SERVER,
        why="Execution API: a task reports its state and reads connections",
    ),
    Connection(
        source="api_server",
        target="worker",
        port=WORKER_LOGS,
        why="Logs of running tasks",
    ),
    Connection(
        source="api_server",
        target="triggerer",
        port=TRIGGERER_LOGS,
        why="Logs of running triggers",
    ),
    Connection(
        source="api_server",
        target="database",
        port=POSTGRESQL,
        why="Metadata and sessions",
    ),
    Connection(
        source="scheduler",
        target="database",
        port=POSTGRESQL,
        why="Metadata and Celery results",
    ),
    Connection(
        source="dag_processor",
        target="database",
        port=POSTGRESQL,
        why="Parsed DAGs",
    ),
    Connection(
        source="triggerer",
        target="database",
        port=POSTGRESQL,
        why="Triggers and their events",
    ),
    Connection(
        source="worker",
        target="database",
        port=POSTGRESQL,
        why="Celery results only: the worker holds no metadata credentials",
    ),
    Connection(
        source="migration",
        target="database",
        port=POSTGRESQL,
        why="Roles, migration and the first user",
    ),
    Connection(
        source="scheduler",
        target="cache",
        port=VALKEY,
        why="Celery queues, and draining of workers",
    ),
    Connection(source="worker", target="cache", port=VALKEY, why="Celery queues"),
    Connection(source="flower", target="cache", port=VALKEY, why="Celery events"),
    *(
        Connection(source=task, target=target, port=HTTPS, why=why)
        for target, why in (
            ("endpoints", "AWS services by interface endpoints"),
            ("outbound", "AWS services, registries and what DAGs call"),
            ("s3", "S3 by its gateway endpoint"),
        )
        for task in TASKS
    ),
)


def connections_from(source: str) -> tuple[Connection, ...]:
    """Return the connections that begin at a group or at addresses."""
    return tuple(c for c in CONNECTIONS if c.source == source)


def connections_to(target: str) -> tuple[Connection, ...]:
    """Return the connections that end at a group or at addresses."""
    return tuple(c for c in CONNECTIONS if c.target == target)
