"""The network: the address plan, routes, gateways and outputs."""

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
from tests.resolver import Stack, deploy

GIVEN = {
    "VpcCidr": "10.0.0.0/18",
    "ZoneCount": "3",
    "ZoneNames": "",
    "InternetAccess": "nat-per-zone",
    "Scheme": "internal",
    "FlowLogDays": "365",
    "KeyArn": "arn:aws:kms:eu-central-1:123456789012:key/1",
    "PermissionsBoundaryArn": "",
}
INTERNET_ACCESS = ("nat-per-zone", "single-nat", "endpoints")
SHAPES = list(
    itertools.product(("2", "3"), INTERNET_ACCESS, ("internal", "internet-facing"))
)
Resources = dict[str, dict[str, Any]]


def deployed(**changes: str) -> Stack:
    document = Build().template(network.define).document
    return deploy(document, {}, {**GIVEN, **changes})


def of_type(resources: Resources, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for logical_id, resource in resources.items():
        if resource["Type"] == f"AWS::EC2::{name}":
            yield logical_id, resource["Properties"]


def routes_of(resources: Resources, subnet: str) -> list[dict[str, Any]]:
    """Return the routes of a subnet, by its one association."""
    (table,) = [
        association["RouteTableId"]
        for _, association in of_type(resources, "SubnetRouteTableAssociation")
        if association["SubnetId"] == f"<{subnet}>"
    ]
    return [r for _, r in of_type(resources, "Route") if r["RouteTableId"] == table]


def subnets(resources: Resources, tier: str) -> list[str]:
    return [name for name, _ in of_type(resources, "Subnet") if name.startswith(tier)]


def test_smallest_vpc_holds_every_subnet_exactly() -> None:
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


def test_third_zone_changes_no_subnet() -> None:
    # A changed CIDR replaces the subnet, and the database in it.
    two, three = (deployed(ZoneCount=count).resources for count in ("2", "3"))
    blocks = dict(of_type(two, "Subnet"))
    assert blocks == {
        name: subnet for name, subnet in of_type(three, "Subnet") if name in blocks
    }


def test_named_zones_are_used_in_their_order() -> None:
    # Fn::GetAZs leaves out zones without a default subnet, and its answer changes.
    named = dict(of_type(deployed(ZoneNames="x-1c,x-1f,x-1a").resources, "Subnet"))
    for tier in ("Public", "Private", "Data"):
        zones = [named[f"{tier}Subnet{zone}"]["AvailabilityZone"] for zone in ZONES]
        assert zones == ["x-1c", "x-1f", "x-1a"]


def test_address_plan_stays_within_fn_cidr() -> None:
    # Fn::Cidr gives 256 blocks at most.
    for tier in (PRIVATE, PUBLIC, DATA):
        assert tier.first + len(ZONES) <= 256


def test_private_subnets_hold_every_task_twice() -> None:
    # Each task has an address, and a deployment starts every task again beside the old.
    tasks, zones = 4000, 2
    assert zones * PRIVATE_SUBNET_ADDRESSES >= 2 * tasks


@pytest.mark.parametrize(("zones", "internet_access", "scheme"), SHAPES)
def test_data_subnets_have_no_route(
    zones: str, internet_access: str, scheme: str
) -> None:
    resources = deployed(
        ZoneCount=zones, InternetAccess=internet_access, Scheme=scheme
    ).resources
    assert len(subnets(resources, "Data")) == int(zones)
    for subnet in subnets(resources, "Data"):
        assert routes_of(resources, subnet) == []
    s3 = resources["S3"]["Properties"]
    assert "<DataRoutes>" not in s3["RouteTableIds"]


@pytest.mark.parametrize(("zones", "internet_access", "scheme"), SHAPES)
def test_private_subnets_route_through_nat_or_nowhere(
    zones: str, internet_access: str, scheme: str
) -> None:
    # The internet gateway of a public load balancer must not become a route of tasks.
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
    gateways = {f"<{name}>" for name, _ in of_type(resources, "NatGateway")}
    assert gateways == {nat for nats in used.values() for nat in nats}
    for name, nat in of_type(resources, "NatGateway"):
        assert nat["SubnetId"] == f"<PublicSubnet{name[-1]}>"


@pytest.mark.parametrize(("zones", "internet_access", "scheme"), SHAPES)
def test_internet_gateway_exists_only_where_needed(
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
def test_outputs_list_one_subnet_per_zone_and_tier(zones: str) -> None:
    outputs = deployed(ZoneCount=zones).outputs
    for tier in ("Public", "Private", "Data"):
        expected = [f"<{tier}Subnet{letter}>" for letter in ZONES[: int(zones)]]
        assert outputs[f"{tier}SubnetIds"].split(",") == expected


def test_subnets_of_a_tier_are_in_different_zones() -> None:
    resources = deployed().resources
    for tier in ("Public", "Private", "Data"):
        zones = [
            resources[subnet]["Properties"]["AvailabilityZone"]
            for subnet in subnets(resources, tier)
        ]
        assert len(set(zones)) == 3


def test_lists_contain_no_no_value() -> None:
    # AWS::NoValue inside a Join fails at create time; whole lists are chosen instead.
    document = Build().template(network.define).document
    assert "AWS::NoValue" not in json.dumps(document["Outputs"])
    endpoint = document["Resources"]["S3"]["Properties"]
    assert "AWS::NoValue" not in json.dumps(endpoint)


@pytest.mark.parametrize("zones", ["2", "3"])
def test_private_subnets_reach_s3_through_the_endpoint(zones: str) -> None:
    endpoint = deployed(ZoneCount=zones).resources["S3"]["Properties"]
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert endpoint["RouteTableIds"] == [
        f"<PrivateRoutes{letter}>" for letter in ZONES[: int(zones)]
    ]
