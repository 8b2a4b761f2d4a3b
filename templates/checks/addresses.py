"""Checks of address ranges, and of what would be unreachable because of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from compiler.constraints import elements
from compiler.validation import Check, Finding, check
from templates.airflow.pools import WorkerPool
from templates.airflow_services import DAG_PROCESSORS
from templates.checks import cidr
from templates.checks.lists import list_fault
from templates.parameters import Parameters
from templates.resources.address_plan import PRIVATE_SUBNET_ADDRESSES
from templates.types import (
    WEB_CLIENT_SLOTS,
    Boolean,
    Cidr,
    Count,
    EndpointServices,
    Image,
    InternetAccess,
    LoadBalancerScheme,
    SubnetIdList,
    VpcId,
    WebClients,
    ZoneNames,
)

PRIVATE_REGISTRY = re.compile(
    r"\d{12}\.dkr(-fips)?\.ecr(-fips)?\.(?P<region>[a-z0-9-]+)"
    r"\.(amazonaws\.com(\.cn)?|[a-z.]+)/"
)
"""Repositories of ECR, in every partition."""


def checks(parameters: Parameters, pools: tuple[WorkerPool, ...]) -> Iterator[Check]:
    """Yield the checks of ranges, of internet access, and of room for the tasks."""
    yield from _ranges(parameters)
    yield from _web_clients(parameters)
    for subnets in (
        parameters.existing_public_subnet_ids,
        parameters.existing_private_subnet_ids,
        parameters.existing_data_subnet_ids,
    ):
        yield check(f"{subnets.name} names each subnet once", _same_subnet, subnets)
    yield check(
        "the tasks fit into the subnets",
        _tasks_fit,
        *(parameters.existing_vpc_id, parameters.zone_count),
        (
            *(parameters.api_server_maximum, parameters.scheduler_count),
            parameters.triggerer_count,
        ),
        parameters.enable_flower,
        tuple(pool.maximum for pool in pools),
    )
    yield check(
        "every zone of the VPC has a name of its own, or none has",
        _zone_names,
        *(parameters.availability_zones, parameters.zone_count),
    )
    services = parameters.endpoint_services
    yield check(f"{services.name} names each service once", list_fault, services)
    yield check(
        f"{services.name} comes with endpoints",
        _services_without_endpoints,
        *(services, parameters.internet_access),
    )
    yield check(
        "endpoints suffice for the image",
        _image_without_internet,
        *(parameters.existing_vpc_id, parameters.internet_access, parameters.image),
    )


def _ranges(parameters: Parameters) -> Iterator[Check]:
    for addresses in (
        *(parameters.vpc_cidr, parameters.outbound_https_cidr),
        *_web_client_ranges(parameters),
    ):
        yield check(f"{addresses.name} is a range of addresses", _malformed, addresses)
    yield check(
        "the VPC has room for its subnets",
        _vpc,
        *(parameters.vpc_cidr, parameters.existing_vpc_id),
    )
    yield check(
        "tasks reach AWS by their internet access",
        _outbound,
        *(parameters.outbound_https_cidr, parameters.internet_access),
        *(parameters.vpc_cidr, parameters.existing_vpc_id),
    )


def _web_client_ranges(parameters: Parameters) -> tuple[Cidr, Cidr, Cidr]:
    return (
        parameters.web_client_cidr,
        parameters.web_client_cidr_2,
        parameters.web_client_cidr_3,
    )


def _web_clients(parameters: Parameters) -> Iterator[Check]:
    ranges = _web_client_ranges(parameters)
    for clients in ranges:
        yield check(
            f"{clients.name} admits the internet on purpose only",
            _too_wide,
            *(clients, parameters.allow_any_web_client),
        )
    more = parameters.web_clients
    yield check(f"{more.name} has ranges, prefix lists and groups", _more_clients, more)
    yield check(
        f"{more.name} admits the internet on purpose only",
        _more_too_wide,
        *(more, parameters.allow_any_web_client),
    )
    yield check(f"{more.name} repeats no other range", _more_again, more, ranges)
    yield check(
        "the web clients can reach the load balancer",
        _no_public_client,
        *(ranges, more, parameters.load_balancer_scheme),
    )
    for first, second in combinations(ranges, 2):
        name = f"{second.name} is not {first.name} again"
        yield check(name, _same_range, second, first)


def _malformed(addresses: Cidr) -> Finding | None:
    return cidr.malformed(addresses.text) if addresses.text else None


def _vpc(addresses: Cidr, existing_vpc: VpcId) -> Finding | None:
    if existing_vpc.text:
        return None
    if not addresses.text:
        return Finding(what="The new VPC has no range.", remedy="Write 10.0.0.0/16.")
    return cidr.unfit_for_vpc(addresses.text)


def _outbound(
    outbound: Cidr, access: InternetAccess, vpc_cidr: Cidr, existing_vpc: VpcId
) -> Finding | None:
    if not outbound.text:
        return Finding(
            what="Tasks may connect to nothing.",
            why="They could not pull their image, and no service would start.",
            remedy="Write 0.0.0.0/0, or the range of the VPC with endpoints.",
        )
    allowed, vpc = cidr.network(outbound.text), cidr.network(vpc_cidr.text)
    if allowed is None or vpc is None or existing_vpc.text:
        return None
    if access.text == "endpoints" and not vpc.subnet_of(allowed):
        return Finding(
            what=f"Tasks may connect to {allowed} only; the endpoints are in {vpc}.",
            why="No image, secret or log would pass.",
            remedy=f"Set {outbound.name} to {vpc}.",
        )
    if access.text != "endpoints" and cidr.is_private(allowed):
        return Finding(
            what=f"Tasks may connect to {allowed} only, and AWS is on the internet.",
            why=f"{access.text} makes no endpoints inside the VPC.",
            remedy=f"Set {outbound.name} to 0.0.0.0/0, or {access.name} to endpoints.",
        )
    return None


def _too_wide(addresses: Cidr, allow_any: Boolean) -> Finding | None:
    return _wide(addresses.text, allow_any)


def _wide(text: str, allow_any: Boolean) -> Finding | None:
    clients = cidr.network(text)
    if clients is None or allow_any.is_true:
        return None
    # The template's own Rule reports the whole internet, in the same words.
    if not cidr.is_wide(clients) or clients.prefixlen == 0:
        return None
    return Finding(
        what=f"{clients} admits {clients.num_addresses:,} addresses.",
        why="No company owns so many: this is a part of the internet.",
        remedy=f"Narrow it, or set {allow_any.name} to true.",
    )


def _more_clients(clients: WebClients) -> Finding | None:
    if fault := list_fault(clients):
        return fault
    texts = elements(clients.text)
    if len(texts) > WEB_CLIENT_SLOTS:
        return Finding(
            what=f"{clients.name} has {len(texts)} entries; {texts[WEB_CLIENT_SLOTS]} "
            "is the first one too many.",
            why=f"The load balancer has rules for {WEB_CLIENT_SLOTS}.",
            remedy="Join ranges, or put them into a prefix list.",
        )
    faults = (cidr.malformed(text) for text in texts if "/" in text)
    return next(filter(None, faults), None)


def _more_too_wide(clients: WebClients, allow_any: Boolean) -> Finding | None:
    ranges = (text for text in elements(clients.text) if "/" in text)
    findings = (_wide(text, allow_any) for text in ranges)
    return next(filter(None, findings), None)


def _more_again(clients: WebClients, ranges: tuple[Cidr, ...]) -> Finding | None:
    texts = elements(clients.text)
    for addresses in ranges:
        if addresses.text and addresses.text in texts:
            return Finding(
                what=f"{addresses.name} is {addresses.text} already.",
                why="EC2 refuses the same rule twice, and the stack would fail.",
                remedy=f"Delete it in {clients.name}.",
            )
    return None


def _no_public_client(
    ranges: tuple[Cidr, ...], more: WebClients, scheme: LoadBalancerScheme
) -> Finding | None:
    texts = [addresses.text for addresses in ranges] + list(elements(more.text))
    if any(text and "/" not in text for text in texts):
        return None  # only AWS knows the addresses of a list or a group
    networks = map(cidr.network, texts)
    clients = [network for network in networks if network is not None]
    if scheme.text != "internet-facing" or not clients:
        return None
    if not all(map(cidr.is_private, clients)):
        return None
    return Finding(
        what=f"Only {', '.join(map(str, clients))} may open an internet-facing UI.",
        why="Requests from the internet never come from a private address.",
        remedy=f"Write the public addresses of your network, or set {scheme.name} to "
        "internal.",
    )


def _same_range(second: Cidr, first: Cidr) -> Finding | None:
    if not second.text or first.text != second.text:
        return None
    return Finding(
        what=f"{first.name} is {second.text} already.",
        why="EC2 refuses the same rule twice, and the stack would fail.",
        remedy="Empty one of the two.",
    )


def _same_subnet(list_: SubnetIdList) -> Finding | None:
    subnets = list_.text.split(",")
    twice = next((subnet for subnet in subnets if subnets.count(subnet) > 1), None)
    if not twice:
        return None
    return Finding(
        what=f"{twice} is named twice.",
        why="Two subnets in two zones are needed, or the loss of one stops everything.",
        remedy="Name another subnet.",
    )


def _zone_names(names: ZoneNames, zones: Count) -> Finding | None:
    if not names.text:
        return None
    different = len(set(names.text.split(",")))
    if different == len(names.text.split(",")) >= zones.number:
        return None
    return Finding(
        what=f"It names {different} zones, and {zones.name} is {zones.text}.",
        why="Each subnet of a tier lies in a zone of its own.",
        remedy="Name as many different zones, or leave it empty.",
    )


def _tasks_fit(
    existing_vpc: VpcId,
    zones: Count,
    counts: tuple[Count, ...],
    enable_flower: Boolean,
    workers: tuple[Count, ...],
) -> Finding | None:
    if existing_vpc.text:
        return None
    tasks = sum(count.number for count in (*counts, *workers)) + DAG_PROCESSORS
    tasks += enable_flower.is_true
    room = zones.number * PRIVATE_SUBNET_ADDRESSES
    if 2 * tasks <= room:
        return None
    return Finding(
        what=f"Up to {tasks} tasks need {2 * tasks} addresses, and the private "
        f"subnets have {room}.",
        why="A deployment runs every task twice for a while.",
        remedy="Lower the most workers of a pool.",
    )


def _services_without_endpoints(
    services: EndpointServices, access: InternetAccess
) -> Finding | None:
    if not services.text or access.text == "endpoints":
        return None
    return Finding(
        what=f"{services.name} is {services.text}, and {access.name} is {access.text}.",
        why="Without endpoints tasks reach these services through the NAT gateway.",
        remedy=f"Empty {services.name}, or set {access.name} to endpoints.",
    )


def _image_without_internet(
    existing_vpc: VpcId, access: InternetAccess, image: Image
) -> Finding | None:
    if existing_vpc.text or access.text != "endpoints":
        return None
    if PRIVATE_REGISTRY.match(image.text):
        return None
    host, slash, _ = image.text.partition("/")
    has_host = slash and ("." in host or ":" in host)
    return Finding(
        what=f"{image.text} comes from {host if has_host else 'Docker Hub'}.",
        why="Endpoints lead to private ECR repositories and to no other registry.",
        remedy="Copy the image to such a repository and name it here.",
    )
