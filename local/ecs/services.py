"""The service scheduler: starts and stops tasks so that each service has what it asks.

It takes over what the emulator's primary deployment says, and carries out what
``scheduler.plan`` decides. When a deployment fails and the service rolls back, it also
updates the emulator's service: a rollback is a new deployment, with tasks of its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from local.ecs.emulator_client import AWS_ERRORS
from local.ecs.model import EcsService
from local.ecs.scheduler import (
    RolloutState,
    SchedulingPlan,
    ServiceDeployment,
    TaskCandidate,
    count_failure,
    plan,
)
from local.ecs.task import EcsTask
from local.ecs.task_registry import ServiceState, TaskRegistry

SCHEDULER = "ServiceSchedulerInitiated"


class RollbackApi(Protocol):
    """What the scheduler needs of the emulator."""

    def go_back(self, service: EcsService, definition_arn: str) -> None:
        """Make an older task definition the service's own."""


StartTask = Callable[[EcsService, ServiceDeployment], EcsTask]


class ServiceScheduler:
    """Keeps every service of a registry at its desired count."""

    def __init__(
        self, registry: TaskRegistry, emulator: RollbackApi, start: StartTask
    ) -> None:
        self._registry = registry
        self._emulator = emulator
        self._start = start
        self._failed: set[str] = set()
        """Tasks whose failure was counted."""

    def update(self, services: Iterable[EcsService]) -> None:
        """Take over the emulator's services; one that it no longer has is gone."""
        states = self._registry.services
        by_arn = {service.arn: service for service in services}
        for arn in [arn for arn in states if arn not in by_arn]:
            del states[arn]
        for arn, service in by_arn.items():
            state = states.setdefault(arn, ServiceState(service))
            state.service = service
            state.adopt()

    def step(self, now: float) -> None:
        """Start and stop the tasks that are due."""
        states = list(self._registry.services.values())
        for state in states:
            self._step(state, self._registry.tasks_of(state.service), now)
        for task in self._registry.tasks.values():
            if task.service_name and not any(task.is_of(s.service) for s in states):
                task.stop("Service deleted", SCHEDULER)

    def _step(self, state: ServiceState, tasks: Sequence[EcsTask], now: float) -> None:
        self._count_failures(state, tasks, now)
        running = {
            task.id: task for task in tasks if task.should_run and not task.is_over
        }
        next_plan = plan(
            state.service,
            state.primary,
            [_candidate(task) for task in running.values()],
            now,
            _choose,
        )
        for task_id, reason in next_plan.stops:
            self._stop(state, running[task_id], reason, now)
        for _ in range(next_plan.starts):
            task = self._start(state.service, state.primary)
            state.add_event(f"has started 1 tasks: (task {task.id}).")
        self._conclude(state, next_plan, tasks)

    def _stop(
        self, state: ServiceState, task: EcsTask, reason: str, now: float
    ) -> None:
        if task.is_unhealthy:
            checks = "ELB" if task.is_refused else "container"
            reason = f"Task failed {checks} health checks"
            state.add_event(f"(task {task.id}) failed: {reason}.")
            self._count_failure(state, task, now)
        task.stop(reason, SCHEDULER)
        state.add_event(f"has stopped 1 running tasks: (task {task.id}).")

    def _count_failures(
        self, state: ServiceState, tasks: Sequence[EcsTask], now: float
    ) -> None:
        """Count tasks that ended by themselves; a healthy task resets the count."""
        for task in tasks:
            if not task.should_run and task.stop_code not in {
                SCHEDULER,
                "UserInitiated",
            }:
                self._count_failure(state, task, now)
            if task.is_healthy and task.deployment_id == state.primary.id:
                state.primary.failures, state.primary.next_start = 0, 0

    def _count_failure(self, state: ServiceState, task: EcsTask, now: float) -> None:
        deployment = state.primary
        if task.id in self._failed or task.deployment_id != deployment.id:
            return
        self._failed.add(task.id)
        if not count_failure(state.service, deployment, now):
            return
        deployment.rollout = RolloutState.FAILED
        deployment.reason = "ECS deployment circuit breaker: tasks failed to start."
        state.add_event("deployment failed: tasks failed to start.")
        previous = _completed(state.deployments[1:])
        if not state.service.has_rollback or previous is None:
            return
        state.add_event(f"rolling back to deployment {previous.id}.")
        try:
            self._emulator.go_back(state.service, previous.definition_arn)
        except AWS_ERRORS as error:
            state.add_event(f"cannot roll back: {error}")

    def _conclude(
        self, state: ServiceState, next_plan: SchedulingPlan, tasks: Sequence[EcsTask]
    ) -> None:
        primary = state.primary
        if next_plan.is_complete and primary.rollout is RolloutState.IN_PROGRESS:
            primary.rollout = RolloutState.COMPLETED
            primary.reason = f"ECS deployment {primary.id} completed."
            state.add_event(f"(deployment {primary.id}) deployment completed.")
            state.add_event("has reached a steady state.")
        alive = {task.deployment_id for task in tasks if not task.is_over}
        # The last completed one stays: it is where a rollback goes.
        completed = _completed(state.deployments)
        state.deployments = [
            deployment
            for deployment in state.deployments
            if deployment in (primary, completed) or deployment.id in alive
        ]


def _completed(deployments: Iterable[ServiceDeployment]) -> ServiceDeployment | None:
    return next((d for d in deployments if d.rollout is RolloutState.COMPLETED), None)


def _candidate(task: EcsTask) -> TaskCandidate:
    return TaskCandidate(
        id=task.id,
        deployment_id=task.deployment_id,
        is_healthy=task.is_healthy,
        is_unhealthy=task.is_unhealthy,
        is_protected=task.protection.is_on(time.time()),
    )


def _choose(candidates: Sequence[TaskCandidate], count: int) -> Sequence[TaskCandidate]:
    """Choose tasks to stop at random: ECS promises no order."""
    return random.sample(list(candidates), count)
