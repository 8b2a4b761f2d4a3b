"""Which of several autoscalers leads: the one whose session holds an advisory lock.

A leader that dies loses its session, and with it the lock, at once. One that freezes,
or that the network cut off, would keep it: so the server ends a session that said
nothing for ``IDLE_SECONDS``, and whoever leads speaks every second.
"""

from __future__ import annotations

from fargate_runtime.autoscaler.database import AwayError, Database
from fargate_runtime.autoscaler.log import Outage, Say
from fargate_runtime.migration.databases import Login

LOCK = (3303, 2)
"""Two numbers are a key space of their own; Airflow's locks are single numbers."""

IDLE_SECONDS = 8.0
"""Longer than any step of a round, so that a slow answer does not cost the lead; and
with ``TRY_SECONDS`` well within the 15 s in which another one is to lead."""

TRY_SECONDS = 2.0
"""How often to ask whether the lock is free."""


class Leader:
    """The claim of this autoscaler to lead."""

    def __init__(self, login: Login, tell: Say) -> None:
        self._database = Database(login, idle_seconds=IDLE_SECONDS)
        self._outage = Outage("the database (for the lead)", tell)
        self._tell = tell
        self._leads = False
        self._waits = False

    def leads(self) -> bool:
        """Return whether this autoscaler leads now, and try to if nobody does."""
        if not self._outage.is_due:
            return False
        try:
            if self._leads:
                self._database.rows("SELECT 1")
            else:
                ((self._leads,),) = self._database.rows(
                    "SELECT pg_try_advisory_lock(%s, %s)", LOCK
                )
                self._announce()
        except AwayError as error:
            if self._leads:
                self._tell(f"lost the lead: {error}")
            self._leads = self._waits = False
            self._outage.failed(error)
        else:
            self._outage.answered()
        return self._leads

    def resign(self) -> None:
        """Let another one lead at once."""
        self._database.close()
        self._leads = False

    def _announce(self) -> None:
        if self._leads:
            self._tell("leads")
        elif not self._waits:
            self._tell("another autoscaler leads; this one waits")
        self._waits = not self._leads
