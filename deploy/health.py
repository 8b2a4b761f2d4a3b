"""Tasks and alarms of a stack: whether Airflow runs, and not only whether it exists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deploy import ecs
from deploy.aws import Aws
from deploy.diagnosis import SERVICE, cluster_and_service
from deploy.inventory import StackResource

ALARM = "AWS::CloudWatch::Alarm"

ALARMS_AT_ONCE = 100
"""Limit of DescribeAlarms."""


@dataclass(frozen=True)
class ServiceHealth:
    """One ECS service."""

    name: str
    running: int
    desired: int
    healthy: int
    """Tasks whose container passes its health check."""
    deployment: str
    """State of the last deployment: COMPLETED, IN_PROGRESS or FAILED."""
    since: datetime | None
    """When it last changed."""


@dataclass(frozen=True)
class AlarmState:
    """One alarm."""

    name: str
    state: str
    """OK, ALARM or INSUFFICIENT_DATA."""
    reason: str


def services(aws: Aws, resources: Iterable[StackResource]) -> list[ServiceHealth]:
    """Return the state of every ECS service among some resources."""
    ecs_services = [r for r in resources if r.type == SERVICE and r.physical_id]
    in_stack = Counter(resource.path for resource in ecs_services)
    names: dict[str, dict[str, str]] = {}
    for resource in ecs_services:
        cluster, service = cluster_and_service(resource.physical_id)
        # A pool of workers is a stack with one service, which has no name of its own.
        is_alone = resource.path and in_stack[resource.path] == 1
        name = resource.path[-1] if is_alone else resource.logical_id
        names.setdefault(cluster, {})[service] = name
    return [
        _service(row, own.get(row["serviceName"], row["serviceName"]), tasks)
        for cluster, own in names.items()
        for tasks in [_healthy_tasks(aws, cluster)]
        for row in ecs.services(aws, cluster, list(own))
    ]


def alarms(aws: Aws, resources: Iterable[StackResource]) -> list[AlarmState]:
    """Return the state of every alarm among some resources."""
    names = {r.physical_id: r.name for r in resources if r.type == ALARM}
    return [
        AlarmState(
            names[row["AlarmName"]], row["StateValue"], row.get("StateReason", "")
        )
        for batch in ecs.batches(list(names), ALARMS_AT_ONCE)
        for row in aws.call("cloudwatch", "describe_alarms", AlarmNames=batch)[
            "MetricAlarms"
        ]
    ]


def _service(row: Any, name: str, healthy: Counter[str]) -> ServiceHealth:
    deployments = row.get("deployments", ())
    last: dict[str, Any] = next(
        (entry for entry in deployments if entry.get("status") == "PRIMARY"), {}
    )
    return ServiceHealth(
        name=name,
        running=row["runningCount"],
        desired=row["desiredCount"],
        healthy=healthy[row["serviceName"]],
        deployment=last.get("rolloutState", ""),
        since=last.get("updatedAt") or last.get("createdAt"),
    )


def _healthy_tasks(aws: Aws, cluster: str) -> Counter[str]:
    return Counter(
        ecs.service_of(task)
        for task in ecs.running_tasks(aws, cluster)
        if task.get("healthStatus") == "HEALTHY"
    )
