"""The workers of the default queue: two of them, and one that goes away."""

from __future__ import annotations

from collections.abc import Collection

from acceptance.check import NotProven, Pending, until
from acceptance.containers import Running, running, services
from local.environment import Stage

QUEUE = "default"
TWO = 2

STOP_SECONDS = 150.0
"""A worker ends what it runs first; ECS gives it 120 s."""


def ask_for_two(stage: Stage) -> None:
    """Have ECS run two workers, whatever the scaling thinks of it, and do not wait."""
    for service, _ in services(stage):
        definition = stage.agent.definition(service.definition_arn).containers[0]
        if definition.name != "worker" or definition.command[-1] != QUEUE:
            continue
        if service.desired < TWO:
            stage.client("ecs").update_service(
                cluster=service.cluster_arn, service=service.name, desiredCount=TWO
            )
        return
    raise NotProven("No service runs workers of the default queue.")


def take_away_one_of(stage: Stage, addresses: Collection[str]) -> str:
    """Return the address of a worker that is gone, one of these.

    When the scaling has taken none of them away yet, an operator stops one.
    """
    here = {one.address: one for one in running(stage, "worker")}
    for address in addresses:
        if address not in here:
            return address
    leaving = next(here[address] for address in addresses)
    stage.client("ecs").stop_task(
        cluster=leaving.cluster_arn,
        task=leaving.task_arn,
        reason="The rehearsal takes a worker away.",
    )
    until(
        f"the worker {leaving.task_id[:8]} to end",
        lambda: _is_over(stage, leaving),
        seconds=STOP_SECONDS,
        remedy=f"Read {leaving.log}.",
    )
    return leaving.address


def _is_over(stage: Stage, worker: Running) -> bool | Pending:
    task = stage.agent.tasks[worker.task_id]
    return task.is_over or Pending(task.status)
