"""Security-group rules, compared with the table of connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from acceptance.aws.environment import AwsEnvironment
from acceptance.check import CheckFailed
from cli.console import shortened
from compiler.wiring import title
from templates.resources.connections import CONNECTIONS, SECURITY_GROUPS
from templates.security import NOWHERE

SHOWN = 6

EVERY_PORT = -1

RANGES = {
    "web_clients": ("WebClientCidr", "WebClientCidr2", "WebClientCidr3"),
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
    port: int

    def __str__(self) -> str:
        port = "every port" if self.port == EVERY_PORT else f"port {self.port}"
        return f"{self.group} {self.direction} {self.peer}, {port}"


IN, OUT = "from", "to"


def equal_to_table(environment: AwsEnvironment) -> str:
    """See exactly the rules of the table on exactly its groups."""
    parameters = environment.parameters_of("Security")
    groups = [
        name
        for name in SECURITY_GROUPS
        if name not in OPTIONAL or parameters[OPTIONAL[name]] == "true"
    ]
    names = {environment.id_of(f"Security/{title(name)}"): name for name in groups}
    promised = set(_promised(parameters, groups))
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


def _promised(parameters: Mapping[str, str], groups: list[str]) -> Iterator[Rule]:
    peers = {name: (name,) if name in groups else () for name in SECURITY_GROUPS} | {
        peer: tuple(filter(None, map(parameters.get, keys)))
        for peer, keys in RANGES.items()
    }
    for connection in CONNECTIONS:
        for source in peers[connection.source]:
            for target in peers[connection.target]:
                if connection.source in SECURITY_GROUPS:
                    yield Rule(source, OUT, target, connection.port)
                if connection.target in SECURITY_GROUPS:
                    yield Rule(target, IN, source, connection.port)
    for name in groups:
        yield Rule(name, OUT, NOWHERE, EVERY_PORT)


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
                _port(rule),
            )


def _peer(rule: Mapping[str, Any], names: Mapping[str, str]) -> str:
    group = rule.get("ReferencedGroupInfo", {}).get("GroupId", "")
    return str(
        names.get(group, group)
        or rule.get("CidrIpv4")
        or rule.get("CidrIpv6")
        or rule.get("PrefixListId")
    )


def _port(rule: Mapping[str, Any]) -> int:
    """Return the port; more than one port counts as every port."""
    is_one = rule["IpProtocol"] == "tcp" and rule["FromPort"] == rule["ToPort"]
    return int(rule["FromPort"]) if is_one else EVERY_PORT
