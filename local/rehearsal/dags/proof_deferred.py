"""A sensor that waits in the triggerer and occupies no worker meanwhile."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import dag

WAIT = timedelta(seconds=20)
"""From the request on: longer than a busy worker takes to begin with the task."""


@dag(schedule=None, is_paused_upon_creation=False)
def proof_deferred() -> None:
    """One deferrable sensor."""
    TimeDeltaSensor(task_id="wait", delta=WAIT, deferrable=True)


proof_deferred()
