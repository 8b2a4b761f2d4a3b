"""A task that hangs in native code, and one whose supervisor is killed.

``LongestTaskMinutes`` is ten at the least, and no check waits as long: the record by
which the worker measures the first task is set back instead.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acceptance.api import Api, api, patiently
from acceptance.check import CheckFailed, Pending, until
from acceptance.faults.fault_run import KNOWN_SECONDS, new_folder
from fargate_runtime.contract import LONG_TASK_GRACE_MINUTES, LONGEST_TASK_PARAMETER
from local.environment import LocalEnvironment

DAG = "limits"
HANG, OUTLIVE = "hang", "outlive"

STARTED_SECONDS = 120.0
ALARM_SECONDS = 150.0
"""One period of a minute, after the one under way, and until CloudWatch shows it."""

RETRIED_SECONDS = 120.0
"""Thirty seconds from SIGTERM to SIGKILL, ten until Celery gives up a lost process,
and a second try."""

ALARM = "/Overdue"
MINUTE = 60


@dataclass(frozen=True)
class Task:
    """The processes of a task, and the record that its supervisor wrote."""

    pid: int
    supervisor: int
    record: Path

    def set_back(self, minutes: float) -> None:
        """Make the task older by so much."""
        record = json.loads(self.record.read_text())
        record["began"] -= minutes * MINUTE
        new = self.record.with_name(".aged")
        new.write_text(json.dumps(record))
        new.replace(self.record)


def ended(environment: LocalEnvironment) -> str:
    """See the alarm on the first, the end of both, their logs and their retries."""
    airflow, remedy = api(environment), environment.logs("worker", "scheduler")
    airflow.wait_for_dag(
        DAG, seconds=KNOWN_SECONDS, remedy=environment.logs("dag-processor")
    )
    folder = new_folder(environment.folder / "faults")
    run_id = airflow.trigger(DAG, {"folder": str(folder)})
    hang, outlive = (_task(folder, name, remedy) for name in (HANG, OUTLIVE))
    os.kill(outlive.supervisor, signal.SIGKILL)
    minutes = int(environment.parameters[LONGEST_TASK_PARAMETER])
    hang.set_back(minutes + 1)
    since = time.monotonic()
    until(
        "the alarm on the task that hangs",
        lambda: "ALARM" in _states(environment) or Pending(f"{_states(environment)}"),
        seconds=ALARM_SECONDS,
        remedy=environment.logs("autoscaler", "worker"),
    )
    rang = time.monotonic() - since
    hang.set_back(LONG_TASK_GRACE_MINUTES)
    since = time.monotonic()
    airflow.wait_for_run(DAG, run_id, seconds=RETRIED_SECONDS, remedy=remedy)
    again = time.monotonic() - since
    for task in (hang, outlive):
        if Path(f"/proc/{task.pid}").exists():
            raise CheckFailed(f"Process {task.pid} of a task runs on.", remedy)
    _callbacks(folder, environment)
    for name, words in (
        (HANG, ("hangs now", "Ending the task", "Killed the task")),
        (OUTLIVE, ("outlives its supervisor", "The supervisor of")),
    ):
        _log(environment, airflow, run_id, name, words)
    return (
        f"alarm after {rang:.0f} s; the task that hung was killed and its second try "
        f"over after {again:.0f} s; both first logs are in the bucket and in the UI, "
        "and the retry callbacks ran"
    )


def _task(folder: Path, name: str, remedy: str) -> Task:
    path = folder / f"{name}.json"
    until(
        f"the task {name} to start",
        lambda: path.exists() or Pending("not yet"),
        seconds=STARTED_SECONDS,
        remedy=remedy,
    )
    fields: dict[str, Any] = json.loads(path.read_text())
    temporary, supervisor = Path(fields["temporary"]), int(fields["supervisor"])
    records = [*temporary.glob(f"task-records-*/{supervisor}")]
    if len(records) != 1:
        raise CheckFailed(f"The worker has {len(records)} records of {name}.", remedy)
    return Task(int(fields["task"]), supervisor, records[0])


def _states(environment: LocalEnvironment) -> list[str]:
    states = environment.agent.autoscaler.states()
    return [state for name, state in states.items() if name.endswith(ALARM)]


def _callbacks(folder: Path, environment: LocalEnvironment) -> None:
    def look() -> bool | Pending:
        tasks = sorted(path.stem for path in folder.glob("*.retried"))
        return tasks == [HANG, OUTLIVE] or Pending(f"of {tasks}")

    until(
        "the retry callbacks of both tasks",
        look,
        seconds=RETRIED_SECONDS,
        remedy=environment.logs("dag-processor"),
    )


def _log(
    environment: LocalEnvironment,
    airflow: Api,
    run_id: str,
    name: str,
    words: tuple[str, ...],
) -> None:
    """Raise CheckFailed unless the first log is in the bucket and shown, as it was."""
    key = f"logs/dag_id={DAG}/run_id={run_id}/task_id={name}/attempt=1.log"
    bucket, s3 = environment.outputs["LogBucketName"], environment.client("s3")

    def look() -> bool | Pending:
        shown = airflow.log(DAG, run_id, name, map_index=-1)
        missing = [word for word in words if word not in shown]
        return not missing or Pending(f"it lacks {missing}: {shown[-300:]!r}")

    until(
        f"the log of {name} in the UI",
        lambda: patiently(look),
        seconds=RETRIED_SECONDS,
        remedy=environment.logs("worker"),
    )
    text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    if missing := [word for word in words if word not in text]:
        raise CheckFailed(f"{key} in {bucket} does not hold {missing}.")
