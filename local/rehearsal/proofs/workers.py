"""The workers of the default queue: how many there are, and taking one away."""

from __future__ import annotations

from local.rehearsal.containers import Running, logs, running, services
from local.rehearsal.proof import NotProven, Pending, until
from local.rehearsal.stage import Stage

QUEUE = "default"
TWO = 2
START_SECONDS = 150.0
STOP_SECONDS = 150.0
"""A worker ends what it runs first; ECS gives it 120 s."""

CHOICE_SECONDS = 5.0
"""For ECS to choose whom to stop; a protected worker is never chosen."""


def of_default_queue(stage: Stage) -> list[Running]:
    """Return the workers that take tasks without a queue of their own."""
    return [one for one in running(stage, "worker") if one.command[-1] == QUEUE]


def at_least_two(stage: Stage) -> None:
    """Return when two workers are healthy; ask ECS for the second one if need be."""
    first = of_default_queue(stage)
    if not first:
        raise NotProven("No worker serves the default queue.", logs(stage, "worker"))
    name = first[0].service
    service = next(one for one, _ in services(stage) if one.name == name)
    if service.desired < TWO:
        ask(stage, first[0], TWO)

    def look() -> bool | Pending:
        tasks = next(tasks for one, tasks in services(stage) if one.name == name)
        healthy = sum(task.is_healthy and task.is_wanted for task in tasks)
        return healthy >= TWO or Pending(f"{healthy} healthy")

    until("a second worker", look, seconds=START_SECONDS, remedy=logs(stage, "worker"))


def ask(stage: Stage, worker: Running, count: int) -> None:
    """Set how many workers ECS is to run."""
    stage.client("ecs").update_service(
        cluster=worker.cluster_arn, service=worker.service, desiredCount=count
    )


def take_away_one(stage: Stage) -> Running:
    """Have ECS run one worker less, and return the one that is gone.

    When every worker is protected, ECS lets none go; an operator then stops one.
    """
    before = of_default_queue(stage)
    ask(stage, before[0], len(before) - 1)

    def chosen() -> Running | Pending:
        left = {one.task_id for one in of_default_queue(stage)}
        gone = (one for one in before if one.task_id not in left)
        return next(gone, None) or Pending("ECS has chosen none")

    try:
        leaving = until(
            "a worker to be let go", chosen, seconds=CHOICE_SECONDS, remedy=""
        )
    except NotProven:
        leaving = before[0]
        stage.client("ecs").stop_task(
            cluster=leaving.cluster_arn,
            task=leaving.task_arn,
            reason="The rehearsal takes a worker away.",
        )

    def is_over() -> bool | Pending:
        task = stage.agent.tasks[leaving.task_id]
        return task.is_over or Pending(task.status)

    until(
        f"the worker {leaving.task_id[:8]} to end",
        is_over,
        seconds=STOP_SECONDS,
        remedy=f"Read {leaving.log}.",
    )
    return leaving
