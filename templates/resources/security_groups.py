"""Security groups and their rules, for the stacks that make them.

A group has its rules inside it or as resources of their own. A resource per rule is for
groups that name each other, which would be a cycle otherwise. A list that the operator
edits is inside, with all other rules of its group: an entry that moves to another place
of the list stays the same rule, where a resource would be replaced, and EC2 refuses a
rule that exists twice. An update of the rules inside can delete those that are
resources (pulumi/pulumi-aws-native #1592); so where there are such, the only rule
inside is the one that allows nothing, which never changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from troposphere import Equals, GetAtt, If, Not, NoValue, Sub, Tags, ec2

from compiler.wiring import ConditionName, Template
from templates.resources.connections import SECURITY_GROUPS, Connection
from templates.types import Cidr, PrefixListId, VpcId

NOWHERE = "127.0.0.1/32"
"""A group without any egress rule gets EC2's own, which allows everything out."""

Rules = list[ec2.SecurityGroupRule | If]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One end of a connection, in the words of a rule at the other end."""

    name: str
    as_source: dict[str, Any]
    as_target: dict[str, Any]
    exists_when: ConditionName | None = None


def group_peer(
    name: str, group_id: object, exists_when: ConditionName | None = None
) -> Peer:
    """Return a security group as a peer."""
    return Peer(
        name=name,
        as_source={"SourceSecurityGroupId": group_id},
        as_target={"DestinationSecurityGroupId": group_id},
        exists_when=exists_when,
    )


def range_peer(name: str, cidr: Cidr, exists_when: ConditionName | None = None) -> Peer:
    """Return a range of addresses as a peer."""
    return Peer(
        name=name,
        as_source={"CidrIp": cidr},
        as_target={"CidrIp": cidr},
        exists_when=exists_when,
    )


def outbound_peers(
    t: Template, cidr: Cidr, prefix_list_id: PrefixListId
) -> dict[str, tuple[Peer, ...]]:
    """Return the addresses that tasks may call on port 443."""
    has_cidr = t.condition("HasOutboundHttpsCidr", Not(Equals(cidr, "")))
    has_prefixes = t.condition("HasS3PrefixList", Not(Equals(prefix_list_id, "")))
    return {
        "outbound": (range_peer("Outbound", cidr, has_cidr),),
        "s3": (
            Peer(
                name="S3Gateway",
                as_source={"SourcePrefixListId": prefix_list_id},
                as_target={"DestinationPrefixListId": prefix_list_id},
                exists_when=has_prefixes,
            ),
        ),
    }


def protocol(connection: Connection) -> dict[str, Any]:
    """Return what a connection's rules at either end have in common."""
    return {
        "IpProtocol": "tcp",
        "FromPort": connection.port,
        "ToPort": connection.port,
        "Description": connection.why,
    }


def egress_inside(connection: Connection, targets: Iterable[Peer]) -> Rules:
    """Return the egress rules of a connection, to write inside the source's group."""
    return [
        optional(
            target.exists_when,
            ec2.SecurityGroupRule(**target.as_target, **protocol(connection)),
        )
        for target in targets
    ]


def ingress_inside(connection: Connection, sources: Iterable[Peer]) -> Rules:
    """Return the ingress rules of a connection, to write inside the target's group."""
    return [
        optional(
            source.exists_when,
            ec2.SecurityGroupRule(**source.as_source, **protocol(connection)),
        )
        for source in sources
    ]


def optional(
    condition: ConditionName | None, rule: ec2.SecurityGroupRule
) -> ec2.SecurityGroupRule | If:
    """Return a rule that exists only where a condition holds."""
    return If(condition, rule, NoValue) if condition else rule


def add_group(
    t: Template,
    logical_id: str,
    name: str,
    *,
    vpc_id: VpcId,
    label: Sub | None = None,
    egress: Rules | None = None,
    ingress: Rules | None = None,
    exists_when: ConditionName | None = None,
) -> GetAtt:
    """Add a group of SECURITY_GROUPS with the rules inside it, and return its ID."""
    optional_properties: dict[str, Any] = {}
    if ingress:
        optional_properties["SecurityGroupIngress"] = ingress
    if exists_when:
        optional_properties["Condition"] = exists_when
    group = t.add(
        ec2.SecurityGroup(
            logical_id,
            GroupDescription=SECURITY_GROUPS[name],
            VpcId=vpc_id,
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(
                    IpProtocol="-1",
                    CidrIp=NOWHERE,
                    Description="Replaces the default rule that allows everything out",
                ),
                *(egress or ()),
            ],
            Tags=Tags(Name=label or Sub(f"${{AWS::StackName}} {name}")),
            **optional_properties,
        ),
        f"Security group of: {SECURITY_GROUPS[name]}.",
    )
    return GetAtt(group, "GroupId")
