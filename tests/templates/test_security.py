"""Security groups: the compiled rules equal the table, and the table is narrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from compiler.wiring import Build, title
from templates import security
from templates.resources.connections import (
    CONNECTIONS,
    POOL_GROUP,
    SECURITY_GROUPS,
    TASKS,
)
from templates.resources.ports import API_SERVER, FLOWER, HTTPS
from templates.types import EGRESS_SLOTS, WEB_CLIENT_SLOTS
from tests.resolver import deploy
from tests.templates.tasks import resolved

GIVEN = {
    "VpcId": "vpc-0123456789abcdef0",
    "WebClientCidr": "10.0.0.0/8",
    "WebClientCidr2": "172.16.0.0/12",
    "WebClientCidr3": "192.168.0.0/16",
    "OutboundHttpsCidr": "10.9.0.0/16",
    "S3PrefixListId": "pl-63a5400a",
    "EnableFlower": "true",
    "DagEgress": "," * EGRESS_SLOTS,
    "WebClients": "," * WEB_CLIENT_SLOTS,
}
OUTSIDE = {
    "web_clients": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
    "outbound": ["10.9.0.0/16"],
    "s3": ["pl-63a5400a"],
}

Connection = tuple[str, str, int]
NOWHERE = "127.0.0.1/32"
WORKERS = "<Workers.SecurityGroup.GroupId>"
IDS = {
    **{name: f"<{title(name)}.GroupId>" for name in SECURITY_GROUPS},
    POOL_GROUP: WORKERS,
}


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


def workers(**changes: str) -> dict[str, dict[str, Any]]:
    """The stack of a pool; the groups of its peers have the IDs of ``deployed``."""
    peers = {f"{title(name)}GroupId": IDS[name] for name in IDS.keys() - {POOL_GROUP}}
    return resolved("Workers", **{**GIVEN, **peers, **changes}).resources


@pytest.fixture(scope="module")
def resources() -> dict[str, dict[str, Any]]:
    return deployed() | workers()


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
    ours, theirs = (1, 0) if kind == "SecurityGroupIngress" else (0, 1)
    far_end = ("SourceSecurityGroupId", "DestinationSecurityGroupId")
    addresses = ("CidrIp", "DestinationPrefixListId", "SourcePrefixListId")
    triples = []
    for rule in rules(resources, kind):
        assert rule["IpProtocol"] == "tcp"
        assert rule["FromPort"] == rule["ToPort"]
        (far,) = [rule[key] for key in (*far_end, *addresses) if key in rule]
        ends = ["", ""]
        ends[ours], ends[theirs] = rule["GroupId"], far
        triples.append((ends[0], ends[1], rule["FromPort"]))
    return triples


def rules(resources: dict[str, dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    """Yield the rules of one direction, with their group, but those to nowhere."""
    for _, rule in of_type(resources, kind):
        yield rule
    for logical_id, group in of_type(resources, "SecurityGroup"):
        own = WORKERS if logical_id == "SecurityGroup" else f"<{logical_id}.GroupId>"
        for rule in group.get(kind, ()):
            if rule.get("CidrIp") != NOWHERE:
                yield {"GroupId": own, **rule}


def expected() -> list[Connection]:
    """Return the connections of the table, written as in compiled rules."""

    def written(party: str) -> list[str]:
        return [IDS[party]] if party in SECURITY_GROUPS else OUTSIDE[party]

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
    assert len(groups) == len(SECURITY_GROUPS)
    for properties in groups.values():
        rule, *_ = properties["SecurityGroupEgress"]
        assert rule["CidrIp"] == NOWHERE


def test_no_group_has_rules_inside_and_outside(
    resources: dict[str, dict[str, Any]],
) -> None:
    # An update of those inside can delete the others.
    kinds = ("SecurityGroupIngress", "SecurityGroupEgress")
    outside = {
        rule["GroupId"] for kind in kinds for _, rule in of_type(resources, kind)
    }
    inside = {
        f"<{logical_id}.GroupId>"
        for logical_id, group in of_type(resources, "SecurityGroup")
        for kind in kinds
        for rule in group.get(kind, ())
        if rule.get("CidrIp") != NOWHERE
    }
    assert inside
    assert not inside & outside


def of_dag_code(entries: str) -> dict[str, list[tuple[int, int, str]]]:
    """Return the rules of DagEgress by group, as ports and range."""
    padded = f"{entries},{',' * EGRESS_SLOTS}"
    return {
        name: [
            (int(rule["FromPort"]), int(rule["ToPort"]), rule["CidrIp"])
            for rule in rules(stack, "SecurityGroupEgress")
            if rule["GroupId"] == IDS[name] and rule["Description"] == "DagEgress"
        ]
        for stack, names in (
            (deployed(DagEgress=padded), SECURITY_GROUPS.keys() - {POOL_GROUP}),
            (workers(DagEgress=padded), {POOL_GROUP}),
        )
        for name in names
    }


def web_sources(clients: str) -> list[str]:
    """Return the sources that reach the listener for HTTPS, but for the relay."""
    stack = deployed(WebClients=f"{clients},{',' * WEB_CLIENT_SLOTS}")
    keys = ("CidrIp", "SourcePrefixListId", "SourceSecurityGroupId")
    return [
        f"{key}={rule[key]}"
        for rule in rules(stack, "SecurityGroupIngress")
        if rule["GroupId"] == IDS["load_balancer"] and rule["FromPort"] == HTTPS
        for key in keys
        if key in rule and rule[key] != IDS["verification"]
    ][3:]


def test_web_clients_are_ranges_prefix_lists_and_groups() -> None:
    assert web_sources("192.0.2.0/24,pl-63a5400a,sg-0123456789abcdef0") == [
        "CidrIp=192.0.2.0/24",
        "SourcePrefixListId=pl-63a5400a",
        "SourceSecurityGroupId=sg-0123456789abcdef0",
    ]


def test_web_clients_beyond_the_last_slot_are_refused_by_ec2() -> None:
    clients = [f"pl-0123456789abcdef{number}" for number in range(WEB_CLIENT_SLOTS + 1)]
    *fitting, beyond = web_sources(",".join(clients))
    assert fitting == [f"SourcePrefixListId={client}" for client in clients[:-1]]
    assert beyond == f"CidrIp=more than 10 WebClients: {clients[-1]}"


def test_dag_egress_is_for_what_runs_dag_code() -> None:
    by_group = of_dag_code("5432-5439 10.20.0.0/16,22 192.0.2.10/32")
    expected = [(5432, 5439, "10.20.0.0/16"), (22, 22, "192.0.2.10/32")]
    with_rules = {name: rules for name, rules in by_group.items() if rules}
    assert with_rules == dict.fromkeys(
        ("worker", "triggerer", "dag_processor"), expected
    )


@pytest.mark.parametrize("entries", ["", "none"])
def test_dag_egress_may_be_empty(entries: str) -> None:
    assert not any(of_dag_code(entries).values())


def test_dag_egress_has_twenty_slots_and_refuses_more() -> None:
    entries = [f"22 192.0.2.{number}/32" for number in range(EGRESS_SLOTS + 1)]
    *fitting, beyond = of_dag_code(",".join(entries))["worker"]
    assert [f"22 {range_}" for _, _, range_ in fitting] == entries[:-1]
    # EC2 answers that this is no range, and so names the entry.
    assert beyond[2] == entries[-1]


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
        ours = [rule["GroupId"] for rule in rules(resources, kind)]
        assert max(ours.count(group) for group in ours) <= 30
