"""A release pushed during a run, a push that was killed, and a rollback."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from acceptance.api import Api, Document, api
from acceptance.check import CheckFailed, Pending, until
from acceptance.checks.dags import RUN_SECONDS
from deploy import release_archive, releases
from deploy.releases import BundleLocation, Commit
from local.environment import LocalEnvironment

BUNDLE = "releases"
DAG_ID = "check_release"
GO = "check_release_go"
"""The variable that the first task waits for."""

FIRST = '''"""A DAG that is replaced while it runs."""

import time

from airflow.sdk import Variable, dag, task

from release_words import VERSION


@dag(schedule=None, is_paused_upon_creation=False)
def check_release():
    @task
    def first():
        while Variable.get("check_release_go", default=None) is None:
            time.sleep(1)

    @task
    def last():
        return VERSION

    first() >> last()


check_release()
'''

SECOND = FIRST.replace("    first() >> last()", "    last()")

PICK_UP_SECONDS = 60.0
"""Half of it is the aim; this machine does much else at the same time."""


def during_a_run(environment: LocalEnvironment) -> str:
    """See each run end with the release that it began with, and a rollback arrive."""
    airflow = api(environment)
    place = releases.location(environment.aws, environment.stack_name, BUNDLE)
    first = _push(environment, place, FIRST, "first")
    appeared = _wait(environment, airflow, first)
    run_id = airflow.trigger(DAG_ID)
    remedy = environment.logs("scheduler", "worker")

    def is_running() -> bool | Pending:
        states = [task["state"] for task in airflow.tasks(DAG_ID, run_id)]
        return "running" in states or Pending(f"{states}")

    until("the first task to run", is_running, seconds=RUN_SECONDS, remedy=remedy)
    _leave_archive_of_killed_push(environment, place)
    second = _push(environment, place, SECOND, "second")
    picked_up = _wait(environment, airflow, second)
    airflow.post("/variables", {"key": GO, "value": "1"})
    _expect(environment, airflow, run_id, "first")
    _expect(environment, airflow, airflow.trigger(DAG_ID), "second")
    releases.rollback(
        environment.aws, place, releases.read(environment.aws, place), None
    )
    back = _wait(environment, airflow, first)
    return (
        f"a run kept its release when another came; known after {appeared:.0f}, "
        f"{picked_up:.0f} and, by rollback, {back:.0f} s"
    )


def _push(
    environment: LocalEnvironment, place: BundleLocation, dag: str, word: str
) -> str:
    """Push a release whose shared module has a word; return its version."""
    with tempfile.TemporaryDirectory(prefix="check-") as name:
        folder = Path(name)
        (folder / f"{DAG_ID}.py").write_text(dag)
        (folder / "release_words.py").write_text(f"VERSION = {word!r}\n")
        archive = release_archive.pack(folder)
    pointer = releases.read(environment.aws, place)
    return releases.push(
        environment.aws, place, pointer, archive, commit=Commit(), is_checked=False
    ).current


def _leave_archive_of_killed_push(
    environment: LocalEnvironment, place: BundleLocation
) -> None:
    environment.client("s3").put_object(
        Bucket=place.bucket, Key=place.archive_key("0" * 64), Body=b"half an archive"
    )


def _wait(environment: LocalEnvironment, airflow: Api, version: str) -> float:
    """Return after how many seconds Airflow knew the DAG in a version."""
    started = time.monotonic()

    def look() -> Document | Pending:
        dags = airflow.get("/dags", dag_id_pattern=DAG_ID)["dags"]
        versions = [dag["bundle_version"] for dag in dags]
        return dags[0] if versions == [version] else Pending(f"{versions}")

    remedy = environment.logs("dag-processor")
    until(f"release {version}", look, seconds=PICK_UP_SECONDS, remedy=remedy)
    return time.monotonic() - started


def _expect(
    environment: LocalEnvironment, airflow: Api, run_id: str, word: str
) -> None:
    remedy = environment.logs("scheduler", "worker")
    airflow.wait_for_run(DAG_ID, run_id, seconds=RUN_SECONDS, remedy=remedy)
    value = airflow.returned(DAG_ID, run_id, "last")
    if value != word:
        raise CheckFailed(f"The last task ran release {value}, not {word}.", remedy)
