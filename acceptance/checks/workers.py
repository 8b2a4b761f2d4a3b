"""The workers of the default queue, by the API of ECS."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from acceptance.check import CheckFailed, Pending, until
from acceptance.environment import Environment

QUEUE = "default"
TWO = 2

SERVICES_AT_ONCE = 10
"""What DescribeServices takes."""

STOP_SECONDS = 150.0
"""A worker ends what it runs first; ECS gives it 120 s."""


def ask_for_two(environment: Environment) -> None:
    """Have ECS run two workers, whatever the scaling asks for, and do not wait."""
    pool = service(environment)
    if pool["desiredCount"] < TWO:
        environment.client("ecs").update_service(
            cluster=pool["clusterArn"],
            service=pool["serviceName"],
            desiredCount=TWO,
        )


def take_one_away(environment: Environment, addresses: Collection[str]) -> str:
    """Return the address of a worker that is gone, one of these.

    When the scaling has taken none of them away yet, an operator stops one.
    """
    ecs, pool = environment.client("ecs"), service(environment)
    cluster = pool["clusterArn"]
    arns = ecs.list_tasks(cluster=cluster, serviceName=pool["serviceName"])
    tasks = ecs.describe_tasks(cluster=cluster, tasks=arns["taskArns"])["tasks"]
    arn_of = {_address(task): task["taskArn"] for task in tasks}
    for address in addresses:
        if address not in arn_of:
            return address
    leaving = next(iter(addresses))
    arn = arn_of[leaving]
    ecs.stop_task(cluster=cluster, task=arn, reason="An acceptance check stops it.")

    def has_ended() -> bool | Pending:
        (task,) = ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
        return task["lastStatus"] == "STOPPED" or Pending(task["lastStatus"])

    until(
        f"the worker at {leaving} to end",
        has_ended,
        seconds=STOP_SECONDS,
        remedy=environment.logs("worker"),
    )
    return leaving


def service(environment: Environment) -> dict[str, Any]:
    """Return the service of the default queue's workers."""
    ecs, cluster = environment.client("ecs"), environment.outputs["ClusterName"]
    pages = ecs.get_paginator("list_services").paginate(cluster=cluster)
    arns = [arn for page in pages for arn in page["serviceArns"]]
    for start in range(0, len(arns), SERVICES_AT_ONCE):
        batch = arns[start : start + SERVICES_AT_ONCE]
        answer = ecs.describe_services(cluster=cluster, services=batch)
        for pool in answer["services"]:
            definition = ecs.describe_task_definition(
                taskDefinition=pool["taskDefinition"]
            )["taskDefinition"]
            container = definition["containerDefinitions"][0]
            if container["name"] == "worker" and container["command"][-1] == QUEUE:
                worker_service: dict[str, Any] = pool
                return worker_service
    raise CheckFailed("No service runs workers of the default queue.")


def _address(task: dict[str, Any]) -> str:
    return next(
        str(detail["value"])
        for attachment in task["attachments"]
        for detail in attachment["details"]
        if detail["name"] == "privateIPv4Address"
    )
