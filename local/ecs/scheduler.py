"""Decides which tasks of a service to start and stop; no side effects.

It follows the rolling update of ECS: new tasks start as far as ``maximumPercent``
allows, old ones stop as soon as enough are healthy, an unhealthy task stays until its
replacement is healthy. The caller's ``choose`` selects the tasks of a scale-in, because
ECS promises no order; only that no protected task is among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from local.ecs.model import EcsService

FAILURES_AT_LEAST, FAILURES_AT_MOST = 3, 200
"""Bounds of the circuit breaker; half the desired count in between."""

BACK_OFF_SECONDS = 60
"""The longest pause before another attempt; ECS waits up to 27 minutes."""


class RolloutState(Enum):
    """The state of a deployment."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass
class ServiceDeployment:
    """One release of a service."""

    id: str
    definition_arn: str
    created: float
    rollout: RolloutState = RolloutState.IN_PROGRESS
    reason: str = ""
    failures: int = 0
    """In a row; a healthy task resets the count."""
    next_start: float = 0
    """Not before: the pause after failures."""


@dataclass(frozen=True)
class TaskCandidate:
    """A task of the service that is not stopping."""

    id: str
    deployment_id: str
    is_healthy: bool
    is_unhealthy: bool
    """Not the opposite of healthy: a new task is neither."""
    is_protected: bool


@dataclass(frozen=True)
class SchedulingPlan:
    """The tasks to start and to stop now."""

    starts: int = 0
    stops: tuple[tuple[str, str], ...] = ()
    """Task and reason."""
    is_complete: bool = False


Choose = Callable[[Sequence[TaskCandidate], int], Sequence[TaskCandidate]]


def plan(
    service: EcsService,
    primary: ServiceDeployment,
    tasks: Sequence[TaskCandidate],
    now: float,
    choose: Choose,
) -> SchedulingPlan:
    """Return the next step towards the desired count and the primary deployment."""
    desired = service.desired
    current = [task for task in tasks if task.deployment_id == primary.id]
    older = [task for task in tasks if task.deployment_id != primary.id]
    fit = [task for task in current if not task.is_unhealthy]
    broken = [task for task in current if task.is_unhealthy]
    maximum = max(1, desired * service.maximum_percent // 100) if desired else 0
    minimum = math.ceil(desired * service.minimum_percent / 100)
    stops: list[tuple[TaskCandidate, str]] = []
    scaling = f"Scaling activity initiated by (deployment {primary.id})"

    # How many healthy tasks may stop.
    healthy = sum(task.is_healthy for task in fit)
    spare = max(0, healthy + sum(task.is_healthy for task in older) - minimum)

    # Too many: the ones that do no work yet first.
    excess = len(fit) - desired
    if excess > 0:
        free = [task for task in fit if not task.is_protected]
        idle = [task for task in free if not task.is_healthy][:excess]
        rest = [task for task in free if task.is_healthy]
        victims = choose(rest, min(excess - len(idle), len(rest), spare))
        spare -= len(victims)
        stops += [(task, scaling) for task in (*idle, *victims)]

    # Too few.
    starts = 0
    if primary.rollout is not RolloutState.FAILED and now >= primary.next_start:
        starts = max(0, min(desired - len(fit), maximum - len(tasks)))

    # Unhealthy ones stop when others do their work, or when nothing else makes room.
    missing = desired - len(fit)
    if broken and (
        healthy >= desired or (missing > 0 and starts == 0 and maximum <= len(tasks))
    ):
        failed = broken[: max(1, healthy - desired + 1)]
        stops += [(task, "Task failed health checks") for task in failed]

    # Older ones stop as far as the new ones carry the load.
    for task in sorted(older, key=lambda task: task.is_healthy):
        if task.is_protected:
            continue
        if task.is_healthy:
            if not spare:
                continue
            spare -= 1
        stops.append((task, scaling))

    return SchedulingPlan(
        starts=starts,
        stops=tuple((task.id, reason) for task, reason in stops),
        is_complete=not older and not broken and healthy == len(fit) == desired,
    )


def count_failure(service: EcsService, primary: ServiceDeployment, now: float) -> bool:
    """Count a task that ended by itself; return whether the deployment failed by it."""
    primary.failures += 1
    pause = min(BACK_OFF_SECONDS, 2.0 ** (primary.failures - 1) - 1)
    primary.next_start = now + pause
    half = math.ceil(service.desired / 2)
    enough = min(FAILURES_AT_MOST, max(FAILURES_AT_LEAST, half))
    return (
        service.has_breaker
        and primary.rollout is RolloutState.IN_PROGRESS
        and primary.failures >= enough
    )
