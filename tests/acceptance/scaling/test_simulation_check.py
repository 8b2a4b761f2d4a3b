"""What was seen is held against what the simulation foresees, and may differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acceptance.check import CheckFailed
from acceptance.simulation_check import TaskRecord, PoolHistory, compare, predict
from cli import product

ROOT = Path(__file__).parents[3]
BEGUN = 1_795_473_000.0
FORESEEN = PoolHistory(
    peak=3, workers=3, worker_seconds=1000, first_order=BEGUN + 6, at_rest=BEGUN + 400
)
OPTIONS = {"concurrency": 4, "minimum": 0, "maximum": 3, "hold": 10}


def test_equal_numbers_are_alike() -> None:
    compared = compare(FORESEEN, FORESEEN, BEGUN)
    assert all(pair.is_alike for pair in compared)
    assert [str(pair) for pair in compared] == [
        "most workers 3, foreseen 3",
        "workers 3, foreseen 3 (+-1)",
        "worker-seconds 1000, foreseen 1000 (+-295)",
        "first order after 6, foreseen 6 (+-45)",
        "asleep after 400, foreseen 400 (+-45)",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"peak": 2},
        {"workers": 5},
        {"worker_seconds": 700.0},
        {"first_order": BEGUN + 60},
        {"at_rest": BEGUN + 500},
        {"at_rest": float("inf")},
    ],
)
def test_each_number_that_is_too_far_away_is_told(change: dict[str, Any]) -> None:
    compared = compare(replace(FORESEEN, **change), FORESEEN, BEGUN)
    assert [pair.is_alike for pair in compared].count(False) == 1


@pytest.fixture
def environment(tmp_path: Path) -> Any:
    (tmp_path / "dist").mkdir()
    (page,) = (
        page for page in product.compile_pages() if page.path == "scaling.template.json"
    )
    (tmp_path / "dist" / page.path).write_text(page.text())
    return SimpleNamespace(folder=tmp_path, project=ROOT)


def burst(count: int) -> list[TaskRecord]:
    words = ("scaling_burst", "work", "run", "default", "manual")
    return [
        TaskRecord(words, BEGUN, BEGUN + 30, BEGUN + 30 + number, "host", "success", 1)
        for number in range(1, count)
    ]


@pytest.mark.slow
def test_the_simulation_takes_the_tasks_and_tells_what_is_compared(environment: Any) -> None:
    seen = PoolHistory.of(predict(environment, burst(60), {**OPTIONS, "start-seconds": 25.0}))
    assert seen.peak == 3
    assert 3 <= seen.workers <= 4
    assert BEGUN <= seen.first_order <= BEGUN + 20
    assert seen.at_rest > BEGUN + 60


@pytest.mark.slow
def test_a_simulation_that_refuses_says_why(environment: Any) -> None:
    with pytest.raises(CheckFailed, match="has no queue 'other'"):
        predict(environment, burst(3), {**OPTIONS, "maximum": "other=1"})
