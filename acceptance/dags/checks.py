"""The DAGs of the checks. One file: the DAG processor starts a process for each."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from hashlib import sha256
from typing import Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import Asset, BaseSensorOperator, Connection, Variable, dag, task

log = logging.getLogger(__name__)

ASSET = Asset("s3://acceptance/check")

SECRET = "check_secret"  # noqa: S105 - the name of the connection and of the variable

WAIT = timedelta(seconds=8)
"""From when the task runs: long enough to be noticed, however busy the workers are."""

WIDTH = 50


@dag(schedule=None, is_paused_upon_creation=False)
def check_plain() -> None:
    """Run three plain tasks, each on what the one before returned."""

    @task
    def first() -> str:
        log.info("the first of the plain tasks")
        return "one"

    @task
    def second(before: str) -> str:
        return f"{before} two"

    @task
    def third(before: str) -> str:
        return f"{before} three"

    third(second(first()))


@dag(schedule=None, is_paused_upon_creation=False)
def check_fan_out() -> None:
    """Run fifty mapped tasks, and one that takes in what all of them returned."""

    @task
    def square(number: int) -> int:
        log.info("square of %d", number)
        return number * number

    @task
    def total(squares: list[int]) -> int:
        return sum(squares)

    total(square.expand(number=list(range(WIDTH))))


class Later(BaseSensorOperator):
    """Waits in the triggerer and occupies no worker meanwhile."""

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow's signature
        """Wait in the triggerer."""
        self.defer(trigger=TimeDeltaTrigger(WAIT), method_name="go_on")

    def go_on(self, context: Any, event: Any = None) -> str:  # noqa: ARG002 - as above
        """End in a worker."""
        return "gone on"


@dag(schedule=None, is_paused_upon_creation=False)
def check_deferred() -> None:
    """Run one deferrable sensor."""
    Later(task_id="wait")


@dag(schedule=None, is_paused_upon_creation=False)
def check_asset_writer() -> None:
    """Write the asset."""

    @task(outlets=[ASSET])
    def write() -> None:
        """Do nothing: an asset counts as written when its task succeeds."""

    write()


@dag(schedule=[ASSET], is_paused_upon_creation=False)
def check_asset_reader() -> None:
    """Run when the asset was written."""

    @task
    def read() -> None:
        """Do nothing."""

    read()


@dag(schedule=None, is_paused_upon_creation=False)
def check_failure() -> None:
    """Fail."""

    @task(retries=0)
    def fail() -> None:
        raise RuntimeError("this task of the checks fails on purpose")

    fail()


@dag(schedule=None, is_paused_upon_creation=False)
def check_secrets() -> None:
    """Read connections and variables of some names, and return only their digests."""

    @task
    def read(params: dict[str, Any]) -> dict[str, dict[str, str]]:
        return {name: digests(name) for name in params.get("names", [SECRET])}

    def digests(name: str) -> dict[str, str]:
        values = {
            "connection": Connection.get(name).password or "",
            "variable": str(Variable.get(name)),
        }
        return {
            kind: sha256(value.encode()).hexdigest() for kind, value in values.items()
        }

    read()


@dag(schedule=None, is_paused_upon_creation=False)
def check_databases() -> None:
    """Connect to each database of a run; return the user there, or the error."""

    @task
    def read(params: dict[str, Any]) -> dict[str, str]:
        return {name: answer(login) for name, login in params["databases"].items()}

    def answer(login: dict[str, Any]) -> str:
        import psycopg2  # noqa: PLC0415 - not when the file is parsed

        try:
            with (
                psycopg2.connect(**login, connect_timeout=10) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute("SELECT 'connected as ' || current_user")
                return str(cursor.fetchone()[0])
        except psycopg2.OperationalError as error:
            return str(error)

    read()


@dag(schedule=None, is_paused_upon_creation=False)
def check_hold() -> None:
    """Hold as many slots of workers as a run asks for, each for some seconds."""

    @task
    def numbers(params: dict[str, Any]) -> list[int]:
        return list(range(int(params["tasks"])))

    @task
    def hold(number: int, params: dict[str, Any]) -> int:
        time.sleep(float(params["seconds"]))
        return number

    hold.expand(number=numbers())


check_plain()
check_hold()
check_fan_out()
check_deferred()
check_asset_writer()
check_asset_reader()
check_failure()
check_secrets()
check_databases()
