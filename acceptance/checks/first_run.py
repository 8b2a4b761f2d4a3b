"""How soon a new environment runs its first DAG."""

from __future__ import annotations

import time

from acceptance.api import api
from acceptance.check import CheckFailed
from acceptance.environment import Environment

MAXIMUM_SECONDS = 20.0
"""From the first healthy moment until a first DAG run has succeeded."""

GIVE_UP_SECONDS = 120.0
"""A run that comes too late is still reported with its time."""

DAG_ID = "check_plain"


def first_run(environment: Environment) -> str:
    """Run a DAG that was in the bucket before anything started, at once."""
    started = time.monotonic()
    remedy = environment.logs("dag-processor", "scheduler", "worker")
    airflow = api(environment)
    airflow.wait_for_dag(DAG_ID, seconds=GIVE_UP_SECONDS, remedy=remedy)
    known = time.monotonic() - started
    run_id = airflow.trigger(DAG_ID)
    airflow.wait_for_run(DAG_ID, run_id, seconds=GIVE_UP_SECONDS, remedy=remedy)
    seconds = time.monotonic() - started
    if seconds > MAXIMUM_SECONDS:
        raise CheckFailed(
            f"The first run ended {seconds:.1f} s after all was healthy, its DAG was "
            f"known after {known:.1f} s; {MAXIMUM_SECONDS:.0f} s are allowed.",
            remedy,
        )
    return f"known after {known:.1f} s, three tasks succeeded after {seconds:.1f} s"
