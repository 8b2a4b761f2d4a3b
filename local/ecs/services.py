"""The service scheduler: brings the tasks of each service to what was asked for.

It keeps each service's deployments, takes over what the emulator's primary deployment
says, and carries out what ``scheduler.plan`` decides. When a deployment fails and the
service rolls back, it also tells the emulator, as ECS changes the service itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from local.ecs.emulator_client import EmulatorError
from local.ecs.model import Service
from local.ecs.scheduler import (
    Candidate,
    Deployment,
    Plan,
    Rollout,
    count_failure,
    plan,
)
from local.ecs.task import Task

KEPT_EVENTS = 100
SCHEDULER = "ServiceSchedulerInitiated"


class Asked(Protocol):
    """What the scheduler needs of the emulator."""

    def go_back(self, service: Service, definition_arn: str) -> None:
        """Make an older task definition the service's own."""


@dataclass
class Kept:
    """A service and how it stands."""

    service: Service
    deployments: list[Deployment] = field(default_factory=list)
    """The primary one first."""
    events: list[tuple[float, str]] = field(default_factory=list)
    """Newest first."""
    goes_back_to: Deployment | None = None
    """Which deployment the emulator's next one of this definition means."""
    aliases: dict[str, str] = field(default_factory=dict)
    """The emulator's name of a rollback -> the deployment that it went back to."""

    @property
    def primary(self) -> Deployment:
        """The deployment that is to be."""
        return self.deployments[0]

    def adopt(self) -> None:
        """Take over the emulator's primary deployment, when it is a new one."""
        asked = self.service.deployment_id
        if any(one.id == self.aliases.get(asked, asked) for one in self.deployments):
            return
        back, self.goes_back_to = self.goes_back_to, None
        if back and back.definition_arn == self.service.definition_arn:
            self.aliases[asked] = back.id
            back.rollout = Rollout.IN_PROGRESS
            back.reason = "ECS deployment rollback in progress."
            self.deployments.remove(back)
            self.deployments.insert(0, back)
            return
        self.deployments.insert(
            0,
            Deployment(
                id=asked,
                definition_arn=self.service.definition_arn,
                created=time.time(),
            ),
        )

    def say(self, text: str) -> None:
        """Add an event."""
        self.events.insert(0, (time.time(), f"(service {self.service.name}) {text}"))
        del self.events[KEPT_EVENTS:]


Start = Callable[[Service, Deployment], Task]


class Services:
    """All services."""

    def __init__(self, asked: Asked, start: Start) -> None:
        self._asked = asked
        self._start = start
        self.kept: dict[str, Kept] = {}
        self._counted: set[str] = set()

    def take(self, services: Iterable[Service]) -> None:
        """Take over what the emulator says; a service that it lost is gone."""
        found = {service.arn: service for service in services}
        for arn in [arn for arn in self.kept if arn not in found]:
            del self.kept[arn]
        for arn, service in found.items():
            kept = self.kept.get(arn)
            if kept is None:
                kept = self.kept[arn] = Kept(service)
            kept.service = service
            kept.adopt()

    def step(self, tasks: Mapping[str, Task], now: float) -> None:
        """Start and stop tasks."""
        by_service: dict[str, list[Task]] = {}
        for task in tasks.values():
            if task.service_name:
                by_service.setdefault(task.group, []).append(task)
        for kept in list(self.kept.values()):
            own = [
                task
                for task in by_service.get(f"service:{kept.service.name}", [])
                if task.cluster_arn == kept.service.cluster_arn
            ]
            self._step(kept, own, now)
        known = {
            (one.service.cluster_arn, f"service:{one.service.name}")
            for one in self.kept.values()
        }
        for group, some in by_service.items():
            for task in some:
                if (task.cluster_arn, group) not in known:
                    task.stop("Service deleted", SCHEDULER)

    def _step(self, kept: Kept, tasks: Sequence[Task], now: float) -> None:
        self._count(kept, tasks, now)
        wanted = [task for task in tasks if task.is_wanted and not task.is_over]
        decided = plan(
            kept.service,
            kept.primary,
            [_candidate(task) for task in wanted],
            now,
            _choose,
        )
        by_id = {task.id: task for task in wanted}
        for task_id, reason in decided.stops:
            self._stop(kept, by_id[task_id], reason, now)
        for _ in range(decided.starts):
            task = self._start(kept.service, kept.primary)
            kept.say(f"has started 1 tasks: (task {task.id}).")
        self._conclude(kept, decided, tasks)

    def _stop(self, kept: Kept, task: Task, reason: str, now: float) -> None:
        if task.is_unhealthy:
            why = (
                "Task failed ELB health checks"
                if task.is_refused
                else "Task failed container health checks"
            )
            kept.say(f"(task {task.id}) failed: {why}.")
            self._fail(kept, task, now)
            reason = why
        task.stop(reason, SCHEDULER)
        kept.say(f"has stopped 1 running tasks: (task {task.id}).")

    def _count(self, kept: Kept, tasks: Sequence[Task], now: float) -> None:
        """Count what ended by itself, and forget failures once a task is healthy."""
        for task in tasks:
            has_ended = not task.is_wanted and task.stop_code != SCHEDULER
            if has_ended and task.stop_code != "UserInitiated":
                self._fail(kept, task, now)
            if task.is_healthy and task.deployment_id == kept.primary.id:
                kept.primary.failures, kept.primary.next_start = 0, 0

    def _fail(self, kept: Kept, task: Task, now: float) -> None:
        if task.id in self._counted or task.deployment_id != kept.primary.id:
            return
        self._counted.add(task.id)
        failed = kept.primary
        if not count_failure(kept.service, failed, now):
            return
        failed.rollout = Rollout.FAILED
        failed.reason = "ECS deployment circuit breaker: tasks failed to start."
        kept.say("deployment failed: tasks failed to start.")
        last = next(
            (one for one in kept.deployments[1:] if one.rollout is Rollout.COMPLETED),
            None,
        )
        if not kept.service.rolls_back or last is None:
            return
        kept.say(f"rolling back to deployment {last.id}.")
        kept.goes_back_to = last
        try:
            self._asked.go_back(kept.service, last.definition_arn)
        except EmulatorError as error:
            kept.say(f"cannot roll back: {error}")

    def _conclude(self, kept: Kept, decided: Plan, tasks: Sequence[Task]) -> None:
        primary = kept.primary
        if decided.is_complete and primary.rollout is Rollout.IN_PROGRESS:
            primary.rollout = Rollout.COMPLETED
            primary.reason = f"ECS deployment {primary.id} completed."
            kept.say(f"(deployment {primary.id}) deployment completed.")
            kept.say("has reached a steady state.")
        alive = {task.deployment_id for task in tasks if not task.is_over}
        # The last good one stays: it is where a rollback goes.
        good = next(
            (one for one in kept.deployments if one.rollout is Rollout.COMPLETED), None
        )
        kept.deployments = [
            one
            for one in kept.deployments
            if one is primary or one is good or one.id in alive
        ]


def _candidate(task: Task) -> Candidate:
    return Candidate(
        id=task.id,
        deployment_id=task.deployment_id,
        is_healthy=task.is_healthy,
        is_unhealthy=task.is_unhealthy,
        is_protected=task.protection.is_on(time.time()),
    )


def _choose(tasks: Sequence[Candidate], count: int) -> Sequence[Candidate]:
    """Choose victims as ECS does: nobody can foresee it."""
    return random.sample(list(tasks), count)
