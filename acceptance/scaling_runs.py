"""Runs of the DAGs that pools are scaled on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from acceptance.api import api, patiently
from acceptance.check import CheckFailed, Pending, until
from acceptance.pool import WORKER
from acceptance.simulation_check import TRACE, TaskRecord, history
from local.environment import LocalEnvironment

BURST_DAG, FEW_DAG = "scaling_burst", "scaling_few"
TASKS, FEW = 200, 2
"""Of the one and of the other; the burst has the few among its tasks."""

REMEDY = ("autoscaler", WORKER)
"""Whose logs tell why."""

RUN_SECONDS = 600.0
"""Two hundred tasks of Airflow and the checks beside them, on two busy cores."""

API_SECONDS = 120.0
"""For a restart of the API server."""


@dataclass
class ScalingRun:
    """One run of a scaling DAG."""

    environment: LocalEnvironment
    dag_id: str
    end: Path
    """The file that ends its long tasks."""
    run_id: str
    started: float

    @classmethod
    def start(
        cls, environment: LocalEnvironment, dag_id: str, *, is_long: bool = True
    ) -> ScalingRun:
        """Start a run; its first tasks wait for ``end``, or end at once."""
        folder = (environment.folder / TRACE).parent
        folder.mkdir(exist_ok=True)
        end = folder / f"end-{time.time_ns()}"
        if not is_long:
            end.touch()
        started = time.time()
        run_id = api(environment).trigger(dag_id, {"end": str(end)})
        return cls(environment, dag_id, end, run_id, started)

    @property
    def remedy(self) -> str:
        """Where to read on."""
        return self.environment.logs(*REMEDY)

    def count(self, state: str) -> int:
        """Return how many tasks are in a state."""

        def look() -> int:
            return api(self.environment).count(self.dag_id, self.run_id, state)

        # A fault check may have killed the API server.
        return until(
            "the states of tasks",
            lambda: patiently(look),
            seconds=API_SECONDS,
            remedy=self.remedy,
        )

    def wait_for(self, what: str, seconds: float, **counts: int) -> None:
        """Wait until as many tasks are in each of the states named."""

        def look() -> bool | Pending:
            if failed := self.count("failed"):
                raise CheckFailed(f"{failed} tasks failed.", self.remedy)
            now = {name: self.count(name) for name in counts}
            return now == counts or Pending(str(now))

        until(what, look, seconds=seconds, remedy=self.remedy)

    def succeed(self) -> list[TaskRecord]:
        """Return the tasks when all have succeeded at the first try."""
        api(self.environment).wait_for_run(
            self.dag_id, self.run_id, seconds=RUN_SECONDS, remedy=self.remedy
        )
        records = history(self.environment, self.dag_id, self.run_id)
        wrong = [task for task in records if task.state != "success" or task.tries != 1]
        if wrong:
            raise CheckFailed(
                f"{len(wrong)} of {len(records)} tasks were not done at the first try.",
                self.remedy,
            )
        return records
