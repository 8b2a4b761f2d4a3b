"""Scaling of the API servers: three loads, quick to grow and slow to shrink."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.wiring import Build
from templates import api_scaling
from tests.resolver import deploy

LABEL = "app/a/b/targetgroup/c/d"
GIVEN = {
    "ClusterName": "cluster",
    "ServiceName": "api",
    "Minimum": "2",
    "Maximum": "6",
    "CpuPercent": "65",
    "RequestsPerMinute": "1000",
    "WorkersEach": "20",
    "ApiResourceLabel": LABEL,
}


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, Any]]:
    document = Build().page(api_scaling.define).document
    return deploy(document, {}, GIVEN).resources


@pytest.fixture(scope="module")
def policies(made: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: one["Properties"]
        for name, one in made.items()
        if one["Type"].endswith("ScalingPolicy")
    }


def test_api_servers_follow_their_processors_and_requests_from_outside(
    policies: dict[str, dict[str, Any]],
) -> None:
    # Workers call the API past the load balancer: requests alone would not see them.
    tracked = {
        name: (
            configuration["PredefinedMetricSpecification"],
            configuration["TargetValue"],
        )
        for name, policy in policies.items()
        for configuration in [policy["TargetTrackingScalingPolicyConfiguration"]]
        if "PredefinedMetricSpecification" in configuration
    }
    assert tracked == {
        "Cpu": (
            {"PredefinedMetricType": "ECSServiceAverageCPUUtilizationHighResolution"},
            "65",
        ),
        "Requests": (
            {
                "PredefinedMetricType": "ALBRequestCountPerTarget",
                "ResourceLabel": LABEL,
            },
            "1000",
        ),
    }


def test_api_servers_follow_the_workers(policies: dict[str, dict[str, Any]]) -> None:
    tracking = policies["Workers"]["TargetTrackingScalingPolicyConfiguration"]
    assert tracking["TargetValue"] == "20"
    queries = tracking["CustomizedMetricSpecification"]["Metrics"]
    read = {
        query["Id"]: (
            query["MetricStat"]["Metric"]["Namespace"],
            query["MetricStat"]["Metric"]["MetricName"],
            {
                d["Name"]: d["Value"]
                for d in query["MetricStat"]["Metric"]["Dimensions"]
            },
        )
        for query in queries
        if "MetricStat" in query
    }
    assert read == {
        # What the pools want, not what runs: it is known a minute earlier.
        "workers": ("AirflowOnFargate", "Workers", {"ClusterName": "cluster"}),
        "servers": (
            "ECS/ContainerInsights",
            "RunningTaskCount",
            {"ClusterName": "cluster", "ServiceName": "api"},
        ),
    }
    # Application Auto Scaling takes one series: it must fall when servers are added.
    (returned,) = (query for query in queries if query["ReturnData"])
    assert returned["Expression"] == "workers / servers"


def test_api_servers_leave_slowly(policies: dict[str, dict[str, Any]]) -> None:
    # Control 120.
    for name, policy in policies.items():
        tracking = policy["TargetTrackingScalingPolicyConfiguration"]
        assert tracking["ScaleInCooldown"] >= 300, name
        assert tracking["ScaleOutCooldown"] <= 60, name
        assert not tracking.get("DisableScaleIn"), name


def test_both_act_on_the_one_service_within_its_bounds(
    made: dict[str, dict[str, Any]], policies: dict[str, dict[str, Any]]
) -> None:
    target = made["ApiServers"]["Properties"]
    assert target["ResourceId"] == "service/cluster/api"
    assert (target["MinCapacity"], target["MaxCapacity"]) == ("2", "6")
    assert {one["ScalingTargetId"] for one in policies.values()} == {"<ApiServers>"}
    assert {one["PolicyType"] for one in policies.values()} == {"TargetTrackingScaling"}
