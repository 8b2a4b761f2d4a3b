"""The settings of the datastores in the compiled templates.

Read from ``dist/``, so that the local datastores get what AWS would get.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.errors import DatastoreError


@dataclass(frozen=True)
class BrokerAccess:
    """A user of the broker and its access rights, as an ACL string."""

    user: str
    rights: str


def broker_access(dist: Path) -> BrokerAccess:
    """Return the only user of the cache template."""
    user = _only(dist / "cache.template.json", "AWS::ElastiCache::User")
    return BrokerAccess(user=user["UserName"], rights=user["AccessString"])


def broker_settings(dist: Path) -> dict[str, str]:
    """Return the values of the cache's parameter group."""
    group = _only(dist / "cache.template.json", "AWS::ElastiCache::ParameterGroup")
    return {name: str(value) for name, value in group["Properties"].items()}


def database_settings(dist: Path) -> dict[str, str]:
    """Return the values of the cluster's parameter group."""
    group = _only(dist / "database.template.json", "AWS::RDS::DBClusterParameterGroup")
    return {name: str(value) for name, value in group["Parameters"].items()}


def _only(template: Path, resource_type: str) -> Mapping[str, Any]:
    resources = json.loads(template.read_text())["Resources"].values()
    matches = [
        resource["Properties"]
        for resource in resources
        if resource["Type"] == resource_type
    ]
    if len(matches) != 1:
        raise DatastoreError(
            f"{template.name} has {len(matches)} resources of type {resource_type}; "
            "expected one"
        )
    properties: Mapping[str, Any] = matches[0]
    return properties
