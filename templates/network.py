"""The VPC: public, private and data subnets in two or three zones, and NAT gateways.

``templates/resources/address_plan.py`` has the sizes and addresses of the subnets,
whatever the size of the VPC.

The VPC's default security group cannot be closed here (see the security stack). Every
route table is stated, so the VPC's main route table, which stays as EC2 made it, has no
subnet. IPv6 and Transit Gateway attachments are left out: a network that needs them
comes as an existing VPC.
"""

from __future__ import annotations

from awacs.aws import PolicyDocument
from troposphere import And, Equals, GetAtt, If, Not, Or, Ref, Sub, ec2
from troposphere import Condition as Holds

from compiler.wiring import ConditionName, Interface, Template, about
from templates.resources.address_plan import DATA, PRIVATE, PUBLIC, ZONES
from templates.resources.endpoint_policies import image_layers, ours_only
from templates.resources.flow_logs import add_flow_logs
from templates.resources.subnets import Layout, name_tag
from templates.types import (
    Cidr,
    Count,
    InternetAccess,
    KeyArn,
    LoadBalancerScheme,
    LogDays,
    PolicyArn,
    SubnetIds,
    VpcId,
    ZoneNames,
)

ANYWHERE = "0.0.0.0/0"


class Inputs(Interface):
    """Size, zones, internet access and flow logs of the network."""

    vpc_cidr: Cidr = about("Address range of the VPC, /16 to /18.")
    zone_count: Count = about("Availability zones to use, 2 or 3.")
    zone_names: ZoneNames = about("Names of the zones, or nothing for the first ones.")
    internet_access: InternetAccess = about(
        "How private subnets reach AWS and the internet."
    )
    scheme: LoadBalancerScheme = about("Whether the load balancer faces the internet.")
    flow_log_days: LogDays = about("Days to keep the flow logs.")
    key_arn: KeyArn = about("Key of the flow logs.")
    permissions_boundary_arn: PolicyArn = about("Boundary of the role, or nothing.")


class Outputs(Interface):
    """The VPC and its subnets, a list for each tier."""

    vpc_id: VpcId = about("The VPC.")
    public_subnet_ids: SubnetIds = about("Subnets for a public load balancer.")
    private_subnet_ids: SubnetIds = about("Subnets for the tasks.")
    data_subnet_ids: SubnetIds = about("Subnets without internet access, for data.")


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the network from the internet inwards, to the data subnets."""
    has_third_zone = t.condition("HasThirdZone", Equals(inputs.zone_count, "3"))
    has_nat = t.condition("HasNat", Not(Equals(inputs.internet_access, "endpoints")))
    is_nat_per_zone = t.condition(
        "IsNatPerZone", Equals(inputs.internet_access, "nat-per-zone")
    )
    vpc = t.add(
        ec2.VPC(
            "Vpc",
            CidrBlock=inputs.vpc_cidr,
            EnableDnsHostnames=True,
            EnableDnsSupport=True,
            Tags=name_tag("network"),
        ),
        "Network of everything in this stack.",
        why="Private names of interface endpoints need both DNS settings.",
    )
    layout = Layout(
        t=t,
        vpc=vpc,
        cidr=inputs.vpc_cidr,
        zone_names=inputs.zone_names,
        has_zone_names=t.condition("HasZoneNames", Not(Equals(inputs.zone_names, ""))),
        has_third_zone=has_third_zone,
    )

    attached, public_routes = _internet(t, inputs, vpc, has_nat)
    public = layout.tier(PUBLIC, dict.fromkeys(ZONES, public_routes))

    nats = _nats(
        t, layout, attached, public, has_nat=has_nat, is_nat_per_zone=is_nat_per_zone
    )
    private_routes = _private_routes(
        t, layout, nats, has_nat=has_nat, is_nat_per_zone=is_nat_per_zone
    )
    private = layout.tier(PRIVATE, private_routes)

    # A table of its own without any route: only traffic inside the VPC remains.
    data_routes = t.add(
        ec2.RouteTable("DataRoutes", VpcId=Ref(vpc), Tags=name_tag("data")),
        "Routes of the data subnets: none but those inside the VPC.",
    )
    data = layout.tier(DATA, dict.fromkeys(ZONES, data_routes))

    t.add(
        ec2.VPCEndpoint(
            "S3",
            VpcEndpointType="Gateway",
            VpcId=Ref(vpc),
            ServiceName=Sub("com.amazonaws.${AWS::Region}.s3"),
            RouteTableIds=layout.lists(private_routes),
            PolicyDocument=PolicyDocument(
                Version="2012-10-17", Statement=[ours_only("s3"), image_layers()]
            ),
        ),
        "Connects the tasks to S3 without NAT, for identities of this account.",
        why="ECR serves the layers of an image from a bucket of its own. Anonymous "
        "requests, credentials of another account, and URLs that a vendor signed for a "
        "bucket in this region are denied with 403.",
    )
    add_flow_logs(
        t,
        vpc,
        days=inputs.flow_log_days,
        key_arn=inputs.key_arn,
        permissions_boundary_arn=inputs.permissions_boundary_arn,
    )
    return Outputs(
        vpc_id=VpcId(Ref(vpc)),
        public_subnet_ids=layout.ids(public),
        private_subnet_ids=layout.ids(private),
        data_subnet_ids=layout.ids(data),
    )


def _internet(
    t: Template, inputs: Inputs, vpc: ec2.VPC, has_nat: ConditionName
) -> tuple[ec2.VPCGatewayAttachment, ec2.RouteTable]:
    """Add the internet gateway, where anything needs it, and the routes to it."""
    has_gateway = t.condition(
        "HasInternetGateway",
        Or(Holds(has_nat), Equals(inputs.scheme, "internet-facing")),
    )
    gateway = t.add(
        ec2.InternetGateway(
            "InternetGateway", Condition=has_gateway, Tags=name_tag("internet")
        ),
        "Connects the public subnets to the internet.",
        why="With endpoints and an internal load balancer there is none.",
    )
    attached = t.add(
        ec2.VPCGatewayAttachment(
            "InternetGatewayAttachment",
            Condition=has_gateway,
            VpcId=Ref(vpc),
            InternetGatewayId=Ref(gateway),
        ),
        "Attaches the internet gateway to the VPC.",
    )
    table = t.add(
        ec2.RouteTable("PublicRoutes", VpcId=Ref(vpc), Tags=name_tag("public")),
        "Routes of the public subnets.",
    )
    t.add(
        ec2.Route(
            "PublicInternetRoute",
            Condition=has_gateway,
            DependsOn=attached,
            RouteTableId=Ref(table),
            DestinationCidrBlock=ANYWHERE,
            GatewayId=Ref(gateway),
        ),
        "Route from the public subnets to the internet.",
    )
    return attached, table


def _nats(
    t: Template,
    layout: Layout,
    attached: ec2.VPCGatewayAttachment,
    public: dict[str, ec2.Subnet],
    *,
    has_nat: ConditionName,
    is_nat_per_zone: ConditionName,
) -> dict[str, ec2.NatGateway]:
    """Add a NAT gateway to each zone, to the first one only, or to none."""
    has_third_nat = t.condition(
        "HasThirdNat", And(Holds(is_nat_per_zone), Holds(layout.has_third_zone))
    )
    nats = {}
    for zone, condition in zip(
        ZONES, (has_nat, is_nat_per_zone, has_third_nat), strict=True
    ):
        address = t.add(
            ec2.EIP(
                f"NatAddress{zone}",
                Condition=condition,
                DependsOn=attached,
                Domain="vpc",
                Tags=name_tag(f"nat {zone}"),
            ),
            f"Public address of the tasks of zone {zone}.",
        )
        nats[zone] = t.add(
            ec2.NatGateway(
                f"Nat{zone}",
                Condition=condition,
                DependsOn=attached,
                AllocationId=GetAtt(address, "AllocationId"),
                SubnetId=Ref(public[zone]),
                Tags=name_tag(f"nat {zone}"),
            ),
            f"Outbound internet access of tasks in zone {zone}.",
            why="A single one for all zones is cheaper, and a single point of failure.",
        )
    return nats


def _private_routes(
    t: Template,
    layout: Layout,
    nats: dict[str, ec2.NatGateway],
    *,
    has_nat: ConditionName,
    is_nat_per_zone: ConditionName,
) -> dict[str, ec2.RouteTable]:
    """Add the routes of the tasks, in each zone to the nearest NAT gateway."""
    has_third_route = t.condition(
        "HasThirdRoute", And(Holds(has_nat), Holds(layout.has_third_zone))
    )
    first, second, third = (Ref(nats[zone]) for zone in ZONES)
    nearest = (
        first,
        If(is_nat_per_zone, second, first),
        If(is_nat_per_zone, third, first),
    )
    tables = {}
    for zone, condition, nat in zip(
        ZONES, (has_nat, has_nat, has_third_route), nearest, strict=True
    ):
        tables[zone] = t.add(
            ec2.RouteTable(
                f"PrivateRoutes{zone}",
                VpcId=Ref(layout.vpc),
                Tags=name_tag(f"private {zone}"),
                **layout.in_zone(zone),
            ),
            f"Routes of the private subnet in zone {zone}.",
        )
        t.add(
            ec2.Route(
                f"PrivateNatRoute{zone}",
                Condition=condition,
                RouteTableId=Ref(tables[zone]),
                DestinationCidrBlock=ANYWHERE,
                NatGatewayId=nat,
            ),
            f"Route from the tasks of zone {zone} to a NAT gateway.",
        )
    return tables
