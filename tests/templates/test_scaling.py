"""Scaling of a pool: one actor on its desired count, driven by the autoscaler."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from compiler.wiring import Build
from fargate_runtime import contract
from templates import scaling
from tests.resolver import deploy

TOPIC = "arn:aws:sns:eu-central-1:123456789012:alarms"
GIVEN = {
    "ClusterName": "cluster",
    "ServiceName": "workers",
    "PoolName": "default",
    "PoolMinimum": "0",
    "PoolMaximum": "25",
    "PoolFallbackMinimum": "2",
    "AlarmTopicArn": TOPIC,
}
AUTOSCALER = [
    {"Name": "ClusterName", "Value": "cluster"},
    {"Name": "Pool", "Value": "default"},
]

Resources = dict[str, dict[str, Any]]


def deployed(**changes: str) -> Resources:
    document = Build().template(scaling.define).document
    return deploy(document, {}, {**GIVEN, **changes}).resources


@pytest.fixture(scope="module")
def resources() -> Resources:
    return deployed()


def of_type(resources: Resources, kind: str) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"].rpartition("::")[2] == kind
    }


def change(policy: dict[str, Any], metric: float, threshold: float = 0.5) -> int:
    """By how much a step policy changes capacity when its alarm rings at a value."""
    adjustments = [
        band["ScalingAdjustment"]
        for band in policy["StepScalingPolicyConfiguration"]["StepAdjustments"]
        if band["MetricIntervalLowerBound"] <= metric - threshold
        and metric - threshold < band.get("MetricIntervalUpperBound", float("inf"))
    ]
    assert len(adjustments) == 1, f"{metric}: {adjustments}"
    return int(adjustments[0])


def scaling_alarms(
    resources: Resources,
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every alarm that scales, with the policy that it sets off."""
    policies = of_type(resources, "ScalingPolicy")
    for alarm in of_type(resources, "Alarm").values():
        for action in alarm["AlarmActions"]:
            if action != TOPIC:
                yield alarm, policies[action.removeprefix("<").removesuffix(".Arn>")]


@pytest.mark.parametrize(
    ("name", "sign"), [("ScaleOut", 1), ("ScaleIn", -1), ("RaiseToFallbackMinimum", 1)]
)
def test_steps_are_contiguous_and_follow_the_metric(
    name: str, sign: int, resources: Resources
) -> None:
    policy = of_type(resources, "ScalingPolicy")[name]
    steps = policy["StepScalingPolicyConfiguration"]
    assert steps["AdjustmentType"] == "ChangeInCapacity"
    bands = steps["StepAdjustments"]
    assert len(bands) == 20, "the limit of a policy"
    assert bands[0]["MetricIntervalLowerBound"] == 0
    for lower, upper in pairwise(bands):
        assert lower["MetricIntervalUpperBound"] == upper["MetricIntervalLowerBound"]
    for workers in range(1, 21):
        assert change(policy, workers) == sign * workers
    assert change(policy, 300) == sign * 20


def test_only_the_surplus_scales_a_pool_in(resources: Resources) -> None:
    # E1, D1: CPU and queue length scale in under running tasks.
    shrinking = [
        alarm
        for alarm, policy in scaling_alarms(resources)
        if any(
            band["ScalingAdjustment"] < 0
            for band in policy["StepScalingPolicyConfiguration"]["StepAdjustments"]
        )
    ]
    assert [alarm["MetricName"] for alarm in shrinking] == [contract.WORKER_SURPLUS]


def test_one_actor_owns_the_desired_count(resources: Resources) -> None:
    # E6: two fight, and the capacity swings.
    (target,) = of_type(resources, "ScalableTarget").values()
    assert target["ResourceId"] == "service/cluster/workers"
    assert target["ScalableDimension"] == "ecs:service:DesiredCount"
    assert (target["MinCapacity"], target["MaxCapacity"]) == ("0", "25")
    policies = of_type(resources, "ScalingPolicy")
    assert {policy["PolicyType"] for policy in policies.values()} == {"StepScaling"}
    assert {policy["ScalingTargetId"] for policy in policies.values()} == {"<Workers>"}
    assert {id(policy) for _, policy in scaling_alarms(resources)} == set(
        map(id, policies.values())
    ), "a policy that no alarm sets off"


@pytest.mark.parametrize(
    ("alarm", "metric"),
    [("Deficit", "WorkerDeficit"), ("Surplus", "WorkerSurplus")],
)
def test_scaling_alarms_act_within_one_round(
    alarm: str, metric: str, resources: Resources
) -> None:
    properties = of_type(resources, "Alarm")[alarm]
    assert properties["Namespace"] == contract.METRIC_NAMESPACE
    assert properties["MetricName"] == metric
    assert properties["Dimensions"] == AUTOSCALER
    assert properties["Period"] == contract.ROUND_SECONDS == 10
    assert properties["EvaluationPeriods"] == properties["DatapointsToAlarm"] == 1
    assert properties["ComparisonOperator"] == "GreaterThanThreshold"
    assert properties["Threshold"] == 0.5
    assert contract.STORAGE_RESOLUTION == 1, "a ten-second alarm reads nothing else"


def test_cooldowns(resources: Resources) -> None:
    # Control 120 with its exception: the surplus is idle and unprotected already.
    seconds = {
        name: policy["StepScalingPolicyConfiguration"]["Cooldown"]
        for name, policy in of_type(resources, "ScalingPolicy").items()
    }
    assert seconds == {"ScaleOut": 30, "ScaleIn": 0, "RaiseToFallbackMinimum": 600}


def test_a_missing_metric_never_scales(resources: Resources) -> None:
    for alarm, _ in scaling_alarms(resources):
        assert alarm["TreatMissingData"] == "notBreaching"


def test_a_missing_heartbeat_notifies_and_scales_nothing(resources: Resources) -> None:
    # E3: a dead publisher freezes scaling unnoticed.
    heartbeat = of_type(resources, "Alarm")["Heartbeat"]
    assert heartbeat["MetricName"] == contract.AUTOSCALER_HEARTBEAT
    assert heartbeat["Dimensions"] == AUTOSCALER
    assert heartbeat["TreatMissingData"] == "breaching"
    assert heartbeat["ComparisonOperator"] == "LessThanThreshold"
    assert heartbeat["Threshold"] == 1
    assert heartbeat["AlarmActions"] == heartbeat["OKActions"] == [TOPIC]


def test_workers_without_tasks_raise_an_alarm(resources: Resources) -> None:
    # A1: healthy and idle, they looked healthy. A quarter of an hour is more
    # than a start from nothing takes.
    alarm = of_type(resources, "Alarm")["Stalled"]
    assert (alarm["MetricName"], alarm["Dimensions"]) == ("StalledTasks", AUTOSCALER)
    assert alarm["Period"] * alarm["EvaluationPeriods"] == 15 * 60
    assert alarm["DatapointsToAlarm"] == alarm["EvaluationPeriods"]
    # The least of a minute: one round in which a task ran is enough.
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Minimum", 0)
    assert alarm["TreatMissingData"] == "notBreaching"
    assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]


def test_the_alarm_on_overdue_tasks_rings_before_they_are_ended(
    resources: Resources,
) -> None:
    alarm = of_type(resources, "Alarm")["Overdue"]
    assert (alarm["MetricName"], alarm["Dimensions"]) == ("OverdueTasks", AUTOSCALER)
    minutes = alarm["Period"] * alarm["EvaluationPeriods"] / 60
    assert minutes < contract.LONG_TASK_GRACE_MINUTES - 1
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Maximum", 0)
    assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]


def shortfall(expression: str, beats: int | None, desired: int) -> int:
    """Evaluate the expression of the floor's alarm, of exactly this shape."""
    shape = r"IF\(FILL\(heartbeats, 0\) > 0, 0, (\d+) - desired\)"
    match = re.fullmatch(shape, expression)
    assert match, expression
    return 0 if (beats or 0) > 0 else int(match.group(1)) - desired


@pytest.mark.parametrize("beats", [None, 0, 3])
@pytest.mark.parametrize("desired", [0, 1, 2, 3, 25])
def test_the_fallback_only_raises_and_only_without_a_heartbeat(
    beats: int | None, desired: int, resources: Resources
) -> None:
    # An exact capacity would cut a pool of 25 down to 2 under its tasks; and a step
    # policy whose alarm rings on missing data has no value to choose a step by.
    alarm = of_type(resources, "Alarm")["BelowFallbackMinimum"]
    queries = {query["Id"]: query for query in alarm["Metrics"]}
    (returned,) = (query for query in queries.values() if query["ReturnData"])
    value = shortfall(returned["Expression"], beats, desired)
    after = desired
    if value > alarm["Threshold"]:
        after += change(
            of_type(resources, "ScalingPolicy")["RaiseToFallbackMinimum"], value
        )
    assert after == (desired if beats else max(desired, 2))

    heartbeat = queries["heartbeats"]["MetricStat"]["Metric"]
    assert (heartbeat["MetricName"], heartbeat["Dimensions"]) == (
        "AutoscalerHeartbeat",
        AUTOSCALER,
    )
    count = queries["desired"]["MetricStat"]["Metric"]
    assert count == {
        "Namespace": "ECS/ContainerInsights",
        "MetricName": "DesiredTaskCount",
        "Dimensions": [
            {"Name": "ClusterName", "Value": "cluster"},
            {"Name": "ServiceName", "Value": "workers"},
        ],
    }


def test_a_pool_without_a_fallback_minimum_has_no_fallback() -> None:
    assert (
        not {"BelowFallbackMinimum", "RaiseToFallbackMinimum"}
        & deployed(PoolFallbackMinimum="0").keys()
    )
