"""Scaling of the API servers: three metrics, fast scale-out and slow scale-in."""

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
def resources() -> dict[str, dict[str, Any]]:
    document = Build().template(api_scaling.define).document
    return deploy(document, {}, GIVEN).resources


@pytest.fixture(scope="module")
def policies(resources: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in resources.items()
        if resource["Type"].endswith("ScalingPolicy")
    }


def test_api_servers_scale_by_cpu_and_requests(
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


def test_api_servers_scale_by_workers(policies: dict[str, dict[str, Any]]) -> None:
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
        # Required workers, not running ones: known a minute earlier.
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


def test_scale_in_is_slow(policies: dict[str, dict[str, Any]]) -> None:
    for name, policy in policies.items():
        tracking = policy["TargetTrackingScalingPolicyConfiguration"]
        assert tracking["ScaleInCooldown"] >= 300, name
        assert tracking["ScaleOutCooldown"] <= 60, name
        assert not tracking.get("DisableScaleIn"), name


def test_policies_act_on_one_service_within_its_bounds(
    resources: dict[str, dict[str, Any]], policies: dict[str, dict[str, Any]]
) -> None:
    target = resources["ApiServers"]["Properties"]
    assert target["ResourceId"] == "service/cluster/api"
    assert (target["MinCapacity"], target["MaxCapacity"]) == ("2", "6")
    assert {policy["ScalingTargetId"] for policy in policies.values()} == {
        "<ApiServers>"
    }
    assert {policy["PolicyType"] for policy in policies.values()} == {
        "TargetTrackingScaling"
    }
