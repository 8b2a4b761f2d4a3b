"""Services: desired counts, deployments, failures and rollback."""

# ruff: noqa: S108 - paths of the container, each task has its own

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ecs import EcsAgent
from local.ecs.model import ContainerHealthCheck
from local.ecs.scheduler import RolloutState
from tests.local.ecs.fakes import FakeEmulator, app, arn, settings, tasks, until

pytestmark = pytest.mark.slow

STEADY = app()


def releases(agent: EcsAgent) -> list[str]:
    return [task.definition.revision for task in tasks(agent)]


def test_service_follows_its_desired_count(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    emulator.serve(emulator.define(1, STEADY), 1)
    until(lambda: len(tasks(agent)) == 1)
    emulator.scale(3)
    until(lambda: len(tasks(agent)) == 3)
    until(agent.is_steady)
    emulator.scale(0)
    until(lambda: len(tasks(agent, "STOPPED")) == 3)
    assert {task.stop_code for task in tasks(agent, "STOPPED")} == {
        "ServiceSchedulerInitiated"
    }


def test_killed_container_is_replaced(agent: EcsAgent, emulator: FakeEmulator) -> None:
    emulator.serve(emulator.define(1, STEADY))
    first = until(lambda: tasks(agent))[0]
    row = until(lambda: next((r for r in agent.task_rows() if r.pids), None))
    os.kill(row.pids[0], signal.SIGKILL)
    until(lambda: first.is_over)
    assert first.containers[0].exit_code == 137
    second = until(lambda: tasks(agent))[0]
    assert second.id != first.id


def test_protected_tasks_survive_a_scale_in(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    emulator.serve(emulator.define(1, STEADY), 4)
    until(lambda: len(tasks(agent)) == 4)
    protected = tasks(agent)[:2]
    for task in protected:
        agent.registry.protect(task, is_enabled=True, minutes=5)
    emulator.scale(2)
    until(lambda: len(tasks(agent)) == 2)
    assert tasks(agent) == protected
    until(agent.is_steady)
    emulator.scale(1)
    until(lambda: next(iter(agent.registry.services.values())).service.desired == 1)
    until(agent.is_steady)
    assert tasks(agent) == protected


def test_deployment_starts_new_tasks_before_it_stops_old_ones(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    check = ContainerHealthCheck(
        command=("CMD-SHELL", "test -e /tmp/ready"), interval=0.05, start_period=60
    )
    slow = app(health=check)
    emulator.serve(emulator.define(1, STEADY), 2)
    until(agent.is_steady)
    emulator.serve(emulator.define(2, slow), 2)
    until(lambda: sorted(releases(agent)) == ["1", "1", "2", "2"])
    assert not agent.is_steady()
    for task in tasks(agent):
        task.sandbox.folders.outside("/tmp/ready").touch()
    until(lambda: releases(agent) == ["2", "2"])
    until(agent.is_steady)


def test_deployment_waits_for_protected_tasks(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    emulator.serve(emulator.define(1, STEADY), 1)
    old = until(lambda: tasks(agent))[0]
    agent.registry.protect(old, is_enabled=True, minutes=5)
    emulator.serve(emulator.define(2, STEADY), 1)
    until(lambda: sorted(releases(agent)) == ["1", "2"])
    assert agent.unsteady_services()
    assert not agent.is_steady()
    agent.registry.protect(old, is_enabled=False, minutes=None)
    until(agent.is_steady)
    assert releases(agent) == ["2"]


@pytest.fixture
def patient(emulator: FakeEmulator, tmp_path: Path) -> Iterator[EcsAgent]:
    """Give an agent for tasks that a busy machine is slow to end."""
    with EcsAgent(settings(tmp_path, settled_seconds=4), emulator=emulator) as agent:
        yield agent


def test_failed_deployment_is_rolled_back(
    patient: EcsAgent, emulator: FakeEmulator
) -> None:
    agent = patient
    emulator.serve(emulator.define(1, STEADY), 1, has_breaker=True)
    until(agent.is_steady)
    old = tasks(agent)[0]
    broken = app("import sys; sys.exit(1)")
    emulator.serve(emulator.define(2, broken), 1, has_breaker=True)
    state = next(iter(agent.registry.services.values()))
    until(lambda: any("rolling back" in text for _, text in state.events), 60)
    until(lambda: emulator.desired_services["web"].definition_arn == arn(1))
    until(agent.is_steady)
    # A rollback is a new deployment: its own task replaces that of the first one.
    (task,) = tasks(agent)
    assert task.definition is old.definition
    assert task.started_by == state.primary.id != old.started_by
    failed = [task for task in tasks(agent, "STOPPED") if task is not old]
    assert len(failed) == 3
    assert {task.definition.revision for task in failed} == {"2"}


def test_failed_first_deployment_stops(
    patient: EcsAgent, emulator: FakeEmulator
) -> None:
    agent = patient
    broken = app("import sys; sys.exit(1)")
    emulator.serve(emulator.define(1, broken), 1, has_breaker=True)
    state = until(lambda: list(agent.registry.services.values()))[0]
    until(lambda: state.primary.rollout is RolloutState.FAILED, 60)
    assert len(tasks(agent, "STOPPED")) == 3


def test_unhealthy_task_runs_until_its_replacement_is_healthy(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    check = ContainerHealthCheck(
        command=("CMD-SHELL", "test -e /tmp/well"),
        interval=0.05,
        retries=2,
        start_period=30,
    )
    emulator.serve(emulator.define(1, app(health=check)))
    first = until(lambda: tasks(agent))[0]
    well = first.sandbox.folders.outside("/tmp/well")
    well.touch()
    until(lambda: first.is_healthy)
    checker = first.containers[0].checker
    assert checker is not None
    checker._started -= 60
    well.unlink()
    second = until(lambda: [task for task in tasks(agent) if task is not first])[0]
    assert first.should_run
    second.sandbox.folders.outside("/tmp/well").touch()
    until(lambda: first.is_over)
    assert first.stopped_reason == "Task failed container health checks"
    assert second.is_healthy


def test_deleted_services_tasks_stop(agent: EcsAgent, emulator: FakeEmulator) -> None:
    emulator.serve(emulator.define(1, STEADY), 2)
    until(lambda: len(tasks(agent)) == 2)
    emulator.desired_services.clear()
    until(lambda: len(tasks(agent, "STOPPED")) == 2)
