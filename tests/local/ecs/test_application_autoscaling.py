"""Alarms and step policies act on a service's desired count, on the clock."""

from __future__ import annotations

from typing import Any

import pytest

from local.ecs.alarms import ALARM, POLICY, TARGET, CapacityBounds
from local.ecs.application_autoscaling import ApplicationAutoscaling, bounded
from local.ecs.metrics import Datum, Metric, MetricStore
from tests.local.ecs.fakes import FakeEmulator

POOL = [{"Name": "Pool", "Value": "default"}]
TARGET_ID = "service/airflow/web|ecs:service:DesiredCount|ecs"
TOPIC = "arn:aws:sns:eu-central-1:000000000000:alarms"
BEGIN = 1_000_000.0
"""A multiple of ten and no multiple of sixty, as the clock may be."""


def record(kind: str, name: str, **properties: Any) -> dict[str, Any]:
    return {
        "stack": "scaling",
        "id": name,
        "type": kind,
        "physical_id": TARGET_ID if kind == TARGET else name,
        "attributes": {"Arn": f"arn:{name}"},
        "properties": properties,
    }


def policy(name: str, step: int, cooldown: int) -> dict[str, Any]:
    bands = [
        {
            "MetricIntervalLowerBound": count - 1,
            **({"MetricIntervalUpperBound": count} if count < 3 else {}),
            "ScalingAdjustment": step * count,
        }
        for count in (1, 2, 3)
    ]
    return record(
        POLICY,
        name,
        PolicyName=name,
        PolicyType="StepScaling",
        ScalingTargetId=TARGET_ID,
        StepScalingPolicyConfiguration={
            "AdjustmentType": "ChangeInCapacity",
            "Cooldown": cooldown,
            "StepAdjustments": bands,
        },
    )


def alarm(name: str, *actions: str, **properties: Any) -> dict[str, Any]:
    return record(
        ALARM,
        name,
        EvaluationPeriods=1,
        DatapointsToAlarm=1,
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0.5,
        TreatMissingData="notBreaching",
        AlarmActions=list(actions),
        **properties,
    )


def single(metric: str, statistic: str, period: int = 10) -> dict[str, Any]:
    return {
        "Namespace": "Own",
        "MetricName": metric,
        "Dimensions": POOL,
        "Statistic": statistic,
        "Period": period,
    }


def stat(name: str, namespace: str, metric: str, **dimensions: str) -> dict[str, Any]:
    return {
        "Id": name,
        "ReturnData": False,
        "MetricStat": {
            "Metric": {
                "Namespace": namespace,
                "MetricName": metric,
                "Dimensions": [
                    {"Name": key, "Value": value} for key, value in dimensions.items()
                ],
            },
            "Period": 60,
            "Stat": "Average" if metric == "DesiredTaskCount" else "Sum",
        },
    }


def launched(minimum: int = 0, maximum: int = 5) -> list[dict[str, Any]]:
    """Return what the scaling template compiles to, with fewer bands."""
    heartbeat = alarm("Heartbeat", TOPIC, **single("Heartbeat", "Sum", 60))
    heartbeat["properties"] |= {
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 3,
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": 1,
        "TreatMissingData": "breaching",
    }
    floor = alarm(
        "BelowFloor",
        "arn:RaiseToFloor",
        TOPIC,
        Metrics=[
            {"Id": "e", "Expression": "IF(FILL(beats, 0) > 0, 0, 2 - desired)"},
            stat("beats", "Own", "Heartbeat", Pool="default"),
            stat(
                "desired",
                "ECS/ContainerInsights",
                "DesiredTaskCount",
                ClusterName="airflow",
                ServiceName="web",
            ),
        ],
    )
    floor["properties"] |= {"EvaluationPeriods": 3, "DatapointsToAlarm": 3}
    return [
        record(
            TARGET,
            "Workers",
            ResourceId="service/airflow/web",
            MinCapacity=minimum,
            MaxCapacity=maximum,
        ),
        policy("Grow", 1, 30),
        policy("Shrink", -1, 0),
        policy("RaiseToFloor", 1, 600),
        alarm("Deficit", "arn:Grow", **single("Deficit", "Maximum")),
        alarm("Surplus", "arn:Shrink", **single("Surplus", "Minimum")),
        heartbeat,
        floor,
    ]


class Pool:
    """A service that scales, and a clock."""

    def __init__(self, desired: int = 0, **bounds: int) -> None:
        self.emulator = FakeEmulator()
        self.emulator.serve("demo:1", desired)
        self.emulator.records = [*launched(**bounds)]
        self.is_deploying = False
        self.scaler = ApplicationAutoscaling(
            self.emulator,
            MetricStore(),
            lambda cluster, service: (
                self.is_deploying and (cluster, service) == ("airflow", "web")
            ),
        )
        self.now = BEGIN
        self.scaler.update(self.now)

    @property
    def desired(self) -> int:
        return self.emulator.desired_services["web"].desired

    def publish(self, **values: float) -> None:
        for name, value in values.items():
            metric = Metric.of({"MetricName": name, "Dimensions": POOL}, "Own")
            self.scaler.metrics.put(metric, Datum.of(value, self.now))

    def pass_by(self, seconds: int) -> list[int]:
        """Let time pass; return the desired count at the end of each second."""
        counts = []
        for _ in range(seconds):
            self.now += 1
            self.scaler.sample(self.emulator.services(), self.now)
            self.scaler.step(self.now)
            counts.append(self.desired)
        return counts

    def round(self, **values: float) -> int:
        """Pass ten seconds with numbers in the sixth; return the desired count."""
        self.pass_by(6)
        self.publish(**values)
        self.pass_by(4)
        return self.desired


def test_deficit_is_met_five_seconds_after_its_period() -> None:
    pool = Pool()
    pool.round(Deficit=2)
    assert pool.pass_by(6) == [0, 0, 0, 0, 2, 2]
    (activity,) = pool.scaler.activities
    assert (activity.service, activity.before, activity.after) == ("web", 0, 2)
    assert activity.cause == "alarm scaling/Deficit at 2 triggered Grow by +2"


def test_deficit_that_stays_triggers_once_a_minute() -> None:
    pool = Pool()
    counts = [pool.round(Deficit=1) for _ in range(16)]
    assert counts == [0, *[1] * 6, *[2] * 6, *[3] * 3]


def test_scaling_stays_within_the_bounds() -> None:
    pool = Pool(minimum=1, maximum=3)
    assert pool.desired == 1  # when the target was registered
    pool.round(Deficit=3)
    pool.round(Deficit=0)
    assert pool.desired == 3
    pool.round(Surplus=3)
    pool.round(Surplus=0)
    assert pool.desired == 1


def test_bounds_are_enforced_when_they_change() -> None:
    pool = Pool(desired=4)
    pool.emulator.records = [*launched(maximum=2)]
    pool.scaler.update(pool.now)
    assert pool.desired == 2
    assert pool.scaler.activities[-1].cause == "maximum capacity was set to 2"
    pool.emulator.scale(4)
    pool.scaler.update(pool.now)
    pool.round(Deficit=1)
    pool.round(Deficit=0)
    assert pool.desired == 4  # growth leaves alone what stands above


def test_deploying_service_scales_out_only() -> None:
    pool = Pool(desired=2)
    pool.is_deploying = True
    pool.round(Deficit=1)
    assert [pool.round(Surplus=1) for _ in range(2)] == [3, 3]
    pool.is_deploying = False
    # The alarm stays on, and repeats itself a minute after it could do nothing.
    counts = [pool.round(Surplus=1) for _ in range(7)]
    assert counts == [3] * 5 + [2] * 2


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [(0, 1, 2), (3, 9, 5), (7, 1, 7), (7, -1, 5), (3, -9, 2), (1, -1, 1), (3, 0, 3)],
)
def test_bounded_counts(before: int, change: int, after: int) -> None:
    assert bounded(before, change, CapacityBounds("airflow", "web", 2, 5)) == after


def test_two_autoscalers_count_by_greater_deficit_and_smaller_surplus() -> None:
    pool = Pool(desired=3)
    pool.pass_by(6)
    pool.publish(Surplus=2)
    pool.publish(Surplus=0)
    pool.pass_by(10)
    assert pool.desired == 3
    pool.publish(Deficit=0)
    pool.publish(Deficit=1)
    pool.pass_by(10)
    assert pool.desired == 4


def test_missing_metrics_change_nothing() -> None:
    pool = Pool(desired=3)
    assert set(pool.pass_by(600)) == {3}
    assert pool.scaler.states() == {
        "scaling/Deficit": "OK",
        "scaling/Surplus": "OK",
        "scaling/Heartbeat": "ALARM",
        "scaling/BelowFloor": "OK",
    }


def test_silent_autoscaler_raises_the_pool_to_its_fallback_minimum() -> None:
    pool = Pool()
    for _ in range(13):
        pool.round(Heartbeat=1)
    assert pool.desired == 0
    assert pool.scaler.states()["scaling/Heartbeat"] == "OK"
    before = pool.now
    while not pool.desired and pool.now < before + 400:
        pool.pass_by(1)
    assert pool.desired == 2
    assert 180 <= pool.now - before <= 260
    assert set(pool.pass_by(900)) == {2}
    assert pool.scaler.states()["scaling/Heartbeat"] == "ALARM"


def test_short_silence_raises_nothing() -> None:
    pool = Pool()
    for _ in range(6):
        pool.round(Heartbeat=1)
    pool.pass_by(110)
    for _ in range(6):
        pool.round(Heartbeat=1)
    assert pool.desired == 0


def test_unchanged_alarm_keeps_its_state() -> None:
    pool = Pool()
    for _ in range(5):
        pool.round(Deficit=1)
    pool.scaler.update(pool.now)
    pool.round(Deficit=1)
    # Beyond the cooldown, and not a minute after the alarm acted.
    assert pool.pass_by(8)[-1] == 1


def test_unchanged_target_keeps_its_cooldown() -> None:
    pool = Pool()
    pool.round(Deficit=1)
    pool.round(Deficit=0)
    pool.scaler.update(pool.now)
    pool.round(Deficit=1)
    assert pool.round(Deficit=0) == 1


def test_unsupported_resources_are_reported() -> None:
    pool = Pool()
    tracking = record(
        POLICY,
        "Cpu",
        PolicyName="Cpu",
        PolicyType="TargetTrackingScaling",
        ScalingTargetId=TARGET_ID,
    )
    strange = alarm("Strange", "arn:Grow", **single("Deficit", "p99"))
    pool.emulator.records += [tracking, strange]
    pool.scaler.update(pool.now)
    text = " ".join(pool.scaler.deviations())
    assert "scaling/Cpu: the policy type is TargetTrackingScaling" in text
    assert "scaling/Strange: the statistic p99 is unknown" in text
    assert "scaling/Strange" not in pool.scaler.states()


def test_alarms_on_other_metrics_are_ignored() -> None:
    pool = Pool()
    own = alarm("Stalled", TOPIC, **single("Stalled", "Maximum", 60))
    database = alarm("Cpu", TOPIC, **single("Cpu", "Average", 60))
    database["properties"]["Namespace"] = "AWS/RDS"
    insights = alarm("Running", TOPIC, **single("RunningTaskCount", "Average", 60))
    insights["properties"]["Namespace"] = "ECS/ContainerInsights"
    pool.emulator.records += [own, database, insights]
    pool.scaler.update(pool.now)
    assert "scaling/Stalled" in pool.scaler.states()
    assert not {"scaling/Cpu", "scaling/Running"} & set(pool.scaler.states())
