"""Fleets from what ECS counts and what workers say."""

from __future__ import annotations

from typing import Any

import pytest

from fargate_runtime.autoscaler.fleets import SILENT_SECONDS, Fleets
from fargate_runtime.autoscaler.services import Service
from fargate_runtime.autoscaler.state import Fleet, Running, WorkerState
from fargate_runtime.scaling_protocol import Phase, Report

NOW = 1_000_000.0


def told(node: str, **changes: Any) -> tuple[str, Report]:
    given: dict[str, Any] = {
        "pool": "p",
        "task": node,
        "revision": "p:1",
        "host": node,
        "state": Phase.READY,
        "running": 0,
        "since": NOW,
    }
    return node, Report(**(given | changes))


def service(desired: int, running: int, pending: int = 0) -> Service:
    return Service(desired, running, pending, "p:1")


def look(
    fleets: Fleets, now: float, counted: Service, *reports: tuple[str, Report]
) -> Fleet:
    found, _ = fleets.observe(NOW + now, {"p": counted}, reports, {})
    return found["p"]


def test_who_has_not_answered_is_starting_since_it_was_first_counted() -> None:
    fleets = Fleets()
    look(fleets, 0, service(0, 0))
    assert look(fleets, 10, service(2, 0, 1)).starting == (NOW + 10,)
    assert look(fleets, 20, service(2, 1, 1)).starting == (NOW + 10, NOW + 20)
    assert look(fleets, 90, service(2, 2), told("a")).starting == (NOW + 20,)


def test_the_time_from_launch_to_ready_is_learned_once() -> None:
    fleets = Fleets()
    look(fleets, 0, service(0, 0))
    look(fleets, 10, service(1, 0, 1))
    waiting = told("a", state=Phase.WAITING)
    assert look(fleets, 70, service(1, 1), waiting).start_seconds == []
    assert look(fleets, 90, service(1, 1), told("a")).start_seconds == [80.0]
    assert look(fleets, 100, service(1, 1), told("a")).start_seconds == []


def test_a_workers_own_word_on_its_launch_counts_more() -> None:
    fleets = Fleets()
    look(fleets, 0, service(0, 0))
    look(fleets, 10, service(1, 0, 1))
    ready = told("a", created=NOW + 3)
    assert look(fleets, 63, service(1, 1), ready).start_seconds == [60.0]


def test_workers_that_were_there_before_teach_nothing() -> None:
    assert look(Fleets(), 0, service(1, 1), told("a", created=0.0)).start_seconds == []


def test_a_worker_that_misses_a_question_is_still_there() -> None:
    fleets = Fleets()
    look(fleets, 0, service(2, 2), told("a"), told("b"))
    found = look(fleets, 10, service(2, 2), told("a"))
    assert [worker.identity for worker in found.workers] == ["a", "b"]
    assert found.starting == ()


def test_a_worker_that_stays_silent_is_one_that_starts() -> None:
    fleets = Fleets()
    look(fleets, 0, service(2, 2), told("a"), told("b"))
    found = look(fleets, SILENT_SECONDS + 10, service(2, 2), told("a"))
    assert [worker.identity for worker in found.workers] == ["a"]
    assert len(found.starting) == 1


def test_a_worker_that_ecs_counts_no_more_is_gone_at_once() -> None:
    fleets = Fleets()
    look(fleets, 0, service(2, 2), told("a"), told("b", state=Phase.RELEASED))
    found = look(fleets, 10, service(1, 1), told("a"))
    assert [worker.identity for worker in found.workers] == ["a"]


def test_a_silent_worker_is_told() -> None:
    fleets = Fleets()
    look(fleets, 0, service(1, 1), told("a"))
    _, problems = fleets.observe(NOW + 10, {"p": service(1, 1)}, (), {})
    assert problems == ["worker a does not answer"]


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (Phase.WAITING, WorkerState.WAITING),
        (Phase.READY, WorkerState.READY),
        (Phase.DRAINING, WorkerState.DRAINING),
        (Phase.RELEASED, WorkerState.RELEASED),
    ],
)
def test_what_a_worker_says_is_what_decide_sees(
    phase: Phase, state: WorkerState
) -> None:
    running = [Running(NOW, 5.0)]
    reports = [told("a", state=phase, revision="p:0", host="10.0.0.9")]
    found, _ = Fleets().observe(
        NOW, {"p": service(1, 1)}, reports, {"10.0.0.9": running}
    )
    (worker,) = found["p"].workers
    assert worker.state is state
    assert worker.running == running
    assert worker.outdated


def test_workers_of_a_pool_without_service_are_told() -> None:
    found, problems = Fleets().observe(NOW, {}, [told("a", pool="gone")], {})
    assert found == {}
    assert problems == ["worker a belongs to pool 'gone', which has no service"]


def test_two_workers_of_one_name_both_reach_the_decision() -> None:
    found = look(Fleets(), 0, service(2, 2), told("a"), told("a"))
    assert [worker.identity for worker in found.workers] == ["a", "a"]
