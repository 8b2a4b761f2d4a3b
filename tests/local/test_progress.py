"""The progress table and the report, at a terminal and through a pipe."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from acceptance import report, suites
from acceptance.check import CheckResult, Outcome
from local import progress
from local.ecs.agent import TaskRow
from local.environment import LocalEnvironment


def row(name: str, status: str, health: str, reason: str = "") -> TaskRow:
    return TaskRow(
        name=f"airflow-dev-{name}",
        task_id=f"{name:0<32}",
        status=status,
        health=health,
        seconds=7,
        pids=(),
        reason=reason,
        exit_codes=(1,) if reason else (),
    )


def environment(*rows: TaskRow) -> LocalEnvironment:
    """Return what is shown of an environment."""
    fake = SimpleNamespace(
        name="dev",
        logs_folder=Path("folder"),
        url="http://127.0.0.1:8080",
        admin=("admin", "not-for-logs"),
        outputs={"AdminLoginCommand": "aws secretsmanager get-secret-value"},
        agent=SimpleNamespace(
            url="http://127.0.0.1:1", settings=SimpleNamespace(account="123456789012")
        ),
        seconds={"emulator up": 1.0, "all healthy": 61.0},
        peak_mebibytes=1800.0,
        rows=lambda: list(rows),
        deviations=lambda: ["Aurora is not Aurora."],
    )
    return cast(LocalEnvironment, fake)


def console(*, is_terminal: bool, width: int = 200) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=is_terminal, width=width, no_color=True
    )


def text(shown: Console) -> str:
    return cast(io.StringIO, shown.file).getvalue()


def show(shown: Console, *rows: TaskRow) -> str:
    shown.print(progress.ProgressTable(environment(*rows), shown).table())
    return text(shown)


def test_table_has_component_reason_and_exit_code() -> None:
    shown = show(
        console(is_terminal=True),
        row("Migration-ABC-MigrationDefinition", "STOPPED", "UNKNOWN", "it ended"),
        row("DefaultWorkers-ABC-Worker", "RUNNING", "HEALTHY"),
    )
    assert "Migration/MigrationDefinition" in shown
    assert "UNKNOWN" not in shown
    assert "it ended exit code 1" in shown
    assert "DefaultWorkers/Worker" in shown


def test_reason_alone_is_shortened_on_eighty_columns() -> None:
    """Every column was once shortened alike, and health was an ellipsis."""
    reason = "Essential container in task exited, and this says at length why it did"
    shown = show(
        console(is_terminal=False, width=80),
        row("AirflowServices-ABC-DagProcessor", "RUNNING", "UNHEALTHY", reason),
    )
    (_, line) = shown.splitlines()
    assert line.startswith("AirflowServices/DagProcessor")
    for words in ("RUNNING", "UNHEALTHY", "7 s"):
        assert words in line
    assert line.rstrip().endswith("…")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_pipe_gets_a_line_for_each_change_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.01)
    shown = console(is_terminal=False)
    health, looks = ["UNKNOWN"], []

    def rows() -> list[TaskRow]:
        looks.append(health[0])
        return [row("Api", "RUNNING", health[0])]

    running: Any = SimpleNamespace(name="dev", rows=rows)
    with progress.ProgressTable(running, shown).showing():
        wait_for(lambda: len(looks) > 3)
        health[0] = "HEALTHY"
        wait_for(lambda: looks.count("HEALTHY") > 3)
    lines = text(shown).splitlines()
    assert ["UNKNOWN" in lines[0], "HEALTHY" in lines[1]] == [True, True]
    assert len(lines) == 2


@pytest.mark.parametrize("is_terminal", [True, False])
def test_password_is_shown_at_a_terminal_alone(*, is_terminal: bool) -> None:
    shown = console(is_terminal=is_terminal)
    report.print_login(environment(), shown, Path("dags"))
    assert ("not-for-logs" in text(shown)) is is_terminal
    assert ("get-secret-value" in text(shown)) is not is_terminal


RESULTS = [
    CheckResult("Login", Outcome.PASSED, 1.0, "a token"),
    CheckResult("Logs", Outcome.FAILED, 2.0, "none was there"),
    CheckResult("Kill", Outcome.SKIPPED, 0.0, "--no-faults was given."),
]


def test_report_has_results_costs_and_deviations() -> None:
    shown = console(is_terminal=False)
    report.print_report(environment(), RESULTS, {suites.WITHOUT_FAULTS: 100.0}, shown)
    for words in (
        "none was there",
        "--no-faults was given.",
        "61 s",
        "1,800 MiB",
        "6,144 MiB",
        "Aurora is not Aurora.",
    ):
        assert words in text(shown)
    assert text(shown).splitlines()[-1] == "1 passed, 1 failed, 1 skipped"


def test_figure_above_its_limit_is_marked() -> None:
    shown: Any = Console(file=io.StringIO(), force_terminal=True, width=200)
    report.print_report(environment(), RESULTS, {suites.WITHOUT_FAULTS: 100.0}, shown)
    marked = [line for line in text(shown).splitlines() if "\x1b[1;31m" in line]
    assert ["61 s" in line for line in marked if "command to" in line] == [True]
