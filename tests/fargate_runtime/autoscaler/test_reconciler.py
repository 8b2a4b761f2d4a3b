"""Reconciler of the loop: what is published when everything answers, and when not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from fargate_runtime.autoscaler import log, queries
from fargate_runtime.autoscaler.__main__ import main
from fargate_runtime.autoscaler.database import DatabaseUnavailableError
from fargate_runtime.autoscaler.decide import PHASE_SECONDS
from fargate_runtime.autoscaler.log import Notices, Outage
from fargate_runtime.autoscaler.loop import CLOSEST_SECONDS, FARTHEST_SECONDS, pause
from fargate_runtime.autoscaler.reconciler import (
    LONGEST_ROUND_SECONDS,
    AutoscalerClients,
    Reconciler,
    StaleRoundError,
)
from fargate_runtime.autoscaler.remote_control import (
    BrokerUnavailableError,
    WorkerReplies,
)
from fargate_runtime.autoscaler.services import PoolServices
from fargate_runtime.autoscaler.settings import AutoscalerSettings, PoolSettings
from fargate_runtime.contract import (
    METRIC_NAMESPACE,
    ROUND_SECONDS,
    STALE_BUNDLE_SECONDS,
)
from fargate_runtime.scaling_protocol import WorkerReport, WorkerState
from tests.fargate_runtime.autoscaler.fake_aws import described_tasks, service

NODE = "celery@a"


@dataclass
class Clock:
    """A time that passes only when told."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class FakeServices:
    """Everything that a round talks to, at hand."""

    tables: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    reports: list[tuple[str, WorkerReport]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    away: dict[str, Exception] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    published: list[dict[tuple[str, str], float]] = field(default_factory=list)
    sent: list[tuple[str, list[str]]] = field(default_factory=list)
    started_by: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)
    slow: float = 0.0

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.clock.now += self.slow
        if name in self.away:
            raise self.away[name]

    def rows(self, statement: str, _: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        self._call("database")
        if statement == queries.NOW:
            return [(self.clock.now + 1e9,)]
        return self.tables.get(statement, [])

    def ask(self, _: int) -> WorkerReplies:
        self._call("broker")
        return WorkerReplies(self.reports, [])

    def send(self, command: str, nodes: Sequence[str]) -> None:
        self._call("send")
        self.sent.append((command, list(nodes)))

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Iterator[Any]:
        self._call("list")
        yield {"serviceArns": [service["serviceArn"] for service in self.services]}

    def describe_services(self, *, services: Sequence[str], **_: Any) -> Any:
        self._call("ECS")
        assert len(services) <= 10
        by_arn = {service["serviceArn"]: service for service in self.services}
        return {
            "services": [by_arn[arn] for arn in services if arn in by_arn],
            "failures": [{"arn": arn} for arn in services if arn not in by_arn],
        }

    def describe_tasks(self, *, tasks: Sequence[str], **_: Any) -> Any:
        self._call("tasks")
        assert 0 < len(tasks) <= 100
        known = [task for task in tasks if task in self.started_by]
        return described_tasks({task: self.started_by[task] for task in known})

    def put_metric_data(self, **request: Any) -> None:
        self._call("CloudWatch")
        assert request["Namespace"] == METRIC_NAMESPACE
        values = {}
        for metric in request["MetricData"]:
            assert metric["StorageResolution"] == 1
            assert "Timestamp" not in metric
            names = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
            assert names["ClusterName"] == "cluster"
            values[metric["MetricName"], names.get("Pool", "")] = metric["Value"]
        self.published.append(values)

    def queue(self, queue: str, tasks: int) -> None:
        self.tables[queries.QUEUED] = [(queue, "dag", "t", self.clock.now + 1e9, tasks)]


POOLS = (
    PoolSettings(name="a", queue="qa", concurrency=4, minimum=0, maximum=5),
    PoolSettings(name="b", queue="qb", concurrency=4, minimum=0, maximum=5),
)


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> FakeServices:
    services = FakeServices(services=[service("a", desired=2), service("b")])
    monkeypatch.setattr("time.monotonic", services.clock.monotonic)
    return services


@pytest.fixture
def reconciler(services: FakeServices) -> Reconciler:
    class Workers:
        reports = staticmethod(services.ask)
        send = staticmethod(services.send)

    workers: Any = Workers()
    clients = AutoscalerClients(
        database=services,
        workers=workers,
        services=PoolServices(services, "cluster"),
        cloudwatch=services,
        cluster="cluster",
    )
    return Reconciler(clients, AutoscalerSettings(POOLS), services.lines.append)


def run_rounds(reconciler: Reconciler, services: FakeServices, times: int = 1) -> None:
    """Let rounds follow each other as they should."""
    for _ in range(times):
        reconciler.reconcile(lambda: True)
        services.clock.now += ROUND_SECONDS


def test_rounds_publish_all_metrics_in_one_call(
    reconciler: Reconciler, services: FakeServices
) -> None:
    services.queue("qb", 6)
    run_rounds(reconciler, services)
    (values,) = services.published
    assert values["WorkerDeficit", "a"] == 0
    assert values["WorkerDeficit", "b"] == 2
    assert values["WorkerSurplus", "b"] == 0
    assert values["StalledTasks", "b"] == 6
    assert values["AutoscalerHeartbeat", "a"] == values["AutoscalerHeartbeat", "b"] == 1
    assert values["Workers", ""] == 2
    assert values["UnknownQueueTasks", ""] == values["StaleBundles", ""] == 0
    assert len(values) == 13


def test_overdue_tasks_are_counted_by_pool(
    reconciler: Reconciler, services: FakeServices
) -> None:
    for node, overdue in ((NODE, 1), ("celery@b", 2)):
        report = WorkerReport(
            pool="a",
            task=node,
            host=node,
            state=WorkerState.READY,
            running=3,
            overdue=overdue,
            since=0.0,
        )
        services.reports.append((node, report))
    run_rounds(reconciler, services)
    values = services.published[0]
    assert (values["OverdueTasks", "a"], values["OverdueTasks", "b"]) == (3, 0)


def test_bundles_that_are_not_refreshed_are_published_and_logged(
    reconciler: Reconciler, services: FakeServices
) -> None:
    services.tables[queries.BUNDLES] = [
        ("fresh", STALE_BUNDLE_SECONDS),
        ("stale", STALE_BUNDLE_SECONDS + 1),
        ("new", None),
    ]
    run_rounds(reconciler, services, STALE_BUNDLE_SECONDS // ROUND_SECONDS + 1)
    assert services.published[-1]["StaleBundles", ""] == 1
    run_rounds(reconciler, services)
    assert services.published[-1]["StaleBundles", ""] == 2
    stale, new = [line for line in services.lines if "DAG bundle" in line]
    assert "'stale' was not refreshed for more than 150 s" in stale
    assert "DAG bundle 'new' was not" in new


def test_tasks_are_not_stalled_while_one_of_their_queue_runs(
    reconciler: Reconciler, services: FakeServices
) -> None:
    services.queue("qb", 6)
    running = ("qb", "10.0.0.1", "dag", "r", "t", 0.0)
    services.tables[queries.RUNNING] = [running]
    run_rounds(reconciler, services)
    assert services.published[0]["StalledTasks", "b"] == 0


def test_unknown_queues_are_published_and_logged(
    reconciler: Reconciler, services: FakeServices
) -> None:
    services.queue("typo", 7)
    run_rounds(reconciler, services, 3)
    values = services.published[-1]
    assert values["UnknownQueueTasks", ""] == 7
    assert values["WorkerDeficit", "a"] == values["WorkerDeficit", "b"] == 0
    (line,) = [line for line in services.lines if "that no pool serves" in line]
    assert "'typo'" in line


TIMEOUT = ConnectTimeoutError(endpoint_url="https://ecs")


@pytest.mark.parametrize(
    ("service_away", "error", "name"),
    [
        ("database", DatabaseUnavailableError("no answer"), "Database"),
        ("broker", BrokerUnavailableError("refused"), "Broker"),
        ("ECS", ClientError({"Error": {"Code": "Throttling"}}, "x"), "ECS"),
        ("list", TIMEOUT, "ECS"),
    ],
)
def test_unavailable_services_publish_nothing_and_are_logged(
    service_away: str,
    error: Exception,
    name: str,
    reconciler: Reconciler,
    services: FakeServices,
) -> None:
    services.away[service_away] = error
    run_rounds(reconciler, services, 6)
    assert services.published == []
    assert f"{name} unavailable since " in services.lines[0]
    assert "retrying in 5 s" in services.lines[0]
    assert services.calls.count(service_away) < 6
    services.away.clear()
    run_rounds(reconciler, services, 4)
    assert any(
        line.startswith(f"{name} available again after") for line in services.lines
    )
    assert services.published[-1]["AutoscalerHeartbeat", "a"] == 1


def test_workers_are_commanded_without_cloudwatch(
    reconciler: Reconciler, services: FakeServices
) -> None:
    services.away["CloudWatch"] = TIMEOUT
    services.reports = [(NODE, WorkerReport.parse(REPLY))]
    services.services[0] |= {"runningCount": 2}
    run_rounds(reconciler, services, 8)
    assert ("scaling_drain", [NODE]) in services.sent
    assert any("CloudWatch unavailable" in line for line in services.lines)


REPLY = {
    "pool": "a",
    "task": f"{0:032x}",
    "host": "10.0.0.1",
    "state": "ready",
    "running": 0,
    "since": 0.0,
}


def test_pools_without_a_service_get_no_metrics(
    reconciler: Reconciler, services: FakeServices
) -> None:
    del services.services[1]
    run_rounds(reconciler, services)
    (values,) = services.published
    assert ("AutoscalerHeartbeat", "b") not in values
    assert ("WorkerDeficit", "b") not in values
    assert ("Workers", "") not in values
    assert values["AutoscalerHeartbeat", "a"] == 1
    assert any("Pool 'b': workers unknown" in line for line in services.lines)


def test_pools_with_two_services_get_no_metrics(
    reconciler: Reconciler, services: FakeServices
) -> None:
    services.services.append(service("b") | {"serviceArn": "other"})
    run_rounds(reconciler, services)
    assert ("AutoscalerHeartbeat", "b") not in services.published[0]
    assert any("Pool 'b' has 2 services" in line for line in services.lines)


def test_new_services_are_found_soon(
    reconciler: Reconciler, services: FakeServices
) -> None:
    came = services.services.pop()
    run_rounds(reconciler, services)
    services.services.append(came)
    services.services[0] |= {"status": "INACTIVE"}
    run_rounds(reconciler, services, 2)
    assert services.published[-1]["AutoscalerHeartbeat", "b"] == 1
    assert ("AutoscalerHeartbeat", "a") not in services.published[-1]


def test_replaced_services_are_found_soon(
    reconciler: Reconciler, services: FakeServices
) -> None:
    run_rounds(reconciler, services)
    services.services[1] |= {"serviceArn": "another"}
    run_rounds(reconciler, services)
    assert ("AutoscalerHeartbeat", "b") not in services.published[-1]
    run_rounds(reconciler, services)
    assert services.published[-1]["AutoscalerHeartbeat", "b"] == 1


def test_services_are_listed_at_intervals_and_described_each_round(
    reconciler: Reconciler, services: FakeServices
) -> None:
    run_rounds(reconciler, services, 20)
    assert (services.calls.count("list"), services.calls.count("ECS")) == (1, 20)
    run_rounds(reconciler, services, 20)
    assert services.calls.count("list") == 2


def test_lost_leadership_ends_the_round(
    reconciler: Reconciler, services: FakeServices
) -> None:
    services.queue("qb", 6)
    with pytest.raises(StaleRoundError):
        reconciler.reconcile(lambda: False)
    assert services.published == []
    assert services.sent == []


def test_slow_rounds_publish_nothing(
    reconciler: Reconciler, services: FakeServices
) -> None:
    services.slow = LONGEST_ROUND_SECONDS
    with pytest.raises(StaleRoundError):
        reconciler.reconcile(lambda: True)
    assert services.published == []


def redeploy(services: FakeServices, *, old: int, new: int) -> set[str]:
    """Run busy workers, and new ones of the same revision; return the busy nodes.

    ECS keeps the old workers, which are protected, and protects no new ones while as
    many are protected as desired.
    """
    services.services[0] |= {"desiredCount": new, "runningCount": old + new}
    services.services[0]["deployments"] = [
        {"id": "ecs-svc/2", "status": "PRIMARY"},
        {"id": "ecs-svc/1", "status": "ACTIVE"},
    ]
    busy = []
    for number in range(old + new):
        task, host = f"{number:032x}", f"10.0.0.{number}"
        state = "ready" if number < old else "waiting"
        reply = REPLY | {"task": task, "host": host, "state": state}
        services.reports.append((f"celery@{number}", WorkerReport.parse(reply)))
        services.started_by[task] = "ecs-svc/1" if number < old else "ecs-svc/2"
        if number < old:
            busy += [("qa", host, "dag", "r", "t", services.clock.now + 1e9)] * 4
    services.tables[queries.RUNNING] = busy
    services.queue("qa", 40)
    return {f"celery@{number}" for number in range(old)}


def test_a_deployment_of_the_same_revision_requests_places_for_its_workers(
    reconciler: Reconciler, services: FakeServices
) -> None:
    redeploy(services, old=2, new=2)
    run_rounds(reconciler, services)
    assert services.published[0]["WorkerDeficit", "a"] == 3


@pytest.mark.parametrize(("old", "drained"), [(2, 1), (5, 3)])
def test_a_deployment_of_the_same_revision_drains_old_workers_at_the_maximum(
    old: int, drained: int, reconciler: Reconciler, services: FakeServices
) -> None:
    nodes = redeploy(services, old=old, new=POOLS[0].maximum)
    run_rounds(reconciler, services)
    ((command, sent),) = services.sent
    assert command == "scaling_drain"
    assert set(sent) < nodes
    assert len(sent) == drained


def test_workers_of_an_unknown_deployment_are_not_drained(
    reconciler: Reconciler, services: FakeServices
) -> None:
    redeploy(services, old=2, new=5)
    services.started_by.clear()
    run_rounds(reconciler, services, 2)
    assert services.sent == []
    assert services.calls.count("tasks") == 2


def test_deployments_of_tasks_are_read_once(
    reconciler: Reconciler, services: FakeServices
) -> None:
    redeploy(services, old=2, new=5)
    services.reports[0] = (NODE, WorkerReport.parse(REPLY | {"task": "not-a-task"}))
    run_rounds(reconciler, services, 5)
    assert services.calls.count("tasks") == 1


def settings(**changes: Any) -> str:
    pool = {"name": "a", "queue": "a", "concurrency": 1, "minimum": 0, "maximum": 5}
    return json.dumps([pool | changes])


@pytest.mark.parametrize(
    ("pools", "words"),
    [
        ("", "SCALING_POOLS is empty"),
        ("[", "the settings are not JSON"),
        ("[]", "there is no pool"),
        (settings(maximum=0), "maximum is 0"),
        (settings(typo=1), "'typo' is unknown"),
        (settings(), "METADATA_HOST is not set"),
    ],
)
def test_wrong_settings_are_one_line_and_a_failure(
    pools: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SCALING_POOLS", pools)
    assert main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize("wall", [0.0, 5.9, 6.0, 6.1, 9.99, 1e9 + 3.3])
def test_rounds_begin_at_their_phase(wall: float) -> None:
    left = pause(wall, since=CLOSEST_SECONDS)
    assert (wall + left) % ROUND_SECONDS == pytest.approx(PHASE_SECONDS)
    assert 0 <= left <= ROUND_SECONDS


def test_rounds_ignore_clock_jumps() -> None:
    # Back by half a second, just after a round: not the same period again.
    assert pause(PHASE_SECONDS - 0.5, since=0.5) == pytest.approx(10.5)
    # Back again and again: at last it begins anyway.
    assert pause(PHASE_SECONDS + 0.1, since=FARTHEST_SECONDS - 1) == pytest.approx(1.0)
    assert pause(-1e9, since=60.0) == 0.0


def test_retry_pauses_grow_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, lines = Clock(), list[str]()
    monkeypatch.setattr("time.monotonic", clock.monotonic)
    outage = Outage("it", lines.append)
    for expected in (5, 10, 20, 30, 30):
        assert outage.is_due
        outage.failed("reason")
        assert re.search(rf"retrying in {expected} s: reason", lines[-1])
        assert not outage.is_due
        clock.now += expected
    outage.answered()
    outage.answered()
    assert lines[-1] == "it available again after 95 s"
    assert len(lines) == 6


def test_persisting_problems_are_logged_at_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, lines = Clock(), list[str]()
    monkeypatch.setattr("time.monotonic", clock.monotonic)
    notices = Notices(lines.append)
    for _ in range(3):
        notices.log(["a", "b", "a"])
    assert lines == ["a", "b"]
    notices.log(["b"])
    notices.log(["a"])
    clock.now += log.REPEAT_SECONDS
    notices.log(["a"])
    assert lines == ["a", "b", "a", "a"]


def test_decision_modules_use_no_clock_and_no_client() -> None:
    folder = Path(queries.__file__).parent
    for name in ("decide", "state", "settings", "forecast", "scheduling", "estimates"):
        text = (folder / f"{name}.py").read_text()
        assert not re.search(r"import (boto3|psycopg2|celery|time|os)\b", text), name
