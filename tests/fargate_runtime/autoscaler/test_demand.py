"""Demand from what the database told: what waits, what will, what must not count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from fargate_runtime.autoscaler.dag_metadata import (
    DAGS_A_ROUND,
    REFRESH_SECONDS,
    Knowledge,
    in_order,
)
from fargate_runtime.autoscaler.demand import STUCK_SECONDS, Foreseer
from fargate_runtime.autoscaler.queries import (
    Announced,
    DagTask,
    Observed,
    Past,
    Queued,
    RunningTask,
    UnderWay,
    Waiting,
)
from fargate_runtime.autoscaler.state import Demand

NOW = 1_000_000.0


def task(name: str, *downstream: str, **changes: Any) -> DagTask:
    """Return a task of the DAG ``dag``."""
    made = DagTask(
        dag_id="dag",
        task_id=name,
        queue="q",
        pool="default_pool",
        is_celery=True,
        is_empty=False,
        is_mapped=False,
        downstream=list(downstream),
    )
    return made._replace(**changes)


def foreseer(
    tasks: Sequence[DagTask], past: Iterable[Past] = (), active: int = 100
) -> Foreseer:
    knowledge = Knowledge("default")
    knowledge.learn(["dag"], tasks, past, {"dag": active})
    return Foreseer(knowledge)


def observed(**given: Any) -> Observed:
    return Observed(
        **{
            "now": NOW,
            "queued": [],
            "running": [],
            "waiting": [],
            "under_way": [],
            "announced": [],
            "active_runs": {},
            "slots": {},
            **given,
        }
    )


def count(batches: Iterable[Any]) -> int:
    return sum(batch.tasks for batch in batches)


CHAIN = [task("a", "b"), task("b", "c"), task("c")]


def test_a_queue_of_a_million_entries_is_a_handful_of_batches() -> None:
    found = foreseer(CHAIN, [Past("dag", "a", 100.0, 10, 0)]).demand(
        observed(
            queued=[
                Queued("q", "dag", "a", NOW - 20, 600_000),
                Queued("q", None, None, NOW - 10_000, 400_000),
            ]
        )
    )
    assert count(found["q"].queued) == 1_000_000
    assert len(found["q"].queued) == 2
    assert all(batch.arrival <= NOW for batch in found["q"].queued)


def test_a_task_without_history_takes_the_mean_of_all() -> None:
    one = foreseer(CHAIN, [Past("dag", "a", 100.0, 10, 0), Past("dag", "b", 0, 0, 0)])
    assert one.expected("dag", "a") == 10.0
    assert one.expected("dag", "b") == 10.0
    assert one.expected("never", "seen") == 10.0


def test_stages_follow_the_end_of_what_runs() -> None:
    past = [Past("dag", name, 40.0, 1, 0) for name in "abc"]
    (demand,) = (
        foreseer(CHAIN, past)
        .demand(
            observed(
                running=[RunningTask("q", "10.0.0.1", "dag", "r", "a", NOW)],
                waiting=[Waiting("dag", "r", ["b", "c"], [0, 0])],
            )
        )
        .values()
    )
    b, c = sorted(demand.coming)
    assert NOW + 20 < b.arrival < c.arrival < NOW + 100
    assert (b.tasks, c.tasks) == (1, 1)


def test_a_mapped_task_counts_as_often_as_in_the_last_run() -> None:
    tasks = [task("a", "m"), task("m", is_mapped=True)]
    one = foreseer(tasks, [Past("dag", "m", 10.0, 1, 37)])
    seen = observed(
        running=[RunningTask("q", "h", "dag", "r", "a", NOW)],
        waiting=[Waiting("dag", "r", ["m"], [0])],
    )
    assert count(one.demand(seen)["q"].coming) == 37


def test_a_mapped_task_counts_as_often_as_it_was_mapped() -> None:
    one = foreseer([task("m", is_mapped=True)], [Past("dag", "m", 10.0, 1, 37)])
    seen = observed(waiting=[Waiting("dag", "r", ["m"], [5])])
    assert count(one.demand(seen)["q"].coming) == 5


@pytest.mark.parametrize(
    ("active", "slots", "allowed"),
    [(16, {}, 16), (100, {"default_pool": 7}, 7), (100, {"default_pool": 1000}, 50)],
)
def test_no_more_come_than_may_be_active(
    active: int, slots: dict[str, int], allowed: int
) -> None:
    # Airflow schedules no more at once, so more workers would find nothing to do.
    tasks = [task("a", "m"), task("m", is_mapped=True)]
    one = foreseer(tasks, [Past("dag", "m", 10.0, 1, 50)], active)
    seen = observed(
        running=[RunningTask("q", "h", "dag", "r", "a", NOW)],
        waiting=[Waiting("dag", "r", ["m"], [0])],
        slots=slots,
    )
    assert count(one.demand(seen)["q"].coming) == allowed


def test_what_already_runs_takes_room_in_a_run() -> None:
    one = foreseer([task("m", is_mapped=True)], active=16)
    seen = observed(
        running=[RunningTask("q", "h", "dag", "r", "m", NOW)] * 10,
        under_way=[
            UnderWay("dag", "r", "m", "queued", 4, NOW),
            UnderWay("dag", "r", "m", "scheduled", 900, NOW),
        ],
    )
    assert count(one.demand(seen)["q"].coming) == 2


def coming_after(seconds: float, one: Foreseer, **seen: Any) -> int:
    """Return what comes when all has stood still for as long."""
    now = NOW
    while now < NOW + seconds:
        one.demand(observed(now=now, **seen))
        now += 10
    demand = one.demand(observed(now=now, **seen))
    return sum(count(entry.coming) for entry in demand.values())


def test_what_nobody_schedules_is_no_demand_for_ever() -> None:
    # A task that depends on yesterday's failed one stays without a state for days.
    waiting = [Waiting("dag", "r", ["a", "b", "c"], [0, 0, 0])]
    assert coming_after(0, foreseer(CHAIN), waiting=waiting) == 3
    assert coming_after(STUCK_SECONDS + 10, foreseer(CHAIN), waiting=waiting) == 0


def test_what_follows_a_sensor_that_waits_for_hours_is_no_demand() -> None:
    past = [Past("dag", name, 40.0, 1, 0) for name in "abc"]
    waiting = [Waiting("dag", "r", ["b", "c"], [0, 0])]
    for state in ("deferred", "up_for_reschedule", "up_for_retry"):
        fresh = [UnderWay("dag", "r", "a", state, 1, NOW - 10)]
        old = [UnderWay("dag", "r", "a", state, 1, NOW - 7200)]
        one = foreseer(CHAIN, past)
        assert coming_after(0, one, waiting=waiting, under_way=fresh) == 2
        assert coming_after(0, one, waiting=waiting, under_way=old) == 0
    running = [RunningTask("q", "h", "dag", "r", "a", NOW - 7200)]
    assert coming_after(0, foreseer(CHAIN, past), waiting=waiting, running=running) == 0


def announced(one: Foreseer, **seen: Any) -> int:
    return count(one.demand(observed(**seen)).get("q", Demand()).announced)


def test_cron_runs_are_announced_with_all_their_stages() -> None:
    one = foreseer(CHAIN)
    soon = Announced("dag", NOW + 60, 1, 16)
    demand = one.demand(observed(announced=[soon]))["q"]
    assert count(demand.announced) == 3
    assert min(batch.arrival for batch in demand.announced) >= NOW + 60


def test_runs_beyond_what_a_dag_may_have_wait_and_do_not_count() -> None:
    one = foreseer([task("a")])
    runs = [Announced("dag", NOW, 5, 3)]
    assert announced(one, announced=runs) == 3
    assert announced(one, announced=runs, active_runs={"dag": 2}) == 1
    assert announced(one, announced=runs, active_runs={"dag": 9}) == 0


def test_tasks_of_other_executors_are_parents_and_no_demand() -> None:
    tasks = [task("a", "b", is_celery=False), task("b")]
    one = foreseer(tasks)
    assert announced(one, announced=[Announced("dag", NOW, 1, 1)]) == 1


def test_a_dag_of_which_nothing_is_known_yet_announces_nothing() -> None:
    seen = observed(
        announced=[Announced("new", NOW, 1, 1)],
        waiting=[Waiting("new", "r", ["a"], [0])],
    )
    assert Foreseer(Knowledge("default")).demand(seen) == {}


def test_running_tasks_belong_to_their_host_and_a_row_without_one_to_nobody() -> None:
    hosts = foreseer(CHAIN).running(
        observed(
            running=[
                RunningTask("q", "10.0.0.1", "dag", "r", "a", NOW - 5),
                RunningTask("q", None, "dag", "r", "b", NOW),
            ]
        )
    )
    assert list(hosts) == ["10.0.0.1"]
    assert hosts["10.0.0.1"][0].started == NOW - 5


def test_empty_tasks_hand_their_parents_on() -> None:
    ordered = in_order(
        [
            task("end"),
            task("join", "end", is_empty=True),
            task("left", "join"),
            task("right", "join"),
            task("start", "left", "right", is_empty=True),
        ]
    )
    names = [each.task_id for each in ordered]
    assert names == ["left", "right", "end"]
    assert ordered[2].parents == (0, 1)
    assert ordered[0].parents == ()


def test_a_circle_of_tasks_ends() -> None:
    assert in_order([task("a", "b"), task("b", "a")]) == []


class Source:
    """A database that counts for how many DAGs it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if "jsonb_array_elements" in statement:
            self.asked.append(len(values[1]))
        return []


def test_dags_are_read_a_few_a_round_and_again_later() -> None:
    source, knowledge = Source(), Knowledge("default")
    queued = [Queued("q", f"dag{number}", "t", NOW, 1) for number in range(60)]
    for seconds in (0, 10, 20, 30, REFRESH_SECONDS + 1):
        knowledge.refresh(source, observed(queued=queued, now=NOW + seconds))
    assert source.asked == [DAGS_A_ROUND, DAGS_A_ROUND, 10, DAGS_A_ROUND]


def test_a_clock_that_goes_back_reads_dags_anew() -> None:
    source, knowledge = Source(), Knowledge("default")
    queued = [Queued("q", "dag", "t", NOW, 1)]
    for seconds in (0, -86_400):
        knowledge.refresh(source, observed(queued=queued, now=NOW + seconds))
    assert source.asked == [1, 1]
