"""Create the database role of the autoscaler: it may read a few tables, nothing else.

The tables hold no secret: no connection, no variable, no password of a user.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from fargate_runtime.migration.databases import (
    LOCK,
    DatabaseError,
    connect,
    first_value,
    provide_role,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_runtime.env import DatabaseLogin

TABLES = (
    *("dag", "dag_bundle", "dag_run", "dag_version", "serialized_dag", "slot_pool"),
    "task_instance",
)
"""The tables that ``autoscaler.queries`` reads; a test compares the two."""

LIMITS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
}
"""Defaults of every session of the role."""


def admit(
    master: DatabaseLogin,
    airflow: DatabaseLogin,
    reader: DatabaseLogin,
    say: Callable[[str], None],
) -> None:
    """Create the role, or update it; Airflow's tables exist already.

    Safe to repeat: the password follows its secret, and rights no longer needed are
    revoked. Raises DatabaseError.
    """
    if reader.user in (master.user, airflow.user):
        raise DatabaseError(
            f"the autoscaler would read as {reader.user}, which may write; give "
            "its secret a user name of its own"
        )
    psycopg2 = import_module("psycopg2")
    names = import_module("psycopg2.sql")
    role = names.Identifier(reader.user)
    try:
        connection = connect(master)
        try:
            first_value(connection, "SELECT pg_advisory_lock(%s) IS NULL", LOCK)
            provide_role(connection, reader)
            for name, value in LIMITS.items():
                default = (role, names.Identifier(name))
                run(connection, "ALTER ROLE {} SET {} = %s", *default, values=(value,))
            _grant(airflow, reader)
        finally:
            connection.close()
        connect(reader).close()
    except psycopg2.Error as reason:
        raise DatabaseError(" ".join(str(reason).split())) from reason
    say(f"Ready: {reader}, read-only")


def _grant(airflow: DatabaseLogin, reader: DatabaseLogin) -> None:
    """Let the role read its tables and no others, as their owner."""
    names = import_module("psycopg2.sql")
    role = names.Identifier(reader.user)
    owner = connect(airflow)
    try:
        database = names.Identifier(airflow.name)
        run(owner, "GRANT CONNECT ON DATABASE {} TO {}", database, role)
        run(owner, "GRANT USAGE ON SCHEMA public TO {}", role)
        tables = [names.Identifier("public", table) for table in TABLES]
        places = ", ".join("{}" for _ in tables)
        # One text is one transaction: a running autoscaler never sees the gap.
        run(
            owner,
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}; "
            f"GRANT SELECT ON {places} TO {{}}",
            *(role, *tables, role),
        )
    finally:
        owner.close()
