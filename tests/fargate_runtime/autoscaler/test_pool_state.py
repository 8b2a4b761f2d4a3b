"""A deployment replaces workers: none is killed, the pool works on, and it ends."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fargate_runtime.autoscaler.decide import decide
from fargate_runtime.autoscaler.pool_state import PoolCapacity, workers_to_replace
from fargate_runtime.autoscaler.settings import AutoscalerSettings, PoolSettings
from fargate_runtime.autoscaler.state import (
    Batch,
    PoolDecision,
    PoolMemory,
    PoolStatus,
    QueueDemand,
    RunningTask,
    Snapshot,
    Worker,
)
from fargate_runtime.contract import ROUND_SECONDS
from fargate_runtime.scaling_protocol import WorkerState

NOW = 1_000_000.0
POOL = PoolSettings(name="p", queue="q", concurrency=8, minimum=1, maximum=20)
READY, WAITING = WorkerState.READY, WorkerState.WAITING
DRAINING, RELEASED = WorkerState.DRAINING, WorkerState.RELEASED


def group(
    name: str,
    number: int,
    state: WorkerState = READY,
    *,
    old: bool = False,
    seconds: float = 0,
) -> list[Worker]:
    """Workers, each with one task of that many seconds to go, or idle."""
    running = (RunningTask(NOW, seconds),) if seconds else ()
    return [Worker(f"{name}{i}", state, running, old) for i in range(number)]


def run(
    status: PoolStatus,
    demand: QueueDemand | None = None,
    *,
    pool: PoolSettings = POOL,
    memory: PoolMemory | None = None,
    now: float = NOW,
) -> PoolDecision:
    memories = {"p": memory} if memory else {}
    snapshot = Snapshot(now, {"q": demand or QueueDemand()}, {"p": status}, memories)
    return decide(snapshot, AutoscalerSettings((pool,))).pools["p"]


def needs(workers: int) -> PoolMemory:
    """What a pool remembers that needed so many workers."""
    return PoolMemory(since=NOW - 3600, at=NOW - 10, needs=((NOW - 10, workers),))


def full(workers: int) -> QueueDemand:
    return QueueDemand(queued=[Batch(NOW - 5, 600, 8 * workers)])


def test_outdated_workers_continue_until_new_ones_run() -> None:
    old = group("old", 4, old=True, seconds=600)
    alone = run(PoolStatus(4, old, starting=[NOW] * 4), memory=needs(4))
    assert (alone.drain, alone.deficit) == ((), 0)

    beside = PoolStatus(4, [*old, *group("new", 4, WAITING)])
    assert set(run(beside, memory=needs(4)).drain) == {w.identity for w in old}


def test_outdated_workers_are_replaced_one_for_one_idlest_first() -> None:
    old = [
        *group("long", 1, old=True, seconds=5000),
        *group("idle", 1, old=True),
        *group("short", 1, old=True, seconds=100),
    ]
    status = PoolStatus(3, [*old, *group("new", 2, WAITING)])
    assert run(status, memory=needs(3)).drain == ("idle0", "short0")


def test_unneeded_outdated_workers_are_drained_at_once() -> None:
    pool = replace(POOL, minimum=0)
    status = PoolStatus(3, group("old", 3, old=True))
    assert len(run(status, pool=pool, memory=needs(0)).drain) == 3


def test_places_of_long_tasks_are_requested_once_more() -> None:
    """ECS protects as many as are desired, and the old ones are among them."""
    old = group("old", 4, DRAINING, old=True, seconds=5000)
    status = PoolStatus(4, [*old, *group("new", 4, WAITING)])
    assert run(status, full(4), memory=needs(4)).deficit == 4


def test_places_of_short_tasks_are_not_requested_again() -> None:
    old = group("old", 4, DRAINING, old=True, seconds=10)
    status = PoolStatus(4, [*old, *group("new", 4, WAITING)])
    assert run(status, full(4), memory=needs(4)).deficit == 0


def test_old_worker_is_revived_only_when_its_deployment_comes_back() -> None:
    draining = group("old", 1, DRAINING, old=True, seconds=5000)
    status = PoolStatus(1, [*draining, *group("new", 1)])
    assert run(status, full(2)).revive == ()
    rolled_back = PoolStatus(1, [w._replace(outdated=False) for w in draining])
    assert run(rolled_back, full(1)).revive == ("old0",)


def test_current_workers_are_not_drained_while_outdated_ones_exist() -> None:
    """Application Auto Scaling stops no worker then: released ones would block."""
    new = [*group("new", 5), *group("gone", 2, RELEASED)]
    status = PoolStatus(7, [*new, *group("old", 1, DRAINING, old=True, seconds=5000)])
    memory, now = needs(1), NOW
    for _ in range(20):
        decision = run(status, memory=memory, now=now)
        assert (decision.drain, decision.surplus) == ((), 0)
        memory, now = decision.memory, now + ROUND_SECONDS
    after = run(PoolStatus(7, new), memory=memory, now=now)
    assert len(after.drain) == 4
    assert after.surplus == 2


def test_at_the_maximum_half_of_the_old_ones_go_at_a_time() -> None:
    """All at once, and the pool would stand still until the longest task has ended."""
    pool = replace(POOL, maximum=10)
    new = group("new", 10, WAITING)
    old = group("old", 10, old=True, seconds=5000)
    decision = run(PoolStatus(10, [*old, *new]), full(10), pool=pool, memory=needs(10))
    assert len(decision.drain) == 5
    assert decision.deficit == 0

    half = [*group("old", 5, old=True, seconds=5000), *new]
    half += group("going", 5, DRAINING, old=True, seconds=5000)
    assert not run(PoolStatus(10, half), full(10), pool=pool, memory=needs(10)).drain


def test_only_worker_of_a_pool_makes_room() -> None:
    """Else new work would come to it for ever, and the deployment never end."""
    pool = replace(POOL, maximum=1)
    old = group("old", 1, old=True, seconds=5000)
    status = PoolStatus(1, [*old, *group("new", 1, WAITING)])
    assert run(status, full(1), pool=pool, memory=needs(1)).drain == ("old0",)


def test_waiting_workers_count_as_capacity() -> None:
    status = PoolStatus(3, group("new", 3, WAITING))
    assert run(status, full(3)).deficit == 0
    idle = run(status, memory=needs(1))
    assert (idle.drain, idle.revive, idle.surplus) == ((), (), 0)


def test_starting_workers_that_ecs_cannot_protect_are_not_counted_on() -> None:
    old = group("old", 3, DRAINING, old=True, seconds=5000)
    status = PoolStatus(4, old, starting=[NOW - 50] * 4)
    capacity = PoolCapacity.of(NOW, status, (), patience=30)
    assert (capacity.active, capacity.starting) == (1, [NOW - 50])


def test_start_up_times_ignore_waits_for_protection() -> None:
    """Else a deployment would teach that workers take a quarter of an hour."""
    slow = (600.0,) * 20
    during = PoolStatus(1, group("old", 1, old=True), start_seconds=slow)
    decision = run(during)
    assert decision.memory.start_up.observed == ()
    just_after = PoolStatus(1, group("new", 1), start_seconds=slow)
    decision = run(just_after, memory=decision.memory, now=NOW + ROUND_SECONDS)
    assert decision.memory.start_up.observed == ()
    memory = replace(decision.memory, at=NOW + 100)
    assert (
        run(just_after, memory=memory, now=NOW + 110).memory.start_up.observed == slow
    )


workers = st.lists(
    st.builds(
        Worker,
        st.integers(0, 60).map(str),
        st.sampled_from(WorkerState),
        st.lists(
            st.builds(RunningTask, st.floats(NOW - 1e5, NOW), st.floats(0, 1e5)),
            max_size=8,
        ),
        st.booleans(),
    ),
    max_size=40,
    unique_by=lambda worker: worker.identity,
)


@settings(max_examples=150)
@given(st.integers(0, 40), workers, st.integers(0, 12), st.integers(1, 40))
def test_deployments_progress_within_bounds(
    desired: int, pool_workers: list[Worker], starting: int, maximum: int
) -> None:
    pool = replace(POOL, maximum=maximum)
    status = PoolStatus(desired, pool_workers, starting=[NOW - 30] * starting)
    decision = run(status, full(maximum), pool=pool, memory=needs(maximum))
    old = {worker.identity: worker.state for worker in pool_workers if worker.outdated}
    assert 0 <= decision.deficit <= max(0, maximum - desired)
    assert all(state is READY for name, state in old.items() if name in decision.drain)
    assert not old.keys() & set(decision.revive)
    if old:
        assert decision.surplus == 0
        assert set(decision.drain) <= old.keys()
    # Where nothing else can make room, an old worker is on its way.
    here = sum(not w.outdated and w.state in (READY, WAITING) for w in pool_workers)
    held = sum(state in (READY, DRAINING) for state in old.values())
    if held and here > max(0, maximum - held):
        assert decision.drain or DRAINING in old.values()


def test_no_worker_is_replaced_without_a_deployment() -> None:
    assert workers_to_replace(NOW, PoolStatus(3, group("new", 3)), 3, 10) == []
