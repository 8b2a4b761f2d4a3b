"""Security groups: the compiled rules equal the table, and the table is narrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from compiler.wiring import Build, title
from templates import security
from templates.resources.connections import CONNECTIONS, SECURITY_GROUPS, TASKS
from templates.resources.ports import API_SERVER, FLOWER, HTTPS
from tests.resolver import deploy

GIVEN = {
    "VpcId": "vpc-0123456789abcdef0",
    "WebClientCidr": "10.0.0.0/8",
    "WebClientCidr2": "172.16.0.0/12",
    "WebClientCidr3": "192.168.0.0/16",
    "OutboundHttpsCidr": "10.9.0.0/16",
    "S3PrefixListId": "pl-63a5400a",
    "EnableFlower": "true",
}
OUTSIDE = {
    "web_clients": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
    "outbound": ["10.9.0.0/16"],
    "s3": ["pl-63a5400a"],
}

Connection = tuple[str, str, int]


def deployed(**changes: str) -> dict[str, dict[str, Any]]:
    document = Build().template(security.define).document
    return deploy(document, {}, {**GIVEN, **changes}).resources


def test_flower_has_a_group_and_rules_only_where_it_runs() -> None:
    without = deployed(EnableFlower="false")
    assert "Flower" in deployed()
    assert not [name for name in without if "Flower" in name]
    document = Build().template(security.define).document
    stack = deploy(document, {}, {**GIVEN, "EnableFlower": "false"})
    assert stack.outputs["FlowerGroupId"] == ""


@pytest.fixture(scope="module")
def resources() -> dict[str, dict[str, Any]]:
    return deployed()


def of_type(
    resources: dict[str, dict[str, Any]], name: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for logical_id, resource in resources.items():
        if resource["Type"] == f"AWS::EC2::{name}":
            yield logical_id, resource["Properties"]


def connections(
    resources: dict[str, dict[str, Any]], kind: str
) -> list[tuple[str, str, int]]:
    """Return the connections that rules of one direction allow: from, to, port."""
    ours, theirs = {
        "SecurityGroupIngress": (1, 0),
        "SecurityGroupEgress": (0, 1),
    }[kind]
    far_end = ("SourceSecurityGroupId", "DestinationSecurityGroupId")
    addresses = ("CidrIp", "DestinationPrefixListId", "SourcePrefixListId")
    triples = []
    for _, rule in of_type(resources, kind):
        assert rule["IpProtocol"] == "tcp"
        assert rule["FromPort"] == rule["ToPort"]
        (far,) = [rule[key] for key in (*far_end, *addresses) if key in rule]
        ends = ["", ""]
        ends[ours], ends[theirs] = rule["GroupId"], far
        triples.append((ends[0], ends[1], rule["FromPort"]))
    return triples


def expected() -> list[Connection]:
    """Return the connections of the table, written as in compiled rules."""

    def written(party: str) -> list[str]:
        return (
            [f"<{title(party)}.GroupId>"]
            if party in SECURITY_GROUPS
            else OUTSIDE[party]
        )

    return [
        (source, target, edge.port)
        for edge in CONNECTIONS
        for source in written(edge.source)
        for target in written(edge.target)
    ]


def is_group(party: str) -> bool:
    return party.startswith("<")


def test_ingress_rules_equal_the_table(
    resources: dict[str, dict[str, Any]],
) -> None:
    ingress = [edge for edge in expected() if is_group(edge[1])]
    assert sorted(connections(resources, "SecurityGroupIngress")) == sorted(ingress)


def test_egress_rules_equal_the_table(
    resources: dict[str, dict[str, Any]],
) -> None:
    # Egress is listed per connection, so one end alone would not connect.
    egress = [edge for edge in expected() if is_group(edge[0])]
    assert sorted(connections(resources, "SecurityGroupEgress")) == sorted(egress)


def test_database_is_reached_by_its_users_only() -> None:
    # Not by Flower or the load balancer.
    assert {e.source for e in CONNECTIONS if e.target == "database"} == {
        *(
            "api_server",
            "scheduler",
            "dag_processor",
            "triggerer",
            "worker",
            "migration",
        )
    }


def test_broker_is_reached_by_celery_only() -> None:
    # The API server and the DAG processor publish nothing themselves.
    assert {e.source for e in CONNECTIONS if e.target == "cache"} == {
        *("scheduler", "worker", "flower")
    }


def test_datastores_start_no_connection(resources: dict[str, dict[str, Any]]) -> None:
    stores = {"<Database.GroupId>", "<Cache.GroupId>", "<Endpoints.GroupId>"}
    sources = {source for source, _, _ in connections(resources, "SecurityGroupEgress")}
    assert not stores & sources


def test_every_task_reaches_aws_services() -> None:
    # A task whose group cannot reach ECR, Logs or Secrets Manager never starts.
    for target in ("endpoints", "outbound", "s3"):
        assert {e.source for e in CONNECTIONS if e.target == target} == set(TASKS)
        assert {e.port for e in CONNECTIONS if e.target == target} == {HTTPS}


def test_load_balancer_reaches_api_server_and_flower_only() -> None:
    assert {(e.target, e.port) for e in CONNECTIONS if e.source == "load_balancer"} == {
        ("api_server", API_SERVER),
        ("flower", FLOWER),
    }


def test_no_group_has_the_default_egress_rule(
    resources: dict[str, dict[str, Any]],
) -> None:
    # Without any egress rule EC2 adds its own, which allows everything.
    groups = dict(of_type(resources, "SecurityGroup"))
    assert groups.keys() == {title(name) for name in SECURITY_GROUPS}
    for properties in groups.values():
        (rule,) = properties["SecurityGroupEgress"]
        assert rule["CidrIp"] == "127.0.0.1/32"
        assert "SecurityGroupIngress" not in properties


def test_empty_ranges_make_no_rule() -> None:
    # EC2 refuses a rule with an empty range.
    resources = deployed(
        WebClientCidr2="", WebClientCidr3="", OutboundHttpsCidr="", S3PrefixListId=""
    )
    ends = {
        end
        for kind in ("SecurityGroupIngress", "SecurityGroupEgress")
        for source, target, _ in connections(resources, kind)
        for end in (source, target)
        if not is_group(end)
    }
    assert ends == {"10.0.0.0/8"}


def test_groups_have_half_of_60_rules_at_most(
    resources: dict[str, dict[str, Any]],
) -> None:
    for kind in ("SecurityGroupIngress", "SecurityGroupEgress"):
        ours = [rule["GroupId"] for _, rule in of_type(resources, kind)]
        assert max(ours.count(group) for group in ours) <= 30
