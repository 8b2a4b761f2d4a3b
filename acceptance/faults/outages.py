"""Datastores that stop under running tasks and start again.

Tasks wait in the workers as the datastore stops. They are told to end while it is away:
their success cannot be reported, nor what follows be queued, until it is back.
"""

from __future__ import annotations

import time

from acceptance.faults import components
from acceptance.faults.fault_run import FaultRun
from local.datastores import Postgres, Valkey
from local.environment import LocalEnvironment

WIDTH = 6

AWAY_SECONDS = 8.0
"""Long enough for every client to notice, and to try in vain."""

NOTICED_SECONDS = 1.0
"""Then tasks begin to end, and cannot report it."""


def postgres(environment: LocalEnvironment) -> str:
    """Stop and start the database."""
    return _outage(environment, environment.postgres)


def valkey(environment: LocalEnvironment) -> str:
    """Stop and start the broker."""
    return _outage(environment, environment.valkey)


def _outage(environment: LocalEnvironment, datastore: Postgres | Valkey) -> str:
    run = FaultRun.start(environment, width=WIDTH)
    try:
        datastore.stop()
        time.sleep(NOTICED_SECONDS)
        run.go()
        time.sleep(AWAY_SECONDS - NOTICED_SECONDS)
    finally:
        datastore.restart()
    seconds = components.wait_until_healthy(environment)
    run.finish()
    return (
        f"away for {AWAY_SECONDS:.0f} s, all healthy {seconds:.0f} s later; "
        f"{2 * WIDTH + 3} tasks succeeded, each once and at the first try"
    )
