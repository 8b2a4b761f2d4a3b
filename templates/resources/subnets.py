"""Subnets of the network stack by tier and zone.

A helper of ``templates/network.py``, not a stack. The third zone exists under a
condition, and so do all its resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from troposphere import AWSObject, Cidr, GetAZs, If, Ref, Select, Split, Sub, Tags, ec2

from compiler.wiring import ConditionName, Template, choose
from templates import types
from templates.resources.address_plan import ZONES, Tier


def name_tag(role: str) -> Tags:
    """Return the name tag: resources of EC2 have no other name."""
    return Tags(Name=Sub(f"${{AWS::StackName}} {role}"))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A VPC whose third zone is optional."""

    t: Template
    vpc: ec2.VPC
    cidr: types.Cidr
    zone_names: types.ZoneNames
    has_zone_names: ConditionName
    has_third_zone: ConditionName

    def in_zone(self, zone: str) -> dict[str, Any]:
        """Return the attributes of resources in one zone."""
        return {"Condition": self.has_third_zone} if zone == ZONES[2] else {}

    def lists(self, resources: Mapping[str, AWSObject]) -> If:
        """Return references to one resource a zone, as a list for a property."""
        return If(self.has_third_zone, _refs(resources, 3), _refs(resources, 2))

    def ids(self, subnets: Mapping[str, ec2.Subnet]) -> types.SubnetIds:
        """Return the subnets of a tier as whole lists: a Join takes no hole in one."""
        return choose(
            self.has_third_zone,
            types.SubnetIds(_refs(subnets, 3)),
            types.SubnetIds(_refs(subnets, 2)),
        )

    def tier(
        self, tier: Tier, tables: Mapping[str, ec2.RouteTable]
    ) -> dict[str, ec2.Subnet]:
        """Add a subnet of a tier in each zone, with the routes given for the zone."""
        return {
            zone: self._subnet(tier, zone, number, tables[zone])
            for number, zone in enumerate(ZONES)
        }

    def _zone_names(self) -> If:
        """Return the named zones, or those that CloudFormation lists.

        Fn::GetAZs leaves out zones without a default subnet where any has one, and
        gives another answer at a later update.
        """
        return If(self.has_zone_names, Split(",", self.zone_names), GetAZs(""))

    def _subnet(
        self, tier: Tier, zone: str, number: int, table: ec2.RouteTable
    ) -> ec2.Subnet:
        blocks = Cidr(self.cidr, tier.first + len(ZONES), tier.bits)
        subnet = self.t.add(
            ec2.Subnet(
                f"{tier.name}Subnet{zone}",
                VpcId=Ref(self.vpc),
                AvailabilityZone=Select(number, self._zone_names()),
                CidrBlock=Select(tier.first + number, blocks),
                MapPublicIpOnLaunch=False,
                Tags=name_tag(f"{tier.name.lower()} {zone}"),
                **self.in_zone(zone),
            ),
            f"{tier.purpose}, in zone {zone}.",
        )
        self.t.add(
            ec2.SubnetRouteTableAssociation(
                f"{tier.name}Subnet{zone}Routes",
                SubnetId=Ref(subnet),
                RouteTableId=Ref(table),
                **self.in_zone(zone),
            ),
            f"Routes of the {tier.name.lower()} subnet in zone {zone}.",
        )
        return subnet


def _refs(resources: Mapping[str, AWSObject], zone_count: int) -> list[Ref]:
    return [Ref(resources[zone]) for zone in ZONES[:zone_count]]
