"""The network: the address plan, the ways out, and what keeps watch."""

from __future__ import annotations

import ipaddress
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from compiler.wiring import Build
from templates import network
from templates.resources.address_plan import (
    DATA,
    LARGEST_VPC_PREFIX,
    PRIVATE,
    PRIVATE_SUBNET_ADDRESSES,
    PUBLIC,
    SMALLEST_VPC_PREFIX,
    ZONES,
)
from tests.resolver import PSEUDO, Stack, deploy

GIVEN = {
    "VpcCidr": "10.0.0.0/18",
    "ZoneCount": "3",
    "InternetAccess": "nat-per-zone",
    "Scheme": "internal",
    "FlowLogDays": "365",
    "KeyArn": "arn:aws:kms:eu-central-1:123456789012:key/1",
    "PermissionsBoundaryArn": "",
}
WAYS_OUT = ("nat-per-zone", "single-nat", "endpoints")
SHAPES = list(itertools.product(("2", "3"), WAYS_OUT, ("internal", "internet-facing")))
Resources = dict[str, dict[str, Any]]


def deployed(**changes: str) -> Stack:
    document = Build().page(network.define).document
    return deploy(document, {}, {**GIVEN, **changes})


def of_type(resources: Resources, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for logical_id, resource in resources.items():
        if resource["Type"] == f"AWS::EC2::{name}":
            yield logical_id, resource["Properties"]


def routes_of(resources: Resources, subnet: str) -> list[dict[str, Any]]:
    """The routes of a subnet, by its one association."""
    (table,) = [
        association["RouteTableId"]
        for _, association in of_type(resources, "SubnetRouteTableAssociation")
        if association["SubnetId"] == f"<{subnet}>"
    ]
    return [r for _, r in of_type(resources, "Route") if r["RouteTableId"] == table]


def subnets(resources: Resources, tier: str) -> list[str]:
    return [name for name, _ in of_type(resources, "Subnet") if name.startswith(tier)]


def test_the_smallest_vpc_holds_every_subnet_and_a_smaller_one_does_not() -> None:
    # The validator of parameter files refuses a smaller VPC by this constant.
    resources = deployed(VpcCidr=f"10.0.0.0/{SMALLEST_VPC_PREFIX}").resources
    vpc = ipaddress.IPv4Network(f"10.0.0.0/{SMALLEST_VPC_PREFIX}")
    blocks = [
        ipaddress.IPv4Network(subnet["CidrBlock"])
        for _, subnet in of_type(resources, "Subnet")
    ]
    assert len(blocks) == 9
    assert all(block.subnet_of(vpc) for block in blocks)
    assert not any(a.overlaps(b) for a, b in itertools.combinations(blocks, 2))
    half = ipaddress.IPv4Network(f"10.0.0.0/{SMALLEST_VPC_PREFIX + 1}")
    assert not all(block.subnet_of(half) for block in blocks)
    assert LARGEST_VPC_PREFIX < SMALLEST_VPC_PREFIX


def test_a_third_zone_moves_no_subnet() -> None:
    # A changed CIDR replaces the subnet, and the database in it.
    two, three = (deployed(ZoneCount=count).resources for count in ("2", "3"))
    blocks = dict(of_type(two, "Subnet"))
    assert blocks == {
        name: subnet for name, subnet in of_type(three, "Subnet") if name in blocks
    }


def test_fn_cidr_can_count_as_far_as_the_plan_needs() -> None:
    # Fn::Cidr gives 256 blocks at most.
    for tier in (PRIVATE, PUBLIC, DATA):
        assert tier.first + len(ZONES) <= 256


def test_private_subnets_hold_two_of_every_task() -> None:
    # Failure mode G5: a task is an address, and a deployment starts every task anew.
    tasks, zones = 4000, 2
    assert zones * PRIVATE_SUBNET_ADDRESSES >= 2 * tasks


@pytest.mark.parametrize(("zones", "internet_access", "scheme"), SHAPES)
def test_data_subnets_have_no_route_at_all(
    zones: str, internet_access: str, scheme: str
) -> None:
    # Control 72.
    resources = deployed(
        ZoneCount=zones, InternetAccess=internet_access, Scheme=scheme
    ).resources
    assert len(subnets(resources, "Data")) == int(zones)
    for subnet in subnets(resources, "Data"):
        assert routes_of(resources, subnet) == []
    s3 = resources["S3"]["Properties"]
    assert "<DataRoutes>" not in s3["RouteTableIds"]


@pytest.mark.parametrize(("zones", "internet_access", "scheme"), SHAPES)
def test_tasks_leave_by_nat_or_not_at_all(
    zones: str, internet_access: str, scheme: str
) -> None:
    # Control 62: a gateway in every zone, or none with endpoints. The internet gateway
    # of a public load balancer must not become the tasks' way out.
    resources = deployed(
        ZoneCount=zones, InternetAccess=internet_access, Scheme=scheme
    ).resources
    letters = ZONES[: int(zones)]
    used = {
        letter: [
            route["NatGatewayId"]
            for route in routes_of(resources, f"PrivateSubnet{letter}")
        ]
        for letter in letters
    }
    assert (
        used
        == {
            "nat-per-zone": {letter: [f"<Nat{letter}>"] for letter in letters},
            "single-nat": {letter: ["<NatA>"] for letter in letters},
            "endpoints": {letter: [] for letter in letters},
        }[internet_access]
    )
    made = {f"<{name}>" for name, _ in of_type(resources, "NatGateway")}
    assert made == {nat for nats in used.values() for nat in nats}
    for name, nat in of_type(resources, "NatGateway"):
        assert nat["SubnetId"] == f"<PublicSubnet{name[-1]}>"


@pytest.mark.parametrize(("zones", "internet_access", "scheme"), SHAPES)
def test_there_is_an_internet_gateway_only_where_something_needs_it(
    zones: str, internet_access: str, scheme: str
) -> None:
    resources = deployed(
        ZoneCount=zones, InternetAccess=internet_access, Scheme=scheme
    ).resources
    is_needed = internet_access != "endpoints" or scheme == "internet-facing"
    assert ("InternetGateway" in resources) == is_needed
    for subnet in subnets(resources, "Public"):
        gateways = [route["GatewayId"] for route in routes_of(resources, subnet)]
        assert gateways == (["<InternetGateway>"] if is_needed else [])


@pytest.mark.parametrize("zones", ["2", "3"])
def test_outputs_list_one_subnet_a_zone_for_each_tier(zones: str) -> None:
    outputs = deployed(ZoneCount=zones).outputs
    for tier in ("Public", "Private", "Data"):
        expected = [f"<{tier}Subnet{letter}>" for letter in ZONES[: int(zones)]]
        assert outputs[f"{tier}SubnetIds"].split(",") == expected


def test_subnets_of_a_tier_lie_in_different_zones() -> None:
    resources = deployed().resources
    for tier in ("Public", "Private", "Data"):
        zones = [
            resources[subnet]["Properties"]["AvailabilityZone"]
            for subnet in subnets(resources, tier)
        ]
        assert len(set(zones)) == 3


def test_no_list_has_a_hole_in_it() -> None:
    # AWS::NoValue inside a Join fails at create time; whole lists are chosen instead.
    document = Build().page(network.define).document
    assert "AWS::NoValue" not in json.dumps(document["Outputs"])
    endpoint = document["Resources"]["S3"]["Properties"]
    assert "AWS::NoValue" not in json.dumps(endpoint)


def test_no_subnet_gives_public_addresses() -> None:
    # Control 60.
    for name, subnet in of_type(deployed().resources, "Subnet"):
        assert subnet["MapPublicIpOnLaunch"] is False, name


def test_private_names_of_endpoints_resolve() -> None:
    vpc = deployed().resources["Vpc"]["Properties"]
    assert vpc["EnableDnsHostnames"] is True
    assert vpc["EnableDnsSupport"] is True


@pytest.mark.parametrize("zones", ["2", "3"])
def test_every_private_subnet_reaches_s3_by_the_endpoint(zones: str) -> None:
    endpoint = deployed(ZoneCount=zones).resources["S3"]["Properties"]
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert endpoint["RouteTableIds"] == [
        f"<PrivateRoutes{letter}>" for letter in ZONES[: int(zones)]
    ]


def test_the_s3_endpoint_serves_this_account_and_image_layers_only() -> None:
    # Control 64: without the layer bucket of ECR no image can be pulled.
    policy = deployed().resources["S3"]["Properties"]["PolicyDocument"]
    ours, layers = policy["Statement"]
    assert ours["Condition"] == {
        "StringEquals": {"aws:PrincipalAccount": PSEUDO["AWS::AccountId"]}
    }
    assert "Condition" not in layers
    assert layers["Action"] == ["s3:GetObject"]
    assert layers["Resource"] == [
        "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/*"
    ]


def test_flow_logs_record_everything_encrypted_and_retained() -> None:
    # Controls 55, 57, 58 and 59.
    resources = deployed().resources
    flow_log = resources["FlowLog"]["Properties"]
    assert flow_log["TrafficType"] == "ALL"
    assert flow_log["ResourceId"] == "<Vpc>"
    assert flow_log["LogGroupName"] == "<FlowLogGroup>"
    group = resources["FlowLogGroup"]
    assert group["Properties"] == {
        "RetentionInDays": GIVEN["FlowLogDays"],
        "KmsKeyId": GIVEN["KeyArn"],
    }
    assert group["DeletionPolicy"] == group["UpdateReplacePolicy"] == "Retain"


def test_flow_logs_are_written_for_this_account_to_one_group_only() -> None:
    # Control 123, the confused deputy.
    resources = deployed().resources
    (trust,) = resources["FlowLogWriter"]["Properties"]["AssumeRolePolicyDocument"][
        "Statement"
    ]
    assert trust["Principal"] == {"Service": "vpc-flow-logs.amazonaws.com"}
    assert trust["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"},
        "ArnLike": {
            "aws:SourceArn": "arn:aws:ec2:eu-central-1:123456789012:vpc-flow-log/*"
        },
    }
    policy = resources["FlowLogWriting"]["Properties"]["PolicyDocument"]
    (statement,) = policy["Statement"]
    assert statement["Resource"] == ["<FlowLogGroup.Arn>"]


@pytest.mark.parametrize("boundary", ["", "arn:aws:iam::123456789012:policy/edge"])
def test_the_role_has_a_boundary_where_the_operator_gives_one(boundary: str) -> None:
    role = deployed(PermissionsBoundaryArn=boundary).resources["FlowLogWriter"]
    assert role["Properties"].get("PermissionsBoundary", "") == boundary
