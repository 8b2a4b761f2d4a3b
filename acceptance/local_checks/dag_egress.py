"""A second PostgreSQL outside the VPC, which DAG code reaches by its egress list."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from acceptance.api import api
from acceptance.check import CheckFailed, Skipped
from acceptance.checks.dags import RUN_SECONDS
from acceptance.containers import first_container
from local.datastores import Authority, Postgres
from local.ecs.connect_filter import Destination
from local.environment import LocalEnvironment

DAG = "check_databases"

PORT = 5432
LISTED, UNLISTED = "192.0.2.10", "192.0.2.11"
"""Two addresses of the same server, of which the egress list has one. They are of the
range for documentation, so nothing else has them."""

PARAMETER = "DagEgress"
ENTRY = f"{PORT} {LISTED}/32"

LOGIN = "reports"
CONNECTIONS = 10
REFUSED_BY_KERNEL = "Operation not permitted"
REFUSED_BY_DATABASE = "password authentication failed"


def second_database(environment: LocalEnvironment) -> str:
    """Run a DAG that reads a database by a listed and by an unlisted address.

    With the same login it tries the metadata database, whose port workers reach for
    the results of Celery.
    """
    firewall = environment.agent.firewall
    if firewall.deviation:
        raise Skipped(firewall.deviation)
    worker = first_container(environment, "worker").environ
    password = secrets.token_urlsafe()
    own = {"user": LOGIN, "password": password, "sslmode": "require"}
    with _database(environment, password) as server:
        with environment.agent.lock:
            for address in (LISTED, UNLISTED):
                firewall.add_outside_server((address, PORT), server)
        outside = {"dbname": "postgres", "port": PORT, **own}
        databases = {
            "listed": {"host": LISTED, **outside},
            "unlisted": {"host": UNLISTED, **outside},
            "metadata": {
                "host": worker["RESULTS_HOST"],
                "port": worker["RESULTS_PORT"],
                "dbname": "airflow",
                **own,
            },
        }
        airflow = api(environment)
        run_id = airflow.trigger(DAG, {"databases": databases})
        remedy = environment.logs("scheduler", "worker")
        airflow.wait_for_run(DAG, run_id, seconds=RUN_SECONDS, remedy=remedy)
        answers = airflow.returned(DAG, run_id, "read")
    expected = {
        "listed": f"connected as {LOGIN}",
        "unlisted": REFUSED_BY_KERNEL,
        "metadata": REFUSED_BY_DATABASE,
    }
    wrong = [
        f"{name} answered {answers[name]!r}"
        for name, words in expected.items()
        if words not in answers[name]
    ]
    if wrong:
        raise CheckFailed(f"{'; '.join(wrong)}.", remedy)
    return (
        f"read {LISTED}:{PORT} with its line in {PARAMETER}; {UNLISTED} without one "
        "and the metadata database refused"
    )


@contextmanager
def _database(environment: LocalEnvironment, password: str) -> Iterator[Destination]:
    """Run the second server; return where it listens on this machine."""
    folder = environment.folder / "second-database"
    server = Postgres(
        authority=Authority(folder / "ca"),
        master_user=LOGIN,
        master_password=password,
        settings={},
        max_connections=CONNECTIONS,
    )
    endpoint = server.start(folder)
    try:
        yield endpoint.host, endpoint.port
    finally:
        server.stop()
