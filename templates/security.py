"""Who may talk to whom: one security group for each component and data store.

Every permitted connection is a line of the table in ``templates/resources/connections.py``. Each
becomes two rules, one at either end, as resources of their own: inline rules that
name each other would be a cycle.

Service Connect needs no edge of its own: its proxy sits in the task, shares the task's
network interface, and listens on the container's port. Health checks of the load
balancer use the port that it forwards to. The DAG processor and the triggerer run the
Execution API in their own process, so neither of them calls the API server. Name
resolution by the VPC's own resolver, task metadata and time pass no security group; a
VPC that resolves names by servers of its own needs a rule for port 53 on each group.

The default group of the VPC is not closed: no CloudFormation property reaches it, and
a custom resource for it would hold more rights than the group gives away. Every
resource of this product names a group from here, so nothing is in the default one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from troposphere import Equals, GetAtt, Not, Sub, Tags, ec2

from compiler.wiring import ConditionName, Interface, Template, about, title
from templates.resources.connections import EDGES, GROUPS
from templates.types import Cidr, PrefixListId, SecurityGroupId, VpcId

NOWHERE = "127.0.0.1/32"
"""A group without any egress rule gets EC2's own, which allows everything out."""


class Inputs(Interface):
    """The network, and the addresses outside that the operator admits."""

    vpc_id: VpcId = about("VPC the groups belong to.")
    web_client_cidr: Cidr = about("Addresses that may open the web page.")
    web_client_cidr_2: Cidr = about("More addresses that may, or nothing.")
    web_client_cidr_3: Cidr = about("More addresses that may, or nothing.")
    outbound_https_cidr: Cidr = about("Where tasks may go on port 443, or nothing.")
    s3_prefix_list_id: PrefixListId = about("Prefix list of S3, or nothing.")


class Outputs(Interface):
    """Every group."""

    load_balancer_group_id: SecurityGroupId = about("Group of the load balancer.")
    api_server_group_id: SecurityGroupId = about("Group of the API server.")
    scheduler_group_id: SecurityGroupId = about("Group of the scheduler.")
    dag_processor_group_id: SecurityGroupId = about("Group of the DAG processor.")
    triggerer_group_id: SecurityGroupId = about("Group of the triggerer.")
    worker_group_id: SecurityGroupId = about("Group of the workers of every pool.")
    flower_group_id: SecurityGroupId = about("Group of Flower.")
    migration_group_id: SecurityGroupId = about("Group of the migration job.")
    database_group_id: SecurityGroupId = about("Group of the database.")
    cache_group_id: SecurityGroupId = about("Group of the broker.")
    endpoints_group_id: SecurityGroupId = about("Group of the interface endpoints.")


@dataclass(frozen=True, kw_only=True)
class Party:
    """One end of a rule, as EC2 names it there."""

    name: str
    as_source: dict[str, Any]
    as_target: dict[str, Any]
    exists_when: ConditionName | None = None


def define(t: Template, given: Inputs) -> Outputs:
    """Define the groups, then both ends of every edge."""
    group_ids = {name: _group(t, given, name) for name in GROUPS}
    parties = _groups(group_ids) | _web_clients(t, given) | _ways_out(t, given)

    for edge in EDGES:
        for source in parties[edge.source]:
            for target in parties[edge.target]:
                name = f"{source.name}To{target.name}{edge.port}"
                condition = source.exists_when or target.exists_when
                rule: dict[str, Any] = {
                    "IpProtocol": "tcp",
                    "FromPort": edge.port,
                    "ToPort": edge.port,
                    "Description": edge.why,
                } | ({"Condition": condition} if condition else {})
                if edge.source in GROUPS:
                    egress = ec2.SecurityGroupEgress(
                        f"{name}Out",
                        GroupId=group_ids[edge.source],
                        **target.as_target,
                        **rule,
                    )
                    t.add(egress, f"{edge.why}.")
                if edge.target in GROUPS:
                    ingress = ec2.SecurityGroupIngress(
                        f"{name}In",
                        GroupId=group_ids[edge.target],
                        **source.as_source,
                        **rule,
                    )
                    t.add(ingress, f"{edge.why}.")

    return Outputs(
        **{f"{name}_group_id": SecurityGroupId(ref) for name, ref in group_ids.items()}
    )


def _group(t: Template, given: Inputs, name: str) -> GetAtt:
    """Add a group that lets nothing in or out, and return its ID."""
    group = t.add(
        ec2.SecurityGroup(
            title(name),
            GroupDescription=GROUPS[name],
            VpcId=given.vpc_id,
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(
                    IpProtocol="-1",
                    CidrIp=NOWHERE,
                    Description="Replaces the default rule that allows everything out",
                )
            ],
            Tags=Tags(Name=Sub(f"${{AWS::StackName}} {name}")),
        ),
        f"Marks the network interfaces of: {GROUPS[name]}.",
    )
    return GetAtt(group, "GroupId")


def _groups(group_ids: dict[str, GetAtt]) -> dict[str, tuple[Party, ...]]:
    """Return each group as the one party of its name."""
    return {
        name: (
            Party(
                name=title(name),
                as_source={"SourceSecurityGroupId": group_id},
                as_target={"DestinationSecurityGroupId": group_id},
            ),
        )
        for name, group_id in group_ids.items()
    }


def _web_clients(t: Template, given: Inputs) -> dict[str, tuple[Party, ...]]:
    """Return the ranges that may open the web page; the first is always given."""
    second, third = given.web_client_cidr_2, given.web_client_cidr_3
    return {
        "web_clients": (
            _range("WebClients", given.web_client_cidr, None),
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


def _ways_out(t: Template, given: Inputs) -> dict[str, tuple[Party, ...]]:
    """Return where tasks may go on port 443, as far as the operator says."""
    cidr, prefixes = given.outbound_https_cidr, given.s3_prefix_list_id
    has_cidr = t.condition("HasOutboundHttpsCidr", Not(Equals(cidr, "")))
    has_prefixes = t.condition("HasS3PrefixList", Not(Equals(prefixes, "")))
    return {
        "outbound": (_range("Outbound", cidr, has_cidr),),
        "s3": (
            Party(
                name="S3Gateway",
                as_source={"SourcePrefixListId": prefixes},
                as_target={"DestinationPrefixListId": prefixes},
                exists_when=has_prefixes,
            ),
        ),
    }


def _range(name: str, cidr: Cidr, exists_when: ConditionName | None) -> Party:
    return Party(
        name=name,
        as_source={"CidrIp": cidr},
        as_target={"CidrIp": cidr},
        exists_when=exists_when,
    )
