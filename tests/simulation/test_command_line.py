"""The table an operator reads, from his own history, and its drawing."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from simulation.__main__ import main
from simulation.comparison import POLICIES, Options, SimulationJob, make_policy, run_day
from simulation.history import COLUMNS
from simulation.scenarios import SCENARIOS
from simulation.step_scaling import StepScalingRule


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
def test_exported_histories_are_compared(
    exported: Path, template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--template", str(template), "--history", str(exported)]
    arguments += ["--policies", "shipped-balanced", "--charts", str(tmp_path / "c")]

    def row(*more: str) -> list[str]:
        assert main([*arguments, *more]) == 0
        table = capsys.readouterr().out
        assert "history: 480 tasks a day" in table
        return next(line.split() for line in table.splitlines() if "shipped" in line)

    reactive = row("--no-predictive-scaling")
    predictive = row()
    assert predictive[6:8] == ["0", "0"], "killed and left"
    assert float(predictive[1]) <= 15 < float(reactive[1]), "the median of the waits"

    drawing = ET.parse(tmp_path / "c" / "history-shipped-balanced.svg")  # noqa: S314 - our own
    assert drawing.getroot().tag.endswith("svg")


@pytest.mark.parametrize(
    "words", [("--charts", __file__), ("--hours", "5", "3"), ("--hours", "5", "5")]
)
def test_wrong_option_is_one_sentence(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert words[0] in capsys.readouterr().err.splitlines()[-1]


def test_missing_file_is_one_sentence_and_not_a_trace(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "none.csv")
    assert main(["--template", str(template), "--history", missing]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_invalid_settings_are_refused(
    exported: Path, template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--template", str(template), "--history", str(exported)]
    assert main([*arguments, "--minimum", "9", "--maximum", "3"]) == 1
    assert "minimum 9 is above maximum 3" in capsys.readouterr().err


def test_every_policy_has_its_name(
    alarms: tuple[StepScalingRule, ...], template: Path
) -> None:
    options = Options(template=template)
    for name in POLICIES:
        assert make_policy(name, alarms, options, SCENARIOS["usual"]).name == name


@pytest.mark.slow
def test_scenarios_change_the_results(
    template: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--template", str(template), "--scenarios", "--seeds", "4"]
    assert main([*arguments, "--kinds", "quiet-nights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {
        line.partition(":")[0]: lines[number + 2].split()
        for number, line in enumerate(lines)
        if line.partition(":")[0] in SCENARIOS
    }
    assert rows.keys() == SCENARIOS.keys()
    p95 = {name: float(row[2]) for name, row in rows.items()}
    killed = {name: int(row[6]) for name, row in rows.items()}
    assert p95["lazy"] < p95["usual"]
    del killed["spot"]
    assert not any(killed.values()), "nothing but AWS taking workers back kills"


@pytest.mark.slow
def test_day_is_the_same_in_another_process(exported: Path, template: Path) -> None:
    """Else the table would depend on the number of processors."""
    text = exported.read_text()
    exported.write_text(
        text + "\n".join(["", *text.replace("default", "other").split()[1:]])
    )
    options = Options(template=template)
    policies = ["shipped-balanced", "mwaa"]
    job = SimulationJob("two pools", 5, policies, history=exported)
    with ProcessPoolExecutor(1) as processes:
        other = processes.submit(run_day, job, options).result()
    assert other == run_day(job, options)
