"""What ECS runs: services and tasks of a cluster, read in the batches that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from deploy.aws import Aws

SERVICES_AT_ONCE = 10
TASKS_AT_ONCE = 100
"""Limits of DescribeServices and DescribeTasks."""

SERVICE_GROUP = "service:"


def services(aws: Aws, cluster: str, names: Sequence[str]) -> Iterator[Any]:
    """Yield services of a cluster, as DescribeServices has them."""
    for batch in batches(names, SERVICES_AT_ONCE):
        answer = aws.call(
            "ecs", "describe_services", cluster, cluster=cluster, services=batch
        )
        yield from answer["services"]


def running_tasks(aws: Aws, cluster: str, service: str = "") -> Iterator[Any]:
    """Yield the running tasks of a cluster, or of one service, as ECS has them."""
    scope = {"serviceName": service} if service else {}
    arns = [
        arn
        for page in aws.pages("ecs", "list_tasks", cluster, cluster=cluster, **scope)
        for arn in page["taskArns"]
    ]
    for batch in batches(arns, TASKS_AT_ONCE):
        answer = aws.call(
            "ecs", "describe_tasks", cluster, cluster=cluster, tasks=batch
        )
        yield from answer["tasks"]


def log_of(aws: Aws, definition: str, container: str) -> tuple[str, str]:
    """Return log group and prefix of the streams of a container.

    Empty for one without a log in CloudWatch. The name of a stream is its prefix, the
    container and the ID of the task.
    """
    described = aws.call(
        "ecs", "describe_task_definition", definition, taskDefinition=definition
    )["taskDefinition"]
    for defined in described["containerDefinitions"]:
        log = defined.get("logConfiguration", {})
        options = log.get("options", {})
        if defined["name"] == container and log.get("logDriver") == "awslogs":
            return options["awslogs-group"], options.get("awslogs-stream-prefix", "")
    return "", ""


def service_of(task: Any) -> str:
    """Return the name of a task's service; nothing for a one-off task."""
    group = str(task.get("group", ""))
    return group.removeprefix(SERVICE_GROUP) if group.startswith(SERVICE_GROUP) else ""


def batches(values: Sequence[Any], size: int) -> Iterable[list[Any]]:
    """Return some values in lists of at most ``size``."""
    return (list(values[i : i + size]) for i in range(0, len(values), size))
