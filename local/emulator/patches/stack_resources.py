"""The resources of the launched stacks, with resolved properties.

The emulator has no service for scalable targets, scaling policies and alarms on metric
math, but it knows their properties; the local ECS agent reads them here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def of_types(
    stacks: Mapping[str, Mapping[str, Any]], types: Collection[str]
) -> list[dict[str, Any]]:
    """Return the records of some resource types in all existing stacks."""
    return [
        {
            "stack": name,
            "id": logical_id,
            "type": resource["ResourceType"],
            "physical_id": resource["PhysicalResourceId"],
            "properties": resource.get("Properties") or {},
            "attributes": resource.get("Attributes") or {},
        }
        for name, record in stacks.items()
        if record["StackStatus"] != "DELETE_COMPLETE"
        for logical_id, resource in record.get("_resources", {}).items()
        if resource["ResourceType"] in types
    ]
