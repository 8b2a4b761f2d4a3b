"""What a pool does for each state it can be in, and what it never does."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fargate_runtime.autoscaler.decide import (
    MEMORY_ROUNDS,
    ORDER_SECONDS,
    SCALE_OUT_REST_SECONDS,
    decide,
)
from fargate_runtime.autoscaler.estimates import TaskDurations
from fargate_runtime.autoscaler.scheduling import compact
from fargate_runtime.autoscaler.settings import (
    AutoscalerSettings,
    PoolSettings,
    ScalingProfile,
)
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
POOL = PoolSettings(
    name="p",
    queue="q",
    concurrency=8,
    minimum=1,
    maximum=10,
    target_start_seconds=30.0,
    scale_in_delay_seconds=60.0,
)


def ready(number: int, tasks: int = 0, expected: float = 600.0) -> list[Worker]:
    return [
        Worker(f"w{i}", WorkerState.READY, [RunningTask(NOW, expected)] * tasks)
        for i in range(number)
    ]


def run(
    status: PoolStatus,
    demand: QueueDemand | None = None,
    *,
    pool: PoolSettings = POOL,
    now: float = NOW,
    memory: PoolMemory | None = None,
) -> PoolDecision:
    snapshot = Snapshot(
        now=now,
        queues={"q": demand or QueueDemand()},
        pools={"p": status},
        memories={"p": memory} if memory else {},
    )
    return decide(snapshot, AutoscalerSettings((pool,))).pools["p"]


def later(
    rounds: int,
    status: PoolStatus,
    demand: QueueDemand | None = None,
    *,
    pool: PoolSettings = POOL,
    memory: PoolMemory | None = None,
    now: float = NOW,
) -> list[PoolDecision]:
    decisions = []
    for _ in range(rounds):
        decisions.append(run(status, demand, pool=pool, now=now, memory=memory))
        memory, now = decisions[-1].memory, now + ROUND_SECONDS
    return decisions


def waiting(tasks: int, expected: float = 600.0, ago: float = 5.0) -> QueueDemand:
    return QueueDemand(queued=[Batch(NOW - ago, expected, tasks)])


def test_waiting_tasks_request_the_workers_they_fill() -> None:
    assert run(PoolStatus(1, ready(1, 8)), waiting(32)).deficit == 4


def test_free_slots_come_first() -> None:
    assert run(PoolStatus(4, ready(4)), waiting(32)).deficit == 0


def test_short_tasks_share_a_slot_within_the_target() -> None:
    """Sixteen tasks of ten seconds on eight slots wait ten seconds, not more."""
    assert run(PoolStatus(1, ready(1)), waiting(16, expected=10)).deficit == 0


def test_zero_workers_wake_for_one_task() -> None:
    """A ratio to running workers could never leave zero."""
    pool = replace(POOL, minimum=0)
    assert run(PoolStatus(0), waiting(1), pool=pool).deficit == 1


def test_starting_workers_are_not_requested_again() -> None:
    demand = waiting(32)
    assert run(PoolStatus(5, ready(1, 8), starting=[NOW - 20] * 4), demand).deficit == 0
    assert run(PoolStatus(5, ready(1, 8)), demand).deficit == 0, (
        "ordered, not yet launched"
    )


def test_maximum_holds_even_with_draining_workers_counted() -> None:
    draining = [Worker(f"d{i}", WorkerState.RELEASED) for i in range(9)]
    decision = run(PoolStatus(10, [*ready(1, 8), *draining]), waiting(500))
    assert decision.deficit == 0


def test_announced_runs_start_workers_in_advance() -> None:
    soon = QueueDemand(announced=[Batch(NOW + 60, 600, 64)])
    assert run(PoolStatus(1, ready(1)), soon).deficit == 7
    blind = replace(POOL, predictive_scaling=False)
    assert run(PoolStatus(1, ready(1)), soon, pool=blind).deficit == 0


def test_runs_beyond_the_horizon_start_no_worker() -> None:
    far = QueueDemand(announced=[Batch(NOW + 3600, 600, 64)])
    assert run(PoolStatus(1, ready(1)), far).deficit == 0


def test_draining_workers_are_revived_before_new_ones_are_requested() -> None:
    """The one whose tasks run longest must be paid for anyway."""
    draining = [
        Worker("short", WorkerState.DRAINING, [RunningTask(NOW, 10)]),
        Worker("long", WorkerState.DRAINING, [RunningTask(NOW, 900)]),
    ]
    status = PoolStatus(3, [*ready(1, 8), *draining])
    decision = run(status, waiting(8))
    assert (decision.revive, decision.deficit) == (("long",), 0)


def test_released_workers_are_not_revived() -> None:
    """ECS may have chosen it already: given a task, it would be killed at work."""
    gone = [Worker("gone", WorkerState.RELEASED)]
    decision = run(PoolStatus(2, [*ready(1, 8), *gone]), waiting(8))
    assert (decision.revive, decision.deficit) == ((), 1)


def test_no_worker_is_drained_before_the_scale_in_delay() -> None:
    decisions = later(10, PoolStatus(4, ready(4)))
    drained = [bool(decision.drain) for decision in decisions]
    assert drained == [False] * 6 + [True] * 4
    assert len(decisions[6].drain) == 3, "down to the minimum"


def test_workers_idle_soonest_are_drained_first() -> None:
    workers = [
        Worker("long", WorkerState.READY, [RunningTask(NOW, 5000)]),
        Worker("short", WorkerState.READY, [RunningTask(NOW, 90)] * 3),
    ]
    assert later(8, PoolStatus(2, workers))[-1].drain == ("short",)


def test_workers_needed_soon_are_kept() -> None:
    demand = QueueDemand(announced=[Batch(NOW + 100, 600, 32)])
    assert not later(8, PoolStatus(4, ready(4)), demand)[-1].drain


def test_surplus_counts_released_workers_only() -> None:
    draining = [Worker("d", WorkerState.DRAINING)]
    released = [Worker("r", WorkerState.RELEASED)]
    assert run(PoolStatus(2, [*ready(1), *draining])).surplus == 0
    assert run(PoolStatus(3, [*ready(1), *draining, *released])).surplus == 1


def test_stopping_workers_are_not_counted_twice() -> None:
    """The count is lowered and ECS takes a moment to stop the worker."""
    released = [Worker(f"r{i}", WorkerState.RELEASED) for i in range(2)]
    assert run(PoolStatus(2, [*ready(1), *released])).surplus == 1


def test_count_is_not_lowered_while_a_worker_starts() -> None:
    """It is not protected yet: ECS might stop it instead of the released one."""
    released = [Worker("r", WorkerState.RELEASED)]
    assert run(PoolStatus(3, [*ready(1), *released], starting=[NOW - 30])).surplus == 0


def test_orders_stand_until_the_count_changes_and_then_rest() -> None:
    """An alarm that stays in ALARM acts once a minute; a new edge acts at once."""
    demand = waiting(200)
    first, second = later(2, PoolStatus(1, ready(1, 8)), demand)
    assert first.deficit == second.deficit == 9

    grown = PoolStatus(4, ready(1, 8), starting=[NOW] * 3)
    moved = later(4, grown, demand, memory=second.memory, now=NOW + 2 * ROUND_SECONDS)
    rest = SCALE_OUT_REST_SECONDS // ROUND_SECONDS
    assert [d.deficit for d in moved] == [0] * rest + [6] * (4 - rest)


def test_start_up_time_is_estimated() -> None:
    slow = run(PoolStatus(1, ready(1), start_seconds=[200.0] * 20))
    assert slow.memory.start_up.seconds == 200
    far = QueueDemand(announced=[Batch(slow.memory.at + 180, 600, 64)])
    status = PoolStatus(1, ready(1))
    assert run(status, far).deficit == 0
    assert run(status, far, memory=slow.memory).deficit == 7


def test_clock_jumps_drain_no_worker() -> None:
    """Forward, the hold would seem to have passed; backward, never to pass."""
    memory = later(6, PoolStatus(4, ready(4)))[-1].memory
    for jump in (-86_400.0, (MEMORY_ROUNDS + 1) * ROUND_SECONDS, 1e9):
        decision = run(PoolStatus(4, ready(4)), memory=memory, now=memory.at + jump)
        assert decision.drain == ()
        assert decision.memory.since == memory.at + jump
        assert decision.memory.start_up == memory.start_up


def test_tasks_from_the_future_wait_since_now() -> None:
    ahead = QueueDemand(queued=[Batch(NOW + 10_000, 600, 32)])
    status = PoolStatus(1, ready(1, 8))
    assert run(status, ahead).deficit == run(status, waiting(32)).deficit


def test_duplicate_reports_count_once_and_are_reported() -> None:
    twice = [*ready(2, 8), Worker("w0", WorkerState.RELEASED)]
    snapshot = Snapshot(NOW, {}, {"p": PoolStatus(2, twice)})
    decision = decide(snapshot, AutoscalerSettings((POOL,)))
    assert decision.problems == ("Pool 'p': duplicate reports of w0.",)
    assert decision.pools["p"].surplus == 1, "the most advanced state counts"


def test_tasks_without_history_get_workers() -> None:
    """Nothing ever ran: they count as of a minute, and a pool at rest wakes."""
    expected = TaskDurations({}).expected("new", "task")
    pool = replace(POOL, minimum=0)
    decision = run(PoolStatus(0), waiting(64, expected=expected), pool=pool)
    assert 0 < decision.deficit <= 8


def test_zero_durations_and_negative_counts_do_no_harm() -> None:
    odd = QueueDemand(
        queued=[Batch(NOW, 0.0, 8), Batch(NOW, -5.0, 8), Batch(NOW, 60.0, -100)]
    )
    decision = run(PoolStatus(1, ready(1)), odd)
    assert (decision.deficit, decision.demand) == (0, 16)


def test_unknown_queues_are_reported_and_scale_nothing() -> None:
    queues = {"qq": QueueDemand(queued=[Batch(NOW, 60, 500)])}
    decision = decide(
        Snapshot(NOW, queues, {"p": PoolStatus(1, ready(1))}),
        AutoscalerSettings((POOL,)),
    )
    assert decision.unknown_queues == {"qq": 500}
    assert decision.pools["p"].deficit == 0


def test_pools_without_status_get_no_decision() -> None:
    """A number would be reported as fresh; silence lets the heartbeat stop."""
    decision = decide(
        Snapshot(NOW, {"q": waiting(50)}, {}), AutoscalerSettings((POOL,))
    )
    assert decision.pools == {}
    assert "workers unknown" in decision.problems[0]


def test_workers_of_a_pool_without_settings_are_reported() -> None:
    pools = {"p": PoolStatus(1, ready(1)), "x": PoolStatus(3)}
    decision = decide(Snapshot(NOW, {}, pools), AutoscalerSettings((POOL,)))
    assert decision.problems == ("Pool 'x' has workers but no settings.",)


def test_million_entries_request_the_maximum_and_no_more() -> None:
    entries = ((NOW - i % 5000, 30.0 + i % 7, 1) for i in range(1_000_000))
    queued = compact(entries, NOW, 60.0)
    assert len(queued) < 200
    for scaling_profile in ScalingProfile:
        decision = run(
            PoolStatus(1, ready(1, 8)),
            QueueDemand(queued=queued),
            pool=replace(POOL, scaling_profile=scaling_profile),
        )
        assert decision.deficit == POOL.maximum - 1
        assert decision.demand == 1_000_008


def test_memory_stays_small() -> None:
    """However long the hold, what can no longer matter is dropped."""
    pool = replace(POOL, scale_in_delay_seconds=86_400.0)
    memory = None
    for i in range(2000):
        now = NOW + i * ROUND_SECONDS
        demand = QueueDemand(queued=[Batch(now, 600, i * 37 % 70)])
        memory = run(
            PoolStatus(1, ready(1, 8)), demand, pool=pool, now=now, memory=memory
        ).memory
    assert memory is not None
    assert len(memory.needs) <= POOL.maximum + 1
    assert len(memory.load) <= POOL.maximum * POOL.concurrency


tasks = st.builds(
    Batch,
    st.floats(NOW - 1e5, NOW + 1e3),
    st.floats(0, 1e5),
    st.integers(-3, 10_000),
)
running = st.builds(RunningTask, st.floats(NOW - 1e5, NOW + 60), st.floats(0, 1e5))
workers = st.lists(
    st.builds(
        Worker,
        st.integers(0, 40).map(str),
        st.sampled_from(WorkerState),
        st.lists(
            st.builds(RunningTask, st.floats(NOW - 1e5, NOW + 60), st.floats(0, 1e5)),
            max_size=12,
        ),
    ),
    max_size=30,
)
pools = st.builds(
    PoolStatus,
    st.integers(0, 40),
    workers,
    st.lists(st.floats(NOW - 1e4, NOW), max_size=5),
    st.lists(st.floats(-1e6, 1e6), max_size=3),
)
demands = st.builds(
    QueueDemand,
    st.lists(tasks, max_size=8),
    st.lists(tasks, max_size=4),
    st.lists(tasks, max_size=4),
)


@settings(max_examples=150)
@given(
    pools,
    demands,
    st.integers(0, 6),
    st.integers(1, 30),
    st.sampled_from(ScalingProfile),
)
def test_orders_stay_within_bounds(
    status: PoolStatus,
    demand: QueueDemand,
    minimum: int,
    maximum: int,
    scaling_profile: ScalingProfile,
) -> None:
    pool = replace(
        POOL,
        minimum=min(minimum, maximum),
        maximum=maximum,
        scaling_profile=scaling_profile,
    )
    known = {worker.identity: worker.state for worker in status.workers}
    released = {w.identity for w in status.workers if w.state is WorkerState.RELEASED}
    is_deployed = any(worker.outdated for worker in status.workers)
    for decision in later(8, status, demand, pool=pool):
        assert 0 <= decision.deficit <= max(0, maximum - status.desired)
        assert 0 <= decision.surplus <= len(released)
        assert not (decision.deficit and decision.surplus)
        assert not set(decision.drain) & set(decision.revive)
        # Only a deployment drains a worker while it keeps another one.
        assert not (decision.drain and decision.revive) or is_deployed
        assert set(decision.drain) <= known.keys()
        assert not released & {*decision.drain, *decision.revive}
        assert decision.memory.start_up.seconds + ORDER_SECONDS < 1000


def test_same_snapshot_gives_the_same_decision() -> None:
    status, demand = PoolStatus(3, ready(3, 5)), waiting(40)
    assert run(status, demand) == run(status, demand)
