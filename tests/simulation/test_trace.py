"""Prediction for one trace, which the acceptance checks compare with real workers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulation.history import COLUMNS
from simulation.trace import main

BEGIN = 1_770_000_043.0
START = 25


@pytest.fixture
def burst(tmp_path: Path) -> Path:
    """Forty tasks of 30 seconds at once, in a manual run."""
    lines = [",".join(COLUMNS)]
    lines += [
        f"burst,work,r1,default,manual,{BEGIN},{BEGIN + 30},{BEGIN + 60}"
        for _ in range(40)
    ]
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(lines))
    return path


def predicted(
    burst: Path, template: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> dict[str, Any]:
    arguments = [str(burst), "--template", str(template), "--json"]
    arguments += ["--start-seconds", str(START), *more]
    assert main(arguments) == 0
    prediction: dict[str, Any] = json.loads(capsys.readouterr().out)
    return prediction


def test_burst_scales_an_empty_pool_out_and_in(
    burst: Path, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction = predicted(
        burst, template, capsys, "--concurrency", "4", "--maximum", "5"
    )
    (pool,) = prediction["pools"].values()
    assert (prediction["killed"], prediction["unfinished"]) == (0, 0)
    counts = [count for _, count in pool["desired"]]
    assert counts[0] == counts[-1] == 0
    assert max(counts) == pool["peak"] == 5
    assert max(count for _, count in pool["deficit"]) == 5
    assert max(count for _, count in pool["surplus"]) >= 1
    assert pool["at_rest"] == pool["desired"][-1][0]


def test_times_are_those_of_the_trace(
    burst: Path, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The autoscaler decides at second 6 of ten, alarms act 9 seconds later."""
    prediction = predicted(burst, template, capsys, "--concurrency", "4")
    (pool,) = prediction["pools"].values()
    (published,) = [at for at, count in pool["deficit"] if count]
    grown = next(at for at, count in pool["desired"] if count)
    assert published % 10 == 6
    assert BEGIN <= published < BEGIN + 10
    assert grown == published + 9
    assert START <= pool["first_start"] - grown <= START + 15
    # A round's place in the tick of ECS, and then two turns of the tasks at most.
    assert pool["start_delays"]["max"] <= 9 + 10 + START + 15 + 30


def test_shorter_start_shortens_the_delay_by_as_much(
    burst: Path, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = predicted(burst, template, capsys, "--start-seconds", "60")
    fast = predicted(burst, template, capsys)
    p50 = [s["pools"]["default"]["start_delays"]["p50"] for s in (slow, fast)]
    assert p50[0] - p50[1] == pytest.approx(60 - START, abs=10)


def test_without_json_it_is_a_table(
    burst: Path, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(burst), "--template", str(template)]) == 0
    assert "killed 0, left 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--maximum", "many"], "'many' is no number and no queue=number"),
        (["--maximum", "bigg=5"], "the trace has no queue 'bigg'"),
        (["--minimum", "9", "--maximum", "3"], "minimum 9 is above maximum 3"),
        (["--template", "none.json"], "make templates"),
    ],
)
def test_invalid_options_are_one_line(
    options: list[str],
    reason: str,
    burst: Path,
    template: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([str(burst), "--template", str(template), *options]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
