"""What security groups permit, as EC2 evaluates them."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from local.ecs.security_groups import SecurityGroups, rules


def permission(port: int, protocol: str = "tcp", **peers: Any) -> dict[str, Any]:
    return {"IpProtocol": protocol, "FromPort": port, "ToPort": port + 2, **peers}


def group(name: str) -> dict[str, Any]:
    return {"UserIdGroupPairs": [{"GroupId": name}]}


def addresses(cidr: str) -> dict[str, Any]:
    return {"IpRanges": [{"CidrIp": cidr}]}


GROUPS = [
    {
        "GroupId": "worker",
        "IpPermissionsEgress": [
            permission(5432, **group("database")),
            permission(443, **addresses("0.0.0.0/0")),
            {"IpProtocol": "-1", **addresses("127.0.0.1/32")},
        ],
    },
    {
        "GroupId": "flower",
        "IpPermissionsEgress": [
            permission(5432, "udp", **group("database")),
            permission(443, PrefixListIds=[{"PrefixListId": "pl-1"}]),
        ],
    },
    {
        "GroupId": "scheduler",
        "IpPermissionsEgress": [permission(443, **group("endpoints"))],
    },
    {"GroupId": "database", "IpPermissions": [permission(5432, **group("worker"))]},
    {
        "GroupId": "listener",
        "IpPermissions": [permission(443, **addresses("10.0.0.0/8"))],
    },
    {
        "GroupId": "closed",
        "IpPermissions": [permission(443, **addresses("10.1.0.0/24"))],
    },
]


@pytest.fixture
def known() -> SecurityGroups:
    return SecurityGroups(
        rules=rules(GROUPS),
        descriptions={},
        networks={str(each["GroupId"]): IPv4Network("10.1.0.0/16") for each in GROUPS},
        stores={},
        load_balancer=frozenset(),
        endpoints=frozenset({"endpoints"}),
    )


PERMITTED = {("worker", "database", 5434), ("worker", "listener", 443)}
REFUSED = {
    ("worker", "database", 5435),
    ("flower", "database", 5432),
    ("scheduler", "database", 5432),
    ("worker", "closed", 443),
}


@pytest.mark.parametrize(("source", "target", "port"), sorted(PERMITTED | REFUSED))
def test_both_ends_must_permit(
    known: SecurityGroups, source: str, target: str, port: int
) -> None:
    is_permitted = (source, target, port) in PERMITTED
    assert known.permit({source}, {target}, port) is is_permitted


def test_aws_is_reached_by_endpoint_prefix_list_or_internet(
    known: SecurityGroups,
) -> None:
    reaching = {name for name in known.networks if known.permit_aws({name}, 443)}
    assert reaching == {"worker", "flower", "scheduler"}
    assert not known.permit_aws({"worker"}, 80)


def test_ports_that_targets_open(known: SecurityGroups) -> None:
    assert known.ports_of({"database"}) == {5432, 5433, 5434}
    assert known.ports_of({"worker"}) == set()


def test_ranges_are_those_of_egress_rules(known: SecurityGroups) -> None:
    assert known.ranges({"worker"}) == {
        (IPv4Network("0.0.0.0/0"), range(443, 446)),
        (IPv4Network("127.0.0.1/32"), range(65536)),
    }
    assert known.ranges({"listener", "closed"}) == set()
