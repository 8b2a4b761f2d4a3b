"""ECS resources: properties that MiniStack's CloudFormation drops.

Its task definitions lose the properties that its own scheduler does not read, and keep
secrets and health checks in CloudFormation's spelling, which no ECS client reads. Its
services lose Service Connect and the grace period, and ignore ``ForceNewDeployment``.
The local ECS agent needs all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.emulator.patches.ministack import CreateResult, Handlers, completed, names

ECS = names("services.ecs")
TASK_DEFINITION = "AWS::ECS::TaskDefinition"
SERVICE = "AWS::ECS::Service"

FREE_KEYS = frozenset({"DockerLabels", "Options"})
"""Maps whose keys are the user's own."""

FULL_PROPERTIES = (
    "EphemeralStorage",
    "RuntimePlatform",
    "Volumes",
    "ContainerDefinitions",
)
"""Properties of a task definition to copy in the spelling of the ECS API."""


def patched(handlers: Mapping[str, Handlers]) -> dict[str, Handlers]:
    """Return the handlers of both types, with every property."""
    return {
        TASK_DEFINITION: completed(handlers[TASK_DEFINITION], _task_definition),
        SERVICE: completed(_redeployed(handlers[SERVICE]), _service),
    }


def _redeployed(native: Handlers) -> Handlers:
    """Return handlers whose update starts a deployment when the nonce has changed."""

    def update(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], *more: Any
    ) -> CreateResult:
        result: CreateResult = native["update"](physical_id, old, new, *more)
        force = new.get("ForceNewDeployment", {})
        is_deployed = new.get("TaskDefinition") != old.get("TaskDefinition")
        if (
            str(force.get("EnableForceNewDeployment")).lower() == "true"
            and force != old.get("ForceNewDeployment")
            and not is_deployed
        ):
            ECS["_update_service"](
                {
                    "cluster": new.get("Cluster", "default"),
                    "service": result[1]["Name"],
                    "forceNewDeployment": True,
                }
            )
        return result

    return {**native, "update": update}


def api_form(value: Any) -> Any:
    """Return a property in the spelling of the ECS API."""
    if isinstance(value, dict):
        return {
            name[:1].lower() + name[1:]: member
            if name in FREE_KEYS
            else api_form(member)
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [api_form(member) for member in value]
    return value


def _task_definition(result: CreateResult, properties: dict[str, Any]) -> CreateResult:
    """Keep every property of a task definition."""
    key = result[0].rpartition("/")[2]
    ECS["_task_defs"][key].update(
        {
            api_name(name): api_form(properties[name])
            for name in FULL_PROPERTIES
            if name in properties
        }
    )
    return result


def _service(result: CreateResult, properties: dict[str, Any]) -> CreateResult:
    """Keep Service Connect, the grace period and the flags of a service."""
    cluster = ECS["_resolve_cluster_name"](properties.get("Cluster", "default"))
    name = result[1]["Name"]
    stored = ECS["_services"][f"{cluster}/{name}"]
    stored["healthCheckGracePeriodSeconds"] = properties.get(
        "HealthCheckGracePeriodSeconds", 0
    )
    for flag in (
        "EnableExecuteCommand",
        "PropagateTags",
        "AvailabilityZoneRebalancing",
    ):
        if flag in properties:
            stored[api_name(flag)] = properties[flag]
    connect = properties.get("ServiceConnectConfiguration")
    for deployment in stored["deployments"]:
        if deployment["status"] == "PRIMARY" and connect:
            deployment["serviceConnectConfiguration"] = api_form(connect)
    # MiniStack puts the cluster's ARN into the service's.
    arn = result[0].replace(str(properties.get("Cluster", cluster)), cluster, 1)
    return arn, {**result[1], "ServiceArn": arn}


def api_name(name: str) -> str:
    """Return a property's name in the spelling of the ECS API."""
    return name[:1].lower() + name[1:]
