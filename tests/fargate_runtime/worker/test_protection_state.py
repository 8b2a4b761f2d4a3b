"""When a worker takes tasks and how it lets go, by a clock of the test's own."""

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
BLOCKED = "DEPLOYMENT_BLOCKED: 3 other tasks are protected"


class Drive:
    """A state, the time, and an ECS that does as the test says."""

    def __init__(self, minutes: int | None = MINUTES, chance: float = 1.0) -> None:
        self.state = ProtectionState(
            minutes, logging.getLogger("state"), lambda: chance
        )
        self.time = 1_000_000.0
        self.mood = "grants"
        self.asked: list[tuple[float, bool]] = []
        self.is_protected = False

    def step(self, running: int = 0) -> None:
        """Let one second pass."""
        self.time += 1
        self.state.observe(self.time, running)
        is_on = self.state.due(self.time)
        if is_on is None:
            return
        self.asked.append((self.time, is_on))
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
        """Let time pass, a second each."""
        for _ in range(int(seconds)):
            self.step(running)

    def worker_state(self) -> WorkerState:
        return self.state.worker_state(self.time)

    @property
    def accepts_tasks(self) -> bool:
        return self.state.may_consume(self.time)

    def pauses(self) -> Iterator[float]:
        """Give the seconds between one request and the next."""
        for one, other in zip(self.asked, self.asked[1:], strict=False):
            yield other[0] - one[0]


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_no_task_is_accepted_before_protection_is_granted() -> None:
    drive = Drive()
    drive.mood = "refuses"
    drive.pass_by(600)
    assert not drive.accepts_tasks
    assert drive.worker_state() is WorkerState.WAITING
    drive.mood = "grants"
    drive.pass_by(UNPROTECTED_RETRY_SECONDS)
    assert drive.accepts_tasks
    assert drive.worker_state() is WorkerState.READY


def test_refused_requests_are_retried_with_growing_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drive = Drive()
    drive.mood = "refuses"
    drive.pass_by(600)
    assert list(drive.pauses())[:5] == [1, 2, 4, 8, UNPROTECTED_RETRY_SECONDS]
    assert max(drive.pauses()) == UNPROTECTED_RETRY_SECONDS
    said = [line for line in caplog.messages if "DEPLOYMENT_BLOCKED" in line]
    assert 600 / REMIND_SECONDS - 1 <= len(said) <= 600 / REMIND_SECONDS + 1
    assert "Not accepting tasks: no task protection" in said[0]


def test_workers_retry_with_jitter() -> None:
    early, late = Drive(chance=0), Drive(chance=1)
    for drive in (early, late):
        drive.mood = "refuses"
        drive.pass_by(600)
    assert max(early.pauses()) == max(late.pauses()) / 2


def test_protection_is_renewed_long_before_it_expires() -> None:
    drive = Drive()
    drive.pass_by(3600, running=2)
    assert max(drive.pauses()) <= RENEW_SECONDS + 1
    # A task taken just before a renewal is covered whole.
    assert RENEW_SECONDS * 2 < PROTECTION_MARGIN_MINUTES * 60
    assert drive.accepts_tasks


def test_unanswered_renewals_stop_consumption_only_at_expiry(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.mood = "is away"
    drive.pass_by(60 * MINUTES - 60, running=1)
    assert drive.accepts_tasks
    assert max(list(drive.pauses())[3:]) == PROTECTED_RETRY_SECONDS
    assert "Cannot renew task protection (timed out)" in caplog.text
    assert "Task protection expired" not in caplog.text
    drive.pass_by(120, running=1)
    assert not drive.accepts_tasks
    assert drive.worker_state() is WorkerState.WAITING
    lapsed = "Task protection expired with 1 tasks running; ECS may stop this worker."
    assert caplog.text.count(lapsed) == 1
    assert max(record.levelno for record in caplog.records) == logging.CRITICAL
    # It is never given up.
    drive.mood = "grants"
    drive.pass_by(UNPROTECTED_RETRY_SECONDS, running=1)
    assert drive.accepts_tasks


def test_expiry_without_tasks_is_an_error_and_not_critical(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.mood = "is away"
    drive.pass_by(60 * MINUTES)
    assert "Task protection expired. Not accepting tasks" in caplog.text
    assert max(record.levelno for record in caplog.records) == logging.ERROR


def test_refused_renewals_stop_consumption_after_the_margin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # ECS refuses while it takes workers away; each finishes what it has and no more.
    drive = Drive()
    drive.pass_by(5)
    drive.mood = "refuses"
    drive.pass_by(60 * PROTECTION_MARGIN_MINUTES - 10, running=2)
    assert drive.accepts_tasks
    drive.pass_by(30, running=2)
    assert not drive.accepts_tasks
    assert drive.worker_state() is WorkerState.WAITING
    drive.pass_by(60, running=2)
    assert "Not accepting tasks; retrying." in caplog.text
    drive.mood = "grants"
    drive.pass_by(UNPROTECTED_RETRY_SECONDS, running=2)
    assert drive.accepts_tasks


def test_draining_workers_release_protection_only_when_idle() -> None:
    drive = Drive()
    drive.pass_by(5, running=2)
    drive.state.drain()
    assert not drive.accepts_tasks
    drive.pass_by(3600, running=1)
    assert drive.worker_state() is WorkerState.DRAINING
    assert drive.is_protected
    assert max(drive.pauses()) <= RENEW_SECONDS + 1
    drive.pass_by(IDLE_SECONDS - 1)
    drive.step(running=1)
    drive.pass_by(IDLE_SECONDS)
    assert drive.worker_state() is WorkerState.DRAINING
    drive.step()
    assert drive.worker_state() is WorkerState.RELEASED
    assert not drive.is_protected


def test_draining_is_idempotent() -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.state.drain()
    drive.pass_by(IDLE_SECONDS)
    drive.state.drain()
    drive.step()
    assert drive.worker_state() is WorkerState.RELEASED
    drive.state.drain()
    assert drive.worker_state() is WorkerState.RELEASED


def test_draining_workers_can_be_revived() -> None:
    drive = Drive()
    drive.pass_by(5, running=1)
    drive.state.drain()
    drive.pass_by(60, running=1)
    drive.state.revive()
    assert drive.accepts_tasks
    drive.pass_by(60)
    assert drive.worker_state() is WorkerState.READY
    drive.state.revive()
    assert drive.worker_state() is WorkerState.READY


def test_released_workers_are_never_revived() -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.state.drain()
    drive.pass_by(10)
    with pytest.raises(AlreadyReleased):
        drive.state.revive()
    asked = len(drive.asked)
    drive.pass_by(3600)
    assert not drive.accepts_tasks
    assert drive.worker_state() is WorkerState.RELEASED
    assert len(drive.asked) == asked


@pytest.mark.parametrize("mood", ["refuses", "is away", "loses the answer"])
def test_release_requests_are_irreversible(mood: str) -> None:
    # The answer may have got lost, and ECS may stop the worker at any moment.
    drive = Drive()
    drive.pass_by(5)
    drive.state.drain()
    drive.mood = mood
    drive.pass_by(30)
    assert drive.worker_state() is WorkerState.DRAINING
    with pytest.raises(AlreadyReleased):
        drive.state.revive()
    assert not drive.accepts_tasks
    drive.mood = "grants"
    drive.pass_by(UNPROTECTED_RETRY_SECONDS)
    assert drive.worker_state() is WorkerState.RELEASED


def test_late_grants_are_removed_while_releasing() -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.state.drain()
    requested_at = drive.time
    drive.mood = "is away"
    drive.pass_by(IDLE_SECONDS + 1)
    drive.state.granted(drive.time, requested_at=requested_at, is_on=True)
    drive.mood = "grants"
    drive.step()
    assert drive.asked[-1][1] is False
    assert drive.worker_state() is WorkerState.RELEASED


def test_refused_releases_end_at_expiry() -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.state.drain()
    drive.mood = "refuses"
    drive.pass_by(60 * MINUTES)
    assert drive.worker_state() is WorkerState.RELEASED


def test_grants_without_a_response_are_not_forgotten() -> None:
    drive = Drive()
    drive.mood = "loses the answer"
    drive.pass_by(5)
    assert drive.worker_state() is WorkerState.WAITING
    drive.state.drain()
    drive.mood = "refuses"
    drive.pass_by(60)
    assert drive.worker_state() is WorkerState.DRAINING
    drive.mood = "grants"
    drive.pass_by(UNPROTECTED_RETRY_SECONDS)
    assert drive.worker_state() is WorkerState.RELEASED
    assert not drive.is_protected


def test_unprotected_workers_are_released_without_a_request() -> None:
    drive = Drive()
    drive.mood = "refuses"
    drive.pass_by(60)
    drive.state.drain()
    drive.pass_by(IDLE_SECONDS + 1)
    assert drive.worker_state() is WorkerState.RELEASED
    assert all(is_on for _, is_on in drive.asked)


def test_without_ecs_nothing_is_requested_and_tasks_are_accepted() -> None:
    drive = Drive(minutes=None)
    drive.pass_by(3600, running=1)
    assert drive.accepts_tasks
    assert drive.worker_state() is WorkerState.READY
    drive.state.drain()
    drive.pass_by(IDLE_SECONDS + 2)
    assert drive.worker_state() is WorkerState.RELEASED
    assert drive.asked == []


def test_sleeping_machines_accept_no_tasks_until_protected_again() -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.time += 24 * 3600
    assert not drive.accepts_tasks
    drive.step()
    assert drive.asked[-1] == (drive.time, True)
    assert drive.accepts_tasks


def test_pauses_between_requests_are_bounded() -> None:
    drive = Drive()
    drive.pass_by(5)
    assert 1 <= drive.state.pause(drive.time) <= 60
