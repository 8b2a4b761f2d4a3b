"""Leader election: the autoscaler whose session holds an advisory lock is the leader.

A leader that dies loses its session, and with it the lock, at once. One that freezes,
or that the network cut off, would keep it: so the server ends a session without a
statement for ``IDLE_SECONDS``, and the leader sends one every second.
"""

from __future__ import annotations

from fargate_runtime.autoscaler.database import (
    DatabaseSession,
    DatabaseUnavailableError,
)
from fargate_runtime.autoscaler.log import Log, Outage
from fargate_runtime.env import DatabaseLogin

LOCK = (3303, 2)
"""Two numbers are a key space of their own; Airflow's locks are single numbers."""

IDLE_SECONDS = 8.0
"""Longer than any step of a round, so that a slow response does not cost leadership;
and with ``TRY_SECONDS`` well within the 15 s in which another one is to take over."""

TRY_SECONDS = 2.0
"""How often to try to take the lock."""


class Leader:
    """Leadership of this autoscaler."""

    def __init__(self, login: DatabaseLogin, log: Log) -> None:
        self._database = DatabaseSession(login, idle_seconds=IDLE_SECONDS)
        self._outage = Outage("Database (leader election)", log)
        self._log = log
        self._is_leader = False
        self._is_standby = False

    def is_leader(self) -> bool:
        """Return whether this autoscaler is the leader; take a free lock."""
        if not self._outage.is_due:
            return False
        try:
            if self._is_leader:
                self._database.rows("SELECT 1")
            else:
                ((self._is_leader,),) = self._database.rows(
                    "SELECT pg_try_advisory_lock(%s, %s)", LOCK
                )
                self._announce()
        except DatabaseUnavailableError as error:
            if self._is_leader:
                self._log(f"Lost leadership: {error}")
            self._is_leader = self._is_standby = False
            self._outage.failed(error)
        else:
            self._outage.answered()
        return self._is_leader

    def resign(self) -> None:
        """Release the lock, so that another autoscaler takes over at once."""
        self._database.close()
        self._is_leader = False

    def _announce(self) -> None:
        if self._is_leader:
            self._log("Became the leader.")
        elif not self._is_standby:
            self._log("Another autoscaler is the leader; standing by.")
        self._is_standby = not self._is_leader
