"""ECS as MiniStack's CloudFormation leaves it incomplete: what a container is told.

Its task definitions lose whatever its own scheduler does not read, and keep secrets and
health checks in CloudFormation's spelling, which no ECS client reads. Its services lose
Service Connect and the grace period. Who runs tasks from them needs all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.emulator.patches.ministack import names

ECS = names("services.ecs")
TASK_DEFINITION = "AWS::ECS::TaskDefinition"
SERVICE = "AWS::ECS::Service"

FREE_KEYS = frozenset({"DockerLabels", "Options"})
"""Maps whose keys are the user's own."""

OWN_FORM = ("EphemeralStorage", "RuntimePlatform", "Volumes", "ContainerDefinitions")
"""Parts of a task definition that ECS shows in its own spelling."""

Made = tuple[str, dict[str, Any]]


def completed(handlers: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the handlers of both types, with nothing lost."""
    definition, service = handlers[TASK_DEFINITION], handlers[SERVICE]

    def define(logical_id: str, properties: dict[str, Any], stack_name: str) -> Made:
        made: Made = definition["create"](logical_id, properties, stack_name)
        return _told(made, properties)

    def redefine(
        physical_id: str, old: Any, new: dict[str, Any], stack_name: str, *more: Any
    ) -> Made:
        made = definition["update"](physical_id, old, new, stack_name, *more)
        return _told(made, new)

    def create(logical_id: str, properties: dict[str, Any], stack_name: str) -> Made:
        made: Made = service["create"](logical_id, properties, stack_name)
        return _connected(made, properties)

    def update(
        physical_id: str, old: Any, new: dict[str, Any], stack_name: str, *more: Any
    ) -> Made:
        made = service["update"](physical_id, old, new, stack_name, *more)
        return _connected(made, new)

    return {
        TASK_DEFINITION: {**definition, "create": define, "update": redefine},
        SERVICE: {**service, "create": create, "update": update},
    }


def spelt(value: Any) -> Any:
    """Return a property as the ECS API spells it."""
    if isinstance(value, dict):
        return {
            name[:1].lower() + name[1:]: member if name in FREE_KEYS else spelt(member)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [spelt(member) for member in value]
    return value


def _told(made: Made, properties: dict[str, Any]) -> Made:
    """Keep every part of a task definition."""
    key = made[0].rpartition("/")[2]
    ECS["_task_defs"][key].update(
        {
            spelt_name(name): spelt(properties[name])
            for name in OWN_FORM
            if name in properties
        }
    )
    return made


def _connected(made: Made, properties: dict[str, Any]) -> Made:
    """Keep what a service tells its tasks and its load balancer."""
    cluster = ECS["_resolve_cluster_name"](properties.get("Cluster", "default"))
    name = made[1]["Name"]
    kept = ECS["_services"][f"{cluster}/{name}"]
    kept["healthCheckGracePeriodSeconds"] = properties.get(
        "HealthCheckGracePeriodSeconds", 0
    )
    for flag in (
        "EnableExecuteCommand",
        "PropagateTags",
        "AvailabilityZoneRebalancing",
    ):
        if flag in properties:
            kept[spelt_name(flag)] = properties[flag]
    connect = properties.get("ServiceConnectConfiguration")
    for deployment in kept["deployments"]:
        if deployment["status"] == "PRIMARY" and connect:
            deployment["serviceConnectConfiguration"] = spelt(connect)
    return made


def spelt_name(name: str) -> str:
    """Return a property's name as the ECS API spells it."""
    return name[:1].lower() + name[1:]
