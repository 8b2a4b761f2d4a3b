"""Ends tasks that run too long, and clears up after supervisors that were killed.

Airflow's ``execution_timeout`` is a signal that Python handles between two steps of its
own: a task that hangs in native code runs for ever, and so does the task process of a
supervisor that was killed. Such a task keeps its worker, and the worker each update.

A task beyond the limit is told to end as Airflow tells it, by SIGTERM: it may clean up,
and reports its own failure. One that does not listen is killed together with its
supervisor. The supervisor's report would leave out the DAG's callbacks, which run in
the task; without it Celery reports a failure, and the scheduler fails the task
instance, with its retries and with callbacks in the DAG processor.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from logging import Logger
from pathlib import Path

from fargate_runtime.contract import LONG_TASK_GRACE_MINUTES, LONGEST_TASK_PARAMETER
from fargate_runtime.worker import processes
from fargate_runtime.worker.log_handover import LogHandover
from fargate_runtime.worker.processes import Process
from fargate_runtime.worker.task_records import RecordFolder, TaskRecord

TERMINATION_SECONDS = 30.0
"""From SIGTERM to SIGKILL: for ``on_kill``, and for the callbacks of a task that then
ends by itself."""

MINUTE = 60.0


@dataclass
class _Watched:
    """What is known of a recorded task beyond its record."""

    task: list[Process] = field(default_factory=list)
    """The children of the supervisor: the task's process."""
    is_announced: bool = False
    terminated_at: float | None = None
    is_killed: bool = False


class TaskLimits:
    """Watches the recorded tasks of one worker. Not thread-safe."""

    def __init__(
        self,
        records: RecordFolder,
        *,
        longest_minutes: int | None,
        log_folder: Callable[[], Path],
        handover: LogHandover,
        log: Logger,
    ) -> None:
        """Watch ``records``; None for no limit.

        ``log_folder`` returns the folder of Airflow's task logs.
        """
        self._records = records
        self._longest = longest_minutes
        self._log_folder = log_folder
        self._handover = handover
        self._log = log
        self._watched: dict[Process, _Watched] = {}
        self.overdue = 0
        """Running tasks beyond the longest that the parameter allows."""

    def look(self, now: float) -> None:
        """Do what is due; call every second."""
        records = list(self._records.read())
        known = self._watched
        self._watched = {
            record.supervisor: known.get(record.supervisor, _Watched())
            for record in records
        }
        self.overdue = 0
        for record in records:
            watched = self._watched[record.supervisor]
            if not processes.is_running(record.supervisor):
                self._clear_up(record, watched)
                continue
            if not watched.task:
                watched.task = processes.children(record.supervisor.pid)
            if self._longest is not None:
                self._limit(record, watched, now, self._longest * MINUTE)
        self._handover.look(now)

    def close(self, now: float) -> None:
        """Hand over what is left, and wait for it: the worker ends."""
        self.look(now)
        self._handover.finish()

    def _limit(
        self, record: TaskRecord, watched: _Watched, now: float, longest: float
    ) -> None:
        age = now - record.began
        if age <= longest:
            return
        self.overdue += 1
        ran = f"{record.name} has run for {age / MINUTE:.0f} minutes"
        limit = f"{LONGEST_TASK_PARAMETER} is {self._longest}"
        remedy = (
            f"Raise {LONGEST_TASK_PARAMETER} if the task needs longer; otherwise give "
            "it an execution_timeout and look where it hangs."
        )
        if not watched.is_announced:
            watched.is_announced = True
            self._log.warning(
                "Task %s; %s. It is ended after %d more minutes. %s",
                *(ran, limit, LONG_TASK_GRACE_MINUTES, remedy),
            )
        if age <= longest + LONG_TASK_GRACE_MINUTES * MINUTE:
            return
        if watched.terminated_at is None:
            watched.terminated_at = now
            self._tell(
                record,
                f"Ending the task: {ran}; {limit}, and {LONG_TASK_GRACE_MINUTES} "
                f"minutes of grace are over. Sent SIGTERM. {remedy}",
            )
            processes.send(processes.family(watched.task), signal.SIGTERM)
        elif (
            not watched.is_killed and now - watched.terminated_at >= TERMINATION_SECONDS
        ):
            watched.is_killed = True
            self._tell(
                record,
                f"Killed the task {record.name} with its supervisor: it did not end "
                f"within {TERMINATION_SECONDS:.0f} s of SIGTERM, as one that hangs in "
                f"native code. Airflow fails or retries it. {remedy}",
            )
            # The supervisor first, so that it cannot report.
            processes.send([record.supervisor], signal.SIGKILL)
            processes.send(processes.family(watched.task), signal.SIGKILL)

    def _clear_up(self, record: TaskRecord, watched: _Watched) -> None:
        left = processes.family(watched.task)
        processes.send(left, signal.SIGKILL)
        if not watched.is_killed:
            self._tell(
                record,
                f"The supervisor of {record.name}, process {record.supervisor.pid}, "
                f"was killed; ended what it left ({len(left)} processes). Airflow "
                "fails or retries the task. Out of memory is the usual cause: see the "
                "worker's memory.",
            )
        if record.log_path:
            self._handover.take(self._log_folder() / record.log_path, record.log_path)
        self._records.remove(record.supervisor.pid)

    def _tell(self, record: TaskRecord, event: str) -> None:
        """Write a line to the container's log and to the task's own."""
        self._log.error("%s", event)
        if not record.log_path:
            return
        line = {
            "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "level": "error",
            "event": event,
            "logger": __name__,
        }
        try:
            with (self._log_folder() / record.log_path).open("ab") as file:
                # The supervisor appends as well, each line in one piece.
                file.write(f"{json.dumps(line)}\n".encode())
        except OSError as error:
            self._log.warning("Cannot write to the log of %s: %s", record.name, error)
