"""Find what other tools have put into the VPC of a stack.

EC2 deletes neither a subnet in which an endpoint lies nor a VPC with a security group
of its own, so the deletion of the stack would end in DELETE_FAILED. GuardDuty's Runtime
Monitoring with automated agents makes both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.aws import Aws, tolerant
from deploy.inventory import StackResource

VPC = "AWS::EC2::VPC"

GONE = frozenset({"deleted", "deleting"})


@dataclass(frozen=True)
class ForeignResource:
    """A resource in the VPC that is not of the stack."""

    id: str
    name: str
    """Service of an endpoint, or name of a security group."""
    remedy: str
    """The command that deletes it."""


def foreign_resources(
    aws: Aws, resources: Sequence[StackResource]
) -> Iterator[ForeignResource]:
    """Yield endpoints, then security groups; nothing where they may not be listed."""
    own = {resource.physical_id for resource in resources}
    for vpc in (r.physical_id for r in resources if r.type == VPC and r.physical_id):
        for endpoint in _in_vpc(aws, vpc, "describe_vpc_endpoints", "VpcEndpoints"):
            identifier = endpoint["VpcEndpointId"]
            if identifier not in own and endpoint.get("State") not in GONE:
                yield ForeignResource(
                    identifier,
                    endpoint.get("ServiceName", ""),
                    f"aws ec2 delete-vpc-endpoints --vpc-endpoint-ids {identifier}",
                )
        for group in _in_vpc(aws, vpc, "describe_security_groups", "SecurityGroups"):
            identifier = group["GroupId"]
            # Every VPC has a default group, which is deleted with it.
            if identifier not in own and group.get("GroupName") != "default":
                yield ForeignResource(
                    identifier,
                    group.get("GroupName", ""),
                    f"aws ec2 delete-security-group --group-id {identifier}",
                )


def _in_vpc(aws: Aws, vpc: str, operation: str, member: str) -> list[dict[str, Any]]:
    scope = [{"Name": "vpc-id", "Values": [vpc]}]
    rows: list[dict[str, Any]] = tolerant(
        lambda: aws.call("ec2", operation, vpc, Filters=scope)[member], []
    )
    return rows
