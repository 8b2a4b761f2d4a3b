"""The autoscaler as a process, beside the real database and the real broker."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fargate_runtime.autoscaler import queries
from fargate_runtime.autoscaler.loop import CLOSEST_SECONDS
from tests.fargate_runtime.autoscaler.fake_aws import service
from tests.fargate_runtime.autoscaler.harness import Process, Stage, pool, report, until

pytestmark = pytest.mark.slow

TAKEOVER_SECONDS = 15.0
MEMORY_MEGABYTES = 150


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def stage(whole: Stage) -> Iterator[Stage]:
    """Give the engines, with nothing running beside them."""
    whole.aws.services = [service("default")]
    whole.aws.published.clear()
    whole.aws.away.clear()
    yield whole
    whole.stop_processes()


def memory(process: Process) -> float:
    """Return how many megabytes a process holds."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1000


def leads(process: Process) -> bool:
    return process.said("Became the leader")


def add(workers: Process, node: str, told: Any) -> None:
    before = workers.lines.count(f"changed {node}")
    workers.type(json.dumps({"node": node, "report": told}))
    until(
        lambda: workers.lines.count(f"changed {node}") > before, 10, "a worker", workers
    )


def test_surplus_workers_are_drained_by_name(stage: Stage) -> None:
    stage.aws.services = [service("default", desired=2, running=2)]
    workers = stage.workers()
    add(workers, "celery@one", report())
    add(workers, "celery@two", report(host="10.0.0.2"))
    autoscaler = stage.autoscaler([pool(minimum=1, scale_in_delay_seconds=0)])
    until(lambda: workers.said("drain celery@"), 30, "a drain", autoscaler, workers)
    assert not (workers.said("drain celery@one") and workers.said("drain celery@two"))
    add(workers, "celery@one", report(state="released"))
    add(workers, "celery@two", report(host="10.0.0.2"))
    until(
        lambda: stage.aws.published[-1][1]["WorkerSurplus", "default"] == 1,
        30,
        "a surplus",
        autoscaler,
    )
    assert memory(autoscaler) < MEMORY_MEGABYTES
    assert autoscaler.stop() == 0


def test_waiting_tasks_publish_a_deficit(stage: Stage) -> None:
    autoscaler = stage.autoscaler([pool()])
    stage.script("one_dag", "queued", 9)
    try:
        until(lambda: stage.aws.published, 30, "numbers", autoscaler)
        _, values = stage.aws.published[-1]
        assert values["WorkerDeficit", "default"] == 3
        assert values["StalledTasks", "default"] == 9
    finally:
        stage.script("no_dag")


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGSTOP])
def test_another_autoscaler_takes_over(stage: Stage, way: signal.Signals) -> None:
    first = stage.autoscaler([pool()])
    until(lambda: leads(first), 30, "a leader", first)
    second = stage.autoscaler([pool()])
    until(lambda: second.said("standing by"), 30, "a second autoscaler", second)
    until(lambda: stage.aws.published, 30, "numbers", first)
    # Between two rounds, when a leader sends only statements that keep its session.
    until(
        lambda: time.monotonic() - stage.aws.published[-1][0] > 2, 20, "a pause", first
    )
    first.signal(way)
    gone = time.monotonic()
    until(lambda: leads(second), TAKEOVER_SECONDS, "a new leader", second)
    until(lambda: stage.aws.published[-1][0] > gone, 20, "its numbers", second)
    if way is signal.SIGSTOP:
        first.signal(signal.SIGCONT)
        until(lambda: first.said("Lost leadership"), 20, "the old one's end", first)
        assert not leads(second) or not first.lines[-1].endswith("Became the leader.")


def test_only_one_autoscaler_publishes(stage: Stage) -> None:
    autoscalers = [stage.autoscaler([pool()]) for _ in range(3)]
    until(lambda: len(stage.aws.published) >= 3, 60, "three rounds", *autoscalers)
    # On a starved machine the lead may move; two that lead would publish in pairs.
    times = [at for at, _ in stage.aws.published]
    assert (
        min(after - before for before, after in pairwise(times)) > CLOSEST_SECONDS - 2
    )


def test_unavailable_datastores_are_logged_and_retried(stage: Stage) -> None:
    autoscaler = stage.autoscaler([pool()])
    until(lambda: stage.aws.published, 30, "numbers", autoscaler)
    stage.postgres.kill()
    until(lambda: autoscaler.said("Lost leadership"), 20, "the loss", autoscaler)
    until(lambda: autoscaler.said("unavailable since"), 20, "the outage", autoscaler)
    stage.postgres.restart()
    until(
        lambda: autoscaler.lines.count("autoscaler: Became the leader.") == 2,
        45,
        "the lead again",
        autoscaler,
    )

    stage.valkey.kill()
    until(
        lambda: autoscaler.said("Broker unavailable since"), 30, "no broker", autoscaler
    )
    count = len(stage.aws.published)
    until(
        lambda: sum("Broker unavailable" in line for line in autoscaler.lines) > 1,
        60,
        "another round",
        autoscaler,
    )
    assert len(stage.aws.published) == count
    stage.valkey.restart()
    until(
        lambda: autoscaler.said("Broker available again"),
        60,
        "the broker again",
        autoscaler,
    )
    until(lambda: len(stage.aws.published) > count, 30, "numbers again", autoscaler)

    assert not any("PASSWORD" in line or "a:b/c" in line for line in autoscaler.lines)
    assert autoscaler.process.poll() is None


def test_silent_database_is_given_up_and_reconnected(
    stage: Stage,
) -> None:
    autoscaler = stage.autoscaler([pool()])
    until(lambda: stage.aws.published, 30, "numbers", autoscaler)
    pids = [
        int(pid)
        for (pid,) in stage.sql(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'airflow-autoscaler'"
        )
    ]
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(
            lambda: autoscaler.said("no response within 4 s"),
            20,
            "the end of it",
            autoscaler,
        )
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    until(
        lambda: autoscaler.said("available again after"),
        45,
        "the database again",
        autoscaler,
    )


def test_statements_have_a_timeout(stage: Stage) -> None:
    assert stage.script("patience", 60) == (
        "canceling statement due to statement timeout"
    )


def test_role_reads_its_tables_and_nothing_else(stage: Stage) -> None:
    def as_reader(statement: str) -> Any:
        return stage.script("sql_as_reader", statement)

    for table in queries.TABLES:
        assert isinstance(as_reader(f"TABLE {table}"), list)
    for statement, words in (
        ("SELECT * FROM connection", "permission denied"),
        ("SELECT * FROM variable", "permission denied"),
        ("SELECT * FROM ab_user", "permission denied"),
        ("DELETE FROM slot_pool", "read-only transaction"),
        ("SET TRANSACTION READ WRITE; DELETE FROM dag", "permission denied"),
        ("CREATE TABLE mine ()", "read-only transaction"),
    ):
        assert words in as_reader(statement)
    assert as_reader("SHOW statement_timeout") != [["0"]]


def test_role_creation_is_idempotent(stage: Stage) -> None:
    stage.sql("GRANT SELECT ON connection TO scaling")
    stage.script("let_in")
    denied = stage.script("sql_as_reader", "SELECT * FROM connection")
    assert "permission denied" in denied


def test_odd_rows_are_counted_and_break_nothing(stage: Stage) -> None:
    stage.script("one_dag", "queued", 3)
    try:
        stage.sql("UPDATE task_instance SET queue = NULL WHERE map_index = 0")
        stage.sql("UPDATE task_instance SET queued_dttm = NULL WHERE map_index = 1")
        stage.sql(
            "UPDATE task_instance SET executor = 'LocalExecutor' WHERE map_index = 2"
        )
        (queued,) = ({row[0] for row in stage.script("observe")[1]},)
        assert queued == {"default"}
        assert sum(row[4] for row in stage.script("observe")[1]) == 2
        stage.sql(
            "UPDATE task_instance SET state = 'running', start_date = NULL,"
            " hostname = NULL WHERE map_index < 2"
        )
        assert len(stage.script("observe")[2]) == 2
    finally:
        stage.script("no_dag")


def test_invalid_durations_are_ignored(stage: Stage) -> None:
    stage.script("one_dag", "success", 4)
    try:
        change = "UPDATE task_instance SET duration = %s::float WHERE map_index = %s"
        for index, duration in enumerate((-5, None, "NaN", 20)):
            stage.sql(change, duration, index)
        stage.sql("UPDATE dag_run SET state = 'success'")
        assert stage.script("history", ["dag"]) == [["dag", "task", 20.0, 1, 4]]
    finally:
        stage.script("no_dag")


def test_missing_variables_end_the_autoscaler_with_one_line(stage: Stage) -> None:
    autoscaler = stage.autoscaler([pool()], SCALING_USER="")
    assert autoscaler.process.wait(20) == 1
    until(lambda: autoscaler.said("SCALING_USER is empty"), 5, "the reason", autoscaler)
    assert len(autoscaler.lines) == 1


@pytest.fixture(scope="module")
def past(whole: Stage) -> Stage:
    """Give a database with a past, large enough for plans that matter."""
    whole.script("fill", 100_000)
    return whole


def test_plans_use_indexes_on_every_table_that_grows(past: Stage) -> None:
    plans = past.script("plans")
    assert plans.keys() >= {"QUEUED", "RUNNING", "UNSCHEDULED", "ACTIVE", "HISTORY"}
    for name, plan in plans.items():
        for table in queries.GROWING:
            scans = [line for line in plan if f"Seq Scan on {table}" in line]
            assert not scans, "\n".join((name, *plan))


def test_sequential_scans_are_detected(past: Stage) -> None:
    """The guard above would notice a query that reads a whole table."""
    rows = past.sql("EXPLAIN SELECT * FROM task_instance WHERE operator = 'x'")
    assert any("Seq Scan on task_instance" in row[0] for row in rows)
