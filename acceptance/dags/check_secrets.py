"""Reads a connection and a variable, and returns only their digests."""

from __future__ import annotations

from hashlib import sha256

from airflow.sdk import Connection, Variable, dag, task

NAME = "check_secret"
"""Of the connection and of the variable."""


@dag(schedule=None, is_paused_upon_creation=False)
def check_secrets() -> None:
    """Read both in a task."""

    @task
    def read() -> dict[str, str]:
        values = {
            "connection": Connection.get(NAME).password or "",
            "variable": str(Variable.get(NAME)),
        }
        return {
            kind: sha256(value.encode()).hexdigest() for kind, value in values.items()
        }

    read()


check_secrets()
