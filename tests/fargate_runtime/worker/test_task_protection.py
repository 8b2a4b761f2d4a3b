"""The thread that keeps a worker protected, and what it answers for it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fargate_runtime.env import EnvError
from fargate_runtime.scaling_protocol import WorkerState
from fargate_runtime.worker import ecs_agent_client, task_protection
from fargate_runtime.worker.ecs_agent_client import (
    EcsAgentError,
    ProtectionDeniedError,
    TaskIdentity,
)
from fargate_runtime.worker.task_protection import (
    ProtectionSettings,
    ProtectionThread,
)

ON_ECS = {
    "WORKER_POOL": "default",
    "LONGEST_TASK_MINUTES": "720",
    "ECS_AGENT_URI": "http://169.254.170.2/api/token",
    "ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/token",
}
LOG = logging.getLogger("protection")


class AgentClient:
    """Stub of the ECS agent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        self.requests: list[Any] = []
        self.failures = 0
        monkeypatch.setattr(ecs_agent_client, "protect", self.protect)
        monkeypatch.setattr(ecs_agent_client, "unprotect", self.unprotect)
        monkeypatch.setattr(ecs_agent_client, "task_identity", self.identity)

    def protect(self, uri: str, *, minutes: int) -> None:
        self.requests.append((uri, minutes))
        self.fail()

    def unprotect(self, uri: str) -> None:
        self.requests.append((uri, 0))
        self.fail()

    def identity(self, uri: str) -> TaskIdentity:
        assert uri == ON_ECS["ECS_CONTAINER_METADATA_URI_V4"]
        self.fail()
        return TaskIdentity(task="0123", created=7.5)

    def fail(self) -> None:
        if self.error:
            self.failures += 1
            raise self.error


@pytest.fixture
def ecs(monkeypatch: pytest.MonkeyPatch) -> AgentClient:
    # A fork waits for every thread ever created; those of the tests are not in the way.
    monkeypatch.setattr(os, "register_at_fork", lambda **_: None)
    monkeypatch.setattr(task_protection, "ERROR_RETRY_SECONDS", 0.05)
    return AgentClient(monkeypatch)


def until(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)


def started(environ: Mapping[str, str]) -> ProtectionThread:
    thread = ProtectionThread(ProtectionSettings.from_environ(environ), LOG)
    thread.start()
    return thread


def test_worker_is_identified_and_protected_before_it_may_consume(
    ecs: AgentClient,
) -> None:
    ecs.error = EcsAgentError("not yet")
    thread = started(ON_ECS)
    until(lambda: ecs.failures > 1)
    assert thread.report() is None
    assert not thread.may_consume()
    assert ecs.requests == []

    ecs.error = None
    until(thread.may_consume)
    assert ecs.requests == [(ON_ECS["ECS_AGENT_URI"], 730)]
    thread.observe(3)
    report = thread.report()
    assert report is not None
    assert (report.pool, report.task) == ("default", "0123")
    assert (report.state, report.running, report.created) == (WorkerState.READY, 3, 7.5)
    assert report.host
    assert report.since == pytest.approx(time.time(), abs=5)


def test_refused_workers_are_waiting(ecs: AgentClient) -> None:
    thread = ProtectionThread(ProtectionSettings.from_environ(ON_ECS), LOG)
    thread._identify()
    ecs.error = ProtectionDeniedError("DEPLOYMENT_BLOCKED", "too many")
    assert thread._step() >= 0.5
    report = thread.report()
    assert report is not None
    assert report.state is WorkerState.WAITING
    assert not thread.may_consume()


def test_drained_idle_worker_is_unprotected_at_once(
    ecs: AgentClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(task_protection, "now", lambda: clock[0])
    thread = started(ON_ECS)
    until(thread.may_consume)
    thread.drain()
    thread.observe(0)
    clock[0] += 5
    # The thread sleeps until the next renewal; it is woken.
    thread.observe(0)
    until(lambda: ecs.requests[-1][1] == 0)
    until(lambda: (report := thread.report()) and report.state is WorkerState.RELEASED)


def test_workers_without_ecs_are_ready(ecs: AgentClient) -> None:
    thread = started({"WORKER_POOL": "default"})
    until(thread.may_consume)
    report = thread.report()
    assert report is not None
    assert report.state is WorkerState.READY
    assert ecs.requests == []


def test_unexpected_errors_do_not_end_the_protection_thread(
    ecs: AgentClient,
) -> None:
    ecs.error = KeyError("never thought of")
    thread = started(ON_ECS)
    until(lambda: ecs.failures > 1)
    ecs.error = None
    until(thread.may_consume)


def test_fork_waits_until_the_thread_holds_no_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hooks: dict[str, Callable[[], Any]] = {}
    monkeypatch.setattr(
        os, "register_at_fork", lambda **callbacks: hooks.update(callbacks)
    )
    thread = ProtectionThread(
        ProtectionSettings.from_environ({"WORKER_POOL": "default"}), LOG
    )
    order: list[str] = []

    def fork() -> None:
        hooks["before"]()
        order.append("fork")

    with thread._lock:
        forking = threading.Thread(target=fork)
        forking.start()
        time.sleep(0.1)
        order.append("logged")
    forking.join(5)
    assert order == ["logged", "fork"]
    assert set(hooks) == {"before", "after_in_parent", "after_in_child"}


@pytest.mark.parametrize(
    ("longest", "requests"), [("1", 11), ("720", 730), ("2820", 2830), ("2880", 2880)]
)
def test_protection_outlasts_the_longest_task_as_far_as_ecs_allows(
    longest: str, requests: int
) -> None:
    assert (
        ProtectionSettings.from_environ(
            {**ON_ECS, "LONGEST_TASK_MINUTES": longest}
        ).minutes
        == requests
    )


@pytest.mark.parametrize("longest", ["0", "2881", "-5", "1.5", "long", ""])
def test_invalid_durations_end_the_worker(longest: str) -> None:
    with pytest.raises(EnvError, match="LONGEST_TASK_MINUTES"):
        ProtectionSettings.from_environ({**ON_ECS, "LONGEST_TASK_MINUTES": longest})


@pytest.mark.parametrize(
    "missing", ["WORKER_POOL", "LONGEST_TASK_MINUTES", "ECS_CONTAINER_METADATA_URI_V4"]
)
def test_missing_worker_variables_are_named(missing: str) -> None:
    environ = {name: value for name, value in ON_ECS.items() if name != missing}
    with pytest.raises(EnvError, match=missing):
        ProtectionSettings.from_environ(environ)


def test_clock_cannot_be_set() -> None:
    first = task_protection.now()
    assert 0 <= task_protection.now() - first < 1
    assert task_protection.now() >= time.monotonic() - 1
