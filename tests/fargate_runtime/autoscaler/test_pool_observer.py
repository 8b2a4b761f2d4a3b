"""PoolObserver from what ECS counts and what workers say."""

from __future__ import annotations

from typing import Any

import pytest

from fargate_runtime.autoscaler.pool_observer import SILENT_SECONDS, PoolObserver
from fargate_runtime.autoscaler.services import PoolService
from fargate_runtime.autoscaler.state import PoolStatus, RunningTask
from fargate_runtime.scaling_protocol import WorkerReport, WorkerState

NOW = 1_000_000.0
PRIMARY, OLDER = "ecs-svc/2", "ecs-svc/1"


def reported(node: str, **changes: Any) -> tuple[str, WorkerReport]:
    fields: dict[str, Any] = {
        "pool": "p",
        "task": node,
        "host": node,
        "state": WorkerState.READY,
        "running": 0,
        "since": NOW,
    }
    return node, WorkerReport(**(fields | changes))


def service(desired: int, running: int, pending: int = 0) -> PoolService:
    return PoolService(desired, running, pending, PRIMARY)


def look(
    observer: PoolObserver,
    now: float,
    counted: PoolService,
    *reports: tuple[str, WorkerReport],
) -> PoolStatus:
    statuses, _ = observer.observe(NOW + now, {"p": counted}, reports, {}, {})
    return statuses["p"]


def test_unreported_workers_are_starting_since_first_counted() -> None:
    observer = PoolObserver()
    look(observer, 0, service(0, 0))
    assert look(observer, 10, service(2, 0, 1)).starting == (NOW + 10,)
    assert look(observer, 20, service(2, 1, 1)).starting == (NOW + 10, NOW + 20)
    assert look(observer, 90, service(2, 2), reported("a")).starting == (NOW + 20,)


def test_start_up_times_are_observed_once() -> None:
    observer = PoolObserver()
    look(observer, 0, service(0, 0))
    look(observer, 10, service(1, 0, 1))
    waiting = reported("a", state=WorkerState.WAITING)
    assert look(observer, 70, service(1, 1), waiting).start_seconds == []
    assert look(observer, 90, service(1, 1), reported("a")).start_seconds == [80.0]
    assert look(observer, 100, service(1, 1), reported("a")).start_seconds == []


def test_reported_creation_times_take_precedence() -> None:
    observer = PoolObserver()
    look(observer, 0, service(0, 0))
    look(observer, 10, service(1, 0, 1))
    ready = reported("a", created=NOW + 3)
    assert look(observer, 63, service(1, 1), ready).start_seconds == [60.0]


def test_workers_older_than_the_autoscaler_give_no_start_up_time() -> None:
    assert (
        look(PoolObserver(), 0, service(1, 1), reported("a", created=0.0)).start_seconds
        == []
    )


def test_silent_workers_count_for_a_while() -> None:
    observer = PoolObserver()
    look(observer, 0, service(2, 2), reported("a"), reported("b"))
    status = look(observer, 10, service(2, 2), reported("a"))
    assert [worker.identity for worker in status.workers] == ["a", "b"]
    assert status.starting == ()


def test_long_silent_workers_count_as_starting() -> None:
    observer = PoolObserver()
    look(observer, 0, service(2, 2), reported("a"), reported("b"))
    status = look(observer, SILENT_SECONDS + 10, service(2, 2), reported("a"))
    assert [worker.identity for worker in status.workers] == ["a"]
    assert len(status.starting) == 1


def test_workers_that_ecs_no_longer_counts_are_dropped() -> None:
    observer = PoolObserver()
    look(
        observer,
        0,
        service(2, 2),
        reported("a"),
        reported("b", state=WorkerState.RELEASED),
    )
    status = look(observer, 10, service(1, 1), reported("a"))
    assert [worker.identity for worker in status.workers] == ["a"]


def test_silent_workers_are_reported() -> None:
    observer = PoolObserver()
    look(observer, 0, service(1, 1), reported("a"))
    _, problems = observer.observe(NOW + 10, {"p": service(1, 1)}, (), {}, {})
    assert problems == ["Worker a does not reply."]


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (WorkerState.WAITING, WorkerState.WAITING),
        (WorkerState.READY, WorkerState.READY),
        (WorkerState.DRAINING, WorkerState.DRAINING),
        (WorkerState.RELEASED, WorkerState.RELEASED),
    ],
)
def test_reported_states_reach_the_decision(
    phase: WorkerState, state: WorkerState
) -> None:
    running = [RunningTask(NOW, 5.0)]
    reports = [reported("a", state=phase, task="t1", host="10.0.0.9")]
    statuses, _ = PoolObserver().observe(
        NOW, {"p": service(1, 1)}, reports, {"10.0.0.9": running}, {"t1": OLDER}
    )
    (worker,) = statuses["p"].workers
    assert worker.state is state
    assert worker.running == running
    assert worker.outdated


def test_workers_of_a_pool_without_service_are_reported() -> None:
    statuses, problems = PoolObserver().observe(
        NOW, {}, [reported("a", pool="gone")], {}, {}
    )
    assert statuses == {}
    assert problems == ["Worker a belongs to pool 'gone', which has no service."]


def test_two_workers_of_one_name_both_reach_the_decision() -> None:
    status = look(PoolObserver(), 0, service(2, 2), reported("a"), reported("a"))
    assert [worker.identity for worker in status.workers] == ["a", "a"]
