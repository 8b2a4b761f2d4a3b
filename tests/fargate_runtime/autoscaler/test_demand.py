"""Demand from what the database told: what waits, what will, what must not count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from fargate_runtime.autoscaler.dag_metadata import (
    DAGS_PER_ROUND,
    REFRESH_SECONDS,
    DagMetadataStore,
    topological_order,
)
from fargate_runtime.autoscaler.demand import STUCK_SECONDS, DemandEstimator
from fargate_runtime.autoscaler.queries import (
    ActiveInstances,
    AnnouncedRuns,
    Observation,
    QueuedTasks,
    RunningInstance,
    SerializedTask,
    TaskHistory,
    UnscheduledTasks,
)
from fargate_runtime.autoscaler.state import QueueDemand

NOW = 1_000_000.0


def task(name: str, *downstream: str, **changes: Any) -> SerializedTask:
    """Return a task of the DAG ``dag``."""
    task = SerializedTask(
        dag_id="dag",
        task_id=name,
        queue="q",
        pool="default_pool",
        is_celery=True,
        is_empty=False,
        is_mapped=False,
        downstream=list(downstream),
    )
    return task._replace(**changes)


def estimator_of(
    tasks: Sequence[SerializedTask], past: Iterable[TaskHistory] = (), active: int = 100
) -> DemandEstimator:
    metadata = DagMetadataStore("default")
    metadata.update(["dag"], tasks, past, {"dag": active})
    return DemandEstimator(metadata)


def observed(**fields: Any) -> Observation:
    return Observation(
        **{
            "now": NOW,
            "queued": [],
            "running": [],
            "unscheduled": [],
            "active": [],
            "announced": [],
            "active_runs": {},
            "slots": {},
            "bundles": [],
            **fields,
        }
    )


def count(batches: Iterable[Any]) -> int:
    return sum(batch.tasks for batch in batches)


CHAIN = [task("a", "b"), task("b", "c"), task("c")]


def test_a_million_queued_tasks_are_a_handful_of_batches() -> None:
    demand = estimator_of(CHAIN, [TaskHistory("dag", "a", 100.0, 10, 0)]).demand(
        observed(
            queued=[
                QueuedTasks("q", "dag", "a", NOW - 20, 600_000),
                QueuedTasks("q", None, None, NOW - 10_000, 400_000),
            ]
        )
    )
    assert count(demand["q"].queued) == 1_000_000
    assert len(demand["q"].queued) == 2
    assert all(batch.arrival <= NOW for batch in demand["q"].queued)


def test_task_without_history_takes_the_mean_of_all() -> None:
    metadata = DagMetadataStore("default")
    history = [TaskHistory("dag", "a", 100.0, 10, 0), TaskHistory("dag", "b", 0, 0, 0)]
    metadata.update(["dag"], CHAIN, history, {})
    assert metadata.expected("dag", "a") == 10.0
    assert metadata.expected("dag", "b") == 10.0
    assert metadata.expected("never", "observation") == 10.0


def test_stages_follow_the_end_of_running_tasks() -> None:
    past = [TaskHistory("dag", name, 40.0, 1, 0) for name in "abc"]
    (demand,) = (
        estimator_of(CHAIN, past)
        .demand(
            observed(
                running=[RunningInstance("q", "10.0.0.1", "dag", "r", "a", NOW)],
                unscheduled=[UnscheduledTasks("dag", "r", ["b", "c"], [0, 0])],
            )
        )
        .values()
    )
    b, c = sorted(demand.coming)
    assert NOW + 20 < b.arrival < c.arrival < NOW + 100
    assert (b.tasks, c.tasks) == (1, 1)


def test_mapped_task_counts_as_often_as_in_the_last_run() -> None:
    tasks = [task("a", "m"), task("m", is_mapped=True)]
    estimator = estimator_of(tasks, [TaskHistory("dag", "m", 10.0, 1, 37)])
    observation = observed(
        running=[RunningInstance("q", "h", "dag", "r", "a", NOW)],
        unscheduled=[UnscheduledTasks("dag", "r", ["m"], [0])],
    )
    assert count(estimator.demand(observation)["q"].coming) == 37


def test_mapped_task_counts_as_often_as_it_was_mapped() -> None:
    estimator = estimator_of(
        [task("m", is_mapped=True)], [TaskHistory("dag", "m", 10.0, 1, 37)]
    )
    observation = observed(unscheduled=[UnscheduledTasks("dag", "r", ["m"], [5])])
    assert count(estimator.demand(observation)["q"].coming) == 5


@pytest.mark.parametrize(
    ("active", "slots", "allowed"),
    [(16, {}, 16), (100, {"default_pool": 7}, 7), (100, {"default_pool": 1000}, 50)],
)
def test_forecast_respects_limits_of_active_tasks(
    active: int, slots: dict[str, int], allowed: int
) -> None:
    # Airflow schedules no more at once, so more workers would find nothing to do.
    tasks = [task("a", "m"), task("m", is_mapped=True)]
    estimator = estimator_of(tasks, [TaskHistory("dag", "m", 10.0, 1, 50)], active)
    observation = observed(
        running=[RunningInstance("q", "h", "dag", "r", "a", NOW)],
        unscheduled=[UnscheduledTasks("dag", "r", ["m"], [0])],
        slots=slots,
    )
    assert count(estimator.demand(observation)["q"].coming) == allowed


def test_running_tasks_count_against_max_active_tasks() -> None:
    estimator = estimator_of([task("m", is_mapped=True)], active=16)
    observation = observed(
        running=[RunningInstance("q", "h", "dag", "r", "m", NOW)] * 10,
        active=[
            ActiveInstances("dag", "r", "m", "queued", 4, NOW),
            ActiveInstances("dag", "r", "m", "scheduled", 900, NOW),
        ],
    )
    assert count(estimator.demand(observation)["q"].coming) == 2


def coming_after(seconds: float, estimator: DemandEstimator, **observation: Any) -> int:
    """Return what comes when all has stood still for as long."""
    now = NOW
    while now < NOW + seconds:
        estimator.demand(observed(now=now, **observation))
        now += 10
    demand = estimator.demand(observed(now=now, **observation))
    return sum(count(entry.coming) for entry in demand.values())


def test_stuck_tasks_are_no_demand_for_ever() -> None:
    # A task that depends on yesterday's failed one stays without a state for days.
    waiting = [UnscheduledTasks("dag", "r", ["a", "b", "c"], [0, 0, 0])]
    assert coming_after(0, estimator_of(CHAIN), unscheduled=waiting) == 3
    assert (
        coming_after(STUCK_SECONDS + 10, estimator_of(CHAIN), unscheduled=waiting) == 0
    )


def test_tasks_after_a_long_sensor_are_no_demand() -> None:
    past = [TaskHistory("dag", name, 40.0, 1, 0) for name in "abc"]
    waiting = [UnscheduledTasks("dag", "r", ["b", "c"], [0, 0])]
    for state in ("deferred", "up_for_reschedule", "up_for_retry"):
        fresh = [ActiveInstances("dag", "r", "a", state, 1, NOW - 10)]
        old = [ActiveInstances("dag", "r", "a", state, 1, NOW - 7200)]
        estimator = estimator_of(CHAIN, past)
        assert coming_after(0, estimator, unscheduled=waiting, active=fresh) == 2
        assert coming_after(0, estimator, unscheduled=waiting, active=old) == 0
    running = [RunningInstance("q", "h", "dag", "r", "a", NOW - 7200)]
    assert (
        coming_after(0, estimator_of(CHAIN, past), unscheduled=waiting, running=running)
        == 0
    )


def announced(estimator: DemandEstimator, **observation: Any) -> int:
    return count(
        estimator.demand(observed(**observation)).get("q", QueueDemand()).announced
    )


def test_cron_runs_are_announced_with_all_their_stages() -> None:
    estimator = estimator_of(CHAIN)
    soon = AnnouncedRuns("dag", NOW + 60, 1, 16)
    demand = estimator.demand(observed(announced=[soon]))["q"]
    assert count(demand.announced) == 3
    assert min(batch.arrival for batch in demand.announced) >= NOW + 60


def test_runs_beyond_max_active_runs_do_not_count() -> None:
    estimator = estimator_of([task("a")])
    runs = [AnnouncedRuns("dag", NOW, 5, 3)]
    assert announced(estimator, announced=runs) == 3
    assert announced(estimator, announced=runs, active_runs={"dag": 2}) == 1
    assert announced(estimator, announced=runs, active_runs={"dag": 9}) == 0


def test_tasks_of_other_executors_are_parents_and_no_demand() -> None:
    tasks = [task("a", "b", is_celery=False), task("b")]
    estimator = estimator_of(tasks)
    assert announced(estimator, announced=[AnnouncedRuns("dag", NOW, 1, 1)]) == 1


def test_unknown_dags_announce_nothing() -> None:
    observation = observed(
        announced=[AnnouncedRuns("new", NOW, 1, 1)],
        unscheduled=[UnscheduledTasks("new", "r", ["a"], [0])],
    )
    assert DemandEstimator(DagMetadataStore("default")).demand(observation) == {}


def test_running_tasks_are_grouped_by_host() -> None:
    hosts = estimator_of(CHAIN).running(
        observed(
            running=[
                RunningInstance("q", "10.0.0.1", "dag", "r", "a", NOW - 5),
                RunningInstance("q", None, "dag", "r", "b", NOW),
            ]
        )
    )
    assert list(hosts) == ["10.0.0.1"]
    assert hosts["10.0.0.1"][0].started == NOW - 5


def test_empty_tasks_pass_on_their_parents() -> None:
    ordered = topological_order(
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


def test_task_cycles_are_left_out() -> None:
    assert topological_order([task("a", "b"), task("b", "a")]) == []


class SourceStub:
    """A database that counts the DAGs of each request."""

    def __init__(self) -> None:
        self.requests: list[int] = []

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if "jsonb_array_elements" in statement:
            self.requests.append(len(values[1]))
        return []


def test_dags_are_read_in_portions_and_reread_later() -> None:
    source, metadata = SourceStub(), DagMetadataStore("default")
    queued = [QueuedTasks("q", f"dag{number}", "t", NOW, 1) for number in range(60)]
    for seconds in (0, 10, 20, 30, REFRESH_SECONDS + 1):
        metadata.refresh(source, observed(queued=queued, now=NOW + seconds))
    assert source.requests == [DAGS_PER_ROUND, DAGS_PER_ROUND, 10, DAGS_PER_ROUND]


def test_dags_are_reread_when_the_clock_is_set_back() -> None:
    source, metadata = SourceStub(), DagMetadataStore("default")
    queued = [QueuedTasks("q", "dag", "t", NOW, 1)]
    for seconds in (0, -86_400):
        metadata.refresh(source, observed(queued=queued, now=NOW + seconds))
    assert source.requests == [1, 1]
