"""What the compiled templates say about the engines.

Read from ``dist/``: the rehearsal takes what AWS would get, not what was meant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.errors import DatastoreError


@dataclass(frozen=True)
class Access:
    """A user of the broker and what it may do, in the words of an ACL."""

    user: str
    rights: str


def broker_access(dist: Path) -> Access:
    """Return the one user that the cache stack makes."""
    user = _only(dist / "cache.template.json", "AWS::ElastiCache::User")
    return Access(user=user["UserName"], rights=user["AccessString"])


def broker_settings(dist: Path) -> dict[str, str]:
    """Return the values of the cache's parameter group."""
    group = _only(dist / "cache.template.json", "AWS::ElastiCache::ParameterGroup")
    return {name: str(value) for name, value in group["Properties"].items()}


def database_settings(dist: Path) -> dict[str, str]:
    """Return the values of the cluster's parameter group."""
    group = _only(dist / "database.template.json", "AWS::RDS::DBClusterParameterGroup")
    return {name: str(value) for name, value in group["Parameters"].items()}


def _only(template: Path, kind: str) -> Mapping[str, Any]:
    resources = json.loads(template.read_text())["Resources"].values()
    found = [one["Properties"] for one in resources if one["Type"] == kind]
    if len(found) != 1:
        raise DatastoreError(
            f"{template.name} has {len(found)} resources of type {kind}, not one"
        )
    properties: Mapping[str, Any] = found[0]
    return properties
