"""Services: counts, releases and what becomes of a bad one."""

# ruff: noqa: S108 - paths of the container, each task has its own

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.ecs import Agent
from local.ecs.model import Container, HealthCheck
from local.ecs.scheduler import Rollout
from tests.local.ecs.fakes import (
    FOREVER,
    FakeEmulator,
    arn,
    script,
    settings,
    tasks,
    until,
)

pytestmark = pytest.mark.slow

STEADY = Container(name="app", command=script(FOREVER))


def releases(agent: Agent) -> list[str]:
    return [task.definition.revision for task in tasks(agent)]


def test_a_service_follows_its_desired_count(
    agent: Agent, emulator: FakeEmulator
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


def test_a_killed_container_is_replaced(agent: Agent, emulator: FakeEmulator) -> None:
    emulator.serve(emulator.define(1, STEADY))
    first = until(lambda: tasks(agent))[0]
    row = until(lambda: next((r for r in agent.rows() if r.pids), None))
    os.kill(row.pids[0], signal.SIGKILL)
    until(lambda: first.is_over)
    assert first.containers[0].exit_code == 137
    second = until(lambda: tasks(agent))[0]
    assert second.id != first.id


def test_protected_tasks_are_not_chosen_on_scale_in(
    agent: Agent, emulator: FakeEmulator
) -> None:
    emulator.serve(emulator.define(1, STEADY), 4)
    until(lambda: len(tasks(agent)) == 4)
    kept = tasks(agent)[:2]
    for task in kept:
        agent.protect(task, is_wanted=True, minutes=5)
    emulator.scale(2)
    until(lambda: len(tasks(agent)) == 2)
    assert tasks(agent) == kept


def test_a_release_starts_the_new_before_it_stops_the_old(
    agent: Agent, emulator: FakeEmulator
) -> None:
    check = HealthCheck(
        command=("CMD-SHELL", "test -e /tmp/ready"), interval=0.05, start_period=60
    )
    slow = Container(name="app", command=script(FOREVER), health=check)
    emulator.serve(emulator.define(1, STEADY), 2)
    until(agent.is_steady)
    emulator.serve(emulator.define(2, slow), 2)
    until(lambda: sorted(releases(agent)) == ["1", "1", "2", "2"])
    assert not agent.is_steady()
    for task in tasks(agent):
        task.place.folders.outside("/tmp/ready").touch()
    until(lambda: releases(agent) == ["2", "2"])
    until(agent.is_steady)


def test_a_release_waits_for_protected_tasks(
    agent: Agent, emulator: FakeEmulator
) -> None:
    emulator.serve(emulator.define(1, STEADY), 1)
    old = until(lambda: tasks(agent))[0]
    agent.protect(old, is_wanted=True, minutes=5)
    emulator.serve(emulator.define(2, STEADY), 1)
    until(lambda: sorted(releases(agent)) == ["1", "2"])
    assert not agent.is_steady()
    agent.protect(old, is_wanted=False, minutes=None)
    until(agent.is_steady)
    assert releases(agent) == ["2"]


@pytest.fixture
def patient(emulator: FakeEmulator, tmp_path: Path) -> Iterator[Agent]:
    """Give an agent that takes nothing for well that a busy machine is slow to end."""
    with Agent(settings(tmp_path, settled_seconds=4), emulator=emulator) as made:
        yield made


def test_a_release_that_never_starts_is_rolled_back(
    patient: Agent, emulator: FakeEmulator
) -> None:
    agent = patient
    emulator.serve(emulator.define(1, STEADY), 1, has_breaker=True)
    until(agent.is_steady)
    old = tasks(agent)[0]
    broken = Container(name="app", command=script("import sys; sys.exit(1)"))
    emulator.serve(emulator.define(2, broken), 1, has_breaker=True)
    kept = next(iter(agent.services.kept.values()))
    until(lambda: any("rolling back" in text for _, text in kept.events), 60)
    until(lambda: emulator.asked["web"].definition_arn == arn(1))
    until(agent.is_steady)
    # The task of the last good release went on all the time.
    assert tasks(agent) == [old]
    failed = tasks(agent, "STOPPED")
    assert len(failed) == 3
    assert {task.definition.revision for task in failed} == {"2"}


def test_without_a_last_good_release_a_failed_one_just_stops(
    patient: Agent, emulator: FakeEmulator
) -> None:
    agent = patient
    broken = Container(name="app", command=script("import sys; sys.exit(1)"))
    emulator.serve(emulator.define(1, broken), 1, has_breaker=True)
    kept = until(lambda: list(agent.services.kept.values()))[0]
    until(lambda: kept.primary.rollout is Rollout.FAILED, 60)
    assert len(tasks(agent, "STOPPED")) == 3


def test_an_unhealthy_task_stays_until_its_replacement_is_well(
    agent: Agent, emulator: FakeEmulator
) -> None:
    check = HealthCheck(
        command=("CMD-SHELL", "test -e /tmp/well"),
        interval=0.05,
        retries=2,
        start_period=30,
    )
    emulator.serve(
        emulator.define(1, Container(name="app", command=script(FOREVER), health=check))
    )
    first = until(lambda: tasks(agent))[0]
    well = first.place.folders.outside("/tmp/well")
    well.touch()
    until(lambda: first.is_healthy)
    checkup = first.containers[0].checkup
    assert checkup is not None
    checkup._started -= 60
    well.unlink()
    second = until(lambda: [one for one in tasks(agent) if one is not first])[0]
    assert first.is_wanted
    second.place.folders.outside("/tmp/well").touch()
    until(lambda: first.is_over)
    assert first.stopped_reason == "Task failed container health checks"
    assert second.is_healthy


def test_a_deleted_service_takes_its_tasks_along(
    agent: Agent, emulator: FakeEmulator
) -> None:
    emulator.serve(emulator.define(1, STEADY), 2)
    until(lambda: len(tasks(agent)) == 2)
    emulator.asked.clear()
    until(lambda: len(tasks(agent, "STOPPED")) == 2)
