"""Mistakes in a range of IPv4 addresses."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Network, NetmaskValueError

from compiler.validation import Finding
from templates.resources.address_plan import LARGEST_VPC_PREFIX, SMALLEST_VPC_PREFIX

PRIVATE = tuple(
    IPv4Network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
"""RFC 1918, and RFC 6598's shared range, which AWS allows for VPCs too."""

WIDEST_ALLOWED = 8
"""A wider range, such as 0.0.0.0/1, is a part of the internet."""


def network(text: str) -> IPv4Network | None:
    """Return the range, if it is one."""
    return None if not text or malformed(text) else IPv4Network(text)


def malformed(text: str) -> Finding | None:
    """Find why a text is no range: a number too large, or host bits."""
    try:
        loose = IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError) as error:
        return Finding(
            what=f"{text} is no range of IPv4 addresses: {error}.",
            remedy="Write four numbers up to 255 and a prefix up to 32.",
        )
    if str(loose) == text:
        return None
    return Finding(
        what=f"{text} is not the first address of its range.",
        why="EC2 refuses a range with host bits, or silently takes another one.",
        remedy=f"Write {loose}, or {text.partition('/')[0]}/32 for one address.",
    )


def is_private(range_: IPv4Network) -> bool:
    """Whether no address of the range is on the internet."""
    return any(range_.subnet_of(private) for private in PRIVATE)


def is_wide(range_: IPv4Network) -> bool:
    """Whether the range holds public addresses of other owners."""
    return range_.prefixlen < WIDEST_ALLOWED


def unfit_for_vpc(text: str) -> Finding | None:
    """Find why the network stack cannot lay its subnets into this range."""
    range_ = network(text)
    if range_ is None:
        return None
    if not LARGEST_VPC_PREFIX <= range_.prefixlen <= SMALLEST_VPC_PREFIX:
        prefix = min(max(range_.prefixlen, LARGEST_VPC_PREFIX), SMALLEST_VPC_PREFIX)
        right = IPv4Network((range_.network_address, prefix), strict=False)
        return Finding(
            what=f"{text} has {range_.num_addresses:,} addresses.",
            why=f"EC2 makes no VPC larger than /{LARGEST_VPC_PREFIX}, and the subnets "
            f"of three zones need a /{SMALLEST_VPC_PREFIX}.",
            remedy=f"Write {right}.",
        )
    if not is_private(range_):
        return Finding(
            what=f"{text} is not a private range.",
            why="Tasks could not reach the owners of these addresses on the internet.",
            remedy=f"Take one out of {', '.join(map(str, PRIVATE))}.",
        )
    return None
