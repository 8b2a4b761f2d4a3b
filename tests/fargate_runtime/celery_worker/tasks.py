"""What the tests' workers run."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from uuid import uuid4

from celery import shared_task


def take_time(folder: str, name: str, seconds: float) -> None:
    """Take some time, or until told; leave a file at the start and one at the end."""
    run = f"{name}-{os.getpid()}-{time.time_ns()}"
    Path(folder, f"{run}.started").touch()
    end, enough = time.monotonic() + seconds, Path(folder, f"{name}.enough")
    while time.monotonic() < end and not enough.exists():
        time.sleep(0.02)
    Path(folder, f"{run}.ended").touch()


def take_supervised_time(folder: str, name: str, seconds: float) -> None:
    """Begin once the supervisor listens to signals, as it does a little later."""
    status = Path(f"/proc/{os.getppid()}/status")
    while not caught(status.read_text()) >> (signal.SIGTERM - 1) & 1:
        time.sleep(0.02)
    take_time(folder, name, seconds)


def caught(status: str) -> int:
    """Return the set of signals that a process handles, as Linux shows it."""
    return int(status.partition("SigCgt:")[2].split()[0], 16)


@shared_task(name="hold")  # type: ignore[untyped-decorator]  # celery ships no types
def hold(folder: str, name: str, seconds: float) -> None:
    """Take some time in the pool's process."""
    take_time(folder, name, seconds)


@shared_task(name="supervised")  # type: ignore[untyped-decorator]  # as above
def supervised(folder: str, name: str, seconds: float) -> None:
    """Take some time as a task of Airflow does, below its own supervisor.

    The supervisor is real. A stub accepts every request to the API server, and the
    task needs no message to begin.
    """
    # Airflow takes seconds to import, and only this task needs it.
    base: Any = import_module(
        "airflow.sdk.execution_time.supervisor"
    ).ActivitySubprocess
    data = import_module("airflow.sdk.api.datamodels._generated")

    class Supervisor(base):  # type: ignore[misc]  # as above
        def _on_child_started(self, **_: Any) -> None:
            """Send nothing."""

        def _upload_logs(self) -> None:
            """Have none."""

    Supervisor.start(
        what=data.TaskInstance(
            id=uuid4(),
            task_id=name,
            dag_id="dag",
            run_id="run",
            try_number=1,
            dag_version_id=uuid4(),
        ),
        dag_rel_path="dag.py",
        bundle_info=data.BundleInfo(name="dags"),
        client=MagicMock(),
        target=partial(take_supervised_time, folder, name, seconds),
    ).wait()
