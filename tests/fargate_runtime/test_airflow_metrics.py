"""Airflow's own metrics: what is added up, printed and handed over, and its cost."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fargate_runtime import contract
from fargate_runtime.airflow_metrics.aggregate import MOST_VALUES, Aggregate
from fargate_runtime.airflow_metrics.options import METRICS_OPTIONS
from fargate_runtime.airflow_metrics.publisher import PipeWriter, Publisher, recorder
from fargate_runtime.operator_settings import write_options
from local.airflow_environment import airflow_environment

BEGIN = 1_800_000_000.0
USD_PER_METRIC = 0.30
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def events(aggregate: Aggregate) -> list[dict[str, Any]]:
    return [json.loads(line) for line in aggregate.lines(BEGIN)]


def published(aggregate: Aggregate) -> dict[tuple[str, str], Any]:
    """Return the values by name and the value of the dimension beside the cluster."""
    values: dict[tuple[str, str], Any] = {}
    for event in events(aggregate):
        (directive,) = event["_aws"]["CloudWatchMetrics"]
        ((cluster, *others),) = directive["Dimensions"]
        assert event[cluster] == "airflow"
        for metric in directive["Metrics"]:
            where = event[others[0]] if others else ""
            values[metric["Name"], where] = event[metric["Name"]]
    return values


def test_counters_begin_again_each_minute_and_gauges_stay() -> None:
    aggregate = Aggregate("airflow")
    for _ in range(12):
        aggregate.count("scheduler_heartbeat", 1)
    aggregate.gauge("dag_processing.import_errors", 2)
    first, second = published(aggregate), published(aggregate)
    assert first == {("SchedulerHeartbeat", ""): 12, ("ImportErrors", ""): 2}
    assert second == {("ImportErrors", ""): 2}


def test_tasks_of_all_dags_of_a_queue_are_added_up() -> None:
    aggregate = Aggregate("airflow")
    aggregate.gauge("ti.queued,queue=etl,dag_id=a,task_id=x", 3)
    aggregate.gauge("ti.queued,queue=etl,dag_id=b,task_id=x", 4)
    aggregate.gauge("ti.queued,queue=ml,dag_id=b,task_id=y", 1)
    aggregate.gauge("ti.queued,queue=etl,dag_id=a,task_id=x", 2)
    assert published(aggregate) == {("TasksQueued", "etl"): 6, ("TasksQueued", "ml"): 1}
    aggregate.gauge("ti.queued,queue=ml,dag_id=b,task_id=y", 0)
    assert published(aggregate)["TasksQueued", "ml"] == 0


def test_ends_of_tasks_are_counted_by_state_and_worker_pool() -> None:
    aggregate = Aggregate("airflow", "spot")
    aggregate.count("ti.finish,state=failed,dag_id=a", 1)
    aggregate.count("ti.finish,state=skipped", 1)
    aggregate.count("ti.start", 1)
    assert published(aggregate) == {("TasksFailed", "spot"): 1}


def test_durations_are_all_told_a_hundred_to_a_line() -> None:
    aggregate = Aggregate("airflow", "default")
    for number in range(250):
        aggregate.time("task.duration", number / 7)
    parts = [event["TaskSeconds"] for event in events(aggregate)]
    assert [len(part) for part in parts] == [100, 100, 50]
    assert parts[0][7] == 1.0
    for _ in range(MOST_VALUES + 5):
        aggregate.time("task.duration", 1)
    assert len(aggregate.lines(BEGIN)) == MOST_VALUES / 100


def test_a_line_is_of_the_minute_and_short() -> None:
    aggregate = Aggregate("airflow")
    for _, stat, unit, _ in contract.AIRFLOW_METRICS:
        for _ in range(100):
            if unit == contract.SECONDS:
                aggregate.time(stat, 123456.789)
            else:
                aggregate.count(stat, 123456)
    for line in aggregate.lines(BEGIN):
        assert len(line) < 16 * 1024
        assert json.loads(line)["_aws"]["Timestamp"] == BEGIN * 1000


@pytest.mark.parametrize(("scheduled", "starving"), [(0, 0), (2, 1)])
def test_a_pool_starves_only_if_tasks_wait_for_it(
    scheduled: int, starving: int
) -> None:
    aggregate = Aggregate("airflow")
    for pool, open_slots in (("full", 0), ("wide", 5)):
        aggregate.gauge(f"pool.open_slots,pool_name={pool}", open_slots)
        aggregate.gauge(f"pool.scheduled_slots,pool_name={pool}", scheduled)
    assert published(aggregate)["StarvingPools", ""] == starving


def test_queues_without_end_are_one_metric() -> None:
    aggregate = Aggregate("airflow")
    for number in range(100):
        aggregate.gauge(f"ti.queued,queue=q{number}", 1)
    values = published(aggregate)
    assert len(values) == contract.MOST_DIMENSION_VALUES + 1
    assert values["TasksQueued", contract.OTHERS] == 80


def test_processes_of_a_container_hand_over_to_the_main_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    reader, output = os.pipe()
    publisher = Publisher(str(pipe), Aggregate("airflow", "default"), output)
    writer = PipeWriter(str(pipe))
    writer.record("count", "ti.finish,state=failed", 1)
    writer.record("time", "task.duration", 2.5)
    publisher.read()
    publisher.publish(BEGIN)
    (event,) = map(json.loads, os.read(reader, 10_000).splitlines())
    assert (event["TasksFailed"], event["TaskSeconds"]) == (1, [2.5])


def test_a_metric_without_a_reader_is_dropped(tmp_path: Path) -> None:
    PipeWriter(str(tmp_path / "none")).record("count", "ti.start", 1)
    full = tmp_path / "full"
    Publisher(str(full), Aggregate("airflow"))
    writer = PipeWriter(str(full))
    for _ in range(5000):  # nothing reads, and the write does not wait
        writer.record("count", "ti.finish,state=success", 1)


def test_output_that_is_full_does_not_end_the_printing(tmp_path: Path) -> None:
    _, full = os.pipe()
    os.set_blocking(full, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(full, bytes(10_000)):
            pass
    publisher = Publisher(str(tmp_path / "pipe"), Aggregate("airflow"), full)
    publisher.record("count", "ti.finish,state=failed", 1)
    publisher.publish(BEGIN)


def test_damaged_lines_of_a_pipe_are_no_metrics(tmp_path: Path) -> None:
    publisher = Publisher(str(tmp_path / "pipe"), Aggregate("airflow"))
    for words in (b"count x ti.start", b"lines 1 a", b"count 1", b"\xff", b""):
        descriptor = os.open(tmp_path / "pipe", os.O_WRONLY)
        os.write(descriptor, words + b"\n")
        os.close(descriptor)
    publisher.read()
    assert publisher._aggregate.lines(BEGIN) == []


def test_only_the_process_of_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(contract.Env.METRICS_PIPE, str(tmp_path / "pipe"))
    monkeypatch.setenv(contract.Env.METRICS_PROCESS, str(os.getppid()))
    assert isinstance(recorder().__self__, PipeWriter)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("stat", "is_taken"),
    [
        ("ti.finish,state=success", True),
        ("dag_processing.last_duration,file_name=x", True),
        ("ti.finish.dag.task.success", False),
        ("scheduler_heartbeat_failure", False),
        ("xti.finish", False),
    ],
)
def test_allow_list_is_the_table(stat: str, is_taken: bool) -> None:  # noqa: FBT001
    # Airflow splits the list, lowers it, and searches for each part.
    (pattern,) = METRICS_OPTIONS["metrics.metrics_allow_list"].lower().split(",")
    assert bool(re.findall(pattern, stat)) is is_taken


def test_tags_that_are_no_dimensions_are_disabled() -> None:
    (pattern,) = METRICS_OPTIONS["metrics.statsd_disabled_tags"].split(",")
    assert not re.findall(pattern, "queue")
    for tag in ("run_id", "queue_x", "file_path", "hostname"):
        assert re.findall(pattern, tag), tag


def metrics(queues: int, slot_pools: int, worker_pools: int) -> int:
    by = Counter(dimension for _, _, _, dimension in contract.AIRFLOW_METRICS)
    return (
        by[""]
        + 1  # StarvingPools
        + by[contract.QUEUE_DIMENSION] * queues
        + by[contract.SLOT_POOL_DIMENSION] * slot_pools
        + by[contract.POOL_DIMENSION] * worker_pools
    )


def test_number_and_cost_of_the_metrics_are_those_of_the_page() -> None:
    most = contract.MOST_DIMENSION_VALUES + 1
    page = PAGE.read_text()
    for case in ((1, 1, 1), (2, 1, 2), (most, most, 2)):
        number = metrics(*case)
        cost = f"| {number} | {number * USD_PER_METRIC:.2f} USD |"
        assert f"| {' | '.join(map(str, case))} {cost}" in page, (case, cost)


def test_page_lists_the_metrics() -> None:
    row = re.compile(r"\| `(\w+)` \| `([\w.=]+)` \| (\w+) \| (.*) \|")
    rows = filter(None, map(row.fullmatch, PAGE.read_text().splitlines()))
    listed = [(*row.groups()[:3], row.group(4).strip("`")) for row in rows]
    assert listed == [*contract.AIRFLOW_METRICS]


MEASURED = """
import os
from datetime import timedelta
os.environ["METRICS_PROCESS"] = str(os.getpid())
from airflow.configuration import conf
from airflow.observability.metrics import stats_utils
from airflow.observability.stats import Stats
Stats.initialize(factory=stats_utils.get_stats_factory(),
    export_legacy_names=conf.getboolean("metrics", "legacy_names_on"))
Stats.incr("scheduler_heartbeat", 1, 1)
Stats.incr("dagbag_size.of_another")
Stats.gauge("ti.queued", 3.0,
    tags={"queue": "my queue", "dag_id": "d", "task_id": "a.b", "run_id": "r"})
Stats.gauge("pool.open_slots", 1, tags={"pool_name": "default_pool"})
Stats.timing("dagrun.schedule_delay", timedelta(seconds=2), tags={"dag_id": "d"})
Stats.timing("dag_processing.last_duration", 0.5, tags={"file_name": "f"})
with Stats.timer("scheduler.scheduler_loop_duration"):
    pass
if not os.fork():
    Stats.incr("ti.finish", tags={"dag_id": "d" * 250, "state": "failed"})
    Stats.timing("task.duration", 1500.0, tags={"dag_id": "d"})
    os._exit(0)
os.wait()
"""


@pytest.mark.slow
def test_airflow_measures_through_the_client(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environ = {
        "PATH": os.defpath,
        "PYTHONPATH": str(root),
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONFIG": str(tmp_path / "options.cfg"),
        "CLUSTER_NAME": "airflow",
        "WORKER_POOL": "default",
        "METRICS_PIPE": str(tmp_path / "pipe"),
        "AIRFLOW_METRICS": "true",
    }
    write_options(environ)
    done = subprocess.run(  # noqa: S603 - our own text
        [airflow_environment().python, "-c", MEASURED],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Invalid stat" not in done.stderr
    values: dict[tuple[str, str], Any] = {}
    for event in map(json.loads, filter(None, done.stdout.splitlines())):
        where = event.get("Queue") or event.get("Pool") or event.get("AirflowPool", "")
        (directive,) = event["_aws"]["CloudWatchMetrics"]
        values |= {(m["Name"], where): event[m["Name"]] for m in directive["Metrics"]}
    assert values.pop(("SchedulerLoopSeconds", ""))[0] < 1
    assert values == {
        ("SchedulerHeartbeat", ""): 1,
        ("ScheduleDelaySeconds", ""): [2.0],
        ("FileParseSeconds", ""): [0.5],
        ("StarvingPools", ""): 0,
        ("TasksQueued", "my queue"): 3,
        ("PoolOpenSlots", "default_pool"): 1,
        ("TasksFailed", "default"): 1,
        ("TaskSeconds", "default"): [1.5],
    }
