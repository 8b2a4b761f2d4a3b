"""Create the roles and databases of Airflow as the master user of RDS.

That user is no superuser: it has CREATEROLE and CREATEDB, and may give a database
to a role only as a member of that role. The workers have the role of Celery's
results; it owns one database and may not connect to the other. The autoscaler's role
owns nothing and may read a few tables of Airflow's.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fargate_runtime.contract import CONNECT_ARGS, DATABASE_WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fargate_runtime.env import DatabaseLogin

LONGEST_PAUSE_SECONDS = 15

STATEMENT_SECONDS = 120
"""The longest that one statement may take, waiting for another job included."""

LOCK = 3303
"""The advisory lock that serializes the migration jobs of one database."""

PERMANENT_ERRORS = (
    "certificate verify failed",
    "root certificate file",
    "does not match",
)
"""Messages of libpq about a wrong certificate: waiting does not help."""


class DatabaseError(Exception):
    """The databases cannot be prepared; the message says why, without a secret."""


def connect(login: DatabaseLogin) -> Any:
    """Open a psycopg2 connection that commits each statement."""
    psycopg2 = import_module("psycopg2")
    connection = psycopg2.connect(
        host=login.host,
        port=login.port,
        dbname=login.name,
        user=login.user,
        password=login.password,
        application_name="airflow-migration",
        options=f"-c statement_timeout={STATEMENT_SECONDS * 1000}",
        **CONNECT_ARGS,
    )
    connection.autocommit = True
    return connection


def wait_for(login: DatabaseLogin, say: Callable[[str], None]) -> Any:
    """Return a connection as soon as the server accepts one.

    Raises DatabaseError after ``DATABASE_WAIT_SECONDS``, or at once where waiting does
    not help.
    """
    unavailable = import_module("psycopg2").OperationalError
    deadline = time.monotonic() + DATABASE_WAIT_SECONDS
    pause = 1
    while True:
        try:
            return connect(login)
        except unavailable as error:
            reason = " ".join(str(error).split())
        if any(words in reason for words in PERMANENT_ERRORS):
            raise DatabaseError(
                f"the certificate of {login.host} is not trusted: {reason}"
            )
        left = deadline - time.monotonic()
        if left <= 0:
            raise DatabaseError(
                f"no connection as {login} within {DATABASE_WAIT_SECONDS} s: {reason}"
            )
        say(f"Waiting up to {left:.0f} s for {login}: {reason}")
        time.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def provide_role(master: Any, login: DatabaseLogin) -> None:
    """Create the role of ``login``, or update its password.

    ``master`` is a connection of the RDS master user. The password crosses as a
    SCRAM verifier, so that no log of the server ever holds it.
    """
    role = import_module("psycopg2.sql").Identifier(login.user)
    encrypt = import_module("psycopg2.extensions").encrypt_password
    verifier = encrypt(login.password, login.user, master, "scram-sha-256")
    if not first_value(master, "SELECT 1 FROM pg_roles WHERE rolname = %s", login.user):
        run(master, "CREATE ROLE {}", role)
    run(master, "ALTER ROLE {} WITH LOGIN PASSWORD %s", role, values=(verifier,))


def provide(master: Any, owner: DatabaseLogin) -> None:
    """Create the role and the database of ``owner``, or update them."""
    identifier = import_module("psycopg2.sql").Identifier
    role, database = identifier(owner.user), identifier(owner.name)
    provide_role(master, owner)
    run(master, "GRANT {} TO CURRENT_USER", role)

    current_owner = first_value(
        master,
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s",
        owner.name,
    )
    if not current_owner:
        run(master, "CREATE DATABASE {} OWNER {}", database, role)
    elif current_owner != owner.user:
        run(master, "ALTER DATABASE {} OWNER TO {}", database, role)
    run(master, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)


def check_separation(
    master: Any, airflow: DatabaseLogin, results: DatabaseLogin
) -> None:
    """Check that the workers' role cannot connect to Airflow's database."""
    query = "SELECT has_database_privilege(%s, %s, 'CONNECT')"
    if first_value(master, query, results.user, airflow.name):
        raise DatabaseError(
            f"role {results.user} may connect to database {airflow.name}; "
            "revoke that right: workers have this role"
        )


def prepare(
    master: DatabaseLogin,
    airflow: DatabaseLogin,
    results: DatabaseLogin,
    say: Callable[[str], None],
) -> None:
    """Create both roles and databases and log in as each. Safe to repeat."""
    error = import_module("psycopg2").Error
    connection = wait_for(master, say)
    try:
        first_value(connection, "SELECT pg_advisory_lock(%s) IS NULL", LOCK)
        for owner in (airflow, results):
            provide(connection, owner)
            connect(owner).close()
            say(f"Ready: {owner}")
        check_separation(connection, airflow, results)
    except error as reason:
        raise DatabaseError(" ".join(str(reason).split())) from reason
    finally:
        connection.close()


def first_value(connection: Any, query: str, *values: object) -> Any:
    """Return the first value of a query's first row, or None."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        row = cursor.fetchone()
        return row[0] if row else None


def run(connection: Any, text: str, *names: Any, values: tuple[Any, ...] = ()) -> None:
    """Run a statement with quoted ``names`` in place of its braces."""
    statement = import_module("psycopg2.sql").SQL(text).format(*names)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
