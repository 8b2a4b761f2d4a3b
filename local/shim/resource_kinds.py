"""Whether a resource is real, emulated, or a stand-in: the rule, and the report.

real
    It does here what it does on AWS: it stores, encrypts, logs, publishes, or runs
    code. What a program does with it has the effect it should have.
emulated
    Its service's API knows it and answers for it, but nothing runs and nothing flows:
    a database cluster without a database, a security group without a network.
stand-in
    Nothing but its references. No API knows it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

Kind = Literal["real", "emulated", "stand-in"]

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


def kind_of(resource_type: str, stand_ins: Collection[str]) -> Kind:
    """Return what a resource of a type is here."""
    if resource_type in stand_ins:
        return "stand-in"
    return "real" if resource_type in REAL else "emulated"


def report(
    stacks: Mapping[str, Mapping[str, Any]], stand_ins: Collection[str]
) -> dict[str, dict[str, Kind]]:
    """Return the kind of each resource, by stack name and logical ID."""
    return {
        name: {
            logical_id: kind_of(resource["ResourceType"], stand_ins)
            for logical_id, resource in record.get("_resources", {}).items()
        }
        for name, record in stacks.items()
        if record["StackStatus"] != "DELETE_COMPLETE"
    }
