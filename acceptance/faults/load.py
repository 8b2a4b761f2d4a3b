"""A run of the DAG of ``fault_dags``, held under way for as long as a fault takes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import requests

from acceptance.api import OVER, ApiError, Document, api
from acceptance.check import NotProven, Pending, until
from acceptance.containers import logs
from acceptance.faults.ledger import Entry, Instance, Ledger, LedgerError, Name, judge
from local.environment import Stage

DAGS = Path(__file__).parents[1] / "fault_dags"
DAG = "faults"

HOLD, DEFERRED = "hold", "deferred"

KNOWN_SECONDS = 180.0
"""Until Airflow knows the DAG: the bucket is looked through every minute."""

HELD_SECONDS = 180.0
"""Until every task that waits has begun."""

PATIENCE_SECONDS = 600
"""How long a task waits to be told to end, which is longer than the faults take."""

END_SECONDS = 240.0
"""Until a run that may end has ended: a second or two of CPU for each task."""

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Run:
    """One run and its ledger."""

    stage: Stage
    run_id: str
    ledger: Ledger
    width: int

    @classmethod
    def begin(cls, stage: Stage, *, width: int) -> Run:
        """Return a run whose ``width`` waiting tasks and deferred one are under way."""
        asked = api(stage)
        try:
            asked.dag(DAG)
        except ApiError:
            stage.put_dags(DAGS)
        asked.wait_for_dag(
            DAG, seconds=KNOWN_SECONDS, remedy=logs(stage, "dag-processor")
        )
        folder = _new_folder(stage.folder / "faults")
        conf = {"folder": str(folder), "width": width, "seconds": PATIENCE_SECONDS}
        run = cls(stage, asked.trigger(DAG, conf), Ledger(folder), width)
        try:
            run.wait_until_held()
        except NotProven:
            # What waits now would be in the way of the next run.
            run.go()
            raise
        return run

    def wait_until_held(self) -> None:
        """Return when every task that waits has begun, and none is on its way."""

        def look() -> bool | Pending:
            held = len(self.ledger.held(HOLD)), len(self.ledger.held(DEFERRED))
            if held != (self.width, 1):
                return Pending(f"{held[0]} in workers, {held[1]} in the triggerer")
            # A task that begins is known to its worker before Airflow has it down.
            waiting = [one for one in self.instances() if one.state in UNDER_WAY]
            return len(waiting) == self.width + 1 or Pending(f"{waiting}")

        until(
            f"{self.width} tasks to wait in workers and one in the triggerer",
            lambda: patiently(look),
            seconds=HELD_SECONDS,
            remedy=logs(self.stage, "scheduler", "worker"),
        )

    def held(self) -> list[Entry]:
        """Return the tasks that wait in workers now, each as it began last."""
        return self.ledger.held(HOLD)

    def go(self) -> None:
        """Let everything end that waits."""
        self.ledger.go()

    def instances(self) -> list[Instance]:
        """Return the task instances as Airflow tells them. Raises what ``api`` does."""
        return [_instance(one) for one in api(self.stage).tasks(DAG, self.run_id)]

    def finish(self, killed: Collection[str] = ()) -> list[Name]:
        """Wait for the end and return the tasks that their killed workers made anew.

        ``killed`` are the workers' addresses. Raises NotProven when a task was lost,
        ran twice, or did not succeed.
        """
        remedy = logs(self.stage, "scheduler", "worker")

        def look() -> str | Pending:
            state = str(api(self.stage).run(DAG, self.run_id)["state"])
            return state if state in OVER else Pending(self._standing(state))

        until(
            f"run {self.run_id} of {DAG} to end",
            lambda: patiently(look),
            seconds=END_SECONDS,
            remedy=remedy,
        )
        try:
            return judge(
                self.ledger.entries(),
                self.instances(),
                width=self.width,
                killed=killed,
            )
        except LedgerError as error:
            raise NotProven(f"The ledger of {self.run_id}: {error}.", remedy) from error

    def _standing(self, state: str) -> str:
        left = sorted(
            f"{task}[{index}] {one.state or 'waits'}"
            for one in self.instances()
            for task, index in [one.name]
            if one.state != "success"
        )
        return f"{state}; {', '.join(left)}"


UNDER_WAY = frozenset({"running", "deferred"})


def patiently(look: Callable[[], _Found | Pending]) -> _Found | Pending:
    """Look by way of an API server that may be away or broken for a moment."""
    try:
        return look()
    except (ApiError, requests.RequestException) as error:
        return Pending(f"the API: {error}")


def _instance(found: Document) -> Instance:
    return Instance(
        name=(found["task_id"], int(found["map_index"])),
        state=str(found["state"] or ""),
        attempt=int(found["try_number"]),
    )


def _new_folder(parent: Path) -> Path:
    for number in itertools.count(1):
        folder = parent / str(number)
        if not folder.exists():
            folder.mkdir(parents=True)
            return folder
    raise AssertionError  # there is always another number
