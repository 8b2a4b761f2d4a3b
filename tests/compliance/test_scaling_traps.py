"""What made others lose tasks or freeze: each trap is held, and seen to be held.

The checks look at the resolved estate, in every variant. ``TRAPS`` springs each of them
once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.compliance.environments import Estate, Estates, Library
from tests.compliance.mutations import CONTAINER, GONE, STATEMENTS, Break
from tests.compliance.test_control_mutations import broken

Targets = dict[str, tuple[str, dict[str, Any]]]


def scaled(estate: Estate) -> Targets:
    """Return what is scaled: place and properties of its target, by its service."""
    found: Targets = {}
    for place, target in estate.of("ApplicationAutoScaling::ScalableTarget").items():
        _, _, name = target["ResourceId"].split("/")
        found[name.strip("<>").removesuffix(".Name")] = (place, target)
    return found


def crews(estate: Estate) -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    """Return each service of workers with its container's environment."""
    found = {}
    for place, service in estate.of("ECS::Service").items():
        container = estate.container_of(service)
        if container["Name"] == "worker":
            told = {one["Name"]: one["Value"] for one in container["Environment"]}
            found[place] = (service, told)
    assert found
    return found


def sigterm_ends_every_process(estate: Estate) -> None:
    # apache/airflow #18066: with 1, the image's default, running tasks die at once.
    for place, (_, told) in crews(estate).items():
        assert told["DUMB_INIT_SETSID"] == "0", place


def stopping_is_hasty(estate: Estate) -> None:
    for place, (service, _) in crews(estate).items():
        assert estate.container_of(service)["StopTimeout"] == 120, place


def an_update_resets_the_count(estate: Estate) -> None:
    # aws-cdk #13130: a count in the template stops workers in the middle of the day.
    services = estate.of("ECS::Service")
    assert scaled(estate).keys() <= services.keys()
    assert crews(estate).keys() <= scaled(estate).keys()
    for place in scaled(estate):
        assert "DesiredCount" not in services[place], place


def workers_are_moved(estate: Estate) -> None:
    for place, (service, _) in crews(estate).items():
        assert service["AvailabilityZoneRebalancing"] == "DISABLED", place


def concurrency_is_not_what_scaling_divides_by(estate: Estate) -> None:
    for place, (_, told) in crews(estate).items():
        assert "AIRFLOW__CELERY__WORKER_AUTOSCALE" not in told, place
        assert int(told["AIRFLOW__CELERY__WORKER_CONCURRENCY"]) >= 1, place
        assert told["AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER"] == "1", place


def workers_go_unprotected(estate: Estate) -> None:
    # Whatever may shrink must be protected while it works.
    for place, (service, told) in crews(estate).items():
        _, target = scaled(estate)[place]
        if int(target["MaxCapacity"]) > int(target["MinCapacity"]):
            extra = json.loads(told["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
            assert "fargate_runtime.worker.bootsteps" in extra["imports"], place
            assert may(estate, service, "ecs:UpdateTaskProtection"), place


def may(estate: Estate, service: dict[str, Any], action: str) -> bool:
    """Whether the code of a service's task may do something."""
    definition = estate.of("ECS::TaskDefinition")[service["TaskDefinition"].strip("<>")]
    role = estate.of("IAM::Role")[definition["TaskRoleArn"][1:].partition(".Arn")[0]]
    attached = {arn.strip("<>") for arn in role["ManagedPolicyArns"]}
    return any(
        action in statement["Action"]
        for place, statements in estate.policies().items()
        if place in attached
        for statement in statements
    )


def the_autoscaler_does_not_find_the_pool(estate: Estate) -> None:
    told = [
        one["Value"]
        for container in estate.containers().values()
        for one in container["Environment"]
        if one["Name"] == "SCALING_POOLS"
    ]
    (pools,) = map(json.loads, told)
    published = {
        dimension["Value"]
        for alarm in estate.of("CloudWatch::Alarm").values()
        for dimension in alarm.get("Dimensions", [])
        if dimension["Name"] == "Pool"
    }
    tags = {
        tag["Value"]: environment["WORKER_POOL"]
        for service, environment in crews(estate).values()
        for tag in service["Tags"]
        if tag["Key"] == "Pool"
    }
    names = {pool["name"] for pool in pools}
    assert names == published == tags.keys() == set(tags.values())


def a_deployment_waits_for_room_it_never_gets(estate: Estate) -> None:
    # Old workers are protected and stay, so new ones need room beside all of them.
    for place, (service, _) in crews(estate).items():
        deployment = service["DeploymentConfiguration"]
        assert deployment["MaximumPercent"] >= 200, place
        assert deployment["MinimumHealthyPercent"] <= 100, place


def a_ratio_never_leaves_zero(estate: Estate) -> None:
    # A metric that is divided by running tasks says nothing while none runs.
    fewest = {
        place: int(target["MinCapacity"]) for place, target in scaled(estate).values()
    }
    ratios = 0
    for place, policy in estate.of("ApplicationAutoScaling::ScalingPolicy").items():
        tracking = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        if "CustomizedMetricSpecification" in tracking:
            ratios += 1
            assert fewest[policy["ScalingTargetId"].strip("<>")] >= 1, place
    assert ratios


SETTING = f"WorkerDefinition/Properties/{CONTAINER}/Environment/+"

TRAPS: tuple[tuple[Callable[[Estate], None], Break], ...] = (
    (
        sigterm_ends_every_process,
        Break((), "workers", SETTING, {"Name": "DUMB_INIT_SETSID", "Value": "1"}),
    ),
    (
        stopping_is_hasty,
        Break(
            (), "workers", f"WorkerDefinition/Properties/{CONTAINER}/StopTimeout", 30
        ),
    ),
    (
        an_update_resets_the_count,
        Break((), "workers", "Worker/Properties/DesiredCount", 3),
    ),
    (
        an_update_resets_the_count,
        Break((), "airflow-services", "ApiServer/Properties/DesiredCount", 2),
    ),
    (
        workers_are_moved,
        Break((), "workers", "Worker/Properties/AvailabilityZoneRebalancing", GONE),
    ),
    (
        concurrency_is_not_what_scaling_divides_by,
        Break(
            (),
            "workers",
            SETTING,
            {"Name": "AIRFLOW__CELERY__WORKER_AUTOSCALE", "Value": "8,2"},
        ),
    ),
    (
        concurrency_is_not_what_scaling_divides_by,
        Break(
            (),
            "workers",
            SETTING,
            {"Name": "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER", "Value": "4"},
        ),
    ),
    (
        workers_go_unprotected,
        Break(
            (),
            "workers",
            SETTING,
            {
                "Name": "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG",
                "Value": '{"imports": []}',
            },
        ),
    ),
    (
        workers_go_unprotected,
        Break((), "workers", f"WorkerTaskPolicy/Properties/{STATEMENTS}/8", GONE),
    ),
    (
        the_autoscaler_does_not_find_the_pool,
        Break((), "workers", "Worker/Properties/Tags/0/Value", "another"),
    ),
    (
        the_autoscaler_does_not_find_the_pool,
        Break((), "workers", SETTING, {"Name": "WORKER_POOL", "Value": "another"}),
    ),
    (
        a_deployment_waits_for_room_it_never_gets,
        Break(
            (),
            "workers",
            "Worker/Properties/DeploymentConfiguration/MaximumPercent",
            150,
        ),
    ),
    (
        a_ratio_never_leaves_zero,
        Break((), "api-scaling", "ApiServers/Properties/MinCapacity", 0),
    ),
)
"""Each trap, and how it could be set again."""

CHECKS = tuple(dict.fromkeys(check for check, _ in TRAPS))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_trap_is_not_set(check: Callable[[Estate], None], estates: Estates) -> None:
    for estate in estates.each:
        check(estate)


@pytest.mark.parametrize("environment", ["dev", "staging"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_trap_is_not_set_in_small_either(
    check: Callable[[Estate], None], environment: str, library: Library
) -> None:
    check(Estates(library, environment).usual)


@pytest.mark.parametrize(
    ("check", "trap"), TRAPS, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_trap_that_is_set_is_noticed(
    check: Callable[[Estate], None], trap: Break, library: Library
) -> None:
    with pytest.raises((AssertionError, KeyError)):
        check(Estates(broken(library, trap)).usual)
