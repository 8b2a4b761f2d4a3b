"""Mistakes in ranges of addresses, and who could not reach whom because of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from itertools import combinations

from compiler.validation import Check, Finding, Given
from templates.airflow.pools import Pool
from templates.checks import cidr
from templates.checks import parameter_names as names
from templates.checks.parameter_names import figure, reads
from templates.resources.address_plan import PRIVATE_SUBNET_ADDRESSES

PRIVATE_REGISTRY = re.compile(
    r"\d{12}\.dkr(-fips)?\.ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|[a-z.]+)/"
)
"""Repositories of ECR, in every partition."""


def checks(pools: tuple[Pool, ...]) -> Iterator[Check]:
    """Yield the checks of cidr, of the way out, and of room for the tasks."""
    yield from _ranges()
    yield from _web_clients()
    for name in names.EXISTING_SUBNETS:
        yield Check(
            name=f"{name} names each subnet once",
            reads=(name,),
            finds=partial(_same_subnet, name),
        )
    yield Check(
        name="the tasks fit into the subnets",
        reads=(
            *(names.EXISTING_VPC, names.ZONE_COUNT, *names.TASK_COUNTS),
            *(names.HAS_FLOWER, *reads(pools, "maximum")),
        ),
        finds=partial(_tasks_fit, pools),
    )
    yield Check(
        name="endpoints suffice for the image",
        reads=(names.EXISTING_VPC, names.WAY_OUT, names.IMAGE),
        finds=_image_without_internet,
    )


def _ranges() -> Iterator[Check]:
    for name in (names.VPC_CIDR, names.OUTBOUND, *names.WEB_CLIENTS):
        yield Check(
            name=f"{name} is a range of addresses",
            reads=(name,),
            finds=partial(_malformed, name),
        )
    yield Check(
        name="the VPC has room for its subnets",
        reads=(names.VPC_CIDR, names.EXISTING_VPC),
        finds=_vpc,
    )
    yield Check(
        name="tasks reach AWS by the way out",
        reads=(names.OUTBOUND, names.WAY_OUT, names.VPC_CIDR, names.EXISTING_VPC),
        finds=_outbound,
    )


def _web_clients() -> Iterator[Check]:
    for name in names.WEB_CLIENTS:
        yield Check(
            name=f"{name} does not admit the world by accident",
            reads=(name, names.ALLOWS_ANY_WEB_CLIENT),
            finds=partial(_open_to_strangers, name),
        )
    yield Check(
        name="somebody can open the web page",
        reads=(*names.WEB_CLIENTS, names.SCHEME),
        finds=_nobody_outside,
    )
    for first, second in combinations(names.WEB_CLIENTS, 2):
        yield Check(
            name=f"{second} is not {first} again",
            reads=(second, first),
            finds=partial(_same_range, first, second),
        )


def _malformed(name: str, given: Given) -> Finding | None:
    return cidr.malformed(given[name]) if given[name] else None


def _vpc(given: Given) -> Finding | None:
    if given[names.EXISTING_VPC]:
        return None
    if not given[names.VPC_CIDR]:
        return Finding(what="The new VPC has no range.", remedy="Write 10.0.0.0/16.")
    return cidr.unfit_for_vpc(given[names.VPC_CIDR])


def _outbound(given: Given) -> Finding | None:
    if not given[names.OUTBOUND]:
        return Finding(
            what="Tasks may go nowhere.",
            why="They could not fetch their image, and no service would start.",
            remedy="Write 0.0.0.0/0, or the range of the VPC with endpoints.",
        )
    outbound = cidr.network(given[names.OUTBOUND])
    vpc = cidr.network(given[names.VPC_CIDR])
    if outbound is None or vpc is None or given[names.EXISTING_VPC]:
        return None
    if given[names.WAY_OUT] == "endpoints" and not vpc.subnet_of(outbound):
        return Finding(
            what=f"Tasks may go to {outbound} only, and the endpoints are in {vpc}.",
            why="No image, secret or log would pass.",
            remedy=f"Set {names.OUTBOUND} to {vpc}.",
        )
    if given[names.WAY_OUT] != "endpoints" and cidr.is_private(outbound):
        return Finding(
            what=f"Tasks may go to {outbound} only, and AWS is on the internet.",
            why=f"{given[names.WAY_OUT]} makes no endpoints inside the VPC.",
            remedy=f"Set {names.OUTBOUND} to 0.0.0.0/0, or {names.WAY_OUT} to "
            "endpoints.",
        )
    return None


def _open_to_strangers(name: str, given: Given) -> Finding | None:
    clients = cidr.network(given[name])
    if clients is None or given[names.ALLOWS_ANY_WEB_CLIENT] == "true":
        return None
    # The template's own Rule speaks of the whole internet, in the same words.
    if not cidr.is_wide(clients) or clients.prefixlen == 0:
        return None
    return Finding(
        what=f"{clients} admits {clients.num_addresses:,} addresses.",
        why="No company owns so many: this is a part of the internet.",
        remedy=f"Narrow it, or set {names.ALLOWS_ANY_WEB_CLIENT} to true.",
    )


def _nobody_outside(given: Given) -> Finding | None:
    clients = [cidr.network(given[name]) for name in names.WEB_CLIENTS]
    stated = [range_ for range_ in clients if range_ is not None]
    if given[names.SCHEME] != "internet-facing" or not stated:
        return None
    if not all(map(cidr.is_private, stated)):
        return None
    return Finding(
        what=f"Only {', '.join(map(str, stated))} may open a page on the internet.",
        why="Nobody comes from a private address there, so nobody could open it.",
        remedy=f"Write the public addresses of your network, or set {names.SCHEME} to "
        "internal.",
    )


def _same_range(first: str, second: str, given: Given) -> Finding | None:
    if not given[second] or given[first] != given[second]:
        return None
    return Finding(
        what=f"{first} is {given[second]} already.",
        why="EC2 refuses the same rule twice, and the stack would fail.",
        remedy="Empty one of the two.",
    )


def _same_subnet(name: str, given: Given) -> Finding | None:
    subnets = given[name].split(",")
    twice = next((one for one in subnets if subnets.count(one) > 1), None)
    if not twice:
        return None
    return Finding(
        what=f"{twice} is named twice.",
        why="Two subnets in two zones are needed, or the loss of one ends all.",
        remedy="Name another subnet.",
    )


def _tasks_fit(pools: tuple[Pool, ...], given: Given) -> Finding | None:
    if given[names.EXISTING_VPC]:
        return None
    tasks = sum(given.number(name) for name in names.TASK_COUNTS) + names.DAG_PROCESSORS
    tasks += given[names.HAS_FLOWER] == "true"
    tasks += sum(figure(pool, "maximum").value(given) for pool in pools)
    room = given.number(names.ZONE_COUNT) * PRIVATE_SUBNET_ADDRESSES
    if 2 * tasks <= room:
        return None
    return Finding(
        what=f"Up to {tasks} tasks need {2 * tasks} addresses, and the private "
        f"subnets have {room}.",
        why="A deployment runs every task twice for a while.",
        remedy="Lower the most workers of a pool.",
    )


def _image_without_internet(given: Given) -> Finding | None:
    if given[names.EXISTING_VPC] or given[names.WAY_OUT] != "endpoints":
        return None
    image = given[names.IMAGE]
    if PRIVATE_REGISTRY.match(image):
        return None
    host, slash, _ = image.partition("/")
    named = slash and ("." in host or ":" in host)
    return Finding(
        what=f"{image} comes from {host if named else 'Docker Hub'}.",
        why="Endpoints lead to private ECR repositories and to no other registry.",
        remedy="Copy the image to such a repository and name it here.",
    )
