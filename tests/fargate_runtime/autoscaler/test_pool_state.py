"""A deployment replaces workers: none is killed, the pool works on, and it ends."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fargate_runtime.autoscaler.decide import ROUND_SECONDS, decide
from fargate_runtime.autoscaler.pool_state import Crew, replaced
from fargate_runtime.autoscaler.settings import PoolSettings, Settings
from fargate_runtime.autoscaler.state import (
    Batch,
    Demand,
    Fleet,
    Memory,
    PoolDecision,
    Running,
    Snapshot,
    Worker,
    WorkerState,
)

NOW = 1_000_000.0
POOL = PoolSettings(name="p", queue="q", concurrency=8, minimum=1, maximum=20)
READY, WAITING = WorkerState.READY, WorkerState.WAITING
DRAINING, RELEASED = WorkerState.DRAINING, WorkerState.RELEASED


def some(
    name: str,
    number: int,
    state: WorkerState = READY,
    *,
    old: bool = False,
    seconds: float = 0,
) -> list[Worker]:
    """Workers, each with one task of that many seconds to go, or idle."""
    running = (Running(NOW, seconds),) if seconds else ()
    return [Worker(f"{name}{i}", state, running, old) for i in range(number)]


def one(
    fleet: Fleet,
    demand: Demand | None = None,
    *,
    pool: PoolSettings = POOL,
    memory: Memory | None = None,
    now: float = NOW,
) -> PoolDecision:
    memories = {"p": memory} if memory else {}
    snapshot = Snapshot(now, {"q": demand or Demand()}, {"p": fleet}, memories)
    return decide(snapshot, Settings((pool,))).pools["p"]


def needs(workers: int) -> Memory:
    """What a pool remembers that needed so many workers."""
    return Memory(since=NOW - 3600, at=NOW - 10, wanted=((NOW - 10, workers),))


def full(workers: int) -> Demand:
    """Tasks for as many workers."""
    return Demand(queued=[Batch(NOW - 5, 600, 8 * workers)])


def test_old_workers_work_on_until_new_ones_stand_beside_them() -> None:
    old = some("old", 4, old=True, seconds=600)
    alone = one(Fleet(4, old, starting=[NOW] * 4), memory=needs(4))
    assert (alone.drain, alone.deficit) == ((), 0)

    beside = Fleet(4, [*old, *some("new", 4, WAITING)])
    assert set(one(beside, memory=needs(4)).drain) == {w.identity for w in old}


def test_one_goes_for_each_that_has_come_and_the_first_idle_first() -> None:
    old = [
        *some("long", 1, old=True, seconds=5000),
        *some("idle", 1, old=True),
        *some("short", 1, old=True, seconds=100),
    ]
    fleet = Fleet(3, [*old, *some("new", 2, WAITING)])
    assert one(fleet, memory=needs(3)).drain == ("idle0", "short0")


def test_old_workers_that_nobody_needs_go_at_once() -> None:
    pool = replace(POOL, minimum=0)
    fleet = Fleet(3, some("old", 3, old=True))
    assert len(one(fleet, pool=pool, memory=needs(0)).drain) == 3


def test_what_long_tasks_hold_is_asked_for_once_more() -> None:
    """ECS protects as many as are desired, and the old ones are among them."""
    old = some("old", 4, DRAINING, old=True, seconds=5000)
    fleet = Fleet(4, [*old, *some("new", 4, WAITING)])
    assert one(fleet, full(4), memory=needs(4)).deficit == 4


def test_who_is_done_soon_is_not_asked_for() -> None:
    old = some("old", 4, DRAINING, old=True, seconds=10)
    fleet = Fleet(4, [*old, *some("new", 4, WAITING)])
    assert one(fleet, full(4), memory=needs(4)).deficit == 0


def test_an_old_worker_is_revived_only_when_its_revision_comes_back() -> None:
    draining = some("old", 1, DRAINING, old=True, seconds=5000)
    fleet = Fleet(1, [*draining, *some("new", 1)])
    assert one(fleet, full(2)).revive == ()
    rolled_back = Fleet(1, [w._replace(outdated=False) for w in draining])
    assert one(rolled_back, full(1)).revive == ("old0",)


def test_nobody_else_is_sent_away_while_an_old_worker_lives() -> None:
    """Application Auto Scaling would take nobody: who let go would be in the way."""
    new = [*some("new", 5), *some("gone", 2, RELEASED)]
    fleet = Fleet(7, [*new, *some("old", 1, DRAINING, old=True, seconds=5000)])
    memory, now = needs(1), NOW
    for _ in range(20):
        decision = one(fleet, memory=memory, now=now)
        assert (decision.drain, decision.surplus) == ((), 0)
        memory, now = decision.memory, now + ROUND_SECONDS
    after = one(Fleet(7, new), memory=memory, now=now)
    assert len(after.drain) == 4
    assert after.surplus == 2


def test_at_the_maximum_half_of_the_old_ones_go_at_a_time() -> None:
    """All at once, and the pool would stand still until the longest task has ended."""
    pool = replace(POOL, maximum=10)
    new = some("new", 10, WAITING)
    old = some("old", 10, old=True, seconds=5000)
    decision = one(Fleet(10, [*old, *new]), full(10), pool=pool, memory=needs(10))
    assert len(decision.drain) == 5
    assert decision.deficit == 0

    half = [*some("old", 5, old=True, seconds=5000), *new]
    half += some("going", 5, DRAINING, old=True, seconds=5000)
    assert not one(Fleet(10, half), full(10), pool=pool, memory=needs(10)).drain


def test_the_only_worker_of_a_pool_makes_room() -> None:
    """Else new work would come to it for ever, and the deployment never end."""
    pool = replace(POOL, maximum=1)
    old = some("old", 1, old=True, seconds=5000)
    fleet = Fleet(1, [*old, *some("new", 1, WAITING)])
    assert one(fleet, full(1), pool=pool, memory=needs(1)).drain == ("old0",)


def test_who_waits_for_its_protection_is_counted_on_and_left_alone() -> None:
    fleet = Fleet(3, some("new", 3, WAITING))
    assert one(fleet, full(3)).deficit == 0
    idle = one(fleet, memory=needs(1))
    assert (idle.drain, idle.revive, idle.surplus) == ((), (), 0)


def test_starting_workers_that_ecs_cannot_protect_are_not_counted_on() -> None:
    old = some("old", 3, DRAINING, old=True, seconds=5000)
    fleet = Fleet(4, old, starting=[NOW - 50] * 4)
    crew = Crew.of(NOW, fleet, (), patience=30)
    assert (crew.active, crew.starting) == (1, [NOW - 50])


def test_waiting_for_protection_is_no_start_up_time() -> None:
    """Else a deployment would teach that workers take a quarter of an hour."""
    slow = (600.0,) * 20
    during = Fleet(1, some("old", 1, old=True), start_seconds=slow)
    decision = one(during)
    assert decision.memory.start_up.seen == ()
    just_after = Fleet(1, some("new", 1), start_seconds=slow)
    decision = one(just_after, memory=decision.memory, now=NOW + ROUND_SECONDS)
    assert decision.memory.start_up.seen == ()
    memory = replace(decision.memory, at=NOW + 100)
    assert one(just_after, memory=memory, now=NOW + 110).memory.start_up.seen == slow


workers = st.lists(
    st.builds(
        Worker,
        st.integers(0, 60).map(str),
        st.sampled_from(WorkerState),
        st.lists(
            st.builds(Running, st.floats(NOW - 1e5, NOW), st.floats(0, 1e5)),
            max_size=8,
        ),
        st.booleans(),
    ),
    max_size=40,
    unique_by=lambda worker: worker.identity,
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 40), workers, st.integers(0, 12), st.integers(1, 40))
def test_whatever_is_deployed_it_goes_on_and_stays_within_reason(
    desired: int, seen: list[Worker], starting: int, maximum: int
) -> None:
    pool = replace(POOL, maximum=maximum)
    fleet = Fleet(desired, seen, starting=[NOW - 30] * starting)
    decision = one(fleet, full(maximum), pool=pool, memory=needs(maximum))
    old = {worker.identity: worker.state for worker in seen if worker.outdated}
    assert 0 <= decision.deficit <= max(0, maximum - desired)
    assert all(state is READY for name, state in old.items() if name in decision.drain)
    assert not old.keys() & set(decision.revive)
    if old:
        assert decision.surplus == 0
        assert set(decision.drain) <= old.keys()
    # Where nothing else can make room, an old worker is on its way.
    here = sum(not w.outdated and w.state in (READY, WAITING) for w in seen)
    held = sum(state in (READY, DRAINING) for state in old.values())
    if held and here > max(0, maximum - held):
        assert decision.drain or DRAINING in old.values()


def test_nobody_is_replaced_where_nothing_is_deployed() -> None:
    assert replaced(NOW, Fleet(3, some("new", 3)), 3, 10) == []
