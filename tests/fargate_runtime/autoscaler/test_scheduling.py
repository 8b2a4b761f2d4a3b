"""Fewest workers: enough, and one fewer is not."""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fargate_runtime.autoscaler.decide import decide
from fargate_runtime.autoscaler.scheduling import (
    ARRIVAL_GRAIN_SECONDS,
    compact,
    late_tasks,
    minimum_workers,
)
from fargate_runtime.autoscaler.settings import AutoscalerSettings, PoolSettings
from fargate_runtime.autoscaler.state import (
    Batch,
    PoolStatus,
    QueueDemand,
    RunningTask,
    Snapshot,
    Worker,
)
from fargate_runtime.scaling_protocol import WorkerState

START, SLOTS = 90, 4


@settings(max_examples=200)
@given(
    st.dictionaries(st.integers(0, 200), st.integers(1, 9), max_size=5),
    st.lists(
        st.tuples(st.integers(-50, 150), st.integers(1, 400), st.integers(1, 60)),
        max_size=8,
    ),
    st.sampled_from([0, 15, 55, 120]),
    st.integers(1, 60),
)
def test_one_worker_fewer_does_not_suffice(
    slots: dict[int, int],
    tasks: list[tuple[int, int, int]],
    target_start: int,
    most: int,
) -> None:
    tasks.sort()
    workers = minimum_workers(
        slots,
        tasks,
        target_start=target_start,
        start_seconds=START,
        per_worker=SLOTS,
        maximum=most,
    )

    def too_late(number: int) -> int:
        more = {**slots, START: slots.get(START, 0) + number * SLOTS}
        helped = START + ARRIVAL_GRAIN_SECONDS
        return late_tasks(more if number else slots, tasks, target_start, helped, 0)

    assert 0 <= workers <= most
    if workers < most:
        assert not too_late(workers)
    if workers:
        assert too_late(workers - 1)


def test_grouped_tasks_are_scheduled_like_single_ones() -> None:
    slots = {0: 3, 20: 2}
    together = [(0, 30, 9)]
    single = [(0, 30, 1)] * 9
    for helped in range(0, 120, 5):
        assert late_tasks(slots, together, 0, helped, 99) == late_tasks(
            slots, single, 0, helped, 99
        )


def test_no_task_is_lost_when_tasks_are_grouped() -> None:
    now = 1e6
    entries = [(now - i * 3.7, 10.0 + i % 90, 1 + i % 3) for i in range(5000)]
    grouped = compact(entries, now, 60.0)
    assert sum(batch.tasks for batch in grouped) == sum(entry[2] for entry in entries)
    assert min(batch.arrival for batch in grouped) >= now - 60
    assert len(grouped) < 400


POOLS, WORKERS, DAGS, QUEUED = 50, 500, 200, 100_000
MILLISECONDS, MEBIBYTES = 20, 150


@pytest.fixture(scope="module")
def crowd() -> tuple[Snapshot, AutoscalerSettings]:
    """The largest case that the decision must bear, every worker busy."""
    chance = random.Random(5)  # noqa: S311 - repeatable, not secret
    now = 1e9
    expected = [[chance.lognormvariate(4, 1.2) for _ in range(10)] for _ in range(DAGS)]
    raw: list[list[tuple[float, float, int]]] = [[] for _ in range(POOLS)]
    for _ in range(QUEUED):
        dag = chance.randrange(DAGS)
        entry = (now - chance.uniform(0, 600), chance.choice(expected[dag]), 1)
        raw[dag % POOLS].append(entry)
    queues, statuses, pools = {}, {}, []
    for pool, entries in enumerate(raw):
        queues[f"q{pool}"] = QueueDemand(
            queued=compact(entries, now, 15.0),
            announced=[
                Batch(now + chance.uniform(0, 200), expected[dag][0], 20)
                for dag in range(pool, DAGS, POOLS)
            ],
        )
        statuses[f"p{pool}"] = PoolStatus(
            WORKERS // POOLS,
            [
                Worker(
                    f"{pool}-{worker}",
                    WorkerState.READY,
                    [
                        RunningTask(
                            now - chance.uniform(0, 100), chance.lognormvariate(4, 1)
                        )
                        for _ in range(8)
                    ],
                )
                for worker in range(WORKERS // POOLS)
            ],
        )
        pools.append(
            PoolSettings(
                name=f"p{pool}", queue=f"q{pool}", concurrency=8, minimum=1, maximum=40
            )
        )
    return Snapshot(now, queues, statuses), AutoscalerSettings(tuple(pools))


def quickest(what: Callable[[], object], times: int) -> float:
    """The least CPU time: other programs on the machine only ever add to it."""
    spent = []
    for _ in range(times):
        begun = time.process_time()
        what()
        spent.append(time.process_time() - begun)
    return min(spent)


@pytest.mark.slow
def test_decision_takes_twenty_milliseconds_at_most(
    crowd: tuple[Snapshot, AutoscalerSettings],
) -> None:
    assert quickest(lambda: decide(*crowd), 15) * 1000 <= MILLISECONDS


@pytest.mark.slow
def test_decision_needs_little_memory(
    crowd: tuple[Snapshot, AutoscalerSettings],
) -> None:
    tracemalloc.start()
    decide(*crowd)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= MEBIBYTES * 2**20 / 10
