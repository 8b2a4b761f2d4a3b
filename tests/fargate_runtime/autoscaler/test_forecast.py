"""What a DAG run brings next, and what nobody has seen before."""

from __future__ import annotations

import pytest

from fargate_runtime.autoscaler.estimates import Durations, StartUp
from fargate_runtime.autoscaler.forecast import (
    SOONEST,
    STAGE_SECONDS,
    Node,
    Work,
    foresee,
    left,
)
from fargate_runtime.autoscaler.state import Batch, Running

NOW = 5000.0


def test_a_child_comes_when_its_parent_may_have_ended() -> None:
    nodes = [
        Node("q", running=[Running(NOW - 10, 100)]),
        Node("big", parents=[0], waiting=[Work(30, 40)]),
    ]
    ((queue, batch),) = foresee(nodes, NOW, NOW + 300)
    assert queue == "big"
    assert batch == Batch(NOW - 10 + SOONEST * 100 + STAGE_SECONDS, 30, 40)


def test_stages_follow_each_other() -> None:
    nodes = [
        Node("q", queued=[Work(100, 1)]),
        Node("q", parents=[0], waiting=[Work(50, 1)]),
        Node("q", parents=[1], waiting=[Work(10, 1)]),
    ]
    arrivals = [batch.arrival - NOW for _, batch in foresee(nodes, NOW, NOW + 300)]
    first = SOONEST * 100 + STAGE_SECONDS
    assert arrivals == pytest.approx([first, first + SOONEST * 50 + STAGE_SECONDS])


def test_a_child_waits_for_the_last_of_its_parents() -> None:
    nodes = [
        Node("q"),
        Node("q", running=[Running(NOW, 200)]),
        Node("q", parents=[0, 1], waiting=[Work(1, 1)]),
    ]
    ((_, batch),) = foresee(nodes, NOW, NOW + 300)
    assert batch.arrival == NOW + SOONEST * 200 + STAGE_SECONDS


def test_a_run_that_has_not_begun_brings_its_first_tasks_then() -> None:
    nodes = [Node("q", waiting=[Work(60, 3)]), Node("q", [0], waiting=[Work(60, 9)])]
    found = foresee(nodes, NOW, NOW + 110, begins=NOW + 100)
    assert found == [("q", Batch(NOW + 100, 60, 3))], "the second lies too far ahead"


def test_what_outlives_its_estimate_runs_on() -> None:
    """Else a stage behind a slow task would be awaited every second for hours."""
    assert left(NOW, Running(NOW - 4000, 100)) == pytest.approx(0.25 * 4100)


def test_impossible_start_ups_teach_nothing() -> None:
    known = StartUp().with_seen([-5.0, 0.0, 1e9, float("nan")])
    assert known == StartUp()


def test_a_single_slow_start_is_not_believed() -> None:
    assert StartUp().with_seen([400.0]).seconds == StartUp().seconds


def test_only_the_latest_starts_are_remembered() -> None:
    known = StartUp().with_seen([300.0] * 100).with_seen([40.0] * 50)
    assert known.seconds == 40


def test_a_task_without_history_takes_the_mean_of_all() -> None:
    durations = Durations({("a", "x"): (100.0, 10), ("a", "y"): (200.0, 10)})
    assert durations.expected("a", "x") == 10
    assert durations.expected("new", "task") == 15
    assert Durations({}).expected("new", "task") > 0
