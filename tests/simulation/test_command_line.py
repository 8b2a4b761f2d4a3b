"""The table an operator reads, from his own history, and its drawing."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from simulation import ours
from simulation.__main__ import POLICIES, contenders, main
from simulation.actor import Order
from simulation.history import COLUMNS
from templates import metrics


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """An hour of a DAG that runs every five minutes, forty tasks wide."""
    lines = [",".join(COLUMNS)]
    for run in range(12):
        at = 86_400 * 20_000 + 300 * run
        lines += [
            f"sales,map,r{run},default,scheduled,{at},{at + 1},{at + 61}"
            for _ in range(40)
        ]
    path = tmp_path / "history.csv"
    path.write_text("\n".join(lines))
    return path


def test_your_own_history_is_compared(
    exported: Path, template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--template", str(template), "--history", str(exported)]
    arguments += ["--policies", "ours-balanced", "--charts", str(tmp_path / "c")]

    def row(*more: str) -> list[str]:
        assert main([*arguments, *more]) == 0
        table = capsys.readouterr().out
        assert "history: 480 tasks a day" in table
        return next(line.split() for line in table.splitlines() if "ours" in line)

    blind = row("--no-look-ahead")
    foreseen = row()
    assert foreseen[6:8] == ["0", "0"], "killed and left"
    assert float(foreseen[1]) <= 15 < float(blind[1]), "the median of the waits"

    drawing = ET.parse(tmp_path / "c" / "history-ours-balanced.svg")  # noqa: S314 - our own
    assert drawing.getroot().tag.endswith("svg")


def test_a_missing_file_is_one_sentence_and_not_a_trace(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none.csv")
    assert main(["--template", str(template), "--history", missing]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_settings_that_cannot_be_meant_are_refused(
    exported: Path, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--template", str(template), "--history", str(exported)]
    assert main([*arguments, "--minimum", "9", "--maximum", "3"]) == 1
    assert "minimum 9 is above maximum 3" in capsys.readouterr().err


def test_every_policy_can_be_named(alarms: tuple[Order, ...]) -> None:
    class Asked:
        objective, hold, no_look_ahead = None, None, False

    made = contenders(alarms, Asked())  # type: ignore[arg-type]
    assert tuple(made) == POLICIES
    assert tuple(policy().name for policy in made.values()) == POLICIES


def test_ours_publishes_what_the_alarms_read() -> None:
    assert ours.DEFICIT == metrics.WORKER_DEFICIT
    assert ours.SURPLUS == metrics.WORKER_SURPLUS
