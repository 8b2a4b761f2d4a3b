"""The resources of the launched stacks, with their properties filled in.

What the emulator has no service for, it still has the compiled properties of: scalable
targets, scaling policies, alarms on metric math. Whoever acts in their place reads
them here, so that it acts on what was launched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def of_types(
    stacks: Mapping[str, Mapping[str, Any]], types: Collection[str]
) -> list[dict[str, Any]]:
    """Return the records of some types of resources, of all stacks that are there."""
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
