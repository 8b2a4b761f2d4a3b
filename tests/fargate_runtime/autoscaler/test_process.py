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
from tests.fargate_runtime.autoscaler.harness import (
    AutoscalerBench,
    Process,
    pool,
    report,
    until,
)

pytestmark = pytest.mark.slow

TAKEOVER_SECONDS = 15.0
MEMORY_MEGABYTES = 150


@pytest.fixture(scope="module")
def module_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AutoscalerBench]:
    bench = AutoscalerBench(tmp_path_factory.mktemp("bench"))
    try:
        yield bench
    finally:
        bench.close()


@pytest.fixture
def bench(module_bench: AutoscalerBench) -> Iterator[AutoscalerBench]:
    """Give the datastores without any other process."""
    module_bench.aws.services = [service("default")]
    module_bench.aws.published.clear()
    module_bench.aws.away.clear()
    yield module_bench
    module_bench.stop_processes()


def memory(process: Process) -> float:
    """Return how many megabytes a process holds."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1000


def leads(process: Process) -> bool:
    return process.logged("Became the leader")


def add(workers: Process, node: str, content: Any) -> None:
    before = workers.lines.count(f"changed {node}")
    workers.type(json.dumps({"node": node, "report": content}))
    until(
        lambda: workers.lines.count(f"changed {node}") > before, 10, "a worker", workers
    )


def test_surplus_workers_are_drained_by_name(bench: AutoscalerBench) -> None:
    bench.aws.services = [service("default", desired=2, running=2)]
    workers = bench.workers()
    add(workers, "celery@one", report())
    add(workers, "celery@two", report(host="10.0.0.2"))
    autoscaler = bench.autoscaler([pool(minimum=1, scale_in_delay_seconds=0)])
    until(lambda: workers.logged("drain celery@"), 30, "a drain", autoscaler, workers)
    assert not (
        workers.logged("drain celery@one") and workers.logged("drain celery@two")
    )
    add(workers, "celery@one", report(state="released"))
    add(workers, "celery@two", report(host="10.0.0.2"))
    until(
        lambda: bench.aws.published[-1][1]["WorkerSurplus", "default"] == 1,
        30,
        "a surplus",
        autoscaler,
    )
    assert memory(autoscaler) < MEMORY_MEGABYTES
    assert autoscaler.stop() == 0


def test_waiting_tasks_publish_a_deficit(bench: AutoscalerBench) -> None:
    autoscaler = bench.autoscaler([pool()])
    bench.script("one_dag", "queued", 9)
    try:
        until(lambda: bench.aws.published, 30, "numbers", autoscaler)
        _, values = bench.aws.published[-1]
        assert values["WorkerDeficit", "default"] == 3
        assert values["StalledTasks", "default"] == 9
        assert values["StaleBundles", ""] == 0
    finally:
        bench.script("no_dag")


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGSTOP])
def test_another_autoscaler_takes_over(
    bench: AutoscalerBench, way: signal.Signals
) -> None:
    first = bench.autoscaler([pool()])
    until(lambda: leads(first), 30, "a leader", first)
    second = bench.autoscaler([pool()])
    until(lambda: second.logged("standing by"), 30, "a second autoscaler", second)
    until(lambda: bench.aws.published, 30, "numbers", first)
    # Between two rounds, when a leader sends only statements that keep its session.
    until(
        lambda: time.monotonic() - bench.aws.published[-1][0] > 2, 20, "a pause", first
    )
    first.signal(way)
    gone = time.monotonic()
    until(lambda: leads(second), TAKEOVER_SECONDS, "a new leader", second)
    until(lambda: bench.aws.published[-1][0] > gone, 20, "its numbers", second)
    if way is signal.SIGSTOP:
        first.signal(signal.SIGCONT)
        until(lambda: first.logged("Lost leadership"), 20, "the old one's end", first)
        assert not leads(second) or not first.lines[-1].endswith("Became the leader.")


def test_only_one_autoscaler_publishes(bench: AutoscalerBench) -> None:
    autoscalers = [bench.autoscaler([pool()]) for _ in range(3)]
    until(lambda: len(bench.aws.published) >= 3, 60, "three rounds", *autoscalers)
    # On a starved machine the lead may move; two that lead would publish in pairs.
    times = [at for at, _ in bench.aws.published]
    assert (
        min(after - before for before, after in pairwise(times)) > CLOSEST_SECONDS - 2
    )


def test_unavailable_datastores_are_logged_and_retried(bench: AutoscalerBench) -> None:
    autoscaler = bench.autoscaler([pool()])
    until(lambda: bench.aws.published, 30, "numbers", autoscaler)
    bench.postgres.kill()
    until(lambda: autoscaler.logged("Lost leadership"), 20, "the loss", autoscaler)
    until(lambda: autoscaler.logged("unavailable since"), 20, "the outage", autoscaler)
    bench.postgres.restart()
    until(
        lambda: autoscaler.lines.count("autoscaler: Became the leader.") == 2,
        45,
        "the lead again",
        autoscaler,
    )

    bench.valkey.kill()
    until(
        lambda: autoscaler.logged("Broker unavailable since"),
        30,
        "no broker",
        autoscaler,
    )
    count = len(bench.aws.published)
    until(
        lambda: sum("Broker unavailable" in line for line in autoscaler.lines) > 1,
        60,
        "another round",
        autoscaler,
    )
    assert len(bench.aws.published) == count
    bench.valkey.restart()
    until(
        lambda: autoscaler.logged("Broker available again"),
        60,
        "the broker again",
        autoscaler,
    )
    until(lambda: len(bench.aws.published) > count, 30, "numbers again", autoscaler)

    assert not any("PASSWORD" in line or "a:b/c" in line for line in autoscaler.lines)
    assert autoscaler.process.poll() is None


def test_silent_database_is_given_up_and_reconnected(
    bench: AutoscalerBench,
) -> None:
    autoscaler = bench.autoscaler([pool()])
    until(lambda: bench.aws.published, 30, "numbers", autoscaler)
    pids = [
        int(pid)
        for (pid,) in bench.sql(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'airflow-autoscaler'"
        )
    ]
    assert len(pids) == 2
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(
            lambda: autoscaler.logged("no response within 4 s"),
            20,
            "the end of it",
            autoscaler,
        )
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    until(
        lambda: autoscaler.logged("available again after"),
        45,
        "the database again",
        autoscaler,
    )


def test_statements_have_a_timeout(bench: AutoscalerBench) -> None:
    assert bench.script("patience", 60) == (
        "canceling statement due to statement timeout"
    )


def test_role_reads_its_tables_and_nothing_else(bench: AutoscalerBench) -> None:
    def as_reader(statement: str) -> Any:
        return bench.script("sql_as_reader", statement)

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


def test_role_creation_is_idempotent(bench: AutoscalerBench) -> None:
    bench.sql("GRANT SELECT ON connection TO scaling")
    bench.script("let_in")
    denied = bench.script("sql_as_reader", "SELECT * FROM connection")
    assert "permission denied" in denied


def test_default_pool_follows_until_an_operator_resizes_it(
    bench: AutoscalerBench,
) -> None:
    ((created,),) = bench.sql("SELECT slots FROM slot_pool WHERE pool = 'default_pool'")
    assert bench.script("default_pool", created + 1) == created, "not ours yet"
    assert bench.script("default_pool", created) == created
    assert bench.script("default_pool", 200) == 200
    assert bench.script("default_pool", 90) == 90
    bench.sql("UPDATE slot_pool SET slots = 50 WHERE pool = 'default_pool'")
    assert bench.script("default_pool", 300) == 50
    bench.sql(
        "UPDATE slot_pool SET slots = %s, description = 'Default pool'"
        " WHERE pool = 'default_pool'",
        created,
    )


def test_odd_rows_are_counted_and_break_nothing(bench: AutoscalerBench) -> None:
    bench.script("one_dag", "queued", 3)
    try:
        bench.sql("UPDATE task_instance SET queue = NULL WHERE map_index = 0")
        bench.sql("UPDATE task_instance SET queued_dttm = NULL WHERE map_index = 1")
        bench.sql(
            "UPDATE task_instance SET executor = 'LocalExecutor' WHERE map_index = 2"
        )
        (queued,) = ({row[0] for row in bench.script("observe")[1]},)
        assert queued == {"default"}
        assert sum(row[4] for row in bench.script("observe")[1]) == 2
        bench.sql(
            "UPDATE task_instance SET state = 'running', start_date = NULL,"
            " hostname = NULL WHERE map_index < 2"
        )
        assert len(bench.script("observe")[2]) == 2
    finally:
        bench.script("no_dag")


def test_invalid_durations_are_ignored(bench: AutoscalerBench) -> None:
    bench.script("one_dag", "success", 4)
    try:
        change = "UPDATE task_instance SET duration = %s::float WHERE map_index = %s"
        for index, duration in enumerate((-5, None, "NaN", 20)):
            bench.sql(change, duration, index)
        bench.sql("UPDATE dag_run SET state = 'success'")
        assert bench.script("history", ["dag"]) == [["dag", "task", 20.0, 1, 4]]
    finally:
        bench.script("no_dag")


def test_missing_variables_end_the_autoscaler_with_one_line(
    bench: AutoscalerBench,
) -> None:
    autoscaler = bench.autoscaler([pool()], SCALING_USER="")
    assert autoscaler.process.wait(20) == 1
    until(
        lambda: autoscaler.logged("SCALING_USER is empty"), 5, "the reason", autoscaler
    )
    assert len(autoscaler.lines) == 1


@pytest.fixture(scope="module")
def past(module_bench: AutoscalerBench) -> AutoscalerBench:
    """Give a database with a past, large enough for plans that matter."""
    module_bench.script("fill", 100_000)
    return module_bench


def test_plans_use_indexes_on_every_table_that_grows(past: AutoscalerBench) -> None:
    plans = past.script("plans")
    assert plans.keys() >= {"QUEUED", "RUNNING", "UNSCHEDULED", "ACTIVE", "HISTORY"}
    for name, plan in plans.items():
        for table in queries.GROWING:
            scans = [line for line in plan if f"Seq Scan on {table}" in line]
            assert not scans, "\n".join((name, *plan))


def test_sequential_scans_are_detected(past: AutoscalerBench) -> None:
    """The guard above would notice a query that reads a module_bench table."""
    rows = past.sql("EXPLAIN SELECT * FROM task_instance WHERE operator = 'x'")
    assert any("Seq Scan on task_instance" in row[0] for row in rows)
