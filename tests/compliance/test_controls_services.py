"""Controls 108 to 122: services, deployments, scaling and alarms."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compliance.environments import Estate, Estates

SURPLUS_POLICY = "Shrink"
"""The one policy without a cooldown, by decision 7."""


def services(estate: Estate) -> dict[str, dict[str, Any]]:
    """Return every service; there are at least the five components."""
    found = estate.of("ECS::Service")
    assert len(found) >= 5
    return found


def workers(estate: Estate) -> set[str]:
    """Return where the services of the workers are."""
    found = {
        place
        for place, service in services(estate).items()
        if estate.container_of(service)["Name"] == "worker"
    }
    assert found
    return found


@pytest.mark.control(108, 109)
def test_a_release_that_never_starts_ends_soon_and_is_taken_back(
    estates: Estates,
) -> None:
    for estate in estates.each:
        for place, service in services(estate).items():
            breaker = service["DeploymentConfiguration"]["DeploymentCircuitBreaker"]
            assert breaker == {"Enable": True, "Rollback": True}, place


@pytest.mark.control(111)
def test_the_new_release_is_well_before_the_old_one_goes(estates: Estates) -> None:
    for estate in estates.each:
        for place, service in services(estate).items():
            deployment = service["DeploymentConfiguration"]
            assert deployment["MinimumHealthyPercent"] == 100, place
            assert deployment["MaximumPercent"] == 200, place


@pytest.mark.control(112)
def test_no_task_has_a_public_address(estates: Estates) -> None:
    for estate in estates.each:
        for place, service in services(estate).items():
            network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
            assert network["AssignPublicIp"] == "DISABLED", place


@pytest.mark.control(113)
def test_every_service_spans_zones(estates: Estates) -> None:
    zones = {
        f"<{place}>": subnet["AvailabilityZone"]
        for place, subnet in estates.usual.of("EC2::Subnet").items()
    }
    for place, service in services(estates.usual).items():
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert len({zones[subnet] for subnet in network["Subnets"]}) >= 2, place
    for place, service in services(estates.in_existing_vpc).items():
        network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert len(set(network["Subnets"])) >= 2, place


@pytest.mark.control(114)
def test_only_workers_are_never_moved_between_zones(estates: Estates) -> None:
    # On by default, it stops running tasks.
    for estate in estates.each:
        working = workers(estate)
        for place, service in services(estate).items():
            wanted = "DISABLED" if place in working else "ENABLED"
            assert service["AvailabilityZoneRebalancing"] == wanted, place


@pytest.mark.control(115)
def test_every_service_runs_on_the_patched_platform(estates: Estates) -> None:
    for place, service in services(estates.usual).items():
        assert service["PlatformVersion"] == "LATEST", place


@pytest.mark.control(116)
def test_the_load_balancer_waits_for_a_start(estates: Estates) -> None:
    # Otherwise a release that starts slowly is taken back again and again.
    estate = estates.facing_the_internet
    behind = 0
    for place, service in services(estate).items():
        if "LoadBalancers" in service:
            behind += 1
            check = estate.container_of(service)["HealthCheck"]
            assert service["HealthCheckGracePeriodSeconds"] >= check["StartPeriod"], (
                place
            )
    assert behind == 2


def bounds(estate: Estate) -> dict[str, tuple[int, int]]:
    """Return the fewest and the most tasks by what is scaled."""
    return {
        target["ResourceId"]: (int(target["MinCapacity"]), int(target["MaxCapacity"]))
        for target in estate.of("ApplicationAutoScaling::ScalableTarget").values()
    }


@pytest.mark.control(117)
def test_the_page_survives_the_loss_of_a_zone(estates: Estates) -> None:
    scaled = "service/<Cluster.Cluster>/<AirflowServices.ApiServer.Name>"
    fewest, _ = bounds(estates.usual)[scaled]
    assert fewest >= 2


@pytest.mark.control(118)
def test_costs_can_be_told_apart(estates: Estates) -> None:
    for estate in estates.each:
        for place, service in services(estate).items():
            assert service["PropagateTags"] == "SERVICE", place
            assert service["EnableECSManagedTags"] is True, place


@pytest.mark.control(119)
def test_what_is_scaled_has_bounds_in_order(estates: Estates) -> None:
    for estate in estates.each:
        for scaled, (fewest, most) in bounds(estate).items():
            assert 0 <= fewest <= most, scaled
            assert most > 0, scaled


def shrinking(policy: dict[str, Any]) -> int | None:
    """Return the cooldown after a policy takes tasks away, if it ever does."""
    if policy["PolicyType"] == "TargetTrackingScaling":
        tracking = policy["TargetTrackingScalingPolicyConfiguration"]
        return int(tracking["ScaleInCooldown"])
    steps = policy["StepScalingPolicyConfiguration"]
    if all(step["ScalingAdjustment"] > 0 for step in steps["StepAdjustments"]):
        return None
    return int(steps["Cooldown"])


@pytest.mark.control(120)
def test_nothing_shrinks_in_haste_but_what_counts_idle_workers(
    estates: Estates,
) -> None:
    without = set()
    for policy in estates.usual.of("ApplicationAutoScaling::ScalingPolicy").values():
        if shrinking(policy) == 0:
            without.add(policy["PolicyName"])
        elif shrinking(policy) is not None:
            assert (shrinking(policy) or 0) >= 60
    assert without == {SURPLUS_POLICY}


@pytest.mark.control(121)
def test_every_alarm_tells_somebody_or_orders_something(estates: Estates) -> None:
    for estate in estates.each:
        orders = estate.of("ApplicationAutoScaling::ScalingPolicy")
        heard = {"<AlarmTopic.Topic>", *(f"<{place}.Arn>" for place in orders)}
        for place, alarm in estate.of("CloudWatch::Alarm").items():
            assert alarm["AlarmActions"], place
            assert set(alarm["AlarmActions"]) <= heard, place


@pytest.mark.control(122)
def test_no_alarm_is_silenced(estates: Estates) -> None:
    for estate in estates.each:
        for place, alarm in estate.of("CloudWatch::Alarm").items():
            assert alarm.get("ActionsEnabled", True) is True, place
