"""The VPC: public, private and data subnets in two or three zones, and the way out.

Sizes and places of the subnets are those of ``templates/address_plan.py``, whatever
the size of the VPC.

The VPC's default security group cannot be closed here (see the security stack).
Every route table is stated, so the VPC's main route table, which stays as EC2 made it,
has no subnet. IPv6 and Transit Gateway attachments are not made: a network that needs
them comes as an existing VPC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import awacs.s3
from awacs.aws import Allow, PolicyDocument, Principal, Statement
from troposphere import (
    And,
    AWSObject,
    Equals,
    GetAtt,
    GetAZs,
    If,
    Not,
    Or,
    Ref,
    Select,
    Sub,
    Tags,
    ec2,
)
from troposphere import Cidr as Blocks
from troposphere import Condition as Holds

from compiler.wiring import ConditionName, Interface, Page, about
from templates.address_plan import DATA, PRIVATE, PUBLIC, ZONES, Tier
from templates.flow_logs import add_flow_logs
from templates.kinds import (
    Cidr,
    Count,
    KeyArn,
    LogDays,
    PolicyArn,
    Scheme,
    SubnetIds,
    VpcId,
    WayOut,
)
from templates.perimeter import ours_only

ANYWHERE = "0.0.0.0/0"


class Inputs(Interface):
    """How large, how safe and how open the network is."""

    vpc_cidr: Cidr = about("Address range of the VPC, /16 to /18.")
    zone_count: Count = about("Availability zones to use, 2 or 3.")
    way_out: WayOut = about("How private subnets reach AWS and the internet.")
    scheme: Scheme = about("Whether the load balancer faces the internet.")
    flow_log_days: LogDays = about("Days to keep the flow logs.")
    key_arn: KeyArn = about("Key of the flow logs.")
    permissions_boundary_arn: PolicyArn = about("Boundary of the role, or nothing.")


class Outputs(Interface):
    """The VPC and its subnets, a list for each tier."""

    vpc_id: VpcId = about("The VPC.")
    public_subnet_ids: SubnetIds = about("Subnets for a public load balancer.")
    private_subnet_ids: SubnetIds = about("Subnets for the tasks.")
    data_subnet_ids: SubnetIds = about("Subnets without any way out, for data.")


@dataclass(frozen=True, kw_only=True)
class Ways:
    """The conditions under which each way exists."""

    has_third_zone: ConditionName
    has_gateway: ConditionName
    has_nat: ConditionName
    is_nat_per_zone: ConditionName
    has_third_nat: ConditionName
    has_third_route: ConditionName

    def in_zone(self, zone: str) -> dict[str, Any]:
        """Return the attributes of whatever belongs to one zone."""
        return {"Condition": self.has_third_zone} if zone == ZONES[2] else {}


def define(t: Page, given: Inputs) -> Outputs:
    """Define the network from the internet inwards, to the data subnets."""
    ways = _ways(t, given)
    vpc = t.add(
        ec2.VPC(
            "Vpc",
            CidrBlock=given.vpc_cidr,
            EnableDnsHostnames=True,
            EnableDnsSupport=True,
            Tags=_name(""),
        ),
        "Network of everything in this stack.",
        why="Private names of interface endpoints need both DNS settings.",
    )

    attached, public = _public_side(t, given, ways, vpc)
    nats = _nats(t, ways, attached, public)
    private, tables = _private_side(t, given, ways, vpc, nats)

    # The data tier has a table of its own and no route in it: local traffic only.
    no_way_out = t.add(
        ec2.RouteTable("DataRoutes", VpcId=Ref(vpc), Tags=_name("data")),
        "Routes of the data subnets: none but those inside the VPC.",
    )
    data = {
        zone: _subnet(t, given, ways, vpc, tier=DATA, zone=zone, table=no_way_out)
        for zone in ZONES
    }

    _s3_endpoint(t, ways, vpc, tables)
    add_flow_logs(
        t,
        vpc,
        days=given.flow_log_days,
        key_arn=given.key_arn,
        permissions_boundary_arn=given.permissions_boundary_arn,
    )
    return Outputs(
        vpc_id=VpcId(Ref(vpc)),
        public_subnet_ids=SubnetIds(_per_zone(ways, public)),
        private_subnet_ids=SubnetIds(_per_zone(ways, private)),
        data_subnet_ids=SubnetIds(_per_zone(ways, data)),
    )


def _ways(t: Page, given: Inputs) -> Ways:
    has_third_zone = t.condition("HasThirdZone", Equals(given.zone_count, "3"))
    has_nat = t.condition("HasNat", Not(Equals(given.way_out, "endpoints")))
    is_nat_per_zone = t.condition("IsNatPerZone", Equals(given.way_out, "nat-per-zone"))
    return Ways(
        has_third_zone=has_third_zone,
        has_nat=has_nat,
        is_nat_per_zone=is_nat_per_zone,
        has_gateway=t.condition(
            "HasInternetGateway",
            Or(Holds(has_nat), Equals(given.scheme, "internet-facing")),
        ),
        has_third_nat=t.condition(
            "HasThirdNat", And(Holds(is_nat_per_zone), Holds(has_third_zone))
        ),
        has_third_route=t.condition(
            "HasThirdRoute", And(Holds(has_nat), Holds(has_third_zone))
        ),
    )


def _public_side(
    t: Page, given: Inputs, ways: Ways, vpc: ec2.VPC
) -> tuple[ec2.VPCGatewayAttachment, dict[str, ec2.Subnet]]:
    """Add the internet gateway and the subnets that route to it."""
    gateway = t.add(
        ec2.InternetGateway(
            "InternetGateway", Condition=ways.has_gateway, Tags=_name("")
        ),
        "Way between the internet and the public subnets.",
        why="With endpoints and an internal load balancer there is none.",
    )
    attached = t.add(
        ec2.VPCGatewayAttachment(
            "InternetGatewayAttachment",
            Condition=ways.has_gateway,
            VpcId=Ref(vpc),
            InternetGatewayId=Ref(gateway),
        ),
        "Puts the internet gateway at the VPC's edge.",
    )
    table = t.add(
        ec2.RouteTable("PublicRoutes", VpcId=Ref(vpc), Tags=_name("public")),
        "Routes of the public subnets.",
    )
    t.add(
        ec2.Route(
            "PublicWayOut",
            Condition=ways.has_gateway,
            DependsOn=attached,
            RouteTableId=Ref(table),
            DestinationCidrBlock=ANYWHERE,
            GatewayId=Ref(gateway),
        ),
        "Leads from the public subnets to the internet.",
    )
    return attached, {
        zone: _subnet(t, given, ways, vpc, tier=PUBLIC, zone=zone, table=table)
        for zone in ZONES
    }


def _nats(
    t: Page,
    ways: Ways,
    attached: ec2.VPCGatewayAttachment,
    public: dict[str, ec2.Subnet],
) -> dict[str, ec2.NatGateway]:
    """Add a NAT gateway to each zone, to the first one only, or to none."""
    nats = {}
    for zone, condition in zip(
        ZONES, (ways.has_nat, ways.is_nat_per_zone, ways.has_third_nat), strict=True
    ):
        address = t.add(
            ec2.EIP(
                f"NatAddress{zone}",
                Condition=condition,
                DependsOn=attached,
                Domain="vpc",
                Tags=_name(f"nat {zone}"),
            ),
            f"Address the tasks of zone {zone} are seen by on the internet.",
        )
        nats[zone] = t.add(
            ec2.NatGateway(
                f"Nat{zone}",
                Condition=condition,
                DependsOn=attached,
                AllocationId=GetAtt(address, "AllocationId"),
                SubnetId=Ref(public[zone]),
                Tags=_name(zone),
            ),
            f"Lets tasks of zone {zone} call out, and nobody call in.",
            why="A single one for all zones is cheaper, and a single point of failure.",
        )
    return nats


def _private_side(
    t: Page,
    given: Inputs,
    ways: Ways,
    vpc: ec2.VPC,
    nats: dict[str, ec2.NatGateway],
) -> tuple[dict[str, ec2.Subnet], dict[str, ec2.RouteTable]]:
    """Add the subnets of the tasks; each zone has routes of its own."""
    nearest = {
        "A": Ref(nats["A"]),
        "B": If(ways.is_nat_per_zone, Ref(nats["B"]), Ref(nats["A"])),
        "C": If(ways.is_nat_per_zone, Ref(nats["C"]), Ref(nats["A"])),
    }
    private, tables = {}, {}
    for zone in ZONES:
        tables[zone] = t.add(
            ec2.RouteTable(
                f"PrivateRoutes{zone}",
                VpcId=Ref(vpc),
                Tags=_name(f"private {zone}"),
                **ways.in_zone(zone),
            ),
            f"Routes of the private subnet in zone {zone}.",
        )
        t.add(
            ec2.Route(
                f"PrivateWayOut{zone}",
                Condition=ways.has_third_route if zone == ZONES[2] else ways.has_nat,
                RouteTableId=Ref(tables[zone]),
                DestinationCidrBlock=ANYWHERE,
                NatGatewayId=nearest[zone],
            ),
            f"Leads from the tasks of zone {zone} to a NAT gateway.",
        )
        private[zone] = _subnet(
            t, given, ways, vpc, tier=PRIVATE, zone=zone, table=tables[zone]
        )
    return private, tables


def _subnet(
    t: Page,
    given: Inputs,
    ways: Ways,
    vpc: ec2.VPC,
    *,
    tier: Tier,
    zone: str,
    table: ec2.RouteTable,
) -> ec2.Subnet:
    """Add one subnet of a tier, with its routes."""
    number = ZONES.index(zone)
    subnet = t.add(
        ec2.Subnet(
            f"{tier.name}Subnet{zone}",
            VpcId=Ref(vpc),
            AvailabilityZone=Select(number, GetAZs("")),
            CidrBlock=Select(
                tier.first + number,
                Blocks(given.vpc_cidr, tier.first + len(ZONES), tier.bits),
            ),
            MapPublicIpOnLaunch=False,
            Tags=_name(f"{tier.name.lower()} {zone}"),
            **ways.in_zone(zone),
        ),
        f"{tier.purpose}, in zone {zone}.",
    )
    t.add(
        ec2.SubnetRouteTableAssociation(
            f"{tier.name}Subnet{zone}Routes",
            SubnetId=Ref(subnet),
            RouteTableId=Ref(table),
            **ways.in_zone(zone),
        ),
        f"Gives the {tier.name.lower()} subnet in zone {zone} its routes.",
    )
    return subnet


def _s3_endpoint(
    t: Page, ways: Ways, vpc: ec2.VPC, tables: dict[str, ec2.RouteTable]
) -> None:
    """Add the free way to S3, for identities of this account only."""
    t.add(
        ec2.VPCEndpoint(
            "S3",
            VpcEndpointType="Gateway",
            VpcId=Ref(vpc),
            ServiceName=Sub("com.amazonaws.${AWS::Region}.s3"),
            RouteTableIds=_per_zone(ways, tables),
            PolicyDocument=PolicyDocument(
                Version="2012-10-17",
                Statement=[
                    ours_only("s3"),
                    Statement(
                        Sid="ImageLayers",
                        Effect=Allow,
                        Principal=Principal("*"),
                        Action=[awacs.s3.GetObject],
                        Resource=[
                            Sub(
                                "arn:${AWS::Partition}:s3:::"
                                "prod-${AWS::Region}-starport-layer-bucket/*"
                            )
                        ],
                    ),
                ],
            ),
        ),
        "Leads from the tasks to S3 without NAT, for identities of this account.",
        why="ECR serves the layers of an image from a bucket of its own. Credentials "
        "of another account, and links that a vendor signed to a bucket in this "
        "region, are refused with 403.",
    )


def _per_zone(ways: Ways, resources: Mapping[str, AWSObject]) -> If:
    """Return the references of two zones or of three, as whole lists."""
    first, second, third = (Ref(resources[zone]) for zone in ZONES)
    return If(ways.has_third_zone, [first, second, third], [first, second])


def _name(role: str) -> Tags:
    """Return the name tag: EC2 has no other name for what it makes."""
    return Tags(Name=Sub(f"${{AWS::StackName}} {role}".strip()))
