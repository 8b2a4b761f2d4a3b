"""The database role of the autoscaler: it may read a few tables, and nothing else.

The autoscaler runs beside the scheduler, and what it may read holds no secret: no
connection, no variable, no password of a user.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from fargate_runtime.migration.databases import (
    LOCK,
    DatabaseError,
    Login,
    ask,
    connect,
    provide_role,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable

TABLES = (
    *("dag", "dag_run", "dag_version", "serialized_dag", "slot_pool"),
    "task_instance",
)
"""What ``autoscaler.queries`` reads; a test compares the two."""

LIMITS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
}
"""What holds for every session of the role, unless it asks for less."""


def admit(
    master: Login, airflow: Login, reader: Login, say: Callable[[str], None]
) -> None:
    """Make the role, or bring it up to date; Airflow's tables exist already.

    Safe to repeat: the password follows its secret, and what is read no more is taken
    away. Raises DatabaseError.
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
            ask(connection, "SELECT pg_advisory_lock(%s) IS NULL", LOCK)
            provide_role(connection, reader)
            for name, value in LIMITS.items():
                limit = names.Identifier(name)
                run(
                    connection,
                    "ALTER ROLE {} SET {} = %s",
                    role,
                    limit,
                    values=(value,),
                )
            _grant(airflow, reader)
        finally:
            connection.close()
        connect(reader).close()
    except psycopg2.Error as reason:
        raise DatabaseError(" ".join(str(reason).split())) from reason
    say(f"ready: {reader}, to read")


def _grant(airflow: Login, reader: Login) -> None:
    """Let the role read what it should, as the owner of the tables."""
    names = import_module("psycopg2.sql")
    role = names.Identifier(reader.user)
    owner = connect(airflow)
    try:
        run(
            owner,
            "GRANT CONNECT ON DATABASE {} TO {}",
            names.Identifier(airflow.name),
            role,
        )
        run(owner, "GRANT USAGE ON SCHEMA public TO {}", role)
        tables = [names.Identifier("public", table) for table in TABLES]
        places = ", ".join("{}" for _ in tables)
        # One text is one transaction: a autoscaler that runs never meets the gap.
        run(
            owner,
            "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}; "
            f"GRANT SELECT ON {places} TO {{}}",
            *(role, *tables, role),
        )
    finally:
        owner.close()
