"""What the service scheduler does next: a pure decision.

It follows the rolling update of ECS: new tasks first as far as ``maximumPercent``
allows, old ones go as soon as enough are healthy, an unhealthy task stays until its
replacement is well. The victims of a scale-in are chosen by the caller's ``choose``,
because ECS promises no order; only that no protected task is among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from local.ecs.model import Service

FAILURES_AT_LEAST, FAILURES_AT_MOST = 3, 200
"""Bounds of the circuit breaker; half the desired count in between."""

BACK_OFF_SECONDS = 60
"""The longest pause before another attempt. ECS waits up to 27 minutes; nobody who
watches a rehearsal would."""


class Rollout(Enum):
    """How a deployment stands."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass
class Deployment:
    """One release of a service."""

    id: str
    definition_arn: str
    created: float
    rollout: Rollout = Rollout.IN_PROGRESS
    reason: str = ""
    failures: int = 0
    """In a row; a healthy task begins the count anew."""
    next_start: float = 0
    """Not before: the pause after failures."""


@dataclass(frozen=True)
class Candidate:
    """A task of the service that is not on its way out."""

    id: str
    deployment_id: str
    is_healthy: bool
    is_unhealthy: bool
    """Not the opposite of healthy: a new task is neither."""
    is_protected: bool


@dataclass(frozen=True)
class Plan:
    """What to do now."""

    starts: int = 0
    stops: tuple[tuple[str, str], ...] = ()
    """Task and reason."""
    is_complete: bool = False


Choose = Callable[[Sequence[Candidate], int], Sequence[Candidate]]


@dataclass
class _Planning:
    """What was decided so far."""

    stops: list[tuple[str, str]] = field(default_factory=list)

    def stop(self, tasks: Sequence[Candidate], reason: str) -> None:
        self.stops += [(task.id, reason) for task in tasks]


def plan(
    service: Service,
    primary: Deployment,
    tasks: Sequence[Candidate],
    now: float,
    choose: Choose,
) -> Plan:
    """Return what brings the service nearer to what it should be."""
    desired = service.desired
    current = [task for task in tasks if task.deployment_id == primary.id]
    older = [task for task in tasks if task.deployment_id != primary.id]
    fit = [task for task in current if not task.is_unhealthy]
    broken = [task for task in current if task.is_unhealthy]
    most = max(1, desired * service.maximum_percent // 100) if desired else 0
    least = math.ceil(desired * service.minimum_percent / 100)
    decided = _Planning()

    # How many healthy tasks may go.
    well = sum(task.is_healthy for task in fit)
    spare = max(0, well + sum(task.is_healthy for task in older) - least)

    # More than wanted: the ones that do no work yet first.
    excess = len(fit) - desired
    if excess > 0:
        free = [task for task in fit if not task.is_protected]
        idle = [task for task in free if not task.is_healthy][:excess]
        rest = [task for task in free if task.is_healthy]
        victims = choose(rest, min(excess - len(idle), len(rest), spare))
        spare -= len(victims)
        chosen = [*idle, *victims]
        decided.stop(chosen, f"Scaling activity initiated by (deployment {primary.id})")

    # Fewer than wanted.
    starts = 0
    if primary.rollout is not Rollout.FAILED and now >= primary.next_start:
        starts = max(0, min(desired - len(fit), most - len(tasks)))

    # The unhealthy go when others do their work, or when nothing else makes room.
    missing = desired - len(fit)
    if broken and (
        well >= desired or (missing > 0 and starts == 0 and most <= len(tasks))
    ):
        decided.stop(broken[: max(1, well - desired + 1)], "Task failed health checks")

    # The older ones go as far as the new ones carry the load.
    for task in sorted(older, key=lambda one: one.is_healthy):
        if task.is_protected:
            continue
        if task.is_healthy:
            if not spare:
                continue
            spare -= 1
        decided.stop([task], f"Scaling activity initiated by (deployment {primary.id})")

    return Plan(
        starts=starts,
        stops=tuple(decided.stops),
        is_complete=not older and not broken and well == len(fit) == desired,
    )


def count_failure(service: Service, primary: Deployment, now: float) -> bool:
    """Count a task that ended by itself; return whether the deployment failed by it."""
    primary.failures += 1
    pause = min(BACK_OFF_SECONDS, 2.0 ** (primary.failures - 1) - 1)
    primary.next_start = now + pause
    half = math.ceil(service.desired / 2)
    enough = min(FAILURES_AT_MOST, max(FAILURES_AT_LEAST, half))
    return (
        service.has_breaker
        and primary.rollout is Rollout.IN_PROGRESS
        and primary.failures >= enough
    )
