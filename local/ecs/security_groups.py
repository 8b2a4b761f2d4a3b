"""Security groups as EC2 describes them: who may connect to what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

ALL_PORTS = range(65536)
ANYWHERE = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True)
class SecurityGroupRule:
    """A rule for TCP. Its peer is a group, a prefix list, or a range of addresses."""

    group: str
    is_egress: bool
    ports: range
    peer: str | IPv4Network


@dataclass(frozen=True, kw_only=True)
class SecurityGroups:
    """The rules of every security group, and the groups of what tasks connect to."""

    rules: frozenset[SecurityGroupRule]
    descriptions: Mapping[str, str]
    networks: Mapping[str, IPv4Network]
    """Group -> addresses of its VPC, in which tasks, stores and load balancers are."""
    stores: Mapping[str, tuple[frozenset[str], int]]
    """``database`` and ``cache``: groups and port."""
    load_balancer: frozenset[str]
    endpoints: frozenset[str]
    """Groups of the interface endpoints of AWS services."""

    def permit(
        self, sources: Collection[str], targets: Collection[str], port: int
    ) -> bool:
        """Return whether a connection inside the VPC passes at both ends."""
        return self._has_rule(sources, targets, port, is_egress=True) and (
            self._has_rule(targets, sources, port, is_egress=False)
        )

    def permit_aws(self, sources: Collection[str], port: int) -> bool:
        """Return whether AWS services are reached: by endpoint, list or Internet."""
        return any(
            rule.peer in self.endpoints
            or rule.peer == ANYWHERE
            or str(rule.peer).startswith("pl-")
            for rule in self._rules(sources, port, is_egress=True)
        )

    def ranges(self, sources: Collection[str]) -> set[tuple[IPv4Network, range]]:
        """Return the addresses and ports that egress rules open by their ranges."""
        return {
            (rule.peer, rule.ports)
            for rule in self.rules
            if rule.group in sources and rule.is_egress
            if isinstance(rule.peer, IPv4Network)
        }

    def ports_of(self, targets: Collection[str]) -> set[int]:
        """Return the ports that the ingress rules of some groups open."""
        return {
            port
            for rule in self.rules
            if rule.group in targets and not rule.is_egress
            for port in rule.ports
            if len(rule.ports) < len(ALL_PORTS)
        }

    def _has_rule(
        self,
        groups: Collection[str],
        peers: Collection[str],
        port: int,
        *,
        is_egress: bool,
    ) -> bool:
        return any(
            rule.peer in peers
            if isinstance(rule.peer, str)
            else self.networks[rule.group].subnet_of(rule.peer)
            for rule in self._rules(groups, port, is_egress=is_egress)
        )

    def _rules(
        self, groups: Collection[str], port: int, *, is_egress: bool
    ) -> Iterable[SecurityGroupRule]:
        return (
            rule
            for rule in self.rules
            if rule.group in groups and rule.is_egress is is_egress
            if port in rule.ports
        )


def described(
    network: Any, databases: Any, caches: Any, balancers: Any
) -> SecurityGroups:
    """Read the groups with clients of EC2, RDS, ElastiCache and ELB."""
    groups = network.describe_security_groups()["SecurityGroups"]
    addresses = {
        vpc["VpcId"]: IPv4Network(vpc["CidrBlock"])
        for vpc in network.describe_vpcs()["Vpcs"]
    }
    clusters = databases.describe_db_clusters()["DBClusters"]
    nodes = caches.describe_cache_clusters(ShowCacheNodeInfo=True)["CacheClusters"]
    stores = {
        "cache": [
            (node["SecurityGroups"], node["CacheNodes"][0]["Endpoint"]["Port"])
            for node in nodes
        ],
        "database": [
            (cluster["VpcSecurityGroups"], cluster["Port"]) for cluster in clusters
        ],
    }
    return SecurityGroups(
        rules=rules(groups),
        descriptions={group["GroupId"]: group["Description"] for group in groups},
        networks={group["GroupId"]: addresses[group["VpcId"]] for group in groups},
        stores={
            name: (_ids(members[0][0]), int(members[0][1]))
            for name, members in stores.items()
            if members
        },
        load_balancer=frozenset(
            group
            for balancer in balancers.describe_load_balancers()["LoadBalancers"]
            for group in balancer["SecurityGroups"]
        ),
        endpoints=frozenset(
            group["GroupId"]
            for endpoint in network.describe_vpc_endpoints()["VpcEndpoints"]
            for group in endpoint.get("Groups") or ()
        ),
    )


def _ids(memberships: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """Return the groups of an RDS cluster or an ElastiCache node."""
    return frozenset(
        value
        for membership in memberships
        for key, value in membership.items()
        if key.endswith("SecurityGroupId")
    )


def rules(groups: Iterable[Mapping[str, Any]]) -> frozenset[SecurityGroupRule]:
    """Read the ``SecurityGroups`` of DescribeSecurityGroups."""
    return frozenset(
        SecurityGroupRule(group["GroupId"], is_egress, _ports(permission), peer)
        for group in groups
        for is_egress, key in ((False, "IpPermissions"), (True, "IpPermissionsEgress"))
        for permission in group.get(key) or ()
        if permission["IpProtocol"] in ("tcp", "6", "-1")
        for peer in _peers(permission)
    )


def _ports(permission: Mapping[str, Any]) -> range:
    if permission["IpProtocol"] == "-1":
        return ALL_PORTS
    return range(int(permission["FromPort"]), int(permission["ToPort"]) + 1)


def _peers(permission: Mapping[str, Any]) -> Iterable[str | IPv4Network]:
    for pair in permission.get("UserIdGroupPairs") or ():
        yield str(pair["GroupId"])
    for prefix_list in permission.get("PrefixListIds") or ():
        yield str(prefix_list["PrefixListId"])
    for addresses in permission.get("IpRanges") or ():
        yield IPv4Network(addresses["CidrIp"])
