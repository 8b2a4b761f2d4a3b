"""Controls 58 to 72: the network and its security groups."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest

from templates.endpoint_services import DAG_SERVICES
from tests.compliance.environments import Environments, ResolvedEnvironment

WORLD = ("0.0.0.0/0", "::/0")
DATABASE = "<Security.Database.GroupId>"


@pytest.mark.control(58)
def test_flow_log_goes_to_an_own_log_group(environments: Environments) -> None:
    log = environments.base.single("EC2::FlowLog")
    ((vpc, _),) = environments.base.properties("EC2::VPC").items()
    assert log["ResourceId"] == f"<{vpc}>"
    assert log["ResourceType"] == "VPC"
    assert log["LogGroupName"].strip("<>") in environments.base.properties(
        "Logs::LogGroup"
    )


@pytest.mark.control(59)
def test_flow_log_records_refused_connections(environments: Environments) -> None:
    assert environments.base.single("EC2::FlowLog")["TrafficType"] == "ALL"


@pytest.mark.control(60)
def test_subnets_assign_no_public_addresses(environments: Environments) -> None:
    for environment in (
        environments.base,
        environments.internet_facing,
        environments.with_endpoints,
    ):
        for place, subnet in environment.properties("EC2::Subnet").items():
            assert not subnet.get("MapPublicIpOnLaunch"), place
            assert not subnet.get("AssignIpv6AddressOnCreation"), place


def span(rule: dict[str, Any]) -> range:
    """Return the ports of a rule."""
    if rule["IpProtocol"] == "-1":
        return range(65536)
    return range(int(rule["FromPort"]), int(rule["ToPort"]) + 1)


@pytest.mark.control(61)
def test_load_balancer_admits_named_ranges_only(environments: Environments) -> None:
    for environment in environments.variants:
        web_rules = [
            rule
            for rule in environment.rules("Ingress").values()
            if rule["GroupId"] == "<Security.LoadBalancer.GroupId>"
        ]
        assert web_rules
        relay = "<Security.Verification.GroupId>"
        for rule in web_rules:
            if rule.get("SourceSecurityGroupId") == relay:
                continue
            network = ipaddress.ip_network(rule["CidrIp"])
            assert network.prefixlen >= 8
            assert len(span(rule)) == 1
    parent = environments.library["parent.template.json"]
    assert parent["Parameters"]["WebClientCidr"]["MinLength"] == 1
    assert parent["Rules"]["OpenToTheWorldOnPurposeOnly"]["Assertions"]


@pytest.mark.control(62)
def test_each_zone_has_its_own_nat_gateway(environments: Environments) -> None:
    environment = environments.base
    subnets = environment.properties("EC2::Subnet")
    zone_of_nat = {
        place: subnets[nat["SubnetId"].strip("<>")]["AvailabilityZone"]
        for place, nat in environment.properties("EC2::NatGateway").items()
    }
    zones = {subnet["AvailabilityZone"] for subnet in subnets.values()}
    assert set(zone_of_nat.values()) == zones
    nat_of_table = {
        route["RouteTableId"]: route["NatGatewayId"].strip("<>")
        for route in environment.properties("EC2::Route").values()
        if "NatGatewayId" in route
    }
    routed_zones = set()
    for each in environment.properties("EC2::SubnetRouteTableAssociation").values():
        if each["RouteTableId"] in nat_of_table:
            zone = subnets[each["SubnetId"].strip("<>")]["AvailabilityZone"]
            assert zone_of_nat[nat_of_table[each["RouteTableId"]]] == zone
            routed_zones.add(zone)
    assert routed_zones == zones
    assert "EC2::NatGateway" not in environments.with_endpoints.types


def endpoints(environment: ResolvedEnvironment) -> dict[str, dict[str, Any]]:
    """Return every endpoint by the name of its service."""
    return {
        each["ServiceName"].removeprefix("com.amazonaws.eu-central-1."): each
        for each in environment.properties("EC2::VPCEndpoint").values()
    }


@pytest.mark.control(63)
def test_endpoints_cover_every_service(environments: Environments) -> None:
    needed = {
        *("ecr.api", "ecr.dkr", "logs", "secretsmanager", "kms", "ssmmessages"),
        *("monitoring", "sts", "ecs"),
    }
    by_service = endpoints(environments.with_endpoints)
    interfaces = {
        k for k, v in by_service.items() if v["VpcEndpointType"] == "Interface"
    }
    # A missing endpoint shows as a task that hangs in PENDING for minutes.
    assert interfaces == needed | DAG_SERVICES.keys()
    assert by_service["s3"]["VpcEndpointType"] == "Gateway"


@pytest.mark.control(64)
def test_s3_endpoint_admits_account_and_images(environments: Environments) -> None:
    for environment in (environments.base, environments.with_endpoints):
        statements = endpoints(environment)["s3"]["PolicyDocument"]["Statement"]
        layers = "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/*"
        own = {"aws:PrincipalAccount": "123456789012"}
        assert len(statements) == 2
        account, images = statements
        assert account["Condition"] == {"StringEquals": own}
        # Without the layer bucket of ECR no image can be pulled.
        assert images["Action"] == ["s3:GetObject"]
        assert images["Resource"] == [layers]
        # Its identities are those of ECR, so only the transport can be restricted.
        assert images["Condition"] == {"Bool": {"aws:SecureTransport": "true"}}


@pytest.mark.control(65)
def test_endpoints_have_private_dns_names(environments: Environments) -> None:
    by_service = endpoints(environments.with_endpoints)
    interfaces = [v for v in by_service.values() if v["VpcEndpointType"] == "Interface"]
    assert interfaces
    assert all(each["PrivateDnsEnabled"] is True for each in interfaces)
    vpc = environments.with_endpoints.single("EC2::VPC")
    assert vpc["EnableDnsHostnames"] is True
    assert vpc["EnableDnsSupport"] is True


@pytest.mark.control(66, 67)
def test_database_admits_named_groups_only(environments: Environments) -> None:
    for environment in environments.variants:
        groups = environment.properties("EC2::SecurityGroup")
        cluster = environment.single("RDS::DBCluster")
        assert cluster["VpcSecurityGroupIds"] == [DATABASE]
        database_rules = [
            rule
            for rule in environment.rules("Ingress").values()
            if rule["GroupId"] == DATABASE
        ]
        assert database_rules
        for rule in database_rules:
            source = rule["SourceSecurityGroupId"].strip("<>")
            assert source.removesuffix(".GroupId") in groups
            assert not rule.keys() & {"CidrIp", "CidrIpv6", "SourcePrefixListId"}
            assert span(rule) == range(cluster["Port"], cluster["Port"] + 1)


@pytest.mark.control(68, 69)
def test_egress_is_limited_to_single_tcp_ports(environments: Environments) -> None:
    for environment in environments.variants:
        for place, group in environment.properties("EC2::SecurityGroup").items():
            # A group without an egress rule gets EC2's default: everything.
            assert group["SecurityGroupEgress"], place
        for place, rule in environment.rules("Egress").items():
            if rule.get("CidrIp") == "127.0.0.1/32":
                continue
            assert rule["IpProtocol"] == "tcp", place
            assert len(span(rule)) == 1, place


@pytest.mark.control(70)
def test_endpoints_leave_no_internet_egress(environments: Environments) -> None:
    for rule in environments.with_endpoints.rules("Egress").values():
        assert rule.get("CidrIp") not in WORLD
        assert rule.get("CidrIpv6") not in WORLD
    # With NAT gateways HTTPS is allowed, and nothing else: decision 7.
    open_to = [
        rule
        for rule in environments.base.rules("Egress").values()
        if rule.get("CidrIp") in WORLD
    ]
    assert all(span(rule) == range(443, 444) for rule in open_to)


@pytest.mark.control(71)
def test_security_groups_have_valid_descriptions(environments: Environments) -> None:
    for environment in environments.variants:
        every = environment.rules("Ingress") | environment.rules("Egress")
        descriptions = {place: rule["Description"] for place, rule in every.items()}
        for place, group in environment.properties("EC2::SecurityGroup").items():
            descriptions[place] = group["GroupDescription"]
        for place, description in descriptions.items():
            # "->" fails at creation.
            allowed = r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}"
            assert re.fullmatch(allowed, description), place


@pytest.mark.control(72)
def test_data_subnets_have_no_outbound_route(environments: Environments) -> None:
    for environment in (
        environments.base,
        environments.internet_facing,
        environments.with_endpoints,
    ):
        data = {
            subnet
            for kind in ("RDS::DBSubnetGroup", "ElastiCache::SubnetGroup")
            for subnet in environment.single(kind)["SubnetIds"]
        }
        tables = {
            each["SubnetId"]: each["RouteTableId"]
            for each in environment.properties(
                "EC2::SubnetRouteTableAssociation"
            ).values()
        }
        routed = (
            {
                route["RouteTableId"]
                for route in environment.properties("EC2::Route").values()
            }
            if "EC2::Route" in environment.types
            else set()
        )
        assert len(data) >= 2
        for subnet in data:
            # A subnet without a route table falls back to the VPC's main one.
            assert tables[subnet] not in routed, subnet
