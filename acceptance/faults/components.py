"""The tasks of a component: which run, and when all services are healthy again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Mapping

from acceptance.check import CheckFailed, Pending, until
from acceptance.checks import workers
from local.ecs.services import SCHEDULER
from local.ecs.task import EcsTask
from local.environment import LocalEnvironment

WORKER, MIGRATION = "worker", "migration"

HEALTHY_SECONDS = 60.0
"""Until everything is healthy again. On two cores that do nothing else a component took
5 to 14 s, and Airflow's processes need as long again when several start at once."""

POLL_SECONDS = 0.2


def component_of(task: EcsTask) -> str:
    """Return the component of a task: the name of its first container."""
    return task.containers[0].definition.name


def tasks_of(
    environment: LocalEnvironment, component: str, *, queue: str = ""
) -> list[EcsTask]:
    """Return the tasks of a component that run and are to go on.

    With ``queue``, only those whose command ends in its name: a pool's workers.
    """
    with environment.agent.lock:
        return [
            task
            for task in environment.agent.tasks.values()
            if component_of(task) == component
            and task.status == "RUNNING"
            and task.should_run
            and queue in {"", task.containers[0].definition.command[-1]}
        ]


def main_processes(environment: LocalEnvironment) -> dict[str, int]:
    """Return the main process of each task of a service that is to go on running.

    A process that was replaced, and a task that was, are missing from a later answer.
    """
    with environment.agent.lock:
        return {
            task.id: pid
            for task in environment.agent.tasks.values()
            if task.service_name and task.status == "RUNNING" and task.should_run
            if (processes := task.containers[0].processes) and (pid := processes.main)
        }


def restarted(environment: LocalEnvironment, before: Mapping[str, int]) -> list[str]:
    """Return the tasks of an answer of ``main_processes`` that do not run on.

    A worker that was scaled in meanwhile is none of them: it stops by the count of its
    service, in whose present deployment it still was.
    """
    now = main_processes(environment)
    with environment.agent.lock:
        present = {
            state.primary.id for state in environment.agent.registry.services.values()
        }
        return [
            task_id
            for task_id, pid in before.items()
            if now.get(task_id) != pid
            and not _was_scaled_in(environment.agent.tasks[task_id], present)
        ]


def _was_scaled_in(task: EcsTask, present: Collection[str]) -> bool:
    return (
        component_of(task) == WORKER
        and task.stop_code == SCHEDULER
        and task.deployment_id in present
        and not task.is_unhealthy
    )


def migration_jobs(environment: LocalEnvironment) -> list[EcsTask]:
    """Return every run of the migration job, the oldest first."""
    with environment.agent.lock:
        return [
            task
            for task in environment.agent.tasks.values()
            if component_of(task) == MIGRATION
        ]


def kill(task: EcsTask) -> None:
    """Kill the first process of a container, and so the container."""
    processes = task.containers[0].processes
    pid = processes.main if processes else None
    if pid is None:
        raise CheckFailed(f"{component_of(task)} was gone before it was killed.")
    os.kill(pid, signal.SIGKILL)


def wait_until_stopped(
    environment: LocalEnvironment, tasks: Collection[EcsTask], seconds: float
) -> None:
    """Return when nothing of these tasks runs any more."""

    def look() -> bool | Pending:
        running = [component_of(task) for task in tasks if not task.is_over]
        return not running or Pending(f"{', '.join(running)} still runs")

    remedy = environment.logs(*{component_of(task) for task in tasks})
    until("tasks to stop", look, seconds=seconds, remedy=remedy, pause=POLL_SECONDS)


def wait_until_healthy(
    environment: LocalEnvironment, seconds: float = HEALTHY_SECONDS
) -> float:
    """Return how long it took until every service was steady."""
    started = time.monotonic()
    until(
        "every service to be healthy again",
        lambda: environment.agent.is_steady() or Pending(_unhealthy(environment)),
        seconds=seconds,
        remedy=environment.logs(),
        pause=POLL_SECONDS,
    )
    return time.monotonic() - started


def ensure_two_workers(environment: LocalEnvironment) -> None:
    """Give the default pool two workers: a fault must not touch the tasks of one."""
    workers.ask_for_two(environment)

    def look() -> bool | Pending:
        count = len(tasks_of(environment, WORKER, queue=workers.QUEUE))
        return count >= workers.TWO or Pending(f"{count}")

    remedy = environment.logs(WORKER)
    until("two workers", look, seconds=HEALTHY_SECONDS, remedy=remedy)
    wait_until_healthy(environment)


def _unhealthy(environment: LocalEnvironment) -> str:
    tasks = (
        f"{row.name} {row.status} {row.health} {row.reason}".strip()
        for row in environment.agent.task_rows()
        if row.health != "HEALTHY" and row.status != "STOPPED"
    )
    return "; ".join([*environment.agent.unsteady_services(), *tasks])


def services_without_image(environment: LocalEnvironment, image: str) -> list[str]:
    """Return the services that have no healthy task of an image."""
    with environment.agent.lock:
        return sorted(
            state.service.name
            for state in environment.agent.registry.services.values()
            if state.service.desired
            and not any(
                task.is_healthy
                and task.service_name == state.service.name
                and task.containers[0].definition.image == image
                for task in environment.agent.tasks.values()
            )
        )
