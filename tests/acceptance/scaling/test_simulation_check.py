"""Observations are compared with the prediction of the simulation, within margins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acceptance.check import CheckFailed
from acceptance.simulation_check import PoolHistory, TaskRecord, compare, predict
from cli import product

ROOT = Path(__file__).parents[3]
STARTED = 1_795_473_000.0
PREDICTED = PoolHistory(
    peak=3,
    workers=3,
    worker_seconds=1000,
    first_deficit=STARTED + 6,
    at_rest=STARTED + 400,
)
OPTIONS = {"concurrency": 4, "minimum": 0, "maximum": 3, "scale-in-delay-seconds": 10}


def test_equal_numbers_are_close() -> None:
    comparisons = compare(PREDICTED, PREDICTED, STARTED)
    assert all(pair.is_close for pair in comparisons)
    assert [str(pair) for pair in comparisons] == [
        "most workers 3, predicted 3",
        "workers 3, predicted 3 (+-1)",
        "worker-seconds 1000, predicted 1000 (+-295)",
        "first deficit after 6, predicted 6 (+-45)",
        "at rest after 400, predicted 400 (+-45)",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"peak": 2},
        {"workers": 5},
        {"worker_seconds": 700.0},
        {"first_deficit": STARTED + 60},
        {"at_rest": STARTED + 500},
        {"at_rest": float("inf")},
    ],
)
def test_each_number_that_is_too_far_away_is_found(change: dict[str, Any]) -> None:
    comparisons = compare(replace(PREDICTED, **change), PREDICTED, STARTED)
    assert [pair.is_close for pair in comparisons].count(False) == 1


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Any:
    tmp_path = tmp_path_factory.mktemp("environment")
    (tmp_path / "dist").mkdir()
    (scaling,) = (
        template
        for template in product.compile_templates()
        if template.path == "scaling.template.json"
    )
    (tmp_path / "dist" / scaling.path).write_text(scaling.text())
    return SimpleNamespace(folder=tmp_path, project=ROOT)


def burst(count: int) -> list[TaskRecord]:
    columns = ("scaling_burst", "work", "run", "default", "manual")
    return [
        TaskRecord(
            columns, STARTED, STARTED + 30, STARTED + 30 + number, "host", "success", 1
        )
        for number in range(1, count)
    ]


@pytest.mark.slow
def test_simulation_predicts_from_the_tasks(environment: Any) -> None:
    predicted = PoolHistory.of(
        predict(environment, burst(60), {**OPTIONS, "start-seconds": 25.0})
    )
    assert predicted.peak == 3
    assert 3 <= predicted.workers <= 4
    assert STARTED <= predicted.first_deficit <= STARTED + 20
    assert predicted.at_rest > STARTED + 60


@pytest.mark.slow
def test_error_of_the_simulation_is_reported(environment: Any) -> None:
    with pytest.raises(CheckFailed, match="has no queue 'other'"):
        predict(environment, burst(3), {**OPTIONS, "maximum": "other=1"})
