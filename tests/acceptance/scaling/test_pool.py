"""Workers of a pool that were killed, and those since a moment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from acceptance.pool import Pool, killed


def worker(
    exit_code: int | None = 0,
    reason: str = "",
    *,
    created: float = 100,
    stopped: float = 0,
) -> Any:
    container = SimpleNamespace(exit_code=exit_code, reason=reason)
    return SimpleNamespace(
        id="0123456789",
        is_over=bool(stopped),
        created=created,
        stopped=stopped,
        stopped_reason="Scaling activity",
        container=lambda _name: container,
    )


def test_worker_that_ended_by_itself_was_not_killed() -> None:
    assert killed([worker(stopped=200), worker(None)]) == []


@pytest.mark.parametrize(
    ("exit_code", "reason", "why"),
    [(137, "", "exit code 137"), (0, "killed after 120 s", "killed after 120 s")],
)
def test_every_other_end_is_a_kill(exit_code: int, reason: str, why: str) -> None:
    (line,) = killed([worker(exit_code, reason, stopped=200)])
    assert line == f"worker 01234567 (Scaling activity): {why}"


def test_workers_that_ended_before_are_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = [worker(stopped=140), worker(stopped=200), worker(created=190, stopped=210)]
    monkeypatch.setattr(Pool, "service", lambda _pool: (None, tasks))
    pool = Pool(SimpleNamespace(), "default")  # type: ignore[arg-type] # not used
    assert pool.since(150) == tasks[1:]
