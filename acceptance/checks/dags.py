"""DAGs that every component has to work together to run."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from acceptance.api import OVER, Api, ApiError, Document, api
from acceptance.check import CheckFailed, Pending, until
from acceptance.checks import workers
from acceptance.environment import Environment

DAGS = Path(__file__).parents[1] / "dags"
PLAIN, FAN_OUT, DEFERRED = "check_plain", "check_fan_out", "check_deferred"
ASSET_READER = "check_asset_reader"
HOLD = "check_hold"
FAILURE = "check_failure"
ALL = (
    *(PLAIN, FAN_OUT, DEFERRED, HOLD, FAILURE),
    *("check_asset_writer", ASSET_READER, "check_secrets", "check_databases"),
)
"""The DAGs of ``acceptance/dags``."""

RUN_SECONDS = 500.0
"""For a run among all the others and beside the burst of the scaling, on two cores."""

PICKUP_SECONDS = 180.0
"""For a new file: the bundle is read every 60 s, and parsing waits its turn."""

UPLOAD_SECONDS = 30.0
"""The upload of a log ends shortly after its task or trigger."""

TRIGGER_LOG = ".trigger."
"""In the name of a log that a triggerer wrote."""

ATTEMPTS = 2
"""Of the fan-out: during the first one a sleeping pool grows."""

WIDTH = 50
"""Mapped tasks of check_fan_out."""

LATE_ID = "check_late"
LATE = '''"""A DAG that came later."""

from airflow.sdk import dag, task


@dag(schedule=None, is_paused_upon_creation=False)
def check_late():
    @task
    def run():
        return "late"

    run()


check_late()
'''

BROKEN_ID = "check_broken"
BROKEN = '''"""A DAG for Airflow with a syntax error."""

from airflow.sdk import dag


@dag(schedule=None
def check_broken():
    pass
'''


def picked_up(environment: Environment) -> str:
    """Upload the DAG files of the checks, and see Airflow know their DAGs."""
    environment.put_dags(DAGS)
    started = time.monotonic()
    remedy = environment.logs("dag-processor")
    airflow = api(environment)
    for dag_id in ALL:
        airflow.wait_for_dag(dag_id, seconds=PICKUP_SECONDS, remedy=remedy)
    return f"{len(ALL)} DAGs known {time.monotonic() - started:.0f} s after the upload"


def plain(environment: Environment) -> str:
    """Run three plain tasks, each on what the one before returned."""
    airflow, run_id = _succeeded(environment, PLAIN)
    value = airflow.returned(PLAIN, run_id, "third")
    if value != "one two three":
        raise CheckFailed(f"The third task returned {value!r}.", _remedy(environment))
    return "three tasks in a row passed on what they returned"


def fan_out(environment: Environment) -> str:
    """Run fifty mapped tasks on two workers, and one that takes in what they return.

    Where one worker did all before there was a second one, they run once more.
    """
    workers.ask_for_two(environment)
    for _ in range(ATTEMPTS):
        reader, hosts = _mapped(environment)
        if elsewhere := sum(host != reader for host in hosts):
            return (
                f"{WIDTH} mapped tasks once each on {len(set(hosts))} workers; "
                f"{elsewhere} XComs crossed from another worker"
            )
    raise CheckFailed("One worker ran all of them, twice.", _remedy(environment))


def mapped(environment: Environment) -> str:
    """Run fifty mapped tasks on the workers that there are."""
    _, hosts = _mapped(environment)
    return f"{WIDTH} mapped tasks once each on {len(set(hosts))} workers"


def _mapped(environment: Environment) -> tuple[str, list[str]]:
    """Run the fan-out; return the host of the last task and those of the others."""
    airflow, run_id = _succeeded(environment, FAN_OUT)
    tasks = airflow.tasks(FAN_OUT, run_id)
    hosts = [task["hostname"] for task in tasks if task["task_id"] == "square"]
    if len(hosts) != WIDTH or any(task["try_number"] != 1 for task in tasks):
        raise CheckFailed(f"{len(hosts)} mapped tasks, not {WIDTH} once each.")
    total = airflow.returned(FAN_OUT, run_id, "total")
    expected = sum(number * number for number in range(WIDTH))
    if total != expected:
        raise CheckFailed(
            f"They add up to {total}, not {expected}.", _remedy(environment)
        )
    return next(t["hostname"] for t in tasks if t["task_id"] == "total"), hosts


def deferred(environment: Environment) -> str:
    """See a deferrable sensor wait in the triggerer, and succeed."""
    airflow = api(environment)
    run_id = airflow.trigger(DEFERRED)
    remedy = environment.logs("triggerer", "scheduler", "worker")

    def waiting_task() -> Document | Pending:
        tasks = airflow.tasks(DEFERRED, run_id)
        state = str(tasks[0]["state"]) if tasks else "no task"
        if state == "deferred" and tasks[0]["trigger"]["triggerer_id"]:
            task: Document = tasks[0]
            return task
        if state in OVER:
            raise CheckFailed(f"The sensor was {state} and never deferred.", remedy)
        return Pending(state)

    task = until(
        "the sensor to be taken by a triggerer",
        waiting_task,
        seconds=RUN_SECONDS,
        remedy=remedy,
    )
    airflow.wait_for_run(DEFERRED, run_id, seconds=RUN_SECONDS, remedy=remedy)
    bucket, s3 = environment.outputs["LogBucketName"], environment.client("s3")
    prefix = f"logs/dag_id={DEFERRED}/run_id={run_id}/"

    def triggerer_log() -> str | Pending:
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
        names = [
            entry["Key"].rpartition("/")[2] for entry in listed.get("Contents", ())
        ]
        log = next((name for name in names if TRIGGER_LOG in name), None)
        return log or Pending(f"{names}")

    log = until(
        "the triggerer's log in the bucket",
        triggerer_log,
        seconds=UPLOAD_SECONDS,
        remedy=environment.logs("triggerer"),
    )
    trigger = task["trigger"]
    trigger_class = trigger["classpath"].rpartition(".")[2]
    return (
        f"{trigger_class} in triggerer job {trigger['triggerer_id']}, then success; "
        f"{log} in the bucket"
    )


def assets(environment: Environment) -> str:
    """See the DAG that waits for an asset run when another one has written it."""
    airflow, _ = _succeeded(environment, "check_asset_writer")
    remedy = _remedy(environment)

    def newest_run() -> Document | Pending:
        runs = airflow.runs(ASSET_READER)
        return runs[0] if runs else Pending("no run")

    run = until(
        f"the asset to start {ASSET_READER}",
        newest_run,
        seconds=RUN_SECONDS,
        remedy=remedy,
    )
    airflow.wait_for_run(
        ASSET_READER, run["dag_run_id"], seconds=RUN_SECONDS, remedy=remedy
    )
    if run["run_type"] != "asset_triggered":
        raise CheckFailed(f"The run is of type {run['run_type']}.", remedy)
    return "the reader's run is of type asset_triggered and succeeded"


def late(environment: Environment) -> str:
    """Put a file into the bucket while everything runs, and run its DAG."""
    _put(environment, f"{LATE_ID}.py", LATE)
    remedy = environment.logs("dag-processor")
    api(environment).wait_for_dag(LATE_ID, seconds=PICKUP_SECONDS, remedy=remedy)
    _succeeded(environment, LATE_ID)
    return "picked up from the bucket while everything ran, and run"


def broken(environment: Environment) -> str:
    """Put in a file with a syntax error, and find its name among the import errors."""
    _put(environment, f"{BROKEN_ID}.py", BROKEN)
    airflow = api(environment)

    def import_error() -> Document | Pending:
        errors = airflow.import_errors()
        own = (error for error in errors if f"{BROKEN_ID}.py" in error["filename"])
        return next(own, None) or Pending(f"{len(errors)} import errors")

    remedy = environment.logs("dag-processor")
    error = until(
        f"the import error of {BROKEN_ID}.py",
        import_error,
        seconds=PICKUP_SECONDS,
        remedy=remedy,
    )
    lines = error["stack_trace"].strip().splitlines()
    if "SyntaxError" not in error["stack_trace"]:
        raise CheckFailed(f"The import error says {lines[-1:]}.", remedy)
    try:
        airflow.dag(BROKEN_ID)
    except ApiError:
        return f"import error of {error['filename']}: {lines[-1]}"
    raise CheckFailed("The broken file made a DAG all the same.", remedy)


def _succeeded(environment: Environment, dag_id: str) -> tuple[Api, str]:
    """Run a DAG to its success; return the API and the run's id."""
    airflow = api(environment)
    run_id = airflow.trigger(dag_id)
    remedy = _remedy(environment)
    airflow.wait_for_run(dag_id, run_id, seconds=RUN_SECONDS, remedy=remedy)
    return airflow, run_id


def _remedy(environment: Environment) -> str:
    return environment.logs("scheduler", "worker")


def _put(environment: Environment, name: str, text: str) -> None:
    """Upload one DAG file."""
    with tempfile.TemporaryDirectory(prefix="check-") as folder:
        (Path(folder) / name).write_text(text)
        environment.put_dags(Path(folder))
