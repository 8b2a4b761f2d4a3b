"""End tasks that would keep a cluster, or a service in it, from being deleted.

ECS does not delete a cluster in which a task runs, as a one-off command does. AWS does
not say whether the deletion of a service ends protected tasks; a worker is protected as
long as it may run tasks, for half a day by default, and renews its protection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cli import console
from deploy.aws import Aws
from deploy.ecs import batches, running_tasks, service_of

PROTECTED_AT_ONCE = 10
"""Limit of UpdateTaskProtection."""

REASON = "The environment is being destroyed."


def end(aws: Aws, cluster: str) -> None:
    """Stop one-off tasks, and end the protection of those of services.

    The services with protected tasks are scaled to none, so that ECS refuses to
    protect a task again.
    """
    tasks = list(running_tasks(aws, cluster))
    services: set[str] = set()
    for batch in batches([t for t in tasks if service_of(t)], PROTECTED_AT_ONCE):
        services |= _end_protection(aws, cluster, batch)
    for service in sorted(services):
        aws.call(
            "ecs",
            "update_service",
            service,
            cluster=cluster,
            service=service,
            desiredCount=0,
        )
        console.message(f"Tasks of {service} are no longer protected from scale-in.")
    for task in tasks:
        if not service_of(task):
            arn = task["taskArn"]
            aws.call("ecs", "stop_task", arn, cluster=cluster, task=arn, reason=REASON)
            console.message(f"Task {arn.rpartition('/')[2]} is being stopped.")


def _end_protection(aws: Aws, cluster: str, tasks: Sequence[Any]) -> set[str]:
    """End the protection of some tasks; return the services of those that had it."""
    by_arn = {task["taskArn"]: service_of(task) for task in tasks}
    state = aws.call(
        "ecs", "get_task_protection", cluster, cluster=cluster, tasks=list(by_arn)
    )
    protected = [
        task["taskArn"] for task in state["protectedTasks"] if task["protectionEnabled"]
    ]
    if protected:
        aws.call(
            "ecs",
            "update_task_protection",
            cluster,
            cluster=cluster,
            tasks=protected,
            protectionEnabled=False,
        )
    return {by_arn[arn] for arn in protected}
