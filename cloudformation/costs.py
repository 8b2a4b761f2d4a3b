"""What a stack costs in a month, from its evaluated templates and a table of prices.

Counted is what exists: tasks, database capacity, cache nodes, gateways, endpoints, load
balancers, keys, secrets, alarms. What depends on the use is named and not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudformation.evaluation import Path, Resource, Stack, references

HOURS = 730
"""Of a month, as AWS's calculator has it."""

REGIONS = ("us-east-1", "eu-central-1")
DATED = "mid-2025"

PRICES: Mapping[str, tuple[float | None, float | None]] = {
    "Fargate vCPU, X86_64": (0.04048, 0.04656),
    "Fargate GB, X86_64": (0.004445, 0.00511),
    "Fargate vCPU, ARM64": (0.03238, 0.03725),
    "Fargate GB, ARM64": (0.00356, 0.00409),
    "Aurora capacity unit": (0.12, 0.14),
    "Aurora capacity unit, I/O-Optimized": (0.156, 0.182),
    "Valkey cache.t4g.micro": (0.0128, None),
    "Valkey cache.t4g.small": (0.0256, None),
    "Valkey cache.t4g.medium": (0.052, None),
    "Valkey cache.m7g.large": (0.1264, None),
    "Valkey cache.r7g.large": (0.1752, None),
    "NAT gateway": (0.045, 0.052),
    "Public IPv4 address": (0.005, 0.005),
    "Interface endpoint and zone": (0.01, 0.012),
    "Application load balancer": (0.0225, 0.027),
    "KMS key": (1 / HOURS, 1 / HOURS),
    "Secret": (0.4 / HOURS, 0.4 / HOURS),
    "Alarm metric": (0.1 / HOURS, 0.1 / HOURS),
    "Alarm metric, high resolution": (0.3 / HOURS, 0.3 / HOURS),
    "Dashboard": (3 / HOURS, 3 / HOURS),
    "Web ACL": (5 / HOURS, 5 / HOURS),
    "Rule of a web ACL": (1 / HOURS, 1 / HOURS),
}
"""USD an hour in each of ``REGIONS``; None where the table has no price."""

ASSUMPTIONS = (
    f"A month of {HOURS} hours, on demand, without discounts, free tiers and taxes.",
    (
        f"List prices of {DATED} as the authors knew them, not read from AWS: "
        "check them at https://calculator.aws before you rely on them."
    ),
    (
        "At rest: the least tasks of each service, the least capacity of the "
        "database. At most: every pool at its maximum all month, a bound and not a "
        "forecast."
    ),
    "Tasks on Fargate Spot are counted at the full price; Spot costs up to 70 % less.",
    (
        "Not counted, as it depends on the use: logs, custom metrics, storage and "
        "I/O of the database, data transfer and processing, load balancer units, S3, "
        "backups, flow logs."
    ),
)

WORKER_LINES, SERVICE_LINES = "Workers", "Airflow services"
DATABASE, CACHE, NETWORK = "Aurora", "Valkey", "NAT gateways and endpoints"
OTHER = "Load balancer, keys, secrets, alarms"
GROUPS = (SERVICE_LINES, WORKER_LINES, DATABASE, CACHE, NETWORK, OTHER)

CPU_UNITS, MIB = 1024, 1024
HIGH_RESOLUTION_SECONDS = 60
"""Alarms with a shorter period cost more."""


@dataclass(frozen=True)
class CostLine:
    """One kind of thing that costs money."""

    group: str
    what: str
    prices: tuple[str, ...]
    rest: tuple[float, ...]
    """Quantity of each price at rest."""
    most: tuple[float, ...]
    """The same at most."""

    def monthly(self, region: str, quantities: Sequence[float]) -> float | None:
        """Return the dollars of a month; None where the table has no price."""
        if not all(price(name, region) for name in self.prices):
            return None
        return HOURS * sum(
            hourly(name, region) * quantity
            for name, quantity in zip(self.prices, quantities, strict=True)
        )


def price(name: str, region: str) -> float | None:
    """Return USD an hour; None where the table has no price."""
    return PRICES.get(name, (None,) * len(REGIONS))[REGIONS.index(region)]


def hourly(name: str, region: str) -> float:
    """Return USD an hour of what the table has a price for."""
    dollars = price(name, region)
    if dollars is None:
        raise KeyError(name)
    return dollars


def summed(lines: Iterable[CostLine], region: str, *, at_most: bool = False) -> float:
    """Return the dollars of a month of all lines that have a price."""
    return sum(
        line.monthly(region, line.most if at_most else line.rest) or 0.0
        for line in lines
    )


def tree(
    templates: Mapping[str, Mapping[str, Any]],
    root: str,
    values: Mapping[str, str],
    region: str,
) -> Stack:
    """Return a stack with the values of an environment; ``templates`` by path."""

    def find(path: Path) -> Mapping[str, Any] | None:
        template: Mapping[str, Any] = templates[root]
        for logical_id in path:
            url = template["Resources"][logical_id]["Properties"]["TemplateURL"]
            template = templates[url]
        return template

    return Stack(
        templates[root], values, find_template=find, pseudo={"AWS::Region": region}
    )


def lines(stack: Stack) -> list[CostLine]:
    """Return what costs money in a stack and its nested stacks, by group."""
    resources = list(stack.walk())
    return sorted(
        _lines(resources), key=lambda line: (GROUPS.index(line.group), line.what)
    )


def _lines(resources: Sequence[Resource]) -> list[CostLine]:
    return [
        *_services(resources),
        *_databases(resources),
        *_caches(resources),
        *(line for count in COUNTS for line in _counted(count, resources)),
    ]


def _services(resources: Sequence[Resource]) -> Iterator[CostLine]:
    definitions = {
        each.name: each.properties
        for each in resources
        if each.type == "AWS::ECS::TaskDefinition"
    }
    scaled = {
        name: target.properties
        for target in resources
        if target.type == "AWS::ApplicationAutoScaling::ScalableTarget"
        for name, _ in references(target.properties["ResourceId"])
    }
    for service in resources:
        if service.type != "AWS::ECS::Service":
            continue
        ((name, _),) = references(service.properties["TaskDefinition"])
        definition, bounds = definitions[name], scaled.get(service.name, {})
        desired = service.properties.get("DesiredCount", 1)
        least = float(bounds.get("MinCapacity", desired))
        most = float(bounds.get("MaxCapacity", desired))
        vcpus = int(definition["Cpu"]) / CPU_UNITS
        gib = int(definition["Memory"]) / MIB
        kind = definition.get("RuntimePlatform", {}).get("CpuArchitecture", "X86_64")
        is_worker = service.logical_id == "Worker"
        title = service.path[-1] if is_worker else service.logical_id
        yield CostLine(
            WORKER_LINES if is_worker else SERVICE_LINES,
            f"{title}: {least:g} to {most:g} tasks of {vcpus:g} vCPU and {gib:g} GB",
            (f"Fargate vCPU, {kind}", f"Fargate GB, {kind}"),
            (least * vcpus, least * gib),
            (most * vcpus, most * gib),
        )


def _databases(resources: Sequence[Resource]) -> Iterator[CostLine]:
    instances = sum(each.type == "AWS::RDS::DBInstance" for each in resources)
    for cluster in resources:
        if cluster.type == "AWS::RDS::DBCluster":
            scaling = cluster.properties["ServerlessV2ScalingConfiguration"]
            least, most = (float(scaling[f"{m}Capacity"]) for m in ("Min", "Max"))
            is_optimized = cluster.properties.get("StorageType") == "aurora-iopt1"
            yield CostLine(
                DATABASE,
                f"{instances} of {least:g} to {most:g} capacity units",
                ("Aurora capacity unit" + ", I/O-Optimized" * is_optimized,),
                (instances * least,),
                (instances * most,),
            )


def _caches(resources: Sequence[Resource]) -> Iterator[CostLine]:
    for group in resources:
        if group.type == "AWS::ElastiCache::ReplicationGroup":
            nodes = float(group.properties["NumCacheClusters"])
            kind = group.properties["CacheNodeType"]
            what = f"{nodes:g} nodes of {kind}"
            yield CostLine(CACHE, what, (f"Valkey {kind}",), (nodes,), (nodes,))


@dataclass(frozen=True)
class Count:
    """A price of each resource of a type, or of each of its parts."""

    group: str
    price: str
    types: tuple[str, ...]
    count: Callable[[Resource], int] = lambda _resource: 1


def _zones(endpoint: Resource) -> int:
    is_interface = endpoint.properties.get("VpcEndpointType") == "Interface"
    return len(endpoint.properties["SubnetIds"]) if is_interface else 0


def _public_addresses(resource: Resource) -> int:
    if resource.type == "AWS::EC2::EIP":
        return 1
    is_public = resource.properties.get("Scheme") == "internet-facing"
    return len(resource.properties["Subnets"]) if is_public else 0


def _secrets(resource: Resource) -> int:
    """Aurora makes a secret of its own for the master user."""
    is_secret = resource.type == "AWS::SecretsManager::Secret"
    return is_secret or bool(resource.properties.get("ManageMasterUserPassword"))


def _rules(acl: Resource) -> int:
    return len(acl.properties["Rules"])


def _metrics(alarm: Resource) -> list[Mapping[str, Any]]:
    queries = alarm.properties.get("Metrics", ())
    return [q["MetricStat"] for q in queries if "MetricStat" in q] or [alarm.properties]


def _alarm_metrics(*, is_fast: bool) -> Callable[[Resource], int]:
    return lambda alarm: sum(
        (int(metric.get("Period", HIGH_RESOLUTION_SECONDS)) < HIGH_RESOLUTION_SECONDS)
        is is_fast
        for metric in _metrics(alarm)
    )


ALARMS = ("AWS::CloudWatch::Alarm",)
WEB_ACL = ("AWS::WAFv2::WebACL",)
BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"

COUNTS = (
    Count(NETWORK, "NAT gateway", ("AWS::EC2::NatGateway",)),
    Count(
        NETWORK, "Public IPv4 address", ("AWS::EC2::EIP", BALANCER), _public_addresses
    ),
    Count(NETWORK, "Interface endpoint and zone", ("AWS::EC2::VPCEndpoint",), _zones),
    Count(OTHER, "Application load balancer", (BALANCER,)),
    Count(OTHER, "KMS key", ("AWS::KMS::Key",)),
    Count(
        OTHER,
        "Secret",
        ("AWS::SecretsManager::Secret", "AWS::RDS::DBCluster"),
        _secrets,
    ),
    Count(OTHER, "Alarm metric", ALARMS, _alarm_metrics(is_fast=False)),
    Count(OTHER, "Alarm metric, high resolution", ALARMS, _alarm_metrics(is_fast=True)),
    Count(OTHER, "Dashboard", ("AWS::CloudWatch::Dashboard",)),
    Count(OTHER, "Web ACL", WEB_ACL),
    Count(OTHER, "Rule of a web ACL", WEB_ACL, _rules),
)


def _counted(count: Count, resources: Iterable[Resource]) -> Iterator[CostLine]:
    number = float(sum(count.count(r) for r in resources if r.type in count.types))
    if number:
        what = f"{number:g} x {count.price}"
        yield CostLine(count.group, what, (count.price,), (number,), (number,))
