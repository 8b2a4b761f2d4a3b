"""When a worker takes tasks and releases protection, by a clock of the test's own."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from fargate_runtime.contract import PROTECTION_MARGIN_MINUTES
from fargate_runtime.scaling_protocol import WorkerState
from fargate_runtime.worker.protection_state import (
    IDLE_SECONDS,
    PROTECTED_RETRY_SECONDS,
    REMIND_SECONDS,
    RENEW_SECONDS,
    UNPROTECTED_RETRY_SECONDS,
    AlreadyReleased,
    ProtectionState,
)

MINUTES = 30
BLOCKED = "DEPLOYMENT_BLOCKED: 3 second tasks are protected"


class ProtectionBench:
    """A state, the time, and an ECS that does as the test says."""

    def __init__(self, minutes: int | None = MINUTES, chance: float = 1.0) -> None:
        self.state = ProtectionState(
            minutes, logging.getLogger("state"), lambda: chance
        )
        self.time = 1_000_000.0
        self.mood = "grants"
        self.requests: list[tuple[float, bool]] = []
        self.is_protected = False

    def step(self, running: int = 0) -> None:
        self.time += 1
        self.state.observe(self.time, running)
        is_on = self.state.due(self.time)
        if is_on is None:
            return
        self.requests.append((self.time, is_on))
        if self.mood == "refuses":
            self.state.refused(self.time, is_on=is_on, reason=BLOCKED)
            return
        if self.mood in {"grants", "loses the answer"}:
            self.is_protected = is_on
        if self.mood == "grants":
            self.state.granted(self.time, requested_at=self.time, is_on=is_on)
        else:
            self.state.failed(
                self.time, requested_at=self.time, is_on=is_on, reason="timed out"
            )

    def pass_by(self, seconds: float, running: int = 0) -> None:
        for _ in range(int(seconds)):
            self.step(running)

    def worker_state(self) -> WorkerState:
        return self.state.worker_state(self.time)

    @property
    def accepts_tasks(self) -> bool:
        return self.state.may_consume(self.time)

    def pauses(self) -> Iterator[float]:
        """Give the seconds between first request and the next."""
        for first, second in zip(self.requests, self.requests[1:], strict=False):
            yield second[0] - first[0]


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_no_task_is_accepted_before_protection_is_granted() -> None:
    bench = ProtectionBench()
    bench.mood = "refuses"
    bench.pass_by(600)
    assert not bench.accepts_tasks
    assert bench.worker_state() is WorkerState.WAITING
    bench.mood = "grants"
    bench.pass_by(UNPROTECTED_RETRY_SECONDS)
    assert bench.accepts_tasks
    assert bench.worker_state() is WorkerState.READY


def test_refused_requests_are_retried_with_growing_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = ProtectionBench()
    bench.mood = "refuses"
    bench.pass_by(600)
    assert list(bench.pauses())[:5] == [1, 2, 4, 8, UNPROTECTED_RETRY_SECONDS]
    assert max(bench.pauses()) == UNPROTECTED_RETRY_SECONDS
    warnings = [line for line in caplog.messages if "DEPLOYMENT_BLOCKED" in line]
    assert 600 / REMIND_SECONDS - 1 <= len(warnings) <= 600 / REMIND_SECONDS + 1
    assert "Not accepting tasks: no task protection" in warnings[0]


def test_workers_retry_with_jitter() -> None:
    early, late = ProtectionBench(chance=0), ProtectionBench(chance=1)
    for bench in (early, late):
        bench.mood = "refuses"
        bench.pass_by(600)
    assert max(early.pauses()) == max(late.pauses()) / 2


def test_protection_is_renewed_long_before_it_expires() -> None:
    bench = ProtectionBench()
    bench.pass_by(3600, running=2)
    assert max(bench.pauses()) <= RENEW_SECONDS + 1
    # A task taken just before a renewal is covered whole.
    assert RENEW_SECONDS * 2 < PROTECTION_MARGIN_MINUTES * 60
    assert bench.accepts_tasks


def test_unanswered_renewals_stop_consumption_only_at_expiry(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = ProtectionBench()
    bench.pass_by(5)
    bench.mood = "is away"
    bench.pass_by(60 * MINUTES - 60, running=1)
    assert bench.accepts_tasks
    assert max(list(bench.pauses())[3:]) == PROTECTED_RETRY_SECONDS
    assert "Cannot renew task protection (timed out)" in caplog.text
    assert "Task protection expired" not in caplog.text
    bench.pass_by(120, running=1)
    assert not bench.accepts_tasks
    assert bench.worker_state() is WorkerState.WAITING
    lapsed = "Task protection expired with 1 tasks running; ECS may stop this worker."
    assert caplog.text.count(lapsed) == 1
    assert max(record.levelno for record in caplog.records) == logging.CRITICAL
    # It is never given up.
    bench.mood = "grants"
    bench.pass_by(UNPROTECTED_RETRY_SECONDS, running=1)
    assert bench.accepts_tasks


def test_expiry_without_tasks_is_an_error_and_not_critical(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = ProtectionBench()
    bench.pass_by(5)
    bench.mood = "is away"
    bench.pass_by(60 * MINUTES)
    assert "Task protection expired. Not accepting tasks" in caplog.text
    assert max(record.levelno for record in caplog.records) == logging.ERROR


def test_refused_renewals_stop_consumption_after_the_margin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # ECS refuses while it takes workers away; each finishes what it has and no more.
    bench = ProtectionBench()
    bench.pass_by(5)
    bench.mood = "refuses"
    bench.pass_by(60 * PROTECTION_MARGIN_MINUTES - 10, running=2)
    assert bench.accepts_tasks
    bench.pass_by(30, running=2)
    assert not bench.accepts_tasks
    assert bench.worker_state() is WorkerState.WAITING
    bench.pass_by(60, running=2)
    assert "Not accepting tasks; retrying." in caplog.text
    bench.mood = "grants"
    bench.pass_by(UNPROTECTED_RETRY_SECONDS, running=2)
    assert bench.accepts_tasks


def test_draining_workers_release_protection_only_when_idle() -> None:
    bench = ProtectionBench()
    bench.pass_by(5, running=2)
    bench.state.drain()
    assert not bench.accepts_tasks
    bench.pass_by(3600, running=1)
    assert bench.worker_state() is WorkerState.DRAINING
    assert bench.is_protected
    assert max(bench.pauses()) <= RENEW_SECONDS + 1
    bench.pass_by(IDLE_SECONDS - 1)
    bench.step(running=1)
    bench.pass_by(IDLE_SECONDS)
    assert bench.worker_state() is WorkerState.DRAINING
    bench.step()
    assert bench.worker_state() is WorkerState.RELEASED
    assert not bench.is_protected


def test_draining_is_idempotent() -> None:
    bench = ProtectionBench()
    bench.pass_by(5)
    bench.state.drain()
    bench.pass_by(IDLE_SECONDS)
    bench.state.drain()
    bench.step()
    assert bench.worker_state() is WorkerState.RELEASED
    bench.state.drain()
    assert bench.worker_state() is WorkerState.RELEASED


def test_draining_workers_can_be_revived() -> None:
    bench = ProtectionBench()
    bench.pass_by(5, running=1)
    bench.state.drain()
    bench.pass_by(60, running=1)
    bench.state.revive()
    assert bench.accepts_tasks
    bench.pass_by(60)
    assert bench.worker_state() is WorkerState.READY
    bench.state.revive()
    assert bench.worker_state() is WorkerState.READY


def test_released_workers_are_never_revived() -> None:
    bench = ProtectionBench()
    bench.pass_by(5)
    bench.state.drain()
    bench.pass_by(10)
    with pytest.raises(AlreadyReleased):
        bench.state.revive()
    requests = len(bench.requests)
    bench.pass_by(3600)
    assert not bench.accepts_tasks
    assert bench.worker_state() is WorkerState.RELEASED
    assert len(bench.requests) == requests


@pytest.mark.parametrize("mood", ["refuses", "is away", "loses the answer"])
def test_release_requests_are_irreversible(mood: str) -> None:
    # The answer may have got lost, and ECS may stop the worker at any moment.
    bench = ProtectionBench()
    bench.pass_by(5)
    bench.state.drain()
    bench.mood = mood
    bench.pass_by(30)
    assert bench.worker_state() is WorkerState.DRAINING
    with pytest.raises(AlreadyReleased):
        bench.state.revive()
    assert not bench.accepts_tasks
    bench.mood = "grants"
    bench.pass_by(UNPROTECTED_RETRY_SECONDS)
    assert bench.worker_state() is WorkerState.RELEASED


def test_late_grants_are_removed_while_releasing() -> None:
    bench = ProtectionBench()
    bench.pass_by(5)
    bench.state.drain()
    requested_at = bench.time
    bench.mood = "is away"
    bench.pass_by(IDLE_SECONDS + 1)
    bench.state.granted(bench.time, requested_at=requested_at, is_on=True)
    bench.mood = "grants"
    bench.step()
    assert bench.requests[-1][1] is False
    assert bench.worker_state() is WorkerState.RELEASED


def test_refused_releases_end_at_expiry() -> None:
    bench = ProtectionBench()
    bench.pass_by(5)
    bench.state.drain()
    bench.mood = "refuses"
    bench.pass_by(60 * MINUTES)
    assert bench.worker_state() is WorkerState.RELEASED


def test_grants_without_a_response_are_not_forgotten() -> None:
    bench = ProtectionBench()
    bench.mood = "loses the answer"
    bench.pass_by(5)
    assert bench.worker_state() is WorkerState.WAITING
    bench.state.drain()
    bench.mood = "refuses"
    bench.pass_by(60)
    assert bench.worker_state() is WorkerState.DRAINING
    bench.mood = "grants"
    bench.pass_by(UNPROTECTED_RETRY_SECONDS)
    assert bench.worker_state() is WorkerState.RELEASED
    assert not bench.is_protected


def test_unprotected_workers_are_released_without_a_request() -> None:
    bench = ProtectionBench()
    bench.mood = "refuses"
    bench.pass_by(60)
    bench.state.drain()
    bench.pass_by(IDLE_SECONDS + 1)
    assert bench.worker_state() is WorkerState.RELEASED
    assert all(is_on for _, is_on in bench.requests)


def test_without_ecs_nothing_is_requested_and_tasks_are_accepted() -> None:
    bench = ProtectionBench(minutes=None)
    bench.pass_by(3600, running=1)
    assert bench.accepts_tasks
    assert bench.worker_state() is WorkerState.READY
    bench.state.drain()
    bench.pass_by(IDLE_SECONDS + 2)
    assert bench.worker_state() is WorkerState.RELEASED
    assert bench.requests == []


def test_sleeping_machines_accept_no_tasks_until_protected_again() -> None:
    bench = ProtectionBench()
    bench.pass_by(5)
    bench.time += 24 * 3600
    assert not bench.accepts_tasks
    bench.step()
    assert bench.requests[-1] == (bench.time, True)
    assert bench.accepts_tasks


def test_pauses_between_requests_are_bounded() -> None:
    bench = ProtectionBench()
    bench.pass_by(5)
    assert 1 <= bench.state.pause(bench.time) <= 60
