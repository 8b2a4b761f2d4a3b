"""Controls 108 to 122: services, deployments, scaling and alarms."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compliance.environments import Environments, ResolvedEnvironment

SURPLUS_POLICY = "ScaleIn"
"""The one policy without a cooldown, by decision 7."""


def services(environment: ResolvedEnvironment) -> dict[str, dict[str, Any]]:
    """Return every service; there are at least the five components."""
    by_place = environment.properties("ECS::Service")
    assert len(by_place) >= 5
    return by_place


def workers(environment: ResolvedEnvironment) -> set[str]:
    """Return the places of the worker services."""
    places = {
        place
        for place, service in services(environment).items()
        if environment.container_of(service)["Name"] == "worker"
    }
    assert places
    return places


@pytest.mark.control(108, 109)
def test_failed_deployments_are_rolled_back(environments: Environments) -> None:
    for environment in environments.variants:
        for place, service in services(environment).items():
            breaker = service["DeploymentConfiguration"]["DeploymentCircuitBreaker"]
            assert breaker == {"Enable": True, "Rollback": True}, place


@pytest.mark.control(111)
def test_old_tasks_stay_until_new_are_healthy(environments: Environments) -> None:
    for environment in environments.variants:
        for place, service in services(environment).items():
            deployment = service["DeploymentConfiguration"]
            assert deployment["MinimumHealthyPercent"] == 100, place
            assert deployment["MaximumPercent"] == 200, place


@pytest.mark.control(112)
def test_tasks_have_no_public_address(environments: Environments) -> None:
    for environment in environments.variants:
        for place, service in services(environment).items():
            network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
            assert network["AssignPublicIp"] == "DISABLED", place


@pytest.mark.control(113)
def test_services_span_zones(environments: Environments) -> None:
    zones = {
        f"<{place}>": subnet["AvailabilityZone"]
        for place, subnet in environments.base.properties("EC2::Subnet").items()
    }
    for place, service in services(environments.base).items():
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert len({zones[subnet] for subnet in network["Subnets"]}) >= 2, place
    for place, service in services(environments.in_existing_vpc).items():
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert len(set(network["Subnets"])) >= 2, place


@pytest.mark.control(114)
def test_zone_rebalancing_is_off_for_workers_only(environments: Environments) -> None:
    # On by default, it stops running tasks.
    for environment in environments.variants:
        worker_places = workers(environment)
        for place, service in services(environment).items():
            expected = "DISABLED" if place in worker_places else "ENABLED"
            assert service["AvailabilityZoneRebalancing"] == expected, place


@pytest.mark.control(115)
def test_platform_version_is_latest(environments: Environments) -> None:
    for place, service in services(environments.base).items():
        assert service["PlatformVersion"] == "LATEST", place


@pytest.mark.control(116)
def test_health_check_grace_period_covers_a_start(environments: Environments) -> None:
    # Otherwise a release that starts slowly is rolled back every time.
    environment = environments.internet_facing
    count = 0
    for place, service in services(environment).items():
        if "LoadBalancers" in service:
            count += 1
            check = environment.container_of(service)["HealthCheck"]
            assert service["HealthCheckGracePeriodSeconds"] >= check["StartPeriod"], (
                place
            )
    assert count == 2


def bounds(environment: ResolvedEnvironment) -> dict[str, tuple[int, int]]:
    """Return the minimum and maximum of tasks by scalable target."""
    return {
        target["ResourceId"]: (int(target["MinCapacity"]), int(target["MaxCapacity"]))
        for target in environment.properties(
            "ApplicationAutoScaling::ScalableTarget"
        ).values()
    }


@pytest.mark.control(117)
def test_api_server_minimum_is_two(environments: Environments) -> None:
    scaled = "service/<Cluster.Cluster>/<AirflowServices.ApiServer.Name>"
    minimum, _ = bounds(environments.base)[scaled]
    assert minimum >= 2


@pytest.mark.control(118)
def test_cost_allocation_tags_reach_tasks(environments: Environments) -> None:
    for environment in environments.variants:
        for place, service in services(environment).items():
            assert service["PropagateTags"] == "SERVICE", place
            assert service["EnableECSManagedTags"] is True, place


@pytest.mark.control(119)
def test_scaling_bounds_are_in_order(environments: Environments) -> None:
    for environment in environments.variants:
        for scaled, (minimum, maximum) in bounds(environment).items():
            assert 0 <= minimum <= maximum, scaled
            assert maximum > 0, scaled


def scale_in_cooldown(policy: dict[str, Any]) -> int | None:
    """Return the cooldown of a policy that scales in, or None if it never does."""
    if policy["PolicyType"] == "TargetTrackingScaling":
        tracking = policy["TargetTrackingScalingPolicyConfiguration"]
        return int(tracking["ScaleInCooldown"])
    steps = policy["StepScalingPolicyConfiguration"]
    if all(step["ScalingAdjustment"] > 0 for step in steps["StepAdjustments"]):
        return None
    return int(steps["Cooldown"])


@pytest.mark.control(120)
def test_scale_in_has_a_cooldown(environments: Environments) -> None:
    without = set()
    for policy in environments.base.properties(
        "ApplicationAutoScaling::ScalingPolicy"
    ).values():
        if scale_in_cooldown(policy) == 0:
            without.add(policy["PolicyName"])
        elif scale_in_cooldown(policy) is not None:
            assert (scale_in_cooldown(policy) or 0) >= 60
    assert without == {SURPLUS_POLICY}


@pytest.mark.control(121)
def test_alarms_notify_or_scale(environments: Environments) -> None:
    for environment in environments.variants:
        policies = environment.properties("ApplicationAutoScaling::ScalingPolicy")
        receivers = {"<AlarmTopic.Topic>", *(f"<{place}.Arn>" for place in policies)}
        for place, alarm in environment.properties("CloudWatch::Alarm").items():
            assert alarm["AlarmActions"], place
            assert set(alarm["AlarmActions"]) <= receivers, place


@pytest.mark.control(122)
def test_alarm_actions_are_enabled(environments: Environments) -> None:
    for environment in environments.variants:
        for place, alarm in environment.properties("CloudWatch::Alarm").items():
            assert alarm.get("ActionsEnabled", True) is True, place
