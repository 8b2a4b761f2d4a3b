"""A connection and a variable are encrypted at rest, and readable in a task."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import sha256

from acceptance.api import Api, ApiError, api
from acceptance.check import CheckFailed
from acceptance.checks.dags import RUN_SECONDS
from acceptance.containers import first_container
from acceptance.store_probe import probe
from local.environment import LocalEnvironment

NAME = "check_secret"
DAG_ID = "check_secrets"
NOT_FOUND = 404
FERNET_TOKEN = "gAAAA"  # noqa: S105 - the start of every Fernet token: version and time

AT_REST = {
    "connection": "SELECT password, is_encrypted FROM connection WHERE conn_id = %s",
    "variable": "SELECT val, is_encrypted FROM variable WHERE key = %s",
}


def make_both(airflow: Api, name: str) -> dict[str, str]:
    """Make a connection and a variable by the API; return their secret values."""
    plain = {kind: secrets.token_urlsafe(24) for kind in AT_REST}
    for path in ("/connections", "/variables"):
        try:
            airflow.delete(f"{path}/{name}")
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
    airflow.post(
        "/connections",
        {
            "connection_id": name,
            "conn_type": "generic",
            "password": plain["connection"],
        },
    )
    airflow.post("/variables", {"key": name, "value": plain["variable"]})
    return plain


def digests(plain: Mapping[str, str]) -> dict[str, str]:
    """Return what the DAG returns of a connection's password and a variable."""
    return {kind: sha256(text.encode()).hexdigest() for kind, text in plain.items()}


def at_rest(environment: LocalEnvironment) -> str:
    """Make both by the API, look at them in the database, read them in a task."""
    airflow = api(environment)
    plain = make_both(airflow, NAME)
    run_id = airflow.trigger(DAG_ID)
    environ = first_container(environment, "scheduler").environ
    rows = probe(*(("rows", environ, [query, [NAME]]) for query in AT_REST.values()))
    for kind, ((stored, is_encrypted),) in zip(AT_REST, rows, strict=True):
        if not is_encrypted or not stored.startswith(FERNET_TOKEN):
            raise CheckFailed(
                f"The {kind} lies in the database unencrypted: is_encrypted is "
                f"{is_encrypted}.",
                "Look at AIRFLOW__CORE__FERNET_KEY_CMD of the API server.",
            )
    remedy = environment.logs("worker", "api-server")
    airflow.wait_for_run(DAG_ID, run_id, seconds=RUN_SECONDS, remedy=remedy)
    read = airflow.returned(DAG_ID, run_id, "read")[NAME]
    expected = digests(plain)
    if read != expected:
        wrong = [kind for kind in expected if read.get(kind) != expected[kind]]
        raise CheckFailed(f"A task read another {' and '.join(wrong)}.", remedy)
    return "Fernet tokens in the database, is_encrypted; a task read both back"
