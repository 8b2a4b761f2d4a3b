"""The roles and databases of Airflow, made by the master user of RDS.

That user is no superuser: it has CREATEROLE and CREATEDB, and may give a database
to a role only as a member of that role. The workers hold the role of Celery's
results; that role owns one database and may not connect to the other. The scaling
autoscaler's role owns nothing and may read a few tables of Airflow's.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from fargate_runtime.connections import CONNECT_ARGS
from fargate_runtime.env import host, part, port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

WAIT_SECONDS = 300
"""How long a database may take to answer: Aurora resumes from a pause in seconds,
a restored one takes its new master password within minutes."""

LONGEST_PAUSE_SECONDS = 15

STATEMENT_SECONDS = 120
"""The longest that one statement may take, waiting for another set-up included."""

LOCK = 3303
"""The advisory lock that two set-ups of one database meet at."""

NEVER_HEALS = ("certificate verify failed", "root certificate file", "does not match")
"""What libpq says of a wrong certificate: waiting does not change it."""


class DatabaseError(Exception):
    """The databases cannot be prepared; the message says why, without a secret."""


class Login(NamedTuple):
    """Who connects to which database."""

    host: str
    port: int
    name: str
    user: str
    password: str

    def __str__(self) -> str:
        return f"{self.user} at {self.host}:{self.port}, database {self.name}"


def scaling_login(environ: Mapping[str, str]) -> Login:
    """Return how the autoscaler reaches Airflow's own database. Raises PartError."""
    return Login(
        host=host(environ, "METADATA_HOST"),
        port=port(environ, "METADATA_PORT"),
        name=part(environ, "METADATA_NAME"),
        user=part(environ, "SCALING_USER"),
        password=part(environ, "SCALING_PASSWORD"),
    )


def connect(login: Login) -> Any:
    """Open a psycopg2 connection that commits each statement."""
    psycopg2 = import_module("psycopg2")
    connection = psycopg2.connect(
        host=login.host,
        port=login.port,
        dbname=login.name,
        user=login.user,
        password=login.password,
        application_name="airflow-setup",
        options=f"-c statement_timeout={STATEMENT_SECONDS * 1000}",
        **CONNECT_ARGS,
    )
    connection.autocommit = True
    return connection


def wait_for(login: Login, say: Callable[[str], None]) -> Any:
    """Return a connection as soon as the server takes one.

    Raises DatabaseError after ``WAIT_SECONDS``, or at once where waiting is vain.
    """
    refused = import_module("psycopg2").OperationalError
    deadline = time.monotonic() + WAIT_SECONDS
    pause = 1
    while True:
        try:
            return connect(login)
        except refused as error:
            reason = " ".join(str(error).split())
        if any(words in reason for words in NEVER_HEALS):
            raise DatabaseError(
                f"the certificate of {login.host} is not trusted: {reason}"
            )
        left = deadline - time.monotonic()
        if left <= 0:
            raise DatabaseError(
                f"no connection as {login} within {WAIT_SECONDS} s: {reason}"
            )
        say(f"waiting {left:.0f} s at most for {login}: {reason}")
        time.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def provide_role(master: Any, login: Login) -> None:
    """Make the role of ``login``, or bring its password up to date.

    ``master`` is a connection of the RDS master user. The password crosses as a
    SCRAM verifier, so that no log of the server ever holds it.
    """
    role = import_module("psycopg2.sql").Identifier(login.user)
    encrypt = import_module("psycopg2.extensions").encrypt_password
    verifier = encrypt(login.password, login.user, master, "scram-sha-256")
    if not ask(master, "SELECT 1 FROM pg_roles WHERE rolname = %s", login.user):
        run(master, "CREATE ROLE {}", role)
    run(master, "ALTER ROLE {} WITH LOGIN PASSWORD %s", role, values=(verifier,))


def provide(master: Any, owner: Login) -> None:
    """Make the role and the database of ``owner``, or bring them up to date."""
    identifier = import_module("psycopg2.sql").Identifier
    role, database = identifier(owner.user), identifier(owner.name)
    provide_role(master, owner)
    run(master, "GRANT {} TO CURRENT_USER", role)

    found = ask(
        master,
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s",
        owner.name,
    )
    if not found:
        run(master, "CREATE DATABASE {} OWNER {}", database, role)
    elif found != owner.user:
        run(master, "ALTER DATABASE {} OWNER TO {}", database, role)
    run(master, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)


def separate(master: Any, airflow: Login, results: Login) -> None:
    """Check that the role which the workers hold has no way to Airflow's database."""
    question = "SELECT has_database_privilege(%s, %s, 'CONNECT')"
    if ask(master, question, results.user, airflow.name):
        raise DatabaseError(
            f"role {results.user} may connect to database {airflow.name}; "
            "revoke what grants it that: workers hold this role"
        )


def prepare(
    master: Login, airflow: Login, results: Login, say: Callable[[str], None]
) -> None:
    """Make both roles and databases and log in as each. Safe to repeat."""
    error = import_module("psycopg2").Error
    connection = wait_for(master, say)
    try:
        ask(connection, "SELECT pg_advisory_lock(%s) IS NULL", LOCK)
        for owner in (airflow, results):
            provide(connection, owner)
            connect(owner).close()
            say(f"ready: {owner}")
        separate(connection, airflow, results)
    except error as reason:
        raise DatabaseError(" ".join(str(reason).split())) from reason
    finally:
        connection.close()


def ask(connection: Any, question: str, *values: object) -> Any:
    """Return the first value that a question finds, or nothing."""
    with connection.cursor() as cursor:
        cursor.execute(question, values)
        row = cursor.fetchone()
        return row[0] if row else None


def run(connection: Any, text: str, *names: Any, values: tuple[Any, ...] = ()) -> None:
    """Run a statement with quoted ``names`` in the places of its braces."""
    statement = import_module("psycopg2.sql").SQL(text).format(*names)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
