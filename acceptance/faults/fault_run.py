"""A run of the DAG of ``fault_dags``, held under way for as long as a fault takes."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from acceptance.api import OVER, Document, api, patiently
from acceptance.check import CheckFailed, Pending, until
from acceptance.faults.execution_record import (
    Entry,
    ExecutionRecord,
    RecordError,
    TaskInstance,
    TaskKey,
    verify,
)
from local.environment import LocalEnvironment

DAGS = Path(__file__).parents[1] / "fault_dags"
DAG = "faults"

HOLD, DEFERRED = "hold", "deferred"

KNOWN_SECONDS = 180.0
"""Until Airflow knows the DAG: the bucket is looked through every minute."""

HELD_SECONDS = 180.0
"""Until every task that waits has started."""

PATIENCE_SECONDS = 600
"""How long a task waits to be told to end, which is longer than the faults take."""

END_SECONDS = 240.0
"""Until a run that may end has ended: a second or two of CPU for each task."""

UNDER_WAY = frozenset({"running", "deferred"})


@dataclass(frozen=True)
class FaultRun:
    """One run and the record of its executions."""

    environment: LocalEnvironment
    run_id: str
    record: ExecutionRecord
    width: int

    @classmethod
    def start(cls, environment: LocalEnvironment, *, width: int) -> FaultRun:
        """Return a run whose ``width`` waiting tasks and deferred one are under way."""
        airflow = api(environment)
        airflow.wait_for_dag(
            DAG, seconds=KNOWN_SECONDS, remedy=environment.logs("dag-processor")
        )
        folder = new_folder(environment.folder / "faults")
        conf = {"folder": str(folder), "width": width, "seconds": PATIENCE_SECONDS}
        run_id = airflow.trigger(DAG, conf)
        run = cls(environment, run_id, ExecutionRecord(folder), width)
        try:
            run.wait_until_held()
        except CheckFailed:
            # What waits now would be in the way of the next run.
            run.go()
            raise
        return run

    def wait_until_held(self) -> None:
        """Return when every task that waits has started, and none is on its way."""

        def look() -> bool | Pending:
            held, deferred = len(self.held()), len(self.record.under_way(DEFERRED))
            if (held, deferred) != (self.width, 1):
                return Pending(f"{held} in workers, {deferred} in the triggerer")
            # A task that starts is known to its worker before Airflow records it.
            waiting = [task for task in self.instances() if task.state in UNDER_WAY]
            return len(waiting) == self.width + 1 or Pending(f"{waiting}")

        until(
            f"{self.width} tasks to wait in workers and one in the triggerer",
            lambda: patiently(look),
            seconds=HELD_SECONDS,
            remedy=self.environment.logs("scheduler", "worker"),
        )

    def held(self) -> list[Entry]:
        """Return the tasks that wait in workers now, each as it started last."""
        return self.record.under_way(HOLD)

    def go(self) -> None:
        """Let everything end that waits."""
        self.record.go()

    def instances(self) -> list[TaskInstance]:
        """Return the task instances. Raises what ``api`` does."""
        return [
            _instance(task) for task in api(self.environment).tasks(DAG, self.run_id)
        ]

    def finish(self, killed: Collection[str] = ()) -> list[TaskKey]:
        """Wait for the end and return the tasks that ran again.

        ``killed`` are the addresses of killed workers. Raises CheckFailed when a task
        was lost, ran twice, ran again for another reason, or did not succeed.
        """
        remedy = self.environment.logs("scheduler", "worker")

        def look() -> str | Pending:
            state = str(api(self.environment).run(DAG, self.run_id)["state"])
            return state if state in OVER else Pending(self._unfinished(state))

        until(
            f"run {self.run_id} of {DAG} to end",
            lambda: patiently(look),
            seconds=END_SECONDS,
            remedy=remedy,
        )
        try:
            return verify(
                self.record.entries(),
                self.instances(),
                width=self.width,
                killed=killed,
            )
        except RecordError as error:
            raise CheckFailed(f"Run {self.run_id}: {error}.", remedy) from error

    def _unfinished(self, state: str) -> str:
        tasks = sorted(
            f"{name}[{index}] {instance.state or 'waits'}"
            for instance in self.instances()
            for name, index in [instance.task]
            if instance.state != "success"
        )
        return f"{state}; {', '.join(tasks)}"


def _instance(task: Document) -> TaskInstance:
    return TaskInstance(
        task=(task["task_id"], int(task["map_index"])),
        state=str(task["state"] or ""),
        attempt=int(task["try_number"]),
    )


def new_folder(parent: Path) -> Path:
    """Return a new folder for one run."""
    folder = parent / str(time.time_ns())
    folder.mkdir(parents=True)
    return folder
