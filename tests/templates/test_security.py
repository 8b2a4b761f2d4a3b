"""Security groups: the compiled rules are the table, and the table is narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from compiler.wiring import Build, title
from templates import security
from templates.airflow.ports import API_SERVER, FLOWER, HTTPS
from templates.resources.connections import EDGES, GROUPS, TASKS
from tests.resolver import deploy

GIVEN = {
    "VpcId": "vpc-0123456789abcdef0",
    "WebClientCidr": "10.0.0.0/8",
    "WebClientCidr2": "172.16.0.0/12",
    "WebClientCidr3": "192.168.0.0/16",
    "OutboundHttpsCidr": "10.9.0.0/16",
    "S3PrefixListId": "pl-63a5400a",
}
OUTSIDE = {
    "web_clients": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
    "outbound": ["10.9.0.0/16"],
    "s3": ["pl-63a5400a"],
}
EC2_ALPHABET = re.compile(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")

Connection = tuple[str, str, int]


def deployed(**changes: str) -> dict[str, dict[str, Any]]:
    document = Build().page(security.define).document
    return deploy(document, {}, {**GIVEN, **changes}).resources


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
    """What the rules of one end permit, as (from, to, port)."""
    ours, theirs = {
        "SecurityGroupIngress": (1, 0),
        "SecurityGroupEgress": (0, 1),
    }[kind]
    far_end = ("SourceSecurityGroupId", "DestinationSecurityGroupId")
    addresses = ("CidrIp", "DestinationPrefixListId", "SourcePrefixListId")
    found = []
    for _, rule in of_type(resources, kind):
        assert rule["IpProtocol"] == "tcp"
        assert rule["FromPort"] == rule["ToPort"]
        (far,) = [rule[key] for key in (*far_end, *addresses) if key in rule]
        ends = ["", ""]
        ends[ours], ends[theirs] = rule["GroupId"], far
        found.append((ends[0], ends[1], rule["FromPort"]))
    return found


def expected() -> list[Connection]:
    """The table, spelt as compiled rules spell it."""

    def spelt(party: str) -> list[str]:
        return [f"<{title(party)}.GroupId>"] if party in GROUPS else OUTSIDE[party]

    return [
        (source, target, edge.port)
        for edge in EDGES
        for source in spelt(edge.source)
        for target in spelt(edge.target)
    ]


def is_group(party: str) -> bool:
    return party.startswith("<")


def test_the_rules_that_let_in_are_the_table(
    resources: dict[str, dict[str, Any]],
) -> None:
    let_in = [edge for edge in expected() if is_group(edge[1])]
    assert sorted(connections(resources, "SecurityGroupIngress")) == sorted(let_in)


def test_the_rules_that_let_out_are_the_table(
    resources: dict[str, dict[str, Any]],
) -> None:
    # Control 68: egress is named pair by pair, so half an edge would not connect.
    let_out = [edge for edge in expected() if is_group(edge[0])]
    assert sorted(connections(resources, "SecurityGroupEgress")) == sorted(let_out)


def test_only_those_that_read_or_write_it_reach_the_database() -> None:
    # Control 66. Flower and the load balancer have no business there.
    assert {e.source for e in EDGES if e.target == "database"} == {
        *(
            "api_server",
            "scheduler",
            "dag_processor",
            "triggerer",
            "worker",
            "migration",
        )
    }


def test_only_celery_reaches_the_broker() -> None:
    # The API server and the DAG processor publish nothing themselves.
    assert {e.source for e in EDGES if e.target == "cache"} == {
        *("scheduler", "worker", "flower")
    }


def test_data_stores_start_no_connection(resources: dict[str, dict[str, Any]]) -> None:
    stores = {"<Database.GroupId>", "<Cache.GroupId>", "<Endpoints.GroupId>"}
    sources = {source for source, _, _ in connections(resources, "SecurityGroupEgress")}
    assert not stores & sources


def test_every_task_reaches_aws_and_says_so_three_ways() -> None:
    # A task whose group cannot reach ECR, Logs or Secrets Manager never starts.
    for target in ("endpoints", "outbound", "s3"):
        assert {e.source for e in EDGES if e.target == target} == set(TASKS)
        assert {e.port for e in EDGES if e.target == target} == {HTTPS}


def test_the_load_balancer_reaches_nothing_but_the_web_pages() -> None:
    assert {(e.target, e.port) for e in EDGES if e.source == "load_balancer"} == {
        ("api_server", API_SERVER),
        ("flower", FLOWER),
    }


def test_no_group_keeps_the_rule_that_allows_everything_out(
    resources: dict[str, dict[str, Any]],
) -> None:
    # Control 68: without any egress rule EC2 adds its own.
    groups = dict(of_type(resources, "SecurityGroup"))
    assert groups.keys() == {title(name) for name in GROUPS}
    for properties in groups.values():
        (rule,) = properties["SecurityGroupEgress"]
        assert rule["CidrIp"] == "127.0.0.1/32"
        assert "SecurityGroupIngress" not in properties


def test_the_world_is_in_no_rule_unless_the_operator_says_so() -> None:
    # Controls 67, 69 and 70: only the ranges an operator chooses may be 0.0.0.0/0.
    document = Build().page(security.define).document
    assert "0.0.0.0/0" not in str(document)
    open_to_all = deployed(OutboundHttpsCidr="0.0.0.0/0")
    world = [c for c in connections(open_to_all, "SecurityGroupEgress") if "/0" in c[1]]
    assert {port for _, _, port in world} == {HTTPS}


def test_what_the_operator_leaves_empty_makes_no_rule() -> None:
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


def test_ec2_accepts_every_description(resources: dict[str, dict[str, Any]]) -> None:
    # Control 71: "->" in a description has failed at create time in other products.
    descriptions = [
        rule["Description"]
        for kind in ("SecurityGroupIngress", "SecurityGroupEgress")
        for _, rule in of_type(resources, kind)
    ]
    for _, group in of_type(resources, "SecurityGroup"):
        descriptions.append(group["GroupDescription"])
        descriptions += [rule["Description"] for rule in group["SecurityGroupEgress"]]
    assert len(descriptions) > len(EDGES) + len(GROUPS)
    for description in descriptions:
        assert EC2_ALPHABET.fullmatch(description), description


def test_no_group_nears_ec2s_limit_of_60_rules(
    resources: dict[str, dict[str, Any]],
) -> None:
    for kind in ("SecurityGroupIngress", "SecurityGroupEgress"):
        ours = [rule["GroupId"] for _, rule in of_type(resources, kind)]
        assert max(ours.count(group) for group in ours) <= 30
