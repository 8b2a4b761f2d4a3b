"""A sensor that waits in the triggerer and occupies no worker meanwhile."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseSensorOperator, dag

WAIT = timedelta(seconds=8)
"""From when the task runs: long enough to be seen, however busy the workers are."""


class Later(BaseSensorOperator):
    """Waits in the triggerer, then goes on in a worker."""

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow's signature
        """Let the triggerer wait."""
        self.defer(trigger=TimeDeltaTrigger(WAIT), method_name="go_on")

    def go_on(self, context: Any, event: Any = None) -> str:  # noqa: ARG002 - as above
        """End in a worker."""
        return "gone on"


@dag(schedule=None, is_paused_upon_creation=False)
def check_deferred() -> None:
    """One deferrable sensor."""
    Later(task_id="wait")


check_deferred()
