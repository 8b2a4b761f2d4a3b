"""Session of the metadata database in which every wait has a timeout.

psycopg2 waits inside libpq for ever when a server holds its connection open and sends
nothing. So a callback does every wait, and gives up after ``TIMEOUT_SECONDS``.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from fargate_runtime.contract import CONNECT_ARGS
from fargate_runtime.env import DatabaseLogin

TIMEOUT_SECONDS = 4.0
"""For one statement, a new connection included."""

STATEMENT_SECONDS = 3.0
"""Timeout in the server, which reports it before the client gives up."""

Row = tuple[Any, ...]


class DatabaseUnavailableError(Exception):
    """The database did not execute a statement; the message says why."""


class DatabaseSession:
    """One session, opened when it is needed and reopened after a failure."""

    def __init__(self, login: DatabaseLogin, *, idle_seconds: float = 0) -> None:
        """Keep the login.

        The server ends the session after ``idle_seconds`` without a statement, and
        with it every lock that it holds; 0 is never.
        """
        self._login = login
        self._idle_seconds = idle_seconds
        self._connection: Any = None

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return the rows of a statement. DatabaseUnavailableError ends the session."""
        psycopg2 = import_module("psycopg2")
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.cursor() as cursor:
                cursor.execute(statement, tuple(values))
                rows: list[Row] = cursor.fetchall()
        # Any other error, such as a value of a wrong type, is a bug.
        except psycopg2.Error as error:
            self.close()
            raise DatabaseUnavailableError(" ".join(str(error).split())) from error
        return rows

    def close(self) -> None:
        """End the session; safe to repeat."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(import_module("psycopg2").Error):
                connection.close()

    def _connect(self) -> Any:
        psycopg2 = import_module("psycopg2")
        import_module("psycopg2.extensions").set_wait_callback(_wait)
        login = self._login
        connection = psycopg2.connect(
            host=login.host,
            port=login.port,
            dbname=login.name,
            user=login.user,
            password=login.password,
            application_name="airflow-autoscaler",
            options=(
                f"-c statement_timeout={STATEMENT_SECONDS * 1000:.0f} "
                f"-c idle_session_timeout={self._idle_seconds * 1000:.0f} "
                "-c default_transaction_read_only=on "
                # Compiling a plan, or starting helpers, takes longer than running it.
                "-c jit=off -c max_parallel_workers_per_gather=0 "
                # A backlog is counted by hashing; to sort it takes five times as long.
                "-c enable_sort=off -c work_mem=16MB"
            ),
            **CONNECT_ARGS,
        )
        connection.autocommit = True
        return connection


def _wait(connection: Any) -> None:
    """Wait until a connection has finished its operation, or for the timeout."""
    extensions = import_module("psycopg2.extensions")
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while (state := connection.poll()) != extensions.POLL_OK:
        left = deadline - time.monotonic()
        if left <= 0:
            raise import_module("psycopg2").OperationalError(
                f"no response within {TIMEOUT_SECONDS:.0f} s"
            )
        reading = [connection] if state == extensions.POLL_READ else []
        writing = [] if reading else [connection]
        select.select(reading, writing, [], left)
