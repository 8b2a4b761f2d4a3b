"""The log of a task outlives the worker that wrote it."""

from __future__ import annotations

from typing import Any

from acceptance.api import Document, api
from acceptance.check import CheckFailed, Pending, until
from acceptance.checks import workers
from acceptance.checks.dags import FAN_OUT, UPLOAD_SECONDS
from acceptance.environment import Environment

TASK_ID = "square"


def after_its_worker(environment: Environment) -> str:
    """Take a worker away; find the log of its task in the bucket and by the API."""
    task_of = {task["hostname"]: task for task in _succeeded(environment)}
    if not task_of:
        raise CheckFailed(
            f"No task of {FAN_OUT} has succeeded.", environment.logs("worker")
        )
    worker = workers.take_one_away(environment, task_of)
    run_id, number = task_of[worker]["dag_run_id"], task_of[worker]["map_index"]
    marker = f"square of {number}"
    bucket, s3 = environment.outputs["LogBucketName"], environment.client("s3")
    key, text = until(
        f"the log of {TASK_ID} {number} in the bucket",
        lambda: _log(s3, bucket, run_id, number),
        seconds=UPLOAD_SECONDS,
        remedy=environment.logs("worker"),
    )
    if marker not in text:
        raise CheckFailed(f"{key} in {bucket} does not hold {marker!r}.")
    shown = api(environment).log(FAN_OUT, run_id, TASK_ID, map_index=number)
    if marker not in shown:
        raise CheckFailed(
            f"The API shows no {marker!r} in the log of {TASK_ID} {number}: "
            f"{shown[-300:]!r}.",
            environment.logs("api-server"),
        )
    return f"the worker at {worker} is gone; {key} read from the bucket and by the API"


def _succeeded(environment: Environment) -> list[Document]:
    airflow = api(environment)
    return [
        task
        for run in airflow.runs(FAN_OUT)
        for task in airflow.tasks(FAN_OUT, run["dag_run_id"])
        if task["state"] == "success" and task["task_id"] == TASK_ID
    ]


def _log(s3: Any, bucket: str, run_id: str, number: int) -> tuple[str, str] | Pending:
    """Return the key and the text of a task's log in the bucket."""
    prefix = f"logs/dag_id={FAN_OUT}/run_id={run_id}/task_id={TASK_ID}/"
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}map_index={number}/")
    for entry in listed.get("Contents", ()):
        body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
        return entry["Key"], body.decode()
    return Pending("nothing")
