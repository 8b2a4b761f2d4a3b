"""The tasks of a component on the stage: which run, and when they are well again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Mapping

from acceptance.check import NotProven, Pending, until
from acceptance.containers import logs
from local.ecs.services import SCHEDULER
from local.ecs.task import EcsTask
from local.environment import Stage

WORKER, MIGRATION = "worker", "migration"
DEFAULT_QUEUE = "default"

WELL_SECONDS = 60.0
"""Until everything is healthy again. On two cores that do nothing else a component took
5 to 14 s, and Airflow's processes need as long again when several start at once."""


def component_of(task: EcsTask) -> str:
    """Return what a task is: the name of its first container."""
    return task.containers[0].definition.name


def tasks_of(stage: Stage, component: str, *, queue: str = "") -> list[EcsTask]:
    """Return the tasks of a component that run and are to go on.

    With ``queue``, only those whose command ends in its name: a pool's workers.
    """
    with stage.agent.lock:
        return [
            task
            for task in stage.agent.tasks.values()
            if component_of(task) == component
            and task.status == "RUNNING"
            and task.should_run
            and queue in {"", task.containers[0].definition.command[-1]}
        ]


def of_services(stage: Stage) -> dict[str, int]:
    """Return the main process of each task of a service that is to go on running.

    A process that was replaced, and a task that was, are missing from a later answer.
    """
    with stage.agent.lock:
        return {
            task.id: main
            for task in stage.agent.tasks.values()
            if task.service_name and task.status == "RUNNING" and task.should_run
            for one in task.containers[:1]
            if one.processes and (main := one.processes.main)
        }


def ended(stage: Stage, before: Mapping[str, int]) -> list[str]:
    """Return the tasks of an answer of ``of_services`` that were not left alone.

    A worker that was scaled in meanwhile is none of them: it goes by the count of its
    service, in whose present deployment it still was.
    """
    now = of_services(stage)
    with stage.agent.lock:
        present = {kept.primary.id for kept in stage.agent.registry.services.values()}
        return [
            number
            for number, main in before.items()
            if now.get(number) != main
            and not _was_scaled_in(stage.agent.tasks[number], present)
        ]


def _was_scaled_in(task: EcsTask, present: Collection[str]) -> bool:
    return (
        component_of(task) == WORKER
        and task.stop_code == SCHEDULER
        and task.deployment_id in present
        and not task.is_unhealthy
    )


def set_ups(stage: Stage) -> list[EcsTask]:
    """Return every run of the migration job, the oldest first."""
    with stage.agent.lock:
        return [
            task
            for task in stage.agent.tasks.values()
            if component_of(task) == MIGRATION
        ]


def kill(task: EcsTask) -> None:
    """End a container's first process without a word, and so the container."""
    processes = task.containers[0].processes
    main = processes.main if processes else None
    if main is None:
        raise NotProven(f"{component_of(task)} was gone before it was killed.")
    os.kill(main, signal.SIGKILL)


def wait_until_over(stage: Stage, tasks: Collection[EcsTask], seconds: float) -> None:
    """Return when nothing of these tasks runs any more."""

    def look() -> bool | Pending:
        left = [component_of(task) for task in tasks if not task.is_over]
        return not left or Pending(f"{', '.join(left)} still there")

    until(
        "what was ended to be gone",
        look,
        seconds=seconds,
        remedy=logs(stage, *{component_of(task) for task in tasks}),
        pause=0.1,
    )


def wait_until_well(stage: Stage, seconds: float = WELL_SECONDS) -> float:
    """Return how long it took until every service was as it should be."""
    began = time.monotonic()

    def look() -> bool | Pending:
        return stage.agent.is_steady() or Pending(_unwell(stage))

    until(
        "every service to be healthy again",
        look,
        seconds=seconds,
        remedy=logs(stage),
        pause=0.2,
    )
    return time.monotonic() - began


def have_workers(stage: Stage, least: int) -> None:
    """See to it that the first pool has as many workers as ``least``.

    With one alone there would be none whose tasks a fault must not touch.
    """
    pool = tasks_of(stage, WORKER, queue=DEFAULT_QUEUE)
    with stage.agent.lock:
        service = next(
            kept.service
            for kept in stage.agent.registry.services.values()
            if kept.service.name == pool[0].service_name
        )
    if service.desired < least:
        stage.client("ecs").update_service(
            cluster=service.cluster_arn, service=service.name, desiredCount=least
        )

    def look() -> bool | Pending:
        found = len(tasks_of(stage, WORKER, queue=DEFAULT_QUEUE))
        return found >= least or Pending(f"{found}")

    until(f"{least} workers", look, seconds=WELL_SECONDS, remedy=logs(stage, WORKER))
    wait_until_well(stage)


def _unwell(stage: Stage) -> str:
    return "; ".join(
        f"{row.name} {row.status} {row.health} {row.reason}".strip()
        for row in stage.agent.task_rows()
        if row.health != "HEALTHY" and row.status != "STOPPED"
    )


def without_image(stage: Stage, image: str) -> list[str]:
    """Return the services that have no healthy task of an image."""
    with stage.agent.lock:
        return sorted(
            kept.service.name
            for kept in stage.agent.registry.services.values()
            if kept.service.desired
            and not any(
                task.is_healthy
                and task.service_name == kept.service.name
                and task.containers[0].definition.image == image
                for task in stage.agent.tasks.values()
            )
        )
