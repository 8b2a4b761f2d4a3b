"""The tasks and services of one agent: shared by its loops and all its servers."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from local.ecs.model import EcsService
from local.ecs.protection import ProtectionRefusedError
from local.ecs.scheduler import RolloutState, ServiceDeployment
from local.ecs.task import EcsTask, TaskContainer

MAX_EVENTS = 100


@dataclass
class ServiceState:
    """A service with its deployments and events."""

    service: EcsService
    deployments: list[ServiceDeployment] = field(default_factory=list)
    """The primary one first."""
    events: list[tuple[float, str]] = field(default_factory=list)
    """Newest first."""

    @property
    def primary(self) -> ServiceDeployment:
        """The deployment that the service is to run."""
        return self.deployments[0]

    def adopt(self) -> None:
        """Take over the emulator's primary deployment, when it is a new one."""
        new_id = self.service.deployment_id
        if any(deployment.id == new_id for deployment in self.deployments):
            return
        self.deployments.insert(
            0,
            ServiceDeployment(
                id=new_id,
                definition_arn=self.service.definition_arn,
                created=time.time(),
            ),
        )

    def add_event(self, text: str) -> None:
        """Record an event, as ECS shows it."""
        self.events.insert(0, (time.time(), f"(service {self.service.name}) {text}"))
        del self.events[MAX_EVENTS:]


class TaskRegistry:
    """All tasks by ID, and all services by ARN; hold ``lock`` to change either."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.tasks: dict[str, EcsTask] = {}
        self.services: dict[str, ServiceState] = {}

    def add(self, task: EcsTask) -> EcsTask:
        """Add a task and return it."""
        with self.lock:
            self.tasks[task.id] = task
        return task

    def find(self, reference: str) -> EcsTask | None:
        """Return a task by ID or ARN."""
        return self.tasks.get(reference.rpartition("/")[2])

    def with_token(self, token: str) -> EcsTask | None:
        """Return the task with a token in its agent and credential URLs."""
        tasks = list(self.tasks.values())
        return next((task for task in tasks if task.token == token), None)

    def container(self, token: str) -> tuple[EcsTask, TaskContainer] | None:
        """Return the container with a token in its metadata URL, and its task."""
        return next(
            (
                (task, container)
                for task in list(self.tasks.values())
                for container in task.containers
                if container.token == token
            ),
            None,
        )

    def tasks_of(self, service: EcsService) -> list[EcsTask]:
        """Return the tasks of a service, stopped ones included."""
        return [task for task in self.tasks.values() if task.is_of(service)]

    def is_deploying(self, cluster: str, service: str) -> bool:
        """Return whether a service, by names, has a deployment in progress."""
        with self.lock:
            return any(
                state.primary.rollout is RolloutState.IN_PROGRESS
                for state in self.services.values()
                if state.service.name == service
                and state.service.cluster_arn.endswith(f"/{cluster}")
            )

    def is_steady(self) -> bool:
        """Return whether no service lacks what ``unsteady_services`` looks for."""
        with self.lock:
            return bool(self.services) and not self.unsteady_services()

    def unsteady_services(self) -> list[str]:
        """Return what each service lacks that does not run what is desired.

        That is its desired count of healthy tasks, in a completed deployment. Beyond
        the count it may run protected tasks only: a scale-in waits for their end, as
        long as the tasks of Airflow on them take.
        """
        lacks = []
        now = time.time()
        with self.lock:
            for state in self.services.values():
                desired = state.service.desired
                tasks = [
                    task
                    for task in self.tasks_of(state.service)
                    if task.is_healthy and task.should_run
                ]
                healthy = len(tasks)
                free = sum(not task.protection.is_on(now) for task in tasks)
                has_count = healthy == desired or (healthy > desired and not free)
                rollout = state.primary.rollout
                if rollout is not RolloutState.COMPLETED or not has_count:
                    lacks.append(
                        f"{state.service.name}: {healthy} of {desired} tasks healthy, "
                        f"deployment {rollout.value}"
                    )
        return lacks

    def protect(self, task: EcsTask, *, is_enabled: bool, minutes: int | None) -> None:
        """Set or end a task's protection.

        Raises ProtectionRefusedError and InvalidExpiryError.
        """
        with self.lock:
            now = time.time()
            service = next(
                (
                    state.service
                    for state in self.services.values()
                    if task.is_of(state.service)
                ),
                None,
            )
            others = sum(
                other.protection.is_on(now) and not other.is_over
                for other in self.tasks.values()
                if other.group == task.group
                and other.cluster_arn == task.cluster_arn
                and other is not task
            )
            task.protection.change(
                is_enabled=is_enabled,
                minutes=minutes,
                now=now,
                is_of_service=bool(task.service_name),
                others=others,
                desired=service.desired if service else 0,
            )

    def protection_of(self, task: EcsTask) -> dict[str, Any]:
        """Return a task's protection as the ECS API shows it.

        Raises ProtectionRefusedError for a task of no service.
        """
        if not task.service_name:
            raise ProtectionRefusedError(
                "TASK_NOT_VALID", "the task belongs to no service"
            )
        is_on = task.protection.is_on(time.time())
        shown: dict[str, Any] = {"taskArn": task.arn, "protectionEnabled": is_on}
        if is_on:
            shown["expirationDate"] = task.protection.until
        return shown
