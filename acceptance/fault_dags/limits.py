"""A DAG whose tasks do not end by themselves at their first try.

``hang`` holds Python's lock in native code and ignores SIGTERM; ``outlive`` loses its
supervisor. Each writes its processes and its folder for temporary files into the folder
that the run's ``conf`` names; the second try ends at once.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Context, dag, get_current_context, task

SECONDS = 600


def folder_of(context: Context) -> Path:
    """Return the folder of this task's run."""
    return Path(context["dag_run"].conf["folder"])


def note_retry(context: Context) -> None:
    """Leave a file: the callbacks of a task that was killed run as well."""
    (folder_of(context) / f"{context['ti'].task_id}.retried").touch()


def is_first_try() -> bool:
    """Return whether it is; write then which processes run."""
    context = get_current_context()
    instance = context["ti"]
    if instance.try_number > 1:
        return False
    path = folder_of(context) / f"{instance.task_id}.json"
    processes = {
        "task": os.getpid(),
        "supervisor": os.getppid(),
        "temporary": tempfile.gettempdir(),
    }
    new = path.with_suffix(".new")
    new.write_text(json.dumps(processes))
    new.replace(path)
    return True


@dag(
    schedule=None,
    catchup=False,
    default_args={
        "retries": 1,
        "retry_delay": timedelta(seconds=1),
        "on_retry_callback": note_retry,
    },
    is_paused_upon_creation=False,
)
def limits() -> None:
    """Two tasks, side by side."""

    @task
    def hang() -> None:
        if is_first_try():
            print("hangs now")  # noqa: T201 - for the log of the task
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ctypes.PyDLL(None).sleep(SECONDS)

    @task
    def outlive() -> None:
        if is_first_try():
            print("outlives its supervisor")  # noqa: T201 - as above
            time.sleep(SECONDS)

    hang()
    outlive()


limits()
