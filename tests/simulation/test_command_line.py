"""The table an operator reads, from his own history, and its drawing."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from simulation import policy
from simulation.__main__ import main
from simulation.comparison import POLICIES, Job, Options, made, run_day
from simulation.history import COLUMNS
from simulation.scenarios import VARIANTS
from simulation.step_scaling import Order
from fargate_runtime import contract


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


@pytest.mark.slow
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

    blind = row("--no-predictive-scaling")
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


def test_every_policy_is_made_by_its_name(
    alarms: tuple[Order, ...], template: Path
) -> None:
    options = Options(template=template)
    for name in POLICIES:
        assert made(name, alarms, options, VARIANTS["usual"]).name == name


@pytest.mark.slow
def test_variants_are_other_worlds(
    template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--template", str(template), "--variants", "--seeds", "4"]
    assert main([*arguments, "--kinds", "quiet-nights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {
        line.partition(":")[0]: lines[number + 2].split()
        for number, line in enumerate(lines)
        if line.partition(":")[0] in VARIANTS
    }
    assert rows.keys() == VARIANTS.keys()
    p95 = {name: float(row[2]) for name, row in rows.items()}
    killed = {name: int(row[6]) for name, row in rows.items()}
    assert p95["lazy"] < p95["usual"]
    del killed["spot"]
    assert not any(killed.values()), "nothing but AWS taking workers back kills"


@pytest.mark.slow
def test_a_day_is_the_same_in_another_process(template: Path) -> None:
    """Else the table would depend on the number of processors."""
    options = Options(template=template)
    job = Job("mixed-pools", 5, ["ours-balanced", "mwaa"])
    with ProcessPoolExecutor(1) as processes:
        other = processes.submit(run_day, job, options).result()
    assert other == run_day(job, options)


def test_ours_publishes_what_the_alarms_read() -> None:
    assert policy.DEFICIT == contract.WORKER_DEFICIT
    assert policy.SURPLUS == contract.WORKER_SURPLUS
