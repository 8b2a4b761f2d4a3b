"""Records of the tasks that a worker runs: one file for each busy pool process.

A process of Celery's pool is the supervisor of its task. It writes the record before
the task and removes it after; the main process reads them. A record that is left tells
that its supervisor was killed, even where Celery has forgotten the task, as it does
with each connection to the broker.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fargate_runtime.worker.processes import Process, find


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRecord:
    """A task that a supervisor has begun."""

    name: str
    """DAG, task, run and try, as the worker's log names them."""

    log_path: str
    """The task's log below Airflow's log folder; empty where it has none."""

    began: float
    """When the supervisor took the task, on ``task_protection.now``'s clock."""

    supervisor: Process


class RecordFolder:
    """The records of one worker, in a folder of its own."""

    def __init__(self, path: Path = Path()) -> None:
        self._path = path

    def create(self) -> None:
        """Make a new folder, before the pool's processes are forked."""
        self._path = Path(tempfile.mkdtemp(prefix="task-records-"))

    def begin(self, name: str, arguments: Sequence[Any], *, began: float) -> None:
        """Record the task that this process begins; ``arguments`` are Celery's."""
        own = find(os.getpid())
        if own is None:
            raise RuntimeError("/proc does not show the own process")
        name, log_path = _describe(name, arguments)
        record = TaskRecord(name=name, log_path=log_path, began=began, supervisor=own)
        new = self._path / f".{own.pid}"
        new.write_text(json.dumps(asdict(record)))
        new.replace(self._path / str(own.pid))

    def end(self) -> None:
        """Remove the record of this process."""
        self.remove(os.getpid())

    def remove(self, pid: int) -> None:
        """Remove the record of a supervisor."""
        (self._path / str(pid)).unlink(missing_ok=True)

    def read(self) -> Iterator[TaskRecord]:
        """Yield the records of the tasks that have not ended."""
        for path in sorted(self._path.glob("[0-9]*")):
            # The task ends while the folder is read.
            with contextlib.suppress(FileNotFoundError):
                fields = json.loads(path.read_text())
                supervisor = Process(*fields.pop("supervisor"))
                yield TaskRecord(**fields, supervisor=supervisor)


def _describe(name: str, arguments: Sequence[Any]) -> tuple[str, str]:
    """Return name and log path of a workload of Airflow's; of others the name alone."""
    try:
        workload = json.loads(arguments[0])
        log_path = workload.get("log_path") or ""
        instance = workload.get("ti")
        if instance is None:
            return str(workload["type"]), log_path
        index = instance.get("map_index", -1)
        which = f"[{index}]" if index >= 0 else ""
        task = f"{instance['dag_id']}.{instance['task_id']}{which}"
        run = f"{instance['run_id']}, try {instance['try_number']}"
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return name, ""
    return f"{task} of {run}", log_path
