"""Runs of the DAGs that pools are scaled on."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from acceptance.api import api
from acceptance.check import NotProven, Pending, until
from acceptance.containers import logs
from acceptance.pool import WORKER
from acceptance.simulation_check import TRACE, Ran, history
from local.environment import Stage

DAG_FILE = "scaling.py"
BURST_DAG, FEW_DAG = "scaling_burst", "scaling_few"
TASKS, FEW = 200, 2
"""Of the one and of the other; the burst has the few among its tasks."""

REMEDY = ("autoscaler", WORKER)
"""Whose logs tell why."""

RUN_SECONDS = 420.0
"""Two hundred tasks of Airflow take two cores about as many seconds."""


@dataclass
class Run:
    """One run of a DAG of ours."""

    stage: Stage
    dag_id: str
    end: Path
    """The file that ends its long tasks."""
    run_id: str
    begun: float

    @classmethod
    def begin(cls, stage: Stage, dag_id: str, *, is_long: bool = True) -> Run:
        """Start a run; its first tasks are long ones or end at once."""
        folder = (stage.folder / TRACE).parent
        folder.mkdir(exist_ok=True)
        end = folder / f"end-{time.time_ns()}"
        if not is_long:
            end.touch()
        begun = time.time()
        run_id = api(stage).trigger(dag_id, {"end": str(end)})
        return cls(stage, dag_id, end, run_id, begun)

    def states(self) -> Counter[str]:
        """Return how many tasks are in which state."""
        tasks = api(self.stage).tasks(self.dag_id, self.run_id)
        return Counter(str(task["state"] or "waiting") for task in tasks)

    def reach(self, what: str, seconds: float, **wanted: int) -> None:
        """Wait until as many tasks are in each of the states named."""
        remedy = logs(self.stage, *REMEDY)

        def look() -> bool | Pending:
            states = self.states()
            if states["failed"]:
                raise NotProven(f"Tasks failed: {dict(states)}.", remedy)
            is_so = all(states[name] == number for name, number in wanted.items())
            return is_so or Pending(str(dict(states)))

        until(what, look, seconds=seconds, remedy=remedy)

    def succeed(self) -> list[Ran]:
        """Return the tasks when all have succeeded at the first try."""
        remedy = logs(self.stage, *REMEDY)
        api(self.stage).wait_for_run(
            self.dag_id, self.run_id, seconds=RUN_SECONDS, remedy=remedy
        )
        ran = history(self.stage, self.dag_id, self.run_id)
        wrong = [one for one in ran if one.state != "success" or one.tries != 1]
        if wrong:
            raise NotProven(
                f"{len(wrong)} of {len(ran)} tasks were not done at the first try.",
                remedy,
            )
        return ran
