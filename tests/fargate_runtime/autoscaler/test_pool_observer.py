"""PoolObserver from what ECS counts and what workers say."""

from __future__ import annotations

from typing import Any

import pytest

from fargate_runtime.autoscaler.pool_observer import SILENT_SECONDS, PoolObserver
from fargate_runtime.autoscaler.services import PoolService
from fargate_runtime.autoscaler.state import PoolStatus, RunningTask
from fargate_runtime.scaling_protocol import WorkerReport, WorkerState

NOW = 1_000_000.0


def told(node: str, **changes: Any) -> tuple[str, WorkerReport]:
    given: dict[str, Any] = {
        "pool": "p",
        "task": node,
        "revision": "p:1",
        "host": node,
        "state": WorkerState.READY,
        "running": 0,
        "since": NOW,
    }
    return node, WorkerReport(**(given | changes))


def service(desired: int, running: int, pending: int = 0) -> PoolService:
    return PoolService(desired, running, pending, "p:1")


def look(
    pools: PoolObserver,
    now: float,
    counted: PoolService,
    *reports: tuple[str, WorkerReport],
) -> PoolStatus:
    found, _ = pools.observe(NOW + now, {"p": counted}, reports, {})
    return found["p"]


def test_unreported_workers_are_starting_since_first_counted() -> None:
    pools = PoolObserver()
    look(pools, 0, service(0, 0))
    assert look(pools, 10, service(2, 0, 1)).starting == (NOW + 10,)
    assert look(pools, 20, service(2, 1, 1)).starting == (NOW + 10, NOW + 20)
    assert look(pools, 90, service(2, 2), told("a")).starting == (NOW + 20,)


def test_start_up_times_are_observed_once() -> None:
    pools = PoolObserver()
    look(pools, 0, service(0, 0))
    look(pools, 10, service(1, 0, 1))
    waiting = told("a", state=WorkerState.WAITING)
    assert look(pools, 70, service(1, 1), waiting).start_seconds == []
    assert look(pools, 90, service(1, 1), told("a")).start_seconds == [80.0]
    assert look(pools, 100, service(1, 1), told("a")).start_seconds == []


def test_reported_creation_times_take_precedence() -> None:
    pools = PoolObserver()
    look(pools, 0, service(0, 0))
    look(pools, 10, service(1, 0, 1))
    ready = told("a", created=NOW + 3)
    assert look(pools, 63, service(1, 1), ready).start_seconds == [60.0]


def test_workers_older_than_the_autoscaler_give_no_start_up_time() -> None:
    assert (
        look(PoolObserver(), 0, service(1, 1), told("a", created=0.0)).start_seconds
        == []
    )


def test_silent_workers_count_for_a_while() -> None:
    pools = PoolObserver()
    look(pools, 0, service(2, 2), told("a"), told("b"))
    found = look(pools, 10, service(2, 2), told("a"))
    assert [worker.identity for worker in found.workers] == ["a", "b"]
    assert found.starting == ()


def test_long_silent_workers_count_as_starting() -> None:
    pools = PoolObserver()
    look(pools, 0, service(2, 2), told("a"), told("b"))
    found = look(pools, SILENT_SECONDS + 10, service(2, 2), told("a"))
    assert [worker.identity for worker in found.workers] == ["a"]
    assert len(found.starting) == 1


def test_workers_that_ecs_no_longer_counts_are_dropped() -> None:
    pools = PoolObserver()
    look(pools, 0, service(2, 2), told("a"), told("b", state=WorkerState.RELEASED))
    found = look(pools, 10, service(1, 1), told("a"))
    assert [worker.identity for worker in found.workers] == ["a"]


def test_silent_workers_are_reported() -> None:
    pools = PoolObserver()
    look(pools, 0, service(1, 1), told("a"))
    _, problems = pools.observe(NOW + 10, {"p": service(1, 1)}, (), {})
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
    reports = [told("a", state=phase, revision="p:0", host="10.0.0.9")]
    found, _ = PoolObserver().observe(
        NOW, {"p": service(1, 1)}, reports, {"10.0.0.9": running}
    )
    (worker,) = found["p"].workers
    assert worker.state is state
    assert worker.running == running
    assert worker.outdated


def test_workers_of_a_pool_without_service_are_reported() -> None:
    found, problems = PoolObserver().observe(NOW, {}, [told("a", pool="gone")], {})
    assert found == {}
    assert problems == ["Worker a belongs to pool 'gone', which has no service."]


def test_two_workers_of_one_name_both_reach_the_decision() -> None:
    found = look(PoolObserver(), 0, service(2, 2), told("a"), told("a"))
    assert [worker.identity for worker in found.workers] == ["a", "a"]
