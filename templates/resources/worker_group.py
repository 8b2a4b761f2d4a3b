"""The security group of one worker pool, and both ends of its connections.

Each pool has a group of its own, so that its list of egress rules differs from that of
others, and the owner of a database can admit one pool and not the next.
"""

from __future__ import annotations

from troposphere import AWSObject, GetAtt, Sub, ec2

from compiler.wiring import Template, title
from templates.resources.connections import (
    POOL_GROUP,
    connections_from,
    connections_to,
)
from templates.resources.dag_egress import dag_egress_rules
from templates.resources.security_groups import (
    Rules,
    add_group,
    egress_inside,
    group_peer,
    ingress_inside,
    outbound_peers,
    protocol,
)
from templates.types import PoolNetwork, SecurityGroupId, Text


def add_worker_group(
    t: Template,
    pool_name: Text,
    network: PoolNetwork,
    *,
    api_server_group_id: SecurityGroupId,
) -> tuple[GetAtt, list[AWSObject]]:
    """Add the group and its peers' rules; return its ID and those rules.

    Workers start after the rules: without them they cannot reach the broker.
    """
    peer_ids = {
        "api_server": api_server_group_id,
        "database": network.database_group_id,
        "cache": network.cache_group_id,
        "endpoints": network.endpoints_group_id,
    }
    peers = {
        name: (group_peer(title(name), group_id),)
        for name, group_id in peer_ids.items()
    } | outbound_peers(t, network.outbound_https_cidr, network.s3_prefix_list_id)
    outward, inward = connections_from(POOL_GROUP), connections_to(POOL_GROUP)

    egress: Rules = []
    ingress: Rules = []
    for connection in outward:
        egress += egress_inside(connection, peers[connection.target])
    for connection in inward:
        ingress += ingress_inside(connection, peers[connection.source])
    group_id = add_group(
        t,
        "SecurityGroup",
        POOL_GROUP,
        vpc_id=network.vpc_id,
        label=Sub("${AWS::StackName} workers of ${Pool}", Pool=pool_name),
        egress=[*egress, *dag_egress_rules(t, network.dag_egress)],
        ingress=ingress,
    )

    own = group_peer(title(POOL_GROUP), group_id)
    rules: list[AWSObject] = [
        ec2.SecurityGroupIngress(
            f"{own.name}To{title(connection.target)}{connection.port}In",
            GroupId=peer_ids[connection.target],
            **own.as_source,
            **protocol(connection),
        )
        for connection in outward
        if connection.target in peer_ids
    ]
    rules += (
        ec2.SecurityGroupEgress(
            f"{title(connection.source)}To{own.name}{connection.port}Out",
            GroupId=peer_ids[connection.source],
            **own.as_target,
            **protocol(connection),
        )
        for connection in inward
    )
    for rule in rules:
        t.add(rule, f"{rule.Description}.")
    return group_id, rules
