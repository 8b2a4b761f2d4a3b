"""Checks of what DAG code may connect to: DagEgress and DagSecurityGroupIds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import pairwise

from compiler.constraints import elements
from compiler.validation import Check, Finding, check
from templates.airflow.pools import WorkerPool
from templates.checks import cidr
from templates.checks.lists import list_fault
from templates.parameters import Parameters
from templates.resources.address_plan import data_networks
from templates.resources.ports import HTTPS, POSTGRESQL, VALKEY
from templates.types import (
    EGRESS_SLOTS,
    NONE,
    Cidr,
    DagEgress,
    InternetAccess,
    SecurityGroupIds,
    VpcId,
)

LAST_PORT = 65535

MOST_GROUPS = 5
"""Security groups of a network interface; EC2's default quota, and the limit of an
awsvpcConfiguration of ECS."""

STORE_PORTS = {POSTGRESQL: "the metadata database", VALKEY: "the broker"}


@dataclass(frozen=True)
class Entry:
    """One entry: what it says, its ports and its range."""

    text: str
    first: int
    last: int
    range: IPv4Network

    @property
    def is_part_of_the_internet(self) -> bool:
        """Whether the range holds public addresses of other owners."""
        return cidr.is_wide(self.range)

    @property
    def store_ports(self) -> list[int]:
        """The ports of the environment's own stores among those of the entry."""
        return [port for port in STORE_PORTS if self.first <= port <= self.last]

    def other_ports(self) -> Iterator[str]:
        """Yield entries for the same range and the other ports."""
        bounds = [self.first - 1, *self.store_ports, self.last + 1]
        for before, after in pairwise(bounds):
            if after - before > 1:
                last = f"-{after - 1}" if after - before > 2 else ""  # noqa: PLR2004
                yield f"{before + 1}{last} {self.range}"


def checks(parameters: Parameters, pools: tuple[WorkerPool, ...]) -> Iterator[Check]:
    """Yield the checks of the environment's list and of each pool's own."""
    for egress in (parameters.dag_egress, *(pool.dag_egress for pool in pools)):
        yield check(f"{egress.name} has entries of ports and ranges", _entries, egress)
        yield check(
            f"{egress.name} leaves out the environment's own stores",
            _stores,
            *(egress, parameters.vpc_cidr, parameters.existing_vpc_id),
        )
        yield check(
            f"{egress.name} repeats no rule of port 443",
            _https_again,
            *(egress, parameters.outbound_https_cidr),
        )
        yield check(
            f"{egress.name} has a way to its ranges",
            _unreachable,
            *(egress, parameters.internet_access),
        )
    for groups in (
        parameters.dag_security_group_ids,
        *(pool.dag_security_group_ids for pool in pools),
    ):
        yield check(f"a task takes the groups of {groups.name}", _groups, groups)


def entries(egress: DagEgress) -> tuple[Entry, ...]:
    """Return the entries of a list that are right by themselves."""
    return tuple(
        _entry(text)
        for text in elements(egress.text)
        if text not in ("", NONE) and not _malformed(text)
    )


def _entry(text: str) -> Entry:
    ports, _, range_ = text.partition(" ")
    first, _, last = ports.partition("-")
    return Entry(text, int(first), int(last or first), IPv4Network(range_))


def _entries(egress: DagEgress) -> Finding | None:
    if fault := list_fault(egress):
        return fault
    texts = [text for text in elements(egress.text) if text not in ("", NONE)]
    if len(texts) > EGRESS_SLOTS:
        return Finding(
            what=f"It has {len(texts)} entries; {texts[EGRESS_SLOTS]} is the first one "
            "too many.",
            why=f"The security groups have {EGRESS_SLOTS} rules for it.",
            remedy="Join neighbouring ports or ranges into one entry. Further rules "
            "can be in a security group of your own.",
        )
    return next(filter(None, map(_malformed, texts)), None) or _twice(egress)


def _malformed(text: str) -> Finding | None:
    ports, _, range_ = text.partition(" ")
    first, _, last = ports.partition("-")
    if max(int(first), int(last or first)) > LAST_PORT:
        return Finding(
            what=f"{text}: there is no such port.",
            remedy=f"Write ports up to {LAST_PORT}.",
        )
    if int(last or first) < int(first):
        return Finding(
            what=f"{text}: its first port is above its last one.",
            remedy=f"Write {last}-{first} {range_}.",
        )
    wrong = cidr.malformed(range_)
    if wrong:
        return Finding(what=f"{text}: {wrong.what}", why=wrong.why, remedy=wrong.remedy)
    entry = _entry(text)
    if entry.is_part_of_the_internet and entry.first != entry.last:
        return Finding(
            what=f"{text} opens {entry.last - entry.first + 1:,} ports to "
            f"{entry.range.num_addresses:,} addresses.",
            why="That is a part of the internet, to which DAG code and its packages "
            "could send anything.",
            remedy="Narrow the range, or write an entry for each single port.",
        )
    return None


def _twice(egress: DagEgress) -> Finding | None:
    known: dict[tuple[int, int, IPv4Network], str] = {}
    for entry in entries(egress):
        key = (entry.first, entry.last, entry.range)
        if key in known:
            return Finding(
                what=f"{entry.text} is in the list twice.",
                why="EC2 refuses the same rule twice.",
                remedy="Delete one of the two.",
            )
        known[key] = entry.text
    return None


def _stores(egress: DagEgress, vpc_cidr: Cidr, existing_vpc: VpcId) -> Finding | None:
    """Find an entry with the stores of a new VPC; the preflight knows existing ones."""
    vpc = cidr.network(vpc_cidr.text)
    if vpc is None or existing_vpc.text or cidr.unfit_for_vpc(vpc_cidr.text):
        return None
    for entry in entries(egress):
        for stores in data_networks(vpc):
            if not stores.overlaps(entry.range):
                continue
            if entry.store_ports:
                names = " and ".join(
                    f"{STORE_PORTS[port]} ({port})" for port in entry.store_ports
                )
                return Finding(
                    what=f"{entry.text} includes {names} of this environment, in "
                    f"{stores}.",
                    why="No entry may lead DAG code to these stores.",
                    remedy="Name the ranges of your own databases"
                    + "".join(f", or {other}" for other in entry.other_ports())
                    + ".",
                )
            if entry.range.subnet_of(stores):
                return Finding(
                    what=f"{entry.text} lies in {stores}, a data subnet of the new "
                    "VPC.",
                    why="Nothing but this environment's own stores is there.",
                    remedy="Name the ranges of your own databases.",
                )
    return None


def _https_again(egress: DagEgress, outbound: Cidr) -> Finding | None:
    for entry in entries(egress):
        if entry.first == entry.last == HTTPS and str(entry.range) == outbound.text:
            return Finding(
                what=f"{entry.text} is the rule of {outbound.name} again.",
                why="EC2 refuses the same rule twice.",
                remedy="Delete the entry.",
            )
    return None


def _unreachable(egress: DagEgress, access: InternetAccess) -> Finding | None:
    wide = [entry for entry in entries(egress) if entry.is_part_of_the_internet]
    if access.text != "endpoints" or not wide:
        return None
    return Finding(
        what=f"{wide[0].text} leads to the internet, and {access.name} is endpoints.",
        why="From there no route leads out.",
        remedy="Narrow the range to networks that the VPC is connected to.",
    )


def _groups(groups: SecurityGroupIds) -> Finding | None:
    if fault := list_fault(groups):
        return fault
    texts = elements(groups.text)
    most = MOST_GROUPS - 1
    if len(texts) <= most:
        return None
    return Finding(
        what=f"{groups.name} names {len(texts)} groups; {texts[most]} is the first one "
        "too many.",
        why=f"A task takes {MOST_GROUPS} security groups, and one is its own.",
        remedy=f"Name {most} or fewer.",
    )
