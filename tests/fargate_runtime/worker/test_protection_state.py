"""When a worker takes tasks and how it lets go, by a clock of the test's own."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from fargate_runtime.scaling_protocol import Phase
from fargate_runtime.worker.protection_state import (
    BARE_RETRY_SECONDS,
    COVERED_RETRY_SECONDS,
    MARGIN_MINUTES,
    QUIET_SECONDS,
    REMIND_SECONDS,
    RENEW_SECONDS,
    Gone,
    Life,
)

MINUTES = 30
BLOCKED = "DEPLOYMENT_BLOCKED: 3 other tasks are protected"


class Drive:
    """A life, the time, and an ECS that does as the test says."""

    def __init__(self, minutes: int | None = MINUTES, chance: float = 1.0) -> None:
        self.life = Life(minutes, logging.getLogger("life"), lambda: chance)
        self.time = 1_000_000.0
        self.mood = "grants"
        self.asked: list[tuple[float, bool]] = []
        self.is_protected = False

    def step(self, running: int = 0) -> None:
        """Let one second pass."""
        self.time += 1
        self.life.observe(self.time, running)
        is_on = self.life.due(self.time)
        if is_on is None:
            return
        self.asked.append((self.time, is_on))
        if self.mood == "refuses":
            self.life.refused(self.time, is_on=is_on, why=BLOCKED)
            return
        if self.mood in {"grants", "loses the answer"}:
            self.is_protected = is_on
        if self.mood == "grants":
            self.life.granted(self.time, asked_at=self.time, is_on=is_on)
        else:
            self.life.failed(
                self.time, asked_at=self.time, is_on=is_on, why="timed out"
            )

    def pass_by(self, seconds: float, running: int = 0) -> None:
        """Let time pass, a second each."""
        for _ in range(int(seconds)):
            self.step(running)

    def phase(self) -> Phase:
        return self.life.phase(self.time)

    @property
    def takes_tasks(self) -> bool:
        return self.life.may_consume(self.time)

    def pauses(self) -> Iterator[float]:
        """Give the seconds between one request and the next."""
        for one, other in zip(self.asked, self.asked[1:], strict=False):
            yield other[0] - one[0]


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_nothing_is_taken_before_protection_is_granted() -> None:
    drive = Drive()
    drive.mood = "refuses"
    drive.pass_by(600)
    assert not drive.takes_tasks
    assert drive.phase() is Phase.WAITING
    drive.mood = "grants"
    drive.pass_by(BARE_RETRY_SECONDS)
    assert drive.takes_tasks
    assert drive.phase() is Phase.READY


def test_a_refused_worker_asks_on_with_growing_pauses_and_says_so_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drive = Drive()
    drive.mood = "refuses"
    drive.pass_by(600)
    assert list(drive.pauses())[:5] == [1, 2, 4, 8, BARE_RETRY_SECONDS]
    assert max(drive.pauses()) == BARE_RETRY_SECONDS
    said = [line for line in caplog.messages if "DEPLOYMENT_BLOCKED" in line]
    assert 600 / REMIND_SECONDS - 1 <= len(said) <= 600 / REMIND_SECONDS + 1
    assert "Takes no tasks: not protected" in said[0]


def test_many_workers_do_not_ask_in_step() -> None:
    early, late = Drive(chance=0), Drive(chance=1)
    for drive in (early, late):
        drive.mood = "refuses"
        drive.pass_by(600)
    assert max(early.pauses()) == max(late.pauses()) / 2


def test_protection_is_renewed_long_before_it_ends_while_busy_too() -> None:
    drive = Drive()
    drive.pass_by(3600, running=2)
    assert max(drive.pauses()) <= RENEW_SECONDS + 1
    # A task taken just before a renewal is covered whole.
    assert RENEW_SECONDS * 2 < MARGIN_MINUTES * 60
    assert drive.takes_tasks


def test_no_answer_does_not_stop_the_work_until_the_protection_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.mood = "is away"
    drive.pass_by(60 * MINUTES - 60, running=1)
    assert drive.takes_tasks
    assert max(list(drive.pauses())[3:]) == COVERED_RETRY_SECONDS
    assert "Renewing the protection failed (timed out)" in caplog.text
    assert "PROTECTION LAPSED" not in caplog.text
    drive.pass_by(120, running=1)
    assert not drive.takes_tasks
    assert drive.phase() is Phase.WAITING
    assert caplog.text.count("PROTECTION LAPSED under 1 running tasks") == 1
    assert max(record.levelno for record in caplog.records) == logging.CRITICAL
    # It is never given up.
    drive.mood = "grants"
    drive.pass_by(BARE_RETRY_SECONDS, running=1)
    assert drive.takes_tasks


def test_a_lapse_under_no_task_is_no_catastrophe(
    caplog: pytest.LogCaptureFixture,
) -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.mood = "is away"
    drive.pass_by(60 * MINUTES)
    assert "The protection has lapsed" in caplog.text
    assert "PROTECTION LAPSED" not in caplog.text


def test_a_task_is_not_taken_that_could_outlive_a_protection_that_ecs_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # ECS refuses while it takes workers away; each finishes what it has and no more.
    drive = Drive()
    drive.pass_by(5)
    drive.mood = "refuses"
    drive.pass_by(60 * MARGIN_MINUTES - 10, running=2)
    assert drive.takes_tasks
    drive.pass_by(30, running=2)
    assert not drive.takes_tasks
    assert drive.phase() is Phase.WAITING
    drive.pass_by(60, running=2)
    assert "takes no more tasks" in caplog.text
    drive.mood = "grants"
    drive.pass_by(BARE_RETRY_SECONDS, running=2)
    assert drive.takes_tasks


def test_a_draining_worker_lets_go_when_it_is_idle_and_not_before() -> None:
    drive = Drive()
    drive.pass_by(5, running=2)
    drive.life.drain()
    assert not drive.takes_tasks
    drive.pass_by(3600, running=1)
    assert drive.phase() is Phase.DRAINING
    assert drive.is_protected
    assert max(drive.pauses()) <= RENEW_SECONDS + 1
    drive.pass_by(QUIET_SECONDS - 1)
    drive.step(running=1)
    drive.pass_by(QUIET_SECONDS)
    assert drive.phase() is Phase.DRAINING
    drive.step()
    assert drive.phase() is Phase.RELEASED
    assert not drive.is_protected


def test_draining_twice_is_draining_once() -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.life.drain()
    drive.pass_by(QUIET_SECONDS)
    drive.life.drain()
    drive.step()
    assert drive.phase() is Phase.RELEASED
    drive.life.drain()
    assert drive.phase() is Phase.RELEASED


def test_a_draining_worker_can_be_revived() -> None:
    drive = Drive()
    drive.pass_by(5, running=1)
    drive.life.drain()
    drive.pass_by(60, running=1)
    drive.life.revive()
    assert drive.takes_tasks
    drive.pass_by(60)
    assert drive.phase() is Phase.READY
    drive.life.revive()
    assert drive.phase() is Phase.READY


def test_a_worker_that_let_go_is_never_had_back() -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.life.drain()
    drive.pass_by(10)
    with pytest.raises(Gone):
        drive.life.revive()
    asked = len(drive.asked)
    drive.pass_by(3600)
    assert not drive.takes_tasks
    assert drive.phase() is Phase.RELEASED
    assert len(drive.asked) == asked


@pytest.mark.parametrize("mood", ["refuses", "is away", "loses the answer"])
def test_from_the_first_request_to_let_go_there_is_no_way_back(mood: str) -> None:
    # The answer may have got lost, and ECS may stop the worker at any moment.
    drive = Drive()
    drive.pass_by(5)
    drive.life.drain()
    drive.mood = mood
    drive.pass_by(30)
    assert drive.phase() is Phase.DRAINING
    with pytest.raises(Gone):
        drive.life.revive()
    assert not drive.takes_tasks
    drive.mood = "grants"
    drive.pass_by(BARE_RETRY_SECONDS)
    assert drive.phase() is Phase.RELEASED


def test_a_grant_that_comes_while_the_worker_leaves_is_taken_back() -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.life.drain()
    asked_at = drive.time
    drive.mood = "is away"
    drive.pass_by(QUIET_SECONDS + 1)
    drive.life.granted(drive.time, asked_at=asked_at, is_on=True)
    drive.mood = "grants"
    drive.step()
    assert drive.asked[-1][1] is False
    assert drive.phase() is Phase.RELEASED


def test_what_ecs_will_not_end_ends_by_itself() -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.life.drain()
    drive.mood = "refuses"
    drive.pass_by(60 * MINUTES)
    assert drive.phase() is Phase.RELEASED


def test_a_grant_whose_answer_was_lost_is_not_forgotten() -> None:
    drive = Drive()
    drive.mood = "loses the answer"
    drive.pass_by(5)
    assert drive.phase() is Phase.WAITING
    drive.life.drain()
    drive.mood = "refuses"
    drive.pass_by(60)
    assert drive.phase() is Phase.DRAINING
    drive.mood = "grants"
    drive.pass_by(BARE_RETRY_SECONDS)
    assert drive.phase() is Phase.RELEASED
    assert not drive.is_protected


def test_a_worker_that_was_never_protected_is_released_without_asking() -> None:
    drive = Drive()
    drive.mood = "refuses"
    drive.pass_by(60)
    drive.life.drain()
    drive.pass_by(QUIET_SECONDS + 1)
    assert drive.phase() is Phase.RELEASED
    assert all(is_on for _, is_on in drive.asked)


def test_without_ecs_nothing_is_asked_for_and_tasks_are_taken() -> None:
    drive = Drive(minutes=None)
    drive.pass_by(3600, running=1)
    assert drive.takes_tasks
    assert drive.phase() is Phase.READY
    drive.life.drain()
    drive.pass_by(QUIET_SECONDS + 2)
    assert drive.phase() is Phase.RELEASED
    assert drive.asked == []


def test_a_machine_that_slept_takes_nothing_until_it_is_protected_again() -> None:
    drive = Drive()
    drive.pass_by(5)
    drive.time += 24 * 3600
    assert not drive.takes_tasks
    drive.step()
    assert drive.asked[-1] == (drive.time, True)
    assert drive.takes_tasks


def test_whoever_drives_it_never_waits_long() -> None:
    drive = Drive()
    drive.pass_by(5)
    assert 1 <= drive.life.pause(drive.time) <= 60
