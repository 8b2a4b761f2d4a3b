"""A DAG whose tasks record each of their executions, and wait until they may end.

Each task appends a line to a file as its own code starts and another as it ends. The
file is beside Airflow, on this machine, so neither a datastore that is away nor an
Airflow that forgets can change it. The run's ``conf`` has:

* ``folder``: where ``executions`` is written, and where a file ``go`` ends the waiting;
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
    """Return the folder of this task's run."""
    return Path(context["dag_run"].conf["folder"])


def record(context: Context, event: str) -> None:
    """Append a line; short enough to be written in one piece."""
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
    path = folder_of(context) / "executions"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def recorded(work: Callable[P, R]) -> Callable[P, R]:
    """Record when a task's code starts and when it has succeeded."""

    @functools.wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        context = get_current_context()
        record(context, "start")
        result = work(*args, **kwargs)
        record(context, "end")
        return result

    return run


class Deferred(BaseOperator):
    """Waits in the triggerer instead of in a worker."""

    def execute(self, context: Context) -> None:
        """Wait in the triggerer."""
        record(context, "start")
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
            raise RuntimeError(f"the trigger returned {event}")
        record(context, "end")


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
    @recorded
    def numbers() -> list[int]:
        return list(range(get_current_context()["dag_run"].conf["width"]))

    @task
    @recorded
    def hold(number: int) -> int:
        context = get_current_context()
        end = time.monotonic() + context["dag_run"].conf["seconds"]
        while not (folder_of(context) / "go").exists():
            if time.monotonic() > end:
                raise TimeoutError("the file go was not made")
            time.sleep(LOOK_SECONDS)
        return number

    @task
    @recorded
    def double(number: int) -> int:
        return 2 * number

    @task
    @recorded
    def total(doubled: list[int]) -> None:
        width = get_current_context()["dag_run"].conf["width"]
        if sorted(doubled) != list(range(0, 2 * width, 2)):
            raise ValueError(f"lost or twice: {doubled}")

    total(double.expand(number=hold.expand(number=numbers())))
    Deferred(task_id="deferred")


faults()
