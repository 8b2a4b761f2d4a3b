"""One security group for each component and data store, and its rules.

Every permitted connection is an entry of ``templates/resources/connections.py``. It
becomes two rules, one at either end, as resources of their own: inline rules that
name each other would be a cycle.

Service Connect needs no rule of its own: its proxy is in the task, shares the task's
network interface, and listens on the container's port. Health checks of the load
balancer use the port that it forwards to. The DAG processor and the triggerer run the
Execution API in their own process, so neither of them calls the API server. Name
resolution by the VPC's own resolver, task metadata and time pass no security group; a
VPC that resolves names by servers of its own needs a rule for port 53 on each group.

The default group of the VPC is not closed: no CloudFormation property reaches it, and
a custom resource for it would need more permissions than the group grants. Every
resource of this product names a group from here, so nothing is in the default one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from troposphere import And, Condition, Equals, GetAtt, If, Not, Sub, Tags, ec2

from compiler.interfaces import Leaf, fill
from compiler.wiring import ConditionName, Interface, Template, about, title
from templates.resources.connections import CONNECTIONS, SECURITY_GROUPS
from templates.types import (
    Boolean,
    Cidr,
    PrefixListId,
    SecurityGroupId,
    TaskSecurityGroups,
    VpcId,
)

NOWHERE = "127.0.0.1/32"
"""A group without any egress rule gets EC2's own, which allows everything out."""


class Inputs(Interface):
    """The network, and the addresses outside that the operator allows."""

    vpc_id: VpcId = about("VPC of the groups.")
    web_client_cidr: Cidr = about("Addresses that may open the Airflow UI.")
    web_client_cidr_2: Cidr = about("More addresses that may, or nothing.")
    web_client_cidr_3: Cidr = about("More addresses that may, or nothing.")
    outbound_https_cidr: Cidr = about(
        "Addresses that tasks may call on port 443, or nothing."
    )
    s3_prefix_list_id: PrefixListId = about("Prefix list of S3, or nothing.")
    enable_flower: Boolean = about("Whether Flower runs.")


class Outputs(Interface):
    """Every security group."""

    tasks: TaskSecurityGroups = about("Security groups of the tasks.", flat=True)
    load_balancer_group_id: SecurityGroupId = about(
        "Security group of the load balancer."
    )
    database_group_id: SecurityGroupId = about("Security group of the database.")
    cache_group_id: SecurityGroupId = about("Security group of the broker.")
    endpoints_group_id: SecurityGroupId = about(
        "Security group of the interface endpoints."
    )


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One end of a connection, in the words of a rule at the other end."""

    name: str
    as_source: dict[str, Any]
    as_target: dict[str, Any]
    exists_when: ConditionName | None = None


def define(t: Template, inputs: Inputs) -> Outputs:
    """Define the groups, then both ends of every connection."""
    optional = {
        "flower": t.condition("HasFlower", Equals(inputs.enable_flower, "true"))
    }
    group_ids = {
        name: _group(t, inputs, name, optional.get(name)) for name in SECURITY_GROUPS
    }
    peers = (
        _groups(group_ids, optional) | _web_clients(t, inputs) | _outbound(t, inputs)
    )

    for connection in CONNECTIONS:
        for source in peers[connection.source]:
            for target in peers[connection.target]:
                name = f"{source.name}To{target.name}{connection.port}"
                condition = _both(t, source.exists_when, target.exists_when)
                rule: dict[str, Any] = {
                    "IpProtocol": "tcp",
                    "FromPort": connection.port,
                    "ToPort": connection.port,
                    "Description": connection.why,
                } | ({"Condition": condition} if condition else {})
                if connection.source in SECURITY_GROUPS:
                    egress = ec2.SecurityGroupEgress(
                        f"{name}Out",
                        GroupId=group_ids[connection.source],
                        **target.as_target,
                        **rule,
                    )
                    t.add(egress, f"{connection.why}.")
                if connection.target in SECURITY_GROUPS:
                    ingress = ec2.SecurityGroupIngress(
                        f"{name}In",
                        GroupId=group_ids[connection.target],
                        **source.as_source,
                        **rule,
                    )
                    t.add(ingress, f"{connection.why}.")

    def group_id(leaf: Leaf) -> SecurityGroupId:
        name = leaf.name.removesuffix("_group_id")
        known = group_ids[name]
        return SecurityGroupId(
            If(optional[name], known, "") if name in optional else known
        )

    return fill(Outputs, group_id)


def _both(t: Template, *conditions: ConditionName | None) -> ConditionName | None:
    """Return the condition under which both ends of a connection exist."""
    named = [condition for condition in conditions if condition]
    if len(named) < len(conditions):
        return named[0] if named else None
    name = "And".join(named)
    if name in t.conditions:
        return ConditionName(name)
    return t.condition(name, And(*map(Condition, named)))


def _group(
    t: Template, inputs: Inputs, name: str, exists_when: ConditionName | None
) -> GetAtt:
    """Add a group without access in or out, and return its ID."""
    condition: dict[str, Any] = {"Condition": exists_when} if exists_when else {}
    group = t.add(
        ec2.SecurityGroup(
            title(name),
            GroupDescription=SECURITY_GROUPS[name],
            VpcId=inputs.vpc_id,
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(
                    IpProtocol="-1",
                    CidrIp=NOWHERE,
                    Description="Replaces the default rule that allows everything out",
                )
            ],
            Tags=Tags(Name=Sub(f"${{AWS::StackName}} {name}")),
            **condition,
        ),
        f"Security group of: {SECURITY_GROUPS[name]}.",
    )
    return GetAtt(group, "GroupId")


def _groups(
    group_ids: dict[str, GetAtt], optional: dict[str, ConditionName]
) -> dict[str, tuple[Peer, ...]]:
    """Return each group as the one peer of its name."""
    return {
        name: (
            Peer(
                name=title(name),
                as_source={"SourceSecurityGroupId": group_id},
                as_target={"DestinationSecurityGroupId": group_id},
                exists_when=optional.get(name),
            ),
        )
        for name, group_id in group_ids.items()
    }


def _web_clients(t: Template, inputs: Inputs) -> dict[str, tuple[Peer, ...]]:
    """Return the ranges that may open the Airflow UI; the first always exists."""
    second, third = inputs.web_client_cidr_2, inputs.web_client_cidr_3
    return {
        "web_clients": (
            _range("WebClients", inputs.web_client_cidr, None),
            _range(
                "WebClients2",
                second,
                t.condition("HasSecondWebClientCidr", Not(Equals(second, ""))),
            ),
            _range(
                "WebClients3",
                third,
                t.condition("HasThirdWebClientCidr", Not(Equals(third, ""))),
            ),
        )
    }


def _outbound(t: Template, inputs: Inputs) -> dict[str, tuple[Peer, ...]]:
    """Return the addresses that tasks may call on port 443."""
    cidr, prefixes = inputs.outbound_https_cidr, inputs.s3_prefix_list_id
    has_cidr = t.condition("HasOutboundHttpsCidr", Not(Equals(cidr, "")))
    has_prefixes = t.condition("HasS3PrefixList", Not(Equals(prefixes, "")))
    return {
        "outbound": (_range("Outbound", cidr, has_cidr),),
        "s3": (
            Peer(
                name="S3Gateway",
                as_source={"SourcePrefixListId": prefixes},
                as_target={"DestinationPrefixListId": prefixes},
                exists_when=has_prefixes,
            ),
        ),
    }


def _range(name: str, cidr: Cidr, exists_when: ConditionName | None) -> Peer:
    return Peer(
        name=name,
        as_source={"CidrIp": cidr},
        as_target={"CidrIp": cidr},
        exists_when=exists_when,
    )
