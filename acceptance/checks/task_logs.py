"""The log of a task outlives the worker that wrote it."""

from __future__ import annotations

from typing import Any

from acceptance.api import Document, api
from acceptance.check import NotProven, Pending, until
from acceptance.checks import workers
from acceptance.checks.dags import UPLOAD_SECONDS
from acceptance.containers import logs
from local.environment import Stage

DAG_ID = "proof_fan_out"
TASK_ID = "square"


def after_its_worker(stage: Stage) -> str:
    """Take a worker away; find the log of its task in the bucket and by the API."""
    by_worker = {task["hostname"]: task for task in _succeeded(stage)}
    if not by_worker:
        raise NotProven(f"No task of {DAG_ID} has succeeded.", logs(stage, "worker"))
    gone = workers.take_away_one_of(stage, by_worker)
    run_id, number = by_worker[gone]["dag_run_id"], by_worker[gone]["map_index"]
    marker = f"square of {number}"
    bucket, store = stage.outputs["LogBucketName"], stage.client("s3")
    key, kept = until(
        f"the log of {TASK_ID} {number} in the bucket",
        lambda: _kept(store, bucket, run_id, number),
        seconds=UPLOAD_SECONDS,
        remedy=logs(stage, "worker"),
    )
    if marker not in kept:
        raise NotProven(f"{key} in {bucket} does not hold {marker!r}.")
    shown = api(stage).log(DAG_ID, run_id, TASK_ID, map_index=number)
    if marker not in shown:
        raise NotProven(
            f"The API shows no {marker!r} in the log of {TASK_ID} {number}: "
            f"{shown[-300:]!r}.",
            logs(stage, "api-server"),
        )
    return f"the worker at {gone} is gone; {key} read from the bucket and by the API"


def _succeeded(stage: Stage) -> list[Document]:
    airflow = api(stage)
    return [
        task
        for run in airflow.runs(DAG_ID)
        for task in airflow.tasks(DAG_ID, run["dag_run_id"])
        if task["state"] == "success" and task["task_id"] == TASK_ID
    ]


def _kept(
    store: Any, bucket: str, run_id: str, number: int
) -> tuple[str, str] | Pending:
    """Return the key and the text of a task's log in the bucket."""
    prefix = f"logs/dag_id={DAG_ID}/run_id={run_id}/task_id={TASK_ID}/"
    found = store.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}map_index={number}/")
    for one in found.get("Contents", ()):
        body = store.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
        return one["Key"], body.decode()
    return Pending("nothing")
