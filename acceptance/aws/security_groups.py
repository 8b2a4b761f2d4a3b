"""Security-group rules, compared with the table of connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from acceptance.aws.environment import AwsEnvironment
from acceptance.check import CheckFailed
from cli.console import shortened
from compiler.wiring import title
from templates.resources.connections import CONNECTIONS, POOL_GROUP, SECURITY_GROUPS
from templates.resources.security_groups import NOWHERE
from templates.security import GROUPS, WITH_DAG_EGRESS
from templates.types import NONE

SHOWN = 6

EVERY_PORT = "every port"

STACK = "Security"
GROUP = "AWS::EC2::SecurityGroup"

RANGES = {
    "web_clients": (
        *("WebClientCidr", "WebClientCidr2", "WebClientCidr3"),
        "WebClients",
    ),
    "outbound": ("OutboundHttpsCidr",),
    "s3": ("S3PrefixListId",),
}
"""Ends of connections that are no groups -> parameters of the nested stack."""


OPTIONAL = {"flower": "EnableFlower"}
"""Groups that exist only where a parameter of the nested stack is true."""


class Rule(NamedTuple):
    """A security-group rule in the words of the table."""

    group: str
    direction: str
    peer: str
    """A group, a range or a prefix list."""
    ports: str

    def __str__(self) -> str:
        return f"{self.group} {self.direction} {self.peer}, {self.ports}"


IN, OUT = "from", "to"


def equal_to_table(environment: AwsEnvironment) -> str:
    """See exactly the rules of the table on exactly its groups."""
    parameters = environment.parameters_of(STACK)
    groups = [
        name
        for name in GROUPS
        if name not in OPTIONAL or parameters[OPTIONAL[name]] == "true"
    ]
    names = {environment.id_of(f"{STACK}/{title(name)}"): name for name in groups}
    pools = {
        group.name.partition("/")[0]: group.physical_id
        for group in environment.of_type(GROUP)
        if not group.name.startswith(f"{STACK}/")
    }
    names |= {group_id: pool for pool, group_id in pools.items()}
    promised = set(_promised(parameters, groups, tuple(pools)))
    for name in WITH_DAG_EGRESS:
        promised |= set(_dag_egress(name, parameters))
    for pool in pools:
        promised |= set(_dag_egress(pool, environment.parameters_of(pool)))
    observed = set(_observed(environment, names))
    lines = [
        *(f"missing: {rule}" for rule in sorted(promised - observed)),
        *(f"not in the table: {rule}" for rule in sorted(observed - promised)),
    ]
    if lines:
        raise CheckFailed(
            f"{shortened(lines, SHOWN, '; ')}.",
            "The table is templates/resources/connections.py; AWS CloudTrail names "
            "what changed a rule.",
        )
    return f"{len(observed)} rules of {len(names)} groups, all of the table, no other"


def _promised(
    parameters: Mapping[str, str], groups: list[str], pools: tuple[str, ...]
) -> Iterator[Rule]:
    """Yield the rules of the table, with a group for each pool."""
    peers = {name: (name,) if name in groups else () for name in SECURITY_GROUPS} | {
        peer: tuple(
            entry
            for key in keys
            for entry in parameters.get(key, "").split(",")
            if entry
        )
        for peer, keys in RANGES.items()
    }
    peers[POOL_GROUP] = pools
    for connection in CONNECTIONS:
        for source in peers[connection.source]:
            for target in peers[connection.target]:
                if connection.source in SECURITY_GROUPS:
                    yield Rule(source, OUT, target, f"port {connection.port}")
                if connection.target in SECURITY_GROUPS:
                    yield Rule(target, IN, source, f"port {connection.port}")
    for name in (*groups, *pools):
        yield Rule(name, OUT, NOWHERE, EVERY_PORT)


def _dag_egress(group: str, parameters: Mapping[str, str]) -> Iterator[Rule]:
    """Yield the rules of the operator's list, as a nested stack has it."""
    for entry in parameters["DagEgress"].split(","):
        if entry not in ("", NONE):
            ports, _, range_ = entry.partition(" ")
            yield Rule(group, OUT, range_, f"port {ports}")


def _observed(environment: AwsEnvironment, names: Mapping[str, str]) -> Iterator[Rule]:
    for page in environment.aws.pages(
        "ec2",
        "describe_security_group_rules",
        "the security groups",
        Filters=[{"Name": "group-id", "Values": list(names)}],
    ):
        for rule in page["SecurityGroupRules"]:
            yield Rule(
                names[rule["GroupId"]],
                OUT if rule["IsEgress"] else IN,
                _peer(rule, names),
                _ports(rule),
            )


def _peer(rule: Mapping[str, Any], names: Mapping[str, str]) -> str:
    group = rule.get("ReferencedGroupInfo", {}).get("GroupId", "")
    return str(
        names.get(group, group)
        or rule.get("CidrIpv4")
        or rule.get("CidrIpv6")
        or rule.get("PrefixListId")
    )


def _ports(rule: Mapping[str, Any]) -> str:
    if rule["IpProtocol"] != "tcp":
        return EVERY_PORT
    ports = dict.fromkeys((rule["FromPort"], rule["ToPort"]))
    return f"port {'-'.join(map(str, ports))}"
