"""Classifies resources as real, emulated or stub.

real
    It does here what it does on AWS: it stores, encrypts, logs, publishes, or runs
    code.
emulated
    Its service's API knows it and answers for it, but nothing runs: a database cluster
    without a database, a security group without a network.
stub
    Ref and GetAtt only. No API knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from local.emulator.patches.stubs import MARK

Kind = Literal["real", "emulated", "stub"]

REAL = frozenset(
    {
        "AWS::CloudFormation::Stack",
        "AWS::KMS::Key",
        "AWS::Lambda::Function",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SNS::Topic",
        "AWS::SecretsManager::Secret",
    }
)

CUSTOM = "Custom::"
"""Its function runs, unless it is a stub."""


def kind_of(resource: Mapping[str, Any]) -> Kind:
    """Return the kind of a resource from its record in its stack."""
    if MARK in (resource.get("Attributes") or {}):
        return "stub"
    resource_type = str(resource["ResourceType"])
    is_real = resource_type in REAL or resource_type.startswith(CUSTOM)
    return "real" if is_real else "emulated"


def report(stacks: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Kind]]:
    """Return the kind of each resource, by stack name and logical ID."""
    return {
        name: {
            logical_id: kind_of(resource)
            for logical_id, resource in record.get("_resources", {}).items()
        }
        for name, record in stacks.items()
        if record["StackStatus"] != "DELETE_COMPLETE"
    }
