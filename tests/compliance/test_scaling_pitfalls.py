"""Known causes of lost tasks and stuck scaling are avoided, each with its mutation.

The checks look at every variant of production, and at the smaller environments. What
a numbered control demands (stop timeout, zone rebalancing, room for a deployment) is
tested there.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.compliance.environments import (
    Environments,
    Library,
    Properties,
    ResolvedEnvironment,
    variables,
)
from tests.compliance.mutations import CONTAINER, REMOVED, STATEMENTS, Mutation
from tests.compliance.test_control_mutations import mutated

TARGET = "ApplicationAutoScaling::ScalableTarget"


def scalable_targets(
    environment: ResolvedEnvironment,
) -> dict[str, tuple[str, Properties]]:
    """Return the place and properties of each scalable target, by its service."""
    targets = {}
    for place, target in environment.properties(TARGET).items():
        _, _, name = target["ResourceId"].split("/")
        targets[name.strip("<>").removesuffix(".Name")] = (place, target)
    return targets


def worker_services(
    environment: ResolvedEnvironment,
) -> dict[str, tuple[Properties, dict[str, str]]]:
    """Return each worker service with its container's environment variables."""
    services = {}
    for place, service in environment.properties("ECS::Service").items():
        container = environment.container_of(service)
        if container["Name"] == "worker":
            services[place] = (service, variables(container))
    assert services
    return services


def is_allowed(
    environment: ResolvedEnvironment, service: Properties, action: str
) -> bool:
    """Whether the task role of a service is allowed an action."""
    definitions = environment.properties("ECS::TaskDefinition")
    definition = definitions[service["TaskDefinition"].strip("<>")]
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


def sigterm_reaches_celery_alone(environment: ResolvedEnvironment) -> None:
    # apache/airflow #18066: with 1, the image's default, running tasks die at once.
    for place, (_, settings) in worker_services(environment).items():
        assert settings["DUMB_INIT_SETSID"] == "0", place


def updates_keep_the_count(environment: ResolvedEnvironment) -> None:
    # aws-cdk #13130: a count in the template stops workers in the middle of the day.
    services = environment.properties("ECS::Service")
    targets = scalable_targets(environment)
    assert targets.keys() <= services.keys()
    assert worker_services(environment).keys() <= targets.keys()
    for place in targets:
        assert "DesiredCount" not in services[place], place


def concurrency_is_fixed(environment: ResolvedEnvironment) -> None:
    # Scaling divides by it.
    for place, (_, settings) in worker_services(environment).items():
        assert "AIRFLOW__CELERY__WORKER_AUTOSCALE" not in settings, place
        assert int(settings["AIRFLOW__CELERY__WORKER_CONCURRENCY"]) >= 1, place
        assert settings["AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER"] == "1", place


def workers_can_protect_themselves(environment: ResolvedEnvironment) -> None:
    # A worker that scale-in may stop must be protected while it works.
    targets = scalable_targets(environment)
    for place, (service, settings) in worker_services(environment).items():
        _, target = targets[place]
        if int(target["MaxCapacity"]) > int(target["MinCapacity"]):
            extra = json.loads(settings["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
            assert "fargate_runtime.worker.bootsteps" in extra["imports"], place
            assert is_allowed(environment, service, "ecs:UpdateTaskProtection"), place


def autoscaler_alarms_and_services_agree_on_pools(
    environment: ResolvedEnvironment,
) -> None:
    (text,) = (
        settings["SCALING_POOLS"]
        for settings in map(variables, environment.containers().values())
        if "SCALING_POOLS" in settings
    )
    names = {pool["name"] for pool in json.loads(text)}
    dimensions = {
        dimension["Value"]
        for alarm in environment.properties("CloudWatch::Alarm").values()
        for dimension in alarm.get("Dimensions", [])
        if dimension["Name"] == "Pool"
    }
    tags = {
        tag["Value"]: settings["WORKER_POOL"]
        for service, settings in worker_services(environment).values()
        for tag in service["Tags"]
        if tag["Key"] == "airflow:pool"
    }
    assert names == dimensions == tags.keys() == set(tags.values())


def ratio_metrics_scale_from_one_task(environment: ResolvedEnvironment) -> None:
    # A metric that is divided by running tasks has no value while none runs.
    minimums = {
        place: int(target["MinCapacity"])
        for place, target in scalable_targets(environment).values()
    }
    ratios = 0
    policies = environment.properties("ApplicationAutoScaling::ScalingPolicy")
    for place, policy in policies.items():
        tracking = policy.get("TargetTrackingScalingPolicyConfiguration", {})
        if "CustomizedMetricSpecification" in tracking:
            ratios += 1
            assert minimums[policy["ScalingTargetId"].strip("<>")] >= 1, place
    assert ratios


VARIABLES = f"WorkerDefinition/Properties/{CONTAINER}/Environment/+"

PITFALLS: tuple[tuple[Callable[[ResolvedEnvironment], None], Mutation], ...] = (
    (
        sigterm_reaches_celery_alone,
        Mutation("workers", VARIABLES, {"Name": "DUMB_INIT_SETSID", "Value": "1"}),
    ),
    (
        updates_keep_the_count,
        Mutation("workers", "Worker/Properties/DesiredCount", 3),
    ),
    (
        updates_keep_the_count,
        Mutation("airflow-services", "ApiServer/Properties/DesiredCount", 2),
    ),
    (
        concurrency_is_fixed,
        Mutation(
            "workers",
            VARIABLES,
            {"Name": "AIRFLOW__CELERY__WORKER_AUTOSCALE", "Value": "8,2"},
        ),
    ),
    (
        concurrency_is_fixed,
        Mutation(
            "workers",
            VARIABLES,
            {"Name": "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER", "Value": "4"},
        ),
    ),
    (
        workers_can_protect_themselves,
        Mutation(
            "workers",
            VARIABLES,
            {
                "Name": "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG",
                "Value": '{"imports": []}',
            },
        ),
    ),
    (
        workers_can_protect_themselves,
        Mutation("workers", f"WorkerTaskPolicy/Properties/{STATEMENTS}/8", REMOVED),
    ),
    (
        autoscaler_alarms_and_services_agree_on_pools,
        Mutation("workers", "Worker/Properties/Tags/0/Value", "another"),
    ),
    (
        autoscaler_alarms_and_services_agree_on_pools,
        Mutation("workers", VARIABLES, {"Name": "WORKER_POOL", "Value": "another"}),
    ),
    (
        ratio_metrics_scale_from_one_task,
        Mutation("api-scaling", "ApiServers/Properties/MinCapacity", 0),
    ),
)
"""Each check, and a mutation that it notices."""

CHECKS = tuple(dict.fromkeys(check for check, _ in PITFALLS))


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
    ("check", "mutation"),
    PITFALLS,
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_pitfall_is_noticed(
    check: Callable[[ResolvedEnvironment], None], mutation: Mutation, library: Library
) -> None:
    with pytest.raises((AssertionError, KeyError)):
        check(Environments(mutated(library, mutation)).base)
