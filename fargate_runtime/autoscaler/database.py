"""The metadata database as the autoscaler reaches it: no wait without an end.

psycopg2 waits inside libpq for ever when a server holds its connection open and says
nothing. So it hands every wait to us, and we give up after ``PATIENCE_SECONDS``.
"""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from fargate_runtime.connections import CONNECT_ARGS
from fargate_runtime.migration.databases import Login

PATIENCE_SECONDS = 4.0
"""For one answer, a new connection included."""

STATEMENT_SECONDS = 3.0
"""After which the server itself gives up on a statement; it says so in time."""

Row = tuple[Any, ...]


class AwayError(Exception):
    """The database does not answer as it should; the message says why."""


class Database:
    """One session, opened when it is needed and opened anew after a failure."""

    def __init__(self, login: Login, *, idle_seconds: float = 0) -> None:
        """Say whose session it is.

        The server ends it after ``idle_seconds`` without a statement, and with it
        every lock that it holds; 0 is never.
        """
        self._login = login
        self._idle_seconds = idle_seconds
        self._connection: Any = None

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement finds. Raises AwayError; the session is then over."""
        psycopg2 = import_module("psycopg2")
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.cursor() as cursor:
                cursor.execute(statement, tuple(values))
                found: list[Row] = cursor.fetchall()
        # A wrong value, such as a dictionary that is none, is our own mistake.
        except psycopg2.Error as error:
            self.close()
            raise AwayError(" ".join(str(error).split())) from error
        return found

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
                # To compile a plan, or to start helpers, takes longer than it runs.
                "-c jit=off -c max_parallel_workers_per_gather=0 "
                # A backlog is counted by hashing; to sort it takes five times as long.
                "-c enable_sort=off -c work_mem=16MB"
            ),
            **CONNECT_ARGS,
        )
        connection.autocommit = True
        return connection


def _wait(connection: Any) -> None:
    """Wait until a connection has done what it was asked for, but not for ever."""
    extensions = import_module("psycopg2.extensions")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (state := connection.poll()) != extensions.POLL_OK:
        left = deadline - time.monotonic()
        if left <= 0:
            raise import_module("psycopg2").OperationalError(
                f"no answer within {PATIENCE_SECONDS:.0f} s"
            )
        reading = [connection] if state == extensions.POLL_READ else []
        writing = [] if reading else [connection]
        select.select(reading, writing, [], left)
