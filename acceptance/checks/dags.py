"""What DAGs need of the environment: every part has its share in running these."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from acceptance.api import Api, ApiError, Document, api
from acceptance.check import NotProven, Pending, until
from acceptance.checks import workers
from acceptance.containers import logs
from local.environment import Stage

DAGS = Path(__file__).parents[1] / "dags"

RUN_SECONDS = 300.0
"""For a run among all the others, on two cores."""

PICKUP_SECONDS = 180.0
"""For a new file: the bundle is read every 60 s, and parsing waits its turn."""

UPLOAD_SECONDS = 30.0
"""The upload of a log ends shortly after its task or trigger."""

TRIGGER_LOG = ".trigger."
"""In the name of a log that a triggerer wrote."""

ATTEMPTS = 2
"""Of the fan-out: during the first one a sleeping pool grows."""

WIDTH = 50
"""Mapped tasks of proof_fan_out."""

LATE_ID = "proof_late"
LATE = '''"""A DAG that came later."""

from airflow.sdk import dag, task


@dag(schedule=None, is_paused_upon_creation=False)
def proof_late():
    @task
    def run():
        return "late"

    run()


proof_late()
'''

BROKEN_FILE = "proof_broken.py"
BROKEN = '''"""A DAG for Airflow that somebody saved half-way."""

from airflow.sdk import dag


@dag(schedule=None
def proof_broken():
    pass
'''


def plain(stage: Stage) -> str:
    """Run three plain tasks, each on what the one before returned."""
    airflow, run_id = _succeeded(stage, "proof_plain")
    found = airflow.returned("proof_plain", run_id, "third")
    if found != "one two three":
        raise NotProven(f"The third task returned {found!r}.", _remedy(stage))
    return "three tasks in a row passed on what they returned"


def fan_out(stage: Stage) -> str:
    """Run fifty mapped tasks on two workers, and one that takes in what they return.

    Where one worker did all before there was a second one, they run once more.
    """
    workers.ask_for_two(stage)
    expected = sum(number * number for number in range(WIDTH))
    for _ in range(ATTEMPTS):
        airflow, run_id = _succeeded(stage, "proof_fan_out")
        tasks = airflow.tasks("proof_fan_out", run_id)
        hosts = [task["hostname"] for task in tasks if task["task_id"] == "square"]
        if len(hosts) != WIDTH or any(task["try_number"] != 1 for task in tasks):
            raise NotProven(f"{len(hosts)} mapped tasks, not {WIDTH} once each.")
        total = airflow.returned("proof_fan_out", run_id, "total")
        if total != expected:
            raise NotProven(f"They add up to {total}, not {expected}.", _remedy(stage))
        reader = next(task for task in tasks if task["task_id"] == "total")["hostname"]
        if elsewhere := sum(host != reader for host in hosts):
            return (
                f"{WIDTH} mapped tasks once each on {len(set(hosts))} workers; "
                f"{elsewhere} XComs crossed from another worker"
            )
    raise NotProven("One worker ran all of them, twice.", _remedy(stage))


def deferred(stage: Stage) -> str:
    """See a deferrable sensor wait in the triggerer, and succeed."""
    airflow = api(stage)
    run_id = airflow.trigger("proof_deferred")
    remedy = logs(stage, "triggerer", "scheduler", "worker")

    def look() -> Document | Pending:
        tasks = airflow.tasks("proof_deferred", run_id)
        state = str(tasks[0]["state"]) if tasks else "no task"
        if state == "deferred" and tasks[0]["trigger"]["triggerer_id"]:
            found: Document = tasks[0]
            return found
        if state in {"success", "failed"}:
            raise NotProven(f"The sensor was {state} and never deferred.", remedy)
        return Pending(state)

    waiting = until(
        "the sensor to be taken by a triggerer",
        look,
        seconds=RUN_SECONDS,
        remedy=remedy,
    )
    trigger = waiting["trigger"]
    airflow.wait_for_run("proof_deferred", run_id, seconds=RUN_SECONDS, remedy=remedy)
    bucket, store = stage.outputs["LogBucketName"], stage.client("s3")
    prefix = f"logs/dag_id=proof_deferred/run_id={run_id}/"

    def kept() -> str | Pending:
        found = store.list_objects_v2(Bucket=bucket, Prefix=prefix)
        keys = [one["Key"].rpartition("/")[2] for one in found.get("Contents", ())]
        own = (key for key in keys if TRIGGER_LOG in key)
        return next(own, None) or Pending(f"{keys}")

    log = until(
        "the triggerer's log in the bucket",
        kept,
        seconds=UPLOAD_SECONDS,
        remedy=logs(stage, "triggerer"),
    )
    kind = trigger["classpath"].rpartition(".")[2]
    return (
        f"{kind} in triggerer job {trigger['triggerer_id']}, then success; {log} kept"
    )


def assets(stage: Stage) -> str:
    """See the DAG that waits for an asset run when another one has written it."""
    airflow, _ = _succeeded(stage, "proof_asset_writer")
    remedy = logs(stage, "scheduler", "worker")

    def look() -> Document | Pending:
        runs = airflow.runs("proof_asset_reader")
        return runs[0] if runs else Pending("no run")

    run = until(
        "the asset to start proof_asset_reader",
        look,
        seconds=RUN_SECONDS,
        remedy=remedy,
    )
    airflow.wait_for_run(
        "proof_asset_reader", run["dag_run_id"], seconds=RUN_SECONDS, remedy=remedy
    )
    if run["run_type"] != "asset_triggered":
        raise NotProven(f"The run is of type {run['run_type']}.", remedy)
    return "the reader's run is of type asset_triggered and succeeded"


def late(stage: Stage) -> str:
    """Put a file into the bucket while everything runs, and run its DAG."""
    with _file("proof_late.py", LATE) as folder:
        stage.put_dags(folder)
    airflow = api(stage)
    remedy = logs(stage, "dag-processor")
    airflow.wait_for_dag(LATE_ID, seconds=PICKUP_SECONDS, remedy=remedy)
    _succeeded(stage, LATE_ID)
    return "picked up from the bucket while everything ran, and run"


def broken(stage: Stage) -> str:
    """Put in a file with a syntax error, and find it told by name."""
    with _file(BROKEN_FILE, BROKEN) as folder:
        stage.put_dags(folder)
    airflow = api(stage)

    def look() -> Document | Pending:
        errors = airflow.import_errors()
        found = (one for one in errors if one["filename"].endswith(BROKEN_FILE))
        return next(found, None) or Pending(f"{len(errors)} import errors")

    remedy = logs(stage, "dag-processor")
    error = until(
        f"the import error of {BROKEN_FILE}",
        look,
        seconds=PICKUP_SECONDS,
        remedy=remedy,
    )
    said = error["stack_trace"].strip().splitlines()
    if "SyntaxError" not in error["stack_trace"]:
        raise NotProven(f"The import error says {said[-1:]}.", remedy)
    try:
        airflow.dag("proof_broken")
    except ApiError:
        return f"import error of {error['filename']}: {said[-1]}"
    raise NotProven("The broken file made a DAG all the same.", remedy)


def _succeeded(stage: Stage, dag_id: str) -> tuple[Api, str]:
    """Run a DAG to its success; return the API and the run's id."""
    airflow = api(stage)
    run_id = airflow.trigger(dag_id)
    airflow.wait_for_run(dag_id, run_id, seconds=RUN_SECONDS, remedy=_remedy(stage))
    return airflow, run_id


def _remedy(stage: Stage) -> str:
    return logs(stage, "scheduler", "worker")


@contextmanager
def _file(name: str, text: str) -> Iterator[Path]:
    """Give a folder with one file in it."""
    with tempfile.TemporaryDirectory(prefix="proof-") as made:
        folder = Path(made)
        (folder / name).write_text(text)
        yield folder
