"""Forecast of a DAG run's next tasks; estimates of durations and start-up times."""

from __future__ import annotations

import pytest

from fargate_runtime.autoscaler.estimates import StartUpTime
from fargate_runtime.autoscaler.forecast import (
    EARLIEST_END,
    STAGE_SECONDS,
    TaskCount,
    TaskNode,
    forecast,
    remaining_seconds,
)
from fargate_runtime.autoscaler.state import Batch, RunningTask

NOW = 5000.0


def test_child_tasks_arrive_when_their_parent_may_have_ended() -> None:
    nodes = [
        TaskNode("q", running=[RunningTask(NOW - 10, 100)]),
        TaskNode("big", parents=[0], waiting=[TaskCount(30, 40)]),
    ]
    ((queue, batch),) = forecast(nodes, NOW, NOW + 300)
    assert queue == "big"
    assert batch == Batch(NOW - 10 + EARLIEST_END * 100 + STAGE_SECONDS, 30, 40)


def test_stages_follow_each_other() -> None:
    nodes = [
        TaskNode("q", queued=[TaskCount(100, 1)]),
        TaskNode("q", parents=[0], waiting=[TaskCount(50, 1)]),
        TaskNode("q", parents=[1], waiting=[TaskCount(10, 1)]),
    ]
    arrivals = [batch.arrival - NOW for _, batch in forecast(nodes, NOW, NOW + 300)]
    first = EARLIEST_END * 100 + STAGE_SECONDS
    assert arrivals == pytest.approx([first, first + EARLIEST_END * 50 + STAGE_SECONDS])


def test_child_waits_for_the_last_of_its_parents() -> None:
    nodes = [
        TaskNode("q"),
        TaskNode("q", running=[RunningTask(NOW, 200)]),
        TaskNode("q", parents=[0, 1], waiting=[TaskCount(1, 1)]),
    ]
    ((_, batch),) = forecast(nodes, NOW, NOW + 300)
    assert batch.arrival == NOW + EARLIEST_END * 200 + STAGE_SECONDS


def test_runs_queue_their_first_tasks_when_they_begin() -> None:
    nodes = [
        TaskNode("q", waiting=[TaskCount(60, 3)]),
        TaskNode("q", [0], waiting=[TaskCount(60, 9)]),
    ]
    batches = forecast(nodes, NOW, NOW + 110, begins=NOW + 100)
    assert batches == [("q", Batch(NOW + 100, 60, 3))], "the second lies too far ahead"


def test_overdue_tasks_are_expected_to_continue() -> None:
    """Else a stage behind a slow task would be awaited every second for hours."""
    assert remaining_seconds(NOW, RunningTask(NOW - 4000, 100)) == pytest.approx(
        0.25 * 4100
    )


def test_implausible_start_ups_are_ignored() -> None:
    known = StartUpTime().with_observed([-5.0, 0.0, 1e9, float("nan")])
    assert known == StartUpTime()


def test_single_slow_starts_are_ignored() -> None:
    assert StartUpTime().with_observed([400.0]).seconds == StartUpTime().seconds


def test_only_the_latest_starts_count() -> None:
    known = StartUpTime().with_observed([300.0] * 100).with_observed([40.0] * 50)
    assert known.seconds == 40
