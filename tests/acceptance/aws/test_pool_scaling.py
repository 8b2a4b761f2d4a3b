"""The scaling check, against a pool and an Airflow with scripted answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from acceptance.aws import pool_scaling
from acceptance.aws.environment import AwsEnvironment
from acceptance.check import CheckFailed, Skipped
from acceptance.checks import workers
from tests.acceptance.aws.recorded import RecordedAws, environment

Counts = list[tuple[int, int]]


class FakeAirflow:
    """Starts and ends runs at once; keeps what was triggered."""

    def __init__(self) -> None:
        self.triggered: list[dict[str, Any]] = []

    def trigger(self, _dag_id: str, conf: dict[str, Any]) -> str:
        self.triggered.append(conf)
        return "run"

    def wait_for_run(self, *_: object, **__: object) -> None:
        """Return at once."""

    def tasks(self, *_: object) -> list[dict[str, Any]]:
        return [{"task_id": "hold", "hostname": str(number)} for number in range(2)]


Scale = Callable[[Counts], tuple[AwsEnvironment, FakeAirflow]]


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> Scale:
    """Give a function that scripts desired and running counts; the last one stays."""

    def script(counts: Counts) -> tuple[AwsEnvironment, FakeAirflow]:
        airflow, checked = FakeAirflow(), environment(RecordedAws())

        def service(_: object) -> dict[str, Any]:
            desired, running = counts.pop(0) if len(counts) > 1 else counts[0]
            return {"desiredCount": desired, "runningCount": running}

        monkeypatch.setattr(workers, "service", service)
        monkeypatch.setattr(pool_scaling, "api", lambda _: airflow)
        for name in ("STEADY_SECONDS", "GROWTH_SECONDS", "SHRINKAGE_SECONDS"):
            monkeypatch.setattr(pool_scaling, name, 0.0)
        return checked, airflow

    return script


def test_pool_grows_by_the_task_that_has_no_slot(scale: Scale) -> None:
    checked, airflow = scale([(1, 1), (2, 1), (2, 2), (1, 1)])
    watch = pool_scaling.Watch(checked)

    text = watch.by_one(checked)

    assert airflow.triggered == [{"tasks": 9, "seconds": pool_scaling.TASK_SECONDS}]
    assert "1 -> 2 desired" in text
    assert "tasks on 2 workers; back to 1" in text
    assert watch.added_seconds > 0
    assert (watch.vcpus, watch.gib) == (1, 4)


def test_pool_that_does_not_grow_fails(scale: Scale) -> None:
    checked, _ = scale([(0, 0)])

    with pytest.raises(CheckFailed, match="more than 0 workers to be desired"):
        pool_scaling.Watch(checked).by_one(checked)


def test_pool_at_its_maximum_is_waited_for(scale: Scale) -> None:
    checked, airflow = scale([(4, 4)])

    with pytest.raises(CheckFailed, match="fewer than 4 workers"):
        pool_scaling.Watch(checked).by_one(checked)
    assert not airflow.triggered


def test_pool_of_a_fixed_size_is_skipped(scale: Scale) -> None:
    scale([(4, 4)])
    fixed = environment(RecordedAws(), DefaultWorkersMinimum="4")

    with pytest.raises(Skipped, match="4 workers always"):
        pool_scaling.Watch(fixed).by_one(fixed)


def history(name: str) -> dict[str, Any]:
    return {"AlarmHistoryItems": [{"Timestamp": NOW, "AlarmName": name}]}


NOW = datetime(2100, 1, 1, 12, 0, 30, tzinfo=UTC)
ACTIVITY = {"StartTime": NOW, "Description": "Setting desired count to 2."}


@pytest.fixture
def grown(scale: Scale, monkeypatch: pytest.MonkeyPatch) -> pool_scaling.Watch:
    """Give a check whose pool has grown, with the history that AWS keeps of it."""
    checked, _ = scale([(1, 1)])
    monkeypatch.setattr(
        workers, "service", lambda _: {"serviceName": "w", "desiredCount": 1}
    )
    monkeypatch.setattr(AwsEnvironment, "id_of", lambda _, name: name)
    aws: Any = checked.aws
    aws.answers |= {
        "cloudwatch:describe_alarm_history": lambda query: history(query["AlarmName"]),
        "application-autoscaling:describe_scaling_activities": {
            "ScalingActivities": [ACTIVITY]
        },
    }
    watch = pool_scaling.Watch(checked)
    watch.added_seconds = 60.0
    return watch


def test_actions_and_activities_are_listed_with_their_times(
    grown: pool_scaling.Watch,
) -> None:
    assert grown.acted(grown.environment) == (
        "alarms acted 12:00:30 Deficit, 12:00:30 Surplus; "
        "activities 12:00:30 Setting desired count to 2."
    )


def test_growth_without_an_alarm_fails(grown: pool_scaling.Watch) -> None:
    aws: Any = grown.environment.aws
    aws.answers["cloudwatch:describe_alarm_history"] = {"AlarmHistoryItems": []}

    with pytest.raises(CheckFailed, match="0 actions of alarms and 1 activities"):
        grown.acted(grown.environment)
