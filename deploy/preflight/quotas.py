"""Quotas of the account against what a launch, an update and the maximum need.

ECS does not fail for want of vCPUs: the service tries again for hours, and the stack
waits with it. Other quotas fail the launch where it meets them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from cli.errors import AwsError, Denied
from cloudformation.evaluation import Resource, references
from deploy.preflight.context import LaunchContext
from deploy.preflight.findings import Check, Finding, passed, refused, warning

USAGE_MINUTES = 15
"""How far back the metric of a quota's usage is read; it has a point each minute."""

CPU_UNITS = 1024
"""Of one vCPU."""


@dataclass(frozen=True, kw_only=True)
class CountedQuota:
    """A quota of a number of resources."""

    name: str
    service: str
    code: str
    type: str
    describe: tuple[str, str, str]
    """Service, operation and member of the answer that list what exists."""
    filters: tuple[tuple[str, str], ...] = ()
    tags: str = "Tags"
    is_counted: Callable[[LaunchContext, Mapping[str, Any]], bool] = (
        lambda _context, _row: True
    )
    """Whether an existing resource counts against the same quota."""


def _is_in_vpc_of_launch(context: LaunchContext, row: Mapping[str, Any]) -> bool:
    return row["VpcId"] in context.values("AWS::EC2::VPCEndpoint", "VpcId")


COUNTED = (
    CountedQuota(
        name="Elastic IPs",
        service="ec2",
        code="L-0263D0A3",
        type="AWS::EC2::EIP",
        describe=("ec2", "describe_addresses", "Addresses"),
    ),
    CountedQuota(
        name="VPCs",
        service="vpc",
        code="L-F678F1CE",
        type="AWS::EC2::VPC",
        describe=("ec2", "describe_vpcs", "Vpcs"),
    ),
    CountedQuota(
        name="Internet gateways",
        service="vpc",
        code="L-A4707A72",
        type="AWS::EC2::InternetGateway",
        describe=("ec2", "describe_internet_gateways", "InternetGateways"),
    ),
    CountedQuota(
        name="Interface endpoints of the VPC",
        service="vpc",
        code="L-29B6F2EB",
        type="AWS::EC2::VPCEndpoint",
        describe=("ec2", "describe_vpc_endpoints", "VpcEndpoints"),
        filters=(("vpc-endpoint-type", "Interface"),),
        is_counted=_is_in_vpc_of_launch,
    ),
    CountedQuota(
        name="Aurora clusters",
        service="rds",
        code="L-952B80B8",
        type="AWS::RDS::DBCluster",
        describe=("rds", "describe_db_clusters", "DBClusters"),
        tags="TagList",
    ),
)
"""https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html"""


@dataclass(frozen=True)
class CpuQuota:
    """A quota of vCPUs of Fargate."""

    name: str
    code: str
    provider: str


CPU = (
    CpuQuota("Fargate vCPUs on demand", "L-3032A538", "FARGATE"),
    CpuQuota("Fargate Spot vCPUs", "L-36FBB829", "FARGATE_SPOT"),
)
"""https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"""

QUOTA = ("servicequotas:GetServiceQuota", "servicequotas:GetAWSDefaultServiceQuota")


@dataclass(frozen=True)
class CpuNeed:
    """vCPUs that the services take."""

    launch: float
    """Of the first tasks."""
    update: float
    """While a deployment of all services starts new tasks beside the old ones."""
    peak: float
    """The same with the most tasks of every service."""


def checks() -> Iterator[Check]:
    """Yield one question for each quota."""
    for cpu in CPU:
        yield Check(
            name=cpu.name,
            run=partial(_cpu, cpu),
            asks=(*QUOTA, "cloudwatch:GetMetricStatistics"),
        )
    for counted in COUNTED:
        service, operation, _ = counted.describe
        action = "".join(map(str.capitalize, operation.split("_")))
        yield Check(
            name=counted.name,
            run=partial(_counted, counted),
            asks=(*QUOTA, f"{service}:{action.replace('Db', 'DB')}"),
        )


def _counted(quota: CountedQuota, context: LaunchContext) -> Iterator[Finding]:
    needed = [
        resource
        for resource in context.of_type(quota.type)
        if resource.properties.get("VpcEndpointType", "Interface") == "Interface"
    ]
    if not needed:
        return
    limit = int(_quota(context, quota.service, quota.code)["Value"])
    service, operation, member = quota.describe
    options: dict[str, Any] = {}
    if quota.filters:
        options["Filters"] = [
            {"Name": name, "Values": [value]} for name, value in quota.filters
        ]
    used = 0
    for page in context.aws.pages(service, operation, quota.name, **options):
        for row in page[member]:
            tags = {tag["Key"]: tag["Value"] for tag in row.get(quota.tags) or ()}
            used += quota.is_counted(context, row) and not context.is_own(tags)
    text = f"{used} of {limit} used by others; this stack needs {len(needed)}."
    if used + len(needed) > limit:
        yield refused(
            text,
            _increase(quota.service, quota.code, used + len(needed), "delete some"),
        )
    else:
        yield passed(text)


def _cpu(quota: CpuQuota, context: LaunchContext) -> Iterator[Finding]:
    need = cpu_need(context, quota.provider)
    if not need.peak:
        return
    answer = _quota(context, "fargate", quota.code)
    limit = float(answer["Value"])
    # The usage of an existing stack is part of what is needed.
    used = _usage(context, answer) if context.is_new else 0.0
    text = (
        f"{limit:g} vCPUs, {used:g} in use; a launch needs {need.launch:g}, an update "
        f"{need.update:g}, an update with the most tasks {need.peak:g}."
    )
    free = limit - used
    sufficient = math.ceil(used + need.peak)
    if free < need.launch:
        yield refused(
            f"{text} ECS would try again for hours, and the stack with it.",
            _increase("fargate", quota.code, sufficient, "choose smaller tasks"),
        )
    elif free < need.update:
        yield warning(
            f"{text} An update would hang, because it starts new tasks beside the old.",
            _increase("fargate", quota.code, sufficient, "choose smaller tasks"),
        )
    elif free < need.peak:
        yield warning(
            f"{text} The services cannot reach their maximum.",
            _increase("fargate", quota.code, sufficient, "lower the most workers"),
        )
    else:
        yield passed(text)


def cpu_need(context: LaunchContext, provider: str) -> CpuNeed:
    """Add up the vCPUs of all services that run on one capacity provider."""
    sizes = {
        definition.name: int(definition.properties["Cpu"]) / CPU_UNITS
        for definition in context.of_type("AWS::ECS::TaskDefinition")
    }
    launch = update = peak = 0.0
    for service in context.of_type("AWS::ECS::Service"):
        ((definition, _),) = references(service.properties["TaskDefinition"])
        size = sizes[definition]
        first, most = task_counts(context, service)
        strategy = service.properties.get("CapacityProviderStrategy")
        # A task is on one provider as a whole.
        first, most = (
            math.ceil(count * _share(strategy, provider)) for count in (first, most)
        )
        deployment = service.properties.get("DeploymentConfiguration", {})
        factor = int(deployment.get("MaximumPercent", 200)) / 100
        launch += size * first
        update += size * first * factor
        peak += size * most * factor
    return CpuNeed(launch, update, peak)


def task_counts(context: LaunchContext, service: Resource) -> tuple[int, int]:
    """Return how many tasks a service starts with, and how many it may reach.

    CloudFormation creates a service without a desired count with one task.
    """
    desired = int(service.properties.get("DesiredCount", 1))
    for target in context.of_type("AWS::ApplicationAutoScaling::ScalableTarget"):
        scaled = {name for name, _ in references(target.properties["ResourceId"])}
        if service.name in scaled:
            return (
                max(desired, int(target.properties["MinCapacity"])),
                max(desired, int(target.properties["MaxCapacity"])),
            )
    return desired, desired


def _share(strategy: Any, provider: str) -> float:
    """Return which share of the tasks a capacity provider runs."""
    if not strategy:
        return float(provider == "FARGATE")
    weights = {row["CapacityProvider"]: int(row.get("Weight", 0)) for row in strategy}
    return weights.get(provider, 0) / (sum(weights.values()) or 1)


def _quota(context: LaunchContext, service: str, code: str) -> Mapping[str, Any]:
    """Return a quota; its default where the account never changed it."""
    key = {"ServiceCode": service, "QuotaCode": code}
    for operation in ("get_service_quota", "get_aws_default_service_quota"):
        try:
            answer: Mapping[str, Any] = context.aws.call(
                "service-quotas", operation, f"quota {code} of {service}", **key
            )["Quota"]
        except AwsError as error:
            if not error.code.startswith("NoSuchResource"):
                raise
            missing = error
        else:
            return answer
    raise missing


def _usage(context: LaunchContext, quota: Mapping[str, Any]) -> float:
    """Return what of a quota is in use, by its own metric; 0 when that is unknown."""
    metric = quota.get("UsageMetric")
    if not metric:
        return 0.0
    now = datetime.now(UTC)
    try:
        points = context.aws.call(
            "cloudwatch",
            "get_metric_statistics",
            "usage of Fargate",
            Namespace=metric["MetricNamespace"],
            MetricName=metric["MetricName"],
            Dimensions=[
                {"Name": name, "Value": value}
                for name, value in metric["MetricDimensions"].items()
            ],
            StartTime=now - timedelta(minutes=USAGE_MINUTES),
            EndTime=now,
            Period=USAGE_MINUTES * 60,
            Statistics=["Maximum"],
        )["Datapoints"]
    except Denied:
        return 0.0
    return max((float(point["Maximum"]) for point in points), default=0.0)


def _increase(service: str, code: str, value: int, otherwise: str) -> str:
    return (
        "aws service-quotas request-service-quota-increase --service-code "
        f"{service} --quota-code {code} --desired-value {value}, or {otherwise}."
    )
