"""What made others lose tasks or freeze: each trap is held, and seen to be held.

The checks look at the resolved environment, in every variant. ``TRAPS`` springs each of them
once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.compliance.environments import ResolvedEnvironment, Environments, Library
from tests.compliance.mutations import CONTAINER, REMOVED, STATEMENTS, Mutation
from tests.compliance.test_control_mutations import broken

Targets = dict[str, tuple[str, dict[str, Any]]]


def scaled(environment: ResolvedEnvironment) -> Targets:
    """Return what is scaled: place and properties of its target, by its service."""
    found: Targets = {}
    for place, target in environment.properties(
        "ApplicationAutoScaling::ScalableTarget"
    ).items():
        _, _, name = target["ResourceId"].split("/")
        found[name.strip("<>").removesuffix(".Name")] = (place, target)
    return found


def crews(
    environment: ResolvedEnvironment,
) -> dict[str, tuple[dict[str, Any], dict[str, str]]]:
    """Return each service of workers with its container's environment."""
    found = {}
    for place, service in environment.properties("ECS::Service").items():
        container = environment.container_of(service)
        if container["Name"] == "worker":
            told = {one["Name"]: one["Value"] for one in container["Environment"]}
            found[place] = (service, told)
    assert found
    return found


def sigterm_ends_every_process(environment: ResolvedEnvironment) -> None:
    # apache/airflow #18066: with 1, the image's default, running tasks die at once.
    for place, (_, told) in crews(environment).items():
        assert told["DUMB_INIT_SETSID"] == "0", place


def stopping_is_hasty(environment: ResolvedEnvironment) -> None:
    for place, (service, _) in crews(environment).items():
        assert environment.container_of(service)["StopTimeout"] == 120, place


def an_update_resets_the_count(environment: ResolvedEnvironment) -> None:
    # aws-cdk #13130: a count in the template stops workers in the middle of the day.
    services = environment.properties("ECS::Service")
    assert scaled(environment).keys() <= services.keys()
    assert crews(environment).keys() <= scaled(environment).keys()
    for place in scaled(environment):
        assert "DesiredCount" not in services[place], place


def workers_are_moved(environment: ResolvedEnvironment) -> None:
    for place, (service, _) in crews(environment).items():
        assert service["AvailabilityZoneRebalancing"] == "DISABLED", place


def concurrency_is_not_what_scaling_divides_by(
    environment: ResolvedEnvironment,
) -> None:
    for place, (_, told) in crews(environment).items():
        assert "AIRFLOW__CELERY__WORKER_AUTOSCALE" not in told, place
        assert int(told["AIRFLOW__CELERY__WORKER_CONCURRENCY"]) >= 1, place
        assert told["AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER"] == "1", place


def workers_go_unprotected(environment: ResolvedEnvironment) -> None:
    # Whatever may shrink must be protected while it works.
    for place, (service, told) in crews(environment).items():
        _, target = scaled(environment)[place]
        if int(target["MaxCapacity"]) > int(target["MinCapacity"]):
            extra = json.loads(told["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
            assert "fargate_runtime.worker.bootsteps" in extra["imports"], place
            assert may(environment, service, "ecs:UpdateTaskProtection"), place


def may(environment: ResolvedEnvironment, service: dict[str, Any], action: str) -> bool:
    """Whether the code of a service's task may do something."""
    definition = environment.properties("ECS::TaskDefinition")[
        service["TaskDefinition"].strip("<>")
    ]
    role = environment.properties("IAM::Role")[
        definition["TaskRoleArn"][1:].partition(".Arn")[0]
    ]
    attached = {arn.strip("<>") for arn in role["ManagedPolicyArns"]}
    return any(
        action in statement["Action"]
        for place, statements in environment.policies().items()
        if place in attached
        for statement in statements
    )


def the_autoscaler_does_not_find_the_pool(environment: ResolvedEnvironment) -> None:
    told = [
        one["Value"]
        for container in environment.containers().values()
        for one in container["Environment"]
        if one["Name"] == "SCALING_POOLS"
    ]
    (pools,) = map(json.loads, told)
    published = {
        dimension["Value"]
        for alarm in environment.properties("CloudWatch::Alarm").values()
        for dimension in alarm.get("Dimensions", [])
        if dimension["Name"] == "Pool"
    }
    tags = {
        tag["Value"]: environment["WORKER_POOL"]
        for service, environment in crews(environment).values()
        for tag in service["Tags"]
        if tag["Key"] == "Pool"
    }
    names = {pool["name"] for pool in pools}
    assert names == published == tags.keys() == set(tags.values())


def a_deployment_waits_for_room_it_never_gets(environment: ResolvedEnvironment) -> None:
    # Old workers are protected and stay, so new ones need room beside all of them.
    for place, (service, _) in crews(environment).items():
        deployment = service["DeploymentConfiguration"]
        assert deployment["MaximumPercent"] >= 200, place
        assert deployment["MinimumHealthyPercent"] <= 100, place


def a_ratio_never_leaves_zero(environment: ResolvedEnvironment) -> None:
    # A metric that is divided by running tasks says nothing while none runs.
    fewest = {
        place: int(target["MinCapacity"])
        for place, target in scaled(environment).values()
    }
    ratios = 0
    for place, policy in environment.properties(
        "ApplicationAutoScaling::ScalingPolicy"
    ).items():
        tracking = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        if "CustomizedMetricSpecification" in tracking:
            ratios += 1
            assert fewest[policy["ScalingTargetId"].strip("<>")] >= 1, place
    assert ratios


SETTING = f"WorkerDefinition/Properties/{CONTAINER}/Environment/+"

TRAPS: tuple[tuple[Callable[[ResolvedEnvironment], None], Mutation], ...] = (
    (
        sigterm_ends_every_process,
        Mutation((), "workers", SETTING, {"Name": "DUMB_INIT_SETSID", "Value": "1"}),
    ),
    (
        stopping_is_hasty,
        Mutation(
            (), "workers", f"WorkerDefinition/Properties/{CONTAINER}/StopTimeout", 30
        ),
    ),
    (
        an_update_resets_the_count,
        Mutation((), "workers", "Worker/Properties/DesiredCount", 3),
    ),
    (
        an_update_resets_the_count,
        Mutation((), "airflow-services", "ApiServer/Properties/DesiredCount", 2),
    ),
    (
        workers_are_moved,
        Mutation(
            (), "workers", "Worker/Properties/AvailabilityZoneRebalancing", REMOVED
        ),
    ),
    (
        concurrency_is_not_what_scaling_divides_by,
        Mutation(
            (),
            "workers",
            SETTING,
            {"Name": "AIRFLOW__CELERY__WORKER_AUTOSCALE", "Value": "8,2"},
        ),
    ),
    (
        concurrency_is_not_what_scaling_divides_by,
        Mutation(
            (),
            "workers",
            SETTING,
            {"Name": "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER", "Value": "4"},
        ),
    ),
    (
        workers_go_unprotected,
        Mutation(
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
        Mutation((), "workers", f"WorkerTaskPolicy/Properties/{STATEMENTS}/8", REMOVED),
    ),
    (
        the_autoscaler_does_not_find_the_pool,
        Mutation((), "workers", "Worker/Properties/Tags/0/Value", "another"),
    ),
    (
        the_autoscaler_does_not_find_the_pool,
        Mutation((), "workers", SETTING, {"Name": "WORKER_POOL", "Value": "another"}),
    ),
    (
        a_deployment_waits_for_room_it_never_gets,
        Mutation(
            (),
            "workers",
            "Worker/Properties/DeploymentConfiguration/MaximumPercent",
            150,
        ),
    ),
    (
        a_ratio_never_leaves_zero,
        Mutation((), "api-scaling", "ApiServers/Properties/MinCapacity", 0),
    ),
)
"""Each trap, and how it could be set again."""

CHECKS = tuple(dict.fromkeys(check for check, _ in TRAPS))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_pitfall_is_avoided(
    check: Callable[[ResolvedEnvironment], None], environments: Environments
) -> None:
    for environment in environments.variants:
        check(environment)


@pytest.mark.parametrize("environment", ["dev", "staging"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_pitfall_is_avoided_in_small_environments(
    check: Callable[[ResolvedEnvironment], None], environment: str, library: Library
) -> None:
    check(Environments(library, environment).base)


@pytest.mark.parametrize(
    ("check", "trap"), TRAPS, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_pitfall_is_noticed(
    check: Callable[[ResolvedEnvironment], None], trap: Mutation, library: Library
) -> None:
    with pytest.raises((AssertionError, KeyError)):
        check(Environments(broken(library, trap)).base)
