"""What Application Auto Scaling does as soon as it knows a service.

It brings the desired count between the minimum and the maximum. The emulator keeps no
scalable targets, and a service without a count begins with one task; so the bounds are
read from the templates of the stacks and the parameters that they were given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"


@dataclass(frozen=True)
class Bounds:
    """The fewest and the most tasks of a service."""

    cluster: str
    service: str
    minimum: int
    maximum: int


def read(stacks: Any) -> Iterator[Bounds]:
    """Yield the bounds of every service; ``stacks`` is a client of CloudFormation."""
    for page in stacks.get_paginator("describe_stacks").paginate():
        for stack in page["Stacks"]:
            template = stacks.get_template(StackName=stack["StackId"])["TemplateBody"]
            held = json.loads(template) if isinstance(template, str) else template
            given = {
                one["ParameterKey"]: one["ParameterValue"]
                for one in stack.get("Parameters", ())
            }
            for resource in held["Resources"].values():
                if resource["Type"] == TARGET:
                    yield _bounds(resource["Properties"], given)


def apply(client: Callable[[str], Any]) -> None:
    """Bring every service between its bounds; ``client`` makes clients of boto3."""
    containers = client("ecs")
    for one in read(client("cloudformation")):
        found = containers.describe_services(
            cluster=one.cluster, services=[one.service]
        )
        now = found["services"][0]["desiredCount"]
        wanted = min(max(now, one.minimum), one.maximum)
        if wanted != now:
            containers.update_service(
                cluster=one.cluster, service=one.service, desiredCount=wanted
            )


def _bounds(properties: Mapping[str, Any], given: Mapping[str, str]) -> Bounds:
    _, cluster, service = _text(properties["ResourceId"], given).split("/")
    return Bounds(
        cluster=cluster,
        service=service,
        minimum=int(_text(properties["MinCapacity"], given)),
        maximum=int(_text(properties["MaxCapacity"], given)),
    )


def _text(value: Any, given: Mapping[str, str]) -> str:
    """Return a value that is made of parameters as CloudFormation would."""
    match value:
        case {"Ref": name}:
            return given[name]
        case {"Fn::Join": [between, parts]}:
            return str(between).join(_text(part, given) for part in parts)
        case _:
            return str(value)
