"""Rounds of the loop: what is published when everything answers, and when not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from fargate_runtime import contract
from fargate_runtime.autoscaler import log, queries
from fargate_runtime.autoscaler.__main__ import main
from fargate_runtime.autoscaler.database import AwayError
from fargate_runtime.autoscaler.decide import PHASE_SECONDS, ROUND_SECONDS
from fargate_runtime.autoscaler.log import Notices, Outage
from fargate_runtime.autoscaler.loop import CLOSEST_SECONDS, FARTHEST_SECONDS, pause
from fargate_runtime.autoscaler.reconciler import (
    LONGEST_ROUND_SECONDS,
    Rounds,
    StaleError,
    World,
)
from fargate_runtime.autoscaler.remote_control import Answers, SilentError
from fargate_runtime.autoscaler.services import Services
from fargate_runtime.autoscaler.settings import PoolSettings, Settings
from fargate_runtime.scaling_protocol import Report
from tests.fargate_runtime.autoscaler.fake_aws import service

NODE = "celery@a"


@dataclass
class Clock:
    """A time that passes only when told."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Outside:
    """Everything that a round talks to, at hand."""

    tables: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    reports: list[tuple[str, Report]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    away: dict[str, Exception] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    published: list[dict[tuple[str, str], float]] = field(default_factory=list)
    sent: list[tuple[str, list[str]]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
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

    def ask(self, _: int) -> Answers:
        self._call("broker")
        return Answers(self.reports, [])

    def send(self, command: str, nodes: Sequence[str]) -> None:
        self._call("send")
        self.sent.append((command, list(nodes)))

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Iterator[Any]:
        self._call("list")
        yield {"serviceArns": [one["serviceArn"] for one in self.services]}

    def describe_services(self, *, services: Sequence[str], **_: Any) -> Any:
        self._call("ECS")
        assert len(services) <= 10
        by_arn = {one["serviceArn"]: one for one in self.services}
        return {
            "services": [by_arn[arn] for arn in services if arn in by_arn],
            "failures": [{"arn": arn} for arn in services if arn not in by_arn],
        }

    def put_metric_data(self, **given: Any) -> None:
        self._call("CloudWatch")
        assert given["Namespace"] == contract.METRIC_NAMESPACE
        values = {}
        for one in given["MetricData"]:
            assert one["StorageResolution"] == 1
            assert "Timestamp" not in one
            names = {each["Name"]: each["Value"] for each in one["Dimensions"]}
            assert names["ClusterName"] == "cluster"
            values[one["MetricName"], names.get("Pool", "")] = one["Value"]
        self.published.append(values)

    def queue(self, queue: str, tasks: int) -> None:
        """Let tasks wait in a queue."""
        self.tables[queries.QUEUED] = [(queue, "dag", "t", self.clock.now + 1e9, tasks)]


POOLS = (
    PoolSettings(name="a", queue="qa", concurrency=4, minimum=0, maximum=5),
    PoolSettings(name="b", queue="qb", concurrency=4, minimum=0, maximum=5),
)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    made = Outside(services=[service("a", desired=2), service("b")])
    monkeypatch.setattr("time.monotonic", made.clock.monotonic)
    return made


@pytest.fixture
def rounds(outside: Outside) -> Rounds:
    class Workers:
        reports = staticmethod(outside.ask)
        send = staticmethod(outside.send)

    given: Any = Workers()
    world = World(
        database=outside,
        workers=given,
        services=Services(outside, "cluster"),
        cloudwatch=outside,
        cluster="cluster",
    )
    return Rounds(world, Settings(POOLS), outside.said.append)


def again(rounds: Rounds, outside: Outside, times: int = 1) -> None:
    """Let rounds follow each other as they should."""
    for _ in range(times):
        rounds.round(lambda: True)
        outside.clock.now += ROUND_SECONDS


def test_a_round_publishes_every_number_in_one_call(
    rounds: Rounds, outside: Outside
) -> None:
    outside.queue("qb", 6)
    again(rounds, outside)
    (values,) = outside.published
    assert values["WorkerDeficit", "a"] == 0
    assert values["WorkerDeficit", "b"] == 2
    assert values["WorkerSurplus", "b"] == 0
    assert values["StalledTasks", "b"] == 6
    assert values["BrainHeartbeat", "a"] == values["BrainHeartbeat", "b"] == 1
    assert values["Workers", ""] == 2
    assert values["UnknownQueueTasks", ""] == 0
    assert len(values) == 10


def test_tasks_are_not_stalled_while_one_of_their_queue_runs(
    rounds: Rounds, outside: Outside
) -> None:
    outside.queue("qb", 6)
    running = ("qb", "10.0.0.1", "dag", "r", "t", 0.0)
    outside.tables[queries.RUNNING] = [running]
    again(rounds, outside)
    assert outside.published[0]["StalledTasks", "b"] == 0


def test_an_unknown_queue_is_a_number_and_a_line_and_scales_nothing(
    rounds: Rounds, outside: Outside
) -> None:
    outside.queue("typo", 7)
    again(rounds, outside, 3)
    values = outside.published[-1]
    assert values["UnknownQueueTasks", ""] == 7
    assert values["WorkerDeficit", "a"] == values["WorkerDeficit", "b"] == 0
    (line,) = [line for line in outside.said if "no pool serves" in line]
    assert "'typo'" in line


TIMEOUT = ConnectTimeoutError(endpoint_url="https://ecs")


@pytest.mark.parametrize(
    ("service_away", "error", "name"),
    [
        ("database", AwayError("no answer"), "the database"),
        ("broker", SilentError("refused"), "the broker"),
        ("ECS", ClientError({"Error": {"Code": "Throttling"}}, "x"), "ECS"),
        ("list", TIMEOUT, "ECS"),
    ],
)
def test_what_cannot_be_read_publishes_nothing_and_says_since_when(
    service_away: str,
    error: Exception,
    name: str,
    rounds: Rounds,
    outside: Outside,
) -> None:
    outside.away[service_away] = error
    again(rounds, outside, 6)
    assert outside.published == []
    assert f"{name} is away since " in outside.said[0]
    assert "tried again after 5 s" in outside.said[0]
    assert outside.calls.count(service_away) < 6
    outside.away.clear()
    again(rounds, outside, 4)
    assert any(line.startswith(f"{name} is back after") for line in outside.said)
    assert outside.published[-1]["BrainHeartbeat", "a"] == 1


def test_without_cloudwatch_workers_are_still_told(
    rounds: Rounds, outside: Outside
) -> None:
    outside.away["CloudWatch"] = TIMEOUT
    outside.reports = [(NODE, Report.parse(REPLY))]
    outside.services[0] |= {"runningCount": 2}
    again(rounds, outside, 8)
    assert ("scaling_drain", [NODE]) in outside.sent
    assert any("CloudWatch is away" in line for line in outside.said)


REPLY = {
    "pool": "a",
    "task": "t",
    "revision": "a:1",
    "host": "10.0.0.1",
    "state": "ready",
    "running": 0,
    "since": 0.0,
}


def test_a_pool_whose_service_is_unknown_gets_no_numbers(
    rounds: Rounds, outside: Outside
) -> None:
    del outside.services[1]
    again(rounds, outside)
    (values,) = outside.published
    assert ("BrainHeartbeat", "b") not in values
    assert ("WorkerDeficit", "b") not in values
    assert ("Workers", "") not in values
    assert values["BrainHeartbeat", "a"] == 1
    assert any("'b': nothing is known of its workers" in line for line in outside.said)


def test_a_pool_with_two_services_gets_no_numbers(
    rounds: Rounds, outside: Outside
) -> None:
    outside.services.append(service("b") | {"serviceArn": "other"})
    again(rounds, outside)
    assert ("BrainHeartbeat", "b") not in outside.published[0]
    assert any("pool 'b' has 2 services" in line for line in outside.said)


def test_a_service_that_came_later_is_found_soon(
    rounds: Rounds, outside: Outside
) -> None:
    came = outside.services.pop()
    again(rounds, outside)
    outside.services.append(came)
    outside.services[0] |= {"status": "INACTIVE"}
    again(rounds, outside, 2)
    assert outside.published[-1]["BrainHeartbeat", "b"] == 1
    assert ("BrainHeartbeat", "a") not in outside.published[-1]


def test_a_service_made_anew_is_found_soon(rounds: Rounds, outside: Outside) -> None:
    again(rounds, outside)
    outside.services[1] |= {"serviceArn": "another"}
    again(rounds, outside)
    assert ("BrainHeartbeat", "b") not in outside.published[-1]
    again(rounds, outside)
    assert outside.published[-1]["BrainHeartbeat", "b"] == 1


def test_services_are_listed_now_and_then_and_described_each_round(
    rounds: Rounds, outside: Outside
) -> None:
    again(rounds, outside, 20)
    assert (outside.calls.count("list"), outside.calls.count("ECS")) == (1, 20)
    again(rounds, outside, 20)
    assert outside.calls.count("list") == 2


def test_the_lead_lost_in_a_round_stops_it(rounds: Rounds, outside: Outside) -> None:
    outside.queue("qb", 6)
    with pytest.raises(StaleError):
        rounds.round(lambda: False)
    assert outside.published == []
    assert outside.sent == []


def test_a_round_that_was_stopped_for_long_publishes_nothing(
    rounds: Rounds, outside: Outside
) -> None:
    outside.slow = LONGEST_ROUND_SECONDS
    with pytest.raises(StaleError):
        rounds.round(lambda: True)
    assert outside.published == []


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


def test_a_clock_that_jumps_neither_hurries_nor_delays_a_round() -> None:
    # Back by half a second, just after a round: not the same period again.
    assert pause(PHASE_SECONDS - 0.5, since=0.5) == pytest.approx(10.5)
    # Back again and again: at last it begins anyway.
    assert pause(PHASE_SECONDS + 0.1, since=FARTHEST_SECONDS - 1) == pytest.approx(1.0)
    assert pause(-1e9, since=60.0) == 0.0


def test_pauses_between_attempts_grow_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, said = Clock(), list[str]()
    monkeypatch.setattr("time.monotonic", clock.monotonic)
    outage = Outage("it", said.append)
    for expected in (5, 10, 20, 30, 30):
        assert outage.is_due
        outage.failed("reason")
        assert re.search(rf"again after {expected} s: reason", said[-1])
        assert not outage.is_due
        clock.now += expected
    outage.answered()
    outage.answered()
    assert said[-1] == "it is back after 95 s"
    assert len(said) == 6


def test_what_stays_is_said_now_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, said = Clock(), list[str]()
    monkeypatch.setattr("time.monotonic", clock.monotonic)
    notices = Notices(said.append)
    for _ in range(3):
        notices.tell(["a", "b", "a"])
    assert said == ["a", "b"]
    notices.tell(["b"])
    notices.tell(["a"])
    clock.now += log.REPEAT_SECONDS
    notices.tell(["a"])
    assert said == ["a", "b", "a", "a"]


def test_no_module_of_the_decision_needs_more_than_the_standard_library() -> None:
    folder = Path(queries.__file__).parent
    for name in ("decide", "state", "settings", "forecast", "scheduling", "estimates"):
        text = (folder / f"{name}.py").read_text()
        assert not re.search(r"import (boto3|psycopg2|celery|time|os)\b", text), name
