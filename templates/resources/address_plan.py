"""The address plan of a new VPC: sizes and addresses of its subnets.

The plan is the same in every VPC, because CloudFormation cannot calculate one. Private
subnets have 4,096 addresses, since every task takes one and a deployment doubles the
tasks; public and data subnets have 256. The third zone's place is kept free, so that
it can be added later without moving anything. Three times 16, 1 and 1 blocks of 256
addresses are 54 blocks, hence a VPC of /18 or larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

ZONES = ("A", "B", "C")


@dataclass(frozen=True, kw_only=True)
class Tier:
    """A tier of subnets: their size, and the block of the first one."""

    name: str
    bits: int
    first: int
    purpose: str


PRIVATE = Tier(
    name="Private",
    bits=12,
    first=0,
    purpose="Subnet of the tasks and of an internal load balancer",
)
PUBLIC = Tier(
    name="Public",
    bits=8,
    first=48,
    purpose="Subnet of NAT gateways and of an internet-facing load balancer",
)
DATA = Tier(
    name="Data",
    bits=8,
    first=51,
    purpose="Subnet of the database and the broker",
)
"""``first`` counts blocks of the tier's own size: the private tier fills 48 of 256."""

SMALLEST_VPC_PREFIX = 18
"""The plan above ends at the 54th block of 256 addresses; a /18 has 64, a /19 32."""

LARGEST_VPC_PREFIX = 16
"""EC2 makes no larger VPC."""

PRIVATE_SUBNET_ADDRESSES = 2**PRIVATE.bits - 5
"""Addresses for tasks in one zone: AWS keeps five of every subnet. At most half as
many tasks should run there, for a deployment starts all of them again."""


def data_networks(vpc: IPv4Network) -> tuple[IPv4Network, ...]:
    """Return the ranges of the data subnets, with that of a zone not yet used."""
    subnets = list(vpc.subnets(new_prefix=vpc.max_prefixlen - DATA.bits))
    return tuple(subnets[DATA.first : DATA.first + len(ZONES)])
