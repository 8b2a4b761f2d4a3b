"""Controls 58 to 72: the network of production, and who may talk to whom in it."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest

from tests.compliance.environments import Estate, Estates

WORLD = ("0.0.0.0/0", "::/0")
DATABASE = "<Security.Database.GroupId>"


@pytest.mark.control(58)
def test_the_vpc_records_who_connects_to_whom(estates: Estates) -> None:
    log = estates.usual.one("EC2::FlowLog")
    ((vpc, _),) = estates.usual.of("EC2::VPC").items()
    assert log["ResourceId"] == f"<{vpc}>"
    assert log["ResourceType"] == "VPC"
    assert log["LogGroupName"].strip("<>") in estates.usual.of("Logs::LogGroup")


@pytest.mark.control(59)
def test_refused_connections_are_recorded_too(estates: Estates) -> None:
    assert estates.usual.one("EC2::FlowLog")["TrafficType"] == "ALL"


@pytest.mark.control(60)
def test_no_subnet_gives_public_addresses(estates: Estates) -> None:
    for estate in (estates.usual, estates.facing_the_internet, estates.with_endpoints):
        for place, subnet in estate.of("EC2::Subnet").items():
            assert not subnet.get("MapPublicIpOnLaunch"), place
            assert not subnet.get("AssignIpv6AddressOnCreation"), place


def rules(estate: Estate, direction: str) -> dict[str, dict[str, Any]]:
    """Return every rule of every security group, those written inside it too."""
    found = estate.of(f"EC2::SecurityGroup{direction}")
    for place, group in estate.of("EC2::SecurityGroup").items():
        for index, rule in enumerate(group.get(f"SecurityGroup{direction}", [])):
            found[f"{place}[{index}]"] = {"GroupId": f"<{place}.GroupId>", **rule}
    return found


def span(rule: dict[str, Any]) -> range:
    """Return the ports of a rule."""
    if rule["IpProtocol"] == "-1":
        return range(65536)
    return range(int(rule["FromPort"]), int(rule["ToPort"]) + 1)


@pytest.mark.control(61)
def test_the_page_is_not_open_to_the_world(estates: Estates) -> None:
    for estate in estates.each:
        doors = [
            rule
            for rule in rules(estate, "Ingress").values()
            if rule["GroupId"] == "<Security.LoadBalancer.GroupId>"
        ]
        assert doors
        for rule in doors:
            network = ipaddress.ip_network(rule["CidrIp"])
            assert network.prefixlen >= 8
            assert len(span(rule)) == 1
    parent = estates.library["parent.template.json"]
    assert parent["Parameters"]["WebClientCidr"]["MinLength"] == 1
    assert parent["Rules"]["OpenToTheWorldOnPurposeOnly"]["Assertions"]


@pytest.mark.control(62)
def test_tasks_of_each_zone_leave_by_a_nat_gateway_of_their_own(
    estates: Estates,
) -> None:
    estate = estates.usual
    subnets = estate.of("EC2::Subnet")
    zone_of_nat = {
        place: subnets[nat["SubnetId"].strip("<>")]["AvailabilityZone"]
        for place, nat in estate.of("EC2::NatGateway").items()
    }
    zones = {subnet["AvailabilityZone"] for subnet in subnets.values()}
    assert set(zone_of_nat.values()) == zones
    nat_of_table = {
        route["RouteTableId"]: route["NatGatewayId"].strip("<>")
        for route in estate.of("EC2::Route").values()
        if "NatGatewayId" in route
    }
    left = set()
    for each in estate.of("EC2::SubnetRouteTableAssociation").values():
        if each["RouteTableId"] in nat_of_table:
            zone = subnets[each["SubnetId"].strip("<>")]["AvailabilityZone"]
            assert zone_of_nat[nat_of_table[each["RouteTableId"]]] == zone
            left.add(zone)
    assert left == zones
    assert "EC2::NatGateway" not in estates.with_endpoints.kinds


def endpoints(estate: Estate) -> dict[str, dict[str, Any]]:
    """Return every endpoint by the name of its service."""
    return {
        each["ServiceName"].removeprefix("com.amazonaws.eu-central-1."): each
        for each in estate.of("EC2::VPCEndpoint").values()
    }


@pytest.mark.control(63)
def test_without_a_internet_access_every_service_has_an_endpoint(
    estates: Estates,
) -> None:
    needed = {
        *("ecr.api", "ecr.dkr", "logs", "secretsmanager", "kms", "ssmmessages"),
        *("monitoring", "sts", "ecs"),
    }
    made = endpoints(estates.with_endpoints)
    interfaces = {k for k, v in made.items() if v["VpcEndpointType"] == "Interface"}
    assert needed <= interfaces
    assert made["s3"]["VpcEndpointType"] == "Gateway"


@pytest.mark.control(64)
def test_the_way_to_s3_serves_this_account_and_the_layers_of_images(
    estates: Estates,
) -> None:
    for estate in (estates.usual, estates.with_endpoints):
        statements = endpoints(estate)["s3"]["PolicyDocument"]["Statement"]
        layers = "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/*"
        assert any(statement["Resource"] == [layers] for statement in statements)
        for statement in statements:
            if statement["Resource"] != [layers]:
                own = {"aws:PrincipalAccount": "123456789012"}
                assert statement["Condition"] == {"StringEquals": own}


@pytest.mark.control(65)
def test_the_usual_names_lead_to_the_endpoints(estates: Estates) -> None:
    made = endpoints(estates.with_endpoints)
    interfaces = [v for v in made.values() if v["VpcEndpointType"] == "Interface"]
    assert interfaces
    assert all(each["PrivateDnsEnabled"] is True for each in interfaces)
    vpc = estates.with_endpoints.one("EC2::VPC")
    assert vpc["EnableDnsHostnames"] is True
    assert vpc["EnableDnsSupport"] is True


@pytest.mark.control(66, 67)
def test_only_groups_of_ours_reach_the_database(estates: Estates) -> None:
    for estate in estates.each:
        groups = estate.of("EC2::SecurityGroup")
        cluster = estate.one("RDS::DBCluster")
        assert cluster["VpcSecurityGroupIds"] == [DATABASE]
        reaching = [
            rule
            for rule in rules(estate, "Ingress").values()
            if rule["GroupId"] == DATABASE
        ]
        assert reaching
        for rule in reaching:
            source = rule["SourceSecurityGroupId"].strip("<>")
            assert source.removesuffix(".GroupId") in groups
            assert not rule.keys() & {"CidrIp", "CidrIpv6", "SourcePrefixListId"}
            assert span(rule) == range(cluster["Port"], cluster["Port"] + 1)


@pytest.mark.control(68, 69)
def test_no_group_lets_everything_out(estates: Estates) -> None:
    for estate in estates.each:
        for place, group in estate.of("EC2::SecurityGroup").items():
            # A group without an egress rule of its own gets EC2's: everything.
            assert group["SecurityGroupEgress"], place
        for place, rule in rules(estate, "Egress").items():
            if rule.get("CidrIp") == "127.0.0.1/32":
                continue
            assert rule["IpProtocol"] == "tcp", place
            assert len(span(rule)) == 1, place


@pytest.mark.control(70)
def test_where_endpoints_suffice_nothing_leaves_for_the_world(
    estates: Estates,
) -> None:
    for rule in rules(estates.with_endpoints, "Egress").values():
        assert rule.get("CidrIp") not in WORLD
        assert rule.get("CidrIpv6") not in WORLD
    # Elsewhere HTTPS may, and nothing else: decision 7.
    open_to = [
        rule
        for rule in rules(estates.usual, "Egress").values()
        if rule.get("CidrIp") in WORLD
    ]
    assert all(span(rule) == range(443, 444) for rule in open_to)


@pytest.mark.control(71)
def test_every_rule_says_why_in_letters_that_ec2_takes(estates: Estates) -> None:
    for estate in estates.each:
        every = rules(estate, "Ingress") | rules(estate, "Egress")
        for place, rule in every.items():
            allowed = r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}"
            assert re.fullmatch(allowed, rule["Description"]), place


@pytest.mark.control(72)
def test_no_route_leads_out_of_the_data_subnets(estates: Estates) -> None:
    for estate in (estates.usual, estates.facing_the_internet, estates.with_endpoints):
        data = {
            subnet
            for kind in ("RDS::DBSubnetGroup", "ElastiCache::SubnetGroup")
            for subnet in estate.one(kind)["SubnetIds"]
        }
        tables = {
            each["SubnetId"]: each["RouteTableId"]
            for each in estate.of("EC2::SubnetRouteTableAssociation").values()
        }
        routed = (
            {route["RouteTableId"] for route in estate.of("EC2::Route").values()}
            if "EC2::Route" in estate.kinds
            else set()
        )
        assert len(data) >= 2
        for subnet in data:
            # One without a table of its own would fall back to the VPC's main one.
            assert tables[subnet] not in routed, subnet
