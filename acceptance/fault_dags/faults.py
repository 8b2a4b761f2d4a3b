"""An Airflow DAG whose tasks write down that they run, and wait to be told to end.

Each task appends a line to a file as its own code begins and another as it ends. The
file is beside Airflow, on the machine of the rehearsal, so neither a store that is away
nor an Airflow that forgets can change it. Who triggers the DAG gives in ``conf``:

* ``folder``: where ``ledger`` is written, and where a file ``go`` ends the waiting;
* ``width``: how many tasks wait, in parallel;
* ``seconds``: how long they wait for ``go`` before they fail.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from airflow.providers.standard.triggers.file import FileTrigger
from airflow.sdk import BaseOperator, Context, dag, get_current_context, task

P = ParamSpec("P")
R = TypeVar("R")

LOOK_SECONDS = 0.2

AGAIN = {"retries": 2, "retry_delay": timedelta(seconds=1)}


def folder_of(context: Context) -> Path:
    """Return where the run that this task belongs to keeps its files."""
    return Path(context["dag_run"].conf["folder"])


def note(context: Context, event: str) -> None:
    """Append a line; short enough for the system to write it in one piece."""
    instance = context["ti"]
    entry = {
        "task": instance.task_id,
        "index": instance.map_index,
        "try": instance.try_number,
        "event": event,
        "host": os.environ["HOSTNAME"],
        "at": time.time(),
    }
    line = f"{json.dumps(entry)}\n".encode()
    place = folder_of(context) / "ledger"
    file = os.open(place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def noted(work: Callable[P, R]) -> Callable[P, R]:
    """Write down when a task's code begins and when it has succeeded."""

    @functools.wraps(work)
    def run(*given: P.args, **named: P.kwargs) -> R:
        context = get_current_context()
        note(context, "start")
        found = work(*given, **named)
        note(context, "end")
        return found

    return run


class Deferred(BaseOperator):
    """Waits in the triggerer instead of in a worker."""

    def execute(self, context: Context) -> None:
        """Hand the waiting over."""
        note(context, "start")
        self.defer(
            trigger=FileTrigger(
                filepath=str(folder_of(context) / "go"), poke_interval=LOOK_SECONDS
            ),
            method_name="resume",
            timeout=timedelta(seconds=context["dag_run"].conf["seconds"]),
        )

    def resume(self, context: Context, event: Any) -> None:
        """Go on after the waiting."""
        if event is not True:
            raise RuntimeError(f"the trigger said {event}")
        note(context, "end")


@dag(
    schedule=None,
    catchup=False,
    default_args=AGAIN,
    is_paused_upon_creation=False,
    # One fault's run may still end while the next begins.
    max_active_runs=4,
)
def faults() -> None:
    """Numbers, each held and then doubled by another task, and their sum."""

    @task
    @noted
    def numbers() -> list[int]:
        return list(range(get_current_context()["dag_run"].conf["width"]))

    @task
    @noted
    def hold(number: int) -> int:
        context = get_current_context()
        end = time.monotonic() + context["dag_run"].conf["seconds"]
        while not (folder_of(context) / "go").exists():
            if time.monotonic() > end:
                raise TimeoutError("nobody said go")
            time.sleep(LOOK_SECONDS)
        return number

    @task
    @noted
    def double(number: int) -> int:
        return 2 * number

    @task
    @noted
    def total(doubled: list[int]) -> None:
        width = get_current_context()["dag_run"].conf["width"]
        if sorted(doubled) != list(range(0, 2 * width, 2)):
            raise ValueError(f"lost or double on the way: {doubled}")

    total(double.expand(number=hold.expand(number=numbers())))
    Deferred(task_id="deferred")


faults()
