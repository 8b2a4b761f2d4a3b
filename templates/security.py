"""One security group for each component and data store, and its rules.

Every permitted connection is an entry of ``templates/resources/connections.py``. It
becomes two rules, one at either end. The groups of the workers, one for each pool, are
in the stacks of the workers, with both ends of their connections.

The DAG processor and the triggerer run code of DAG authors, as workers do, so their
groups have the rules of ``DagEgress`` too.

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

from itertools import product
from typing import Any

from troposphere import And, Condition, Equals, GetAtt, If, Not, ec2

from compiler.interfaces import Leaf, fill
from compiler.wiring import ConditionName, Interface, Template, about, title
from templates.resources.connections import (
    CONNECTIONS,
    POOL_GROUP,
    SECURITY_GROUPS,
    Connection,
    connections_from,
    connections_to,
)
from templates.resources.dag_egress import dag_egress_rules
from templates.resources.security_groups import (
    Peer,
    Rules,
    add_group,
    egress_inside,
    group_peer,
    ingress_inside,
    outbound_peers,
    protocol,
    range_peer,
)
from templates.resources.web_clients import web_client_conditions, web_client_rules
from templates.types import (
    Boolean,
    Cidr,
    PrefixListId,
    SecurityGroupId,
    Slots,
    TaskSecurityGroups,
    VpcId,
)

GROUPS = tuple(name for name in SECURITY_GROUPS if name != POOL_GROUP)

WITH_DAG_EGRESS = ("dag_processor", "triggerer")
"""Groups with the rules of DagEgress."""

WITH_RULES_INSIDE = ("load_balancer", *WITH_DAG_EGRESS)
"""Groups with a list that an operator edits: all their rules are inside them."""


class Inputs(Interface):
    """The network, and the addresses outside that the operator allows."""

    vpc_id: VpcId = about("VPC of the groups.")
    web_client_cidr: Cidr = about("Addresses that may open the Airflow UI.")
    web_client_cidr_2: Cidr = about("More addresses that may, or nothing.")
    web_client_cidr_3: Cidr = about("More addresses that may, or nothing.")
    web_clients: Slots = about("More ranges, prefix lists and groups that may.")
    outbound_https_cidr: Cidr = about(
        "Addresses that tasks may call on port 443, or nothing."
    )
    s3_prefix_list_id: PrefixListId = about("Prefix list of S3, or nothing.")
    dag_egress: Slots = about("Ports and ranges that DAG code may reach.")
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


def define(t: Template, inputs: Inputs) -> Outputs:
    """Define the groups, then both ends of every connection between them."""
    optional = {
        "flower": t.condition("HasFlower", Equals(inputs.enable_flower, "true"))
    }
    group_ids = {name: GetAtt(title(name), "GroupId") for name in GROUPS}
    peers = (
        {
            name: (group_peer(title(name), group_id, optional.get(name)),)
            for name, group_id in group_ids.items()
        }
        | _web_clients(t, inputs)
        | outbound_peers(t, inputs.outbound_https_cidr, inputs.s3_prefix_list_id)
    )
    web_client_conditions(t, inputs.web_clients)
    dag_egress = dag_egress_rules(t, inputs.dag_egress)
    for name in GROUPS:
        egress: Rules = []
        ingress: Rules = []
        if name in WITH_RULES_INSIDE:
            for connection in connections_from(name):
                egress += egress_inside(connection, peers[connection.target])
            for connection in connections_to(name):
                ingress += ingress_inside(connection, peers[connection.source])
                if connection.source == "web_clients":
                    ingress += web_client_rules(connection, inputs.web_clients)
        add_group(
            t,
            title(name),
            name,
            vpc_id=inputs.vpc_id,
            egress=egress + (dag_egress if name in WITH_DAG_EGRESS else []),
            ingress=ingress,
            exists_when=optional.get(name),
        )

    for connection in CONNECTIONS:
        if POOL_GROUP not in (connection.source, connection.target):
            _add_rules(t, connection, group_ids, peers)

    def group_id(leaf: Leaf) -> SecurityGroupId:
        name = leaf.name.removesuffix("_group_id")
        known = group_ids[name]
        return SecurityGroupId(
            If(optional[name], known, "") if name in optional else known
        )

    return fill(Outputs, group_id)


def _add_rules(
    t: Template,
    connection: Connection,
    group_ids: dict[str, GetAtt],
    peers: dict[str, tuple[Peer, ...]],
) -> None:
    """Add the rules of a connection that are resources of their own."""
    by_resources = group_ids.keys() - WITH_RULES_INSIDE
    has_egress = connection.source in by_resources
    has_ingress = connection.target in by_resources
    for source, target in product(peers[connection.source], peers[connection.target]):
        name = f"{source.name}To{target.name}{connection.port}"
        condition = _both(t, source.exists_when, target.exists_when)
        rule: dict[str, Any] = protocol(connection)
        if condition:
            rule["Condition"] = condition
        if has_egress:
            egress = ec2.SecurityGroupEgress(
                f"{name}Out",
                GroupId=group_ids[connection.source],
                **target.as_target,
                **rule,
            )
            t.add(egress, f"{connection.why}.")
        if has_ingress:
            ingress = ec2.SecurityGroupIngress(
                f"{name}In",
                GroupId=group_ids[connection.target],
                **source.as_source,
                **rule,
            )
            t.add(ingress, f"{connection.why}.")


def _both(t: Template, *conditions: ConditionName | None) -> ConditionName | None:
    """Return the condition under which both ends of a connection exist."""
    named = [condition for condition in conditions if condition]
    if len(named) < len(conditions):
        return named[0] if named else None
    name = "And".join(named)
    if name in t.conditions:
        return ConditionName(name)
    return t.condition(name, And(*map(Condition, named)))


def _web_clients(t: Template, inputs: Inputs) -> dict[str, tuple[Peer, ...]]:
    """Return the ranges that may open the Airflow UI; the first always exists."""
    second, third = inputs.web_client_cidr_2, inputs.web_client_cidr_3
    return {
        "web_clients": (
            range_peer("WebClients", inputs.web_client_cidr),
            range_peer(
                "WebClients2",
                second,
                t.condition("HasSecondWebClientCidr", Not(Equals(second, ""))),
            ),
            range_peer(
                "WebClients3",
                third,
                t.condition("HasThirdWebClientCidr", Not(Equals(third, ""))),
            ),
        )
    }
