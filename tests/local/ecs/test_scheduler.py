"""The service scheduler's decisions, for any state of a service."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from local.ecs.model import EcsService
from local.ecs.scheduler import (
    RolloutState,
    ServiceDeployment,
    TaskCandidate,
    count_failure,
    plan,
)

NEW, OLD = "new", "old"


def service(desired: int) -> EcsService:
    return EcsService(
        arn="service",
        name="web",
        cluster_arn="cluster",
        desired=desired,
        definition_arn="demo:2",
        deployment_id=NEW,
        has_breaker=True,
    )


def deployment() -> ServiceDeployment:
    return ServiceDeployment(id=NEW, definition_arn="demo:2", created=0)


def first(tasks: Sequence[TaskCandidate], count: int) -> Sequence[TaskCandidate]:
    return tasks[:count]


@st.composite
def situations(draw: st.DrawFn) -> list[TaskCandidate]:
    candidates = []
    for number in range(draw(st.integers(0, 8))):
        state = draw(st.sampled_from(["new", "healthy", "unhealthy"]))
        candidates.append(
            TaskCandidate(
                id=str(number),
                deployment_id=draw(st.sampled_from([NEW, OLD])),
                is_healthy=state == "healthy",
                is_unhealthy=state == "unhealthy",
                is_protected=draw(st.booleans()),
            )
        )
    return candidates


@given(st.integers(0, 5), situations())
def test_protected_tasks_are_not_stopped(
    desired: int, tasks: list[TaskCandidate]
) -> None:
    step = plan(service(desired), deployment(), tasks, 0, first)
    by_id = {task.id: task for task in tasks}
    for task_id, reason in step.stops:
        assert not by_id[task_id].is_protected or reason == "Task failed health checks"


@given(st.integers(0, 5), situations())
def test_starts_stay_below_the_maximum_percent(
    desired: int, tasks: list[TaskCandidate]
) -> None:
    step = plan(service(desired), deployment(), tasks, 0, first)
    if step.starts:
        assert len(tasks) + step.starts <= 2 * desired


@given(st.integers(0, 5), situations())
def test_healthy_tasks_stop_only_if_enough_others_are_healthy(
    desired: int, tasks: list[TaskCandidate]
) -> None:
    step = plan(service(desired), deployment(), tasks, 0, first)
    going = {task_id for task_id, _ in step.stops}
    well = [task for task in tasks if task.is_healthy]
    if any(task.id in going for task in well):
        assert sum(task.id not in going for task in well) >= desired


@given(st.integers(0, 5), situations())
def test_deployment_always_completes(desired: int, tasks: list[TaskCandidate]) -> None:
    """With tasks that turn healthy and protections that end, the release completes."""
    desired_service, release = service(desired), deployment()
    number = 100
    for _ in range(40):
        step = plan(desired_service, release, tasks, 0, first)
        if step.is_complete:
            break
        going = {task_id for task_id, _ in step.stops}
        tasks = [
            TaskCandidate(
                id=task.id,
                deployment_id=task.deployment_id,
                is_healthy=not task.is_unhealthy,
                is_unhealthy=task.is_unhealthy,
                is_protected=False,
            )
            for task in tasks
            if task.id not in going
        ]
        for _ in range(step.starts):
            number += 1
            tasks.append(
                TaskCandidate(
                    id=str(number),
                    deployment_id=NEW,
                    is_healthy=False,
                    is_unhealthy=False,
                    is_protected=False,
                )
            )
    assert step.is_complete
    assert [task.deployment_id for task in tasks] == [NEW] * desired


def test_repeated_failures_fail_the_deployment() -> None:
    release = deployment()
    assert not count_failure(service(1), release, 100)
    assert release.next_start == 100  # the first failure is not waited for
    assert not count_failure(service(1), release, 100)
    assert release.next_start == 101
    assert count_failure(service(1), release, 100)


def test_completed_deployment_does_not_fail() -> None:
    release = deployment()
    release.rollout = RolloutState.COMPLETED
    assert not any(count_failure(service(1), release, 0) for _ in range(20))
    assert release.next_start == 60  # and its pauses have an end
