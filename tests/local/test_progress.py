"""What a person sees of an environment, at a terminal and through a pipe."""

from __future__ import annotations

import io
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from acceptance import report
from acceptance.check import Result, Outcome
from local import progress
from local.ecs.agent import Row
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


class Running:
    """An environment as far as it is shown."""

    environment = "dev"
    folder = Path("folder")
    url = "http://127.0.0.1:8080"
    admin = ("admin", "not-for-logs")
    outputs = {"AdminLoginCommand": "aws secretsmanager get-secret-value"}  # noqa: RUF012 - a stand-in
    agent = SimpleNamespace(
        url="http://127.0.0.1:1", settings=SimpleNamespace(account="123456789012")
    )
    seconds = {"emulator up": 1.0, "all healthy": 61.0}  # noqa: RUF012 - as above
    peak_mebibytes = 1800.0

    def __init__(self, *rows: TaskRow) -> None:
        self.shown = list(rows)

    def rows(self) -> list[TaskRow]:
        return self.shown

    def deviations(self) -> list[str]:
        return ["Aurora is not Aurora."]


def environment(*rows: Row) -> LocalEnvironment:
    return cast(LocalEnvironment, Running(*rows))


def console(*, is_terminal: bool) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=is_terminal, width=200, no_color=True
    )


def text(shown: Console) -> str:
    return cast(io.StringIO, shown.file).getvalue()


def test_the_table_names_components_and_says_why_one_ended() -> None:
    shown = console(is_terminal=True)
    board = progress.ProgressTable(
        environment(
            row("Migration-ABC-MigrationDefinition", "STOPPED", "UNKNOWN", "it ended"),
            row("DefaultWorkers-ABC-Worker", "RUNNING", "HEALTHY"),
        ),
        shown,
    )
    shown.print(board.table())
    seen = text(shown)
    assert "Migration/MigrationDefinition" in seen
    assert "it ended exit code 1" in seen
    assert "DefaultWorkers/Worker" in seen


def test_on_eighty_columns_only_the_reason_gives_way() -> None:
    """It once gave way evenly, and health was an ellipsis."""
    shown = Console(file=io.StringIO(), width=80, no_color=True)
    reason = "Essential container in task exited, and this says at length why it did"
    board = progress.ProgressTable(
        environment(
            row("AirflowServices-ABC-DagProcessor", "RUNNING", "UNHEALTHY", reason),
        ),
        shown,
    )
    shown.print(board.table())
    (_, line) = text(shown).splitlines()
    assert line.startswith("AirflowServices/DagProcessor")
    assert "RUNNING" in line
    assert "UNHEALTHY" in line
    assert "7 s" in line
    assert line.rstrip().endswith("…")


def test_a_pipe_gets_a_line_for_each_change_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.05)
    shown = console(is_terminal=False)
    running = Running(row("Api", "RUNNING", "UNKNOWN"))
    with progress.ProgressTable(cast(LocalEnvironment, running), shown).showing():
        time.sleep(0.3)
        running.shown = [row("Api", "RUNNING", "HEALTHY")]
        time.sleep(0.3)
    lines = text(shown).splitlines()
    assert ["UNKNOWN" in lines[0], "HEALTHY" in lines[1]] == [True, True]
    assert len(lines) == 2


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_password_is_shown_at_a_terminal_alone(*, is_terminal: bool) -> None:
    shown = console(is_terminal=is_terminal)
    report.door(environment(), shown)
    assert ("not-for-logs" in text(shown)) is is_terminal
    assert ("get-secret-value" in text(shown)) is not is_terminal


def results() -> list[Result]:
    return [
        Result("Login", Outcome.PASSED, 1.0, "a token"),
        Result("Logs", Outcome.FAILED, 2.0, "none was there"),
        report.left_out("faults", "--no-faults"),
    ]


def test_the_report_has_what_was_seen_left_out_and_spent() -> None:
    shown = console(is_terminal=False)
    report.whole(environment(), results(), {report.PROVEN: 100.0}, shown)
    seen = text(shown)
    for words in (
        "none was there",
        "--no-faults was given.",
        "61 s",
        "1,800 MiB",
        "6,144 MiB",
        "Aurora is not Aurora.",
        "1 proven, 1 failed.",
    ):
        assert words in seen


def test_a_figure_above_its_limit_is_marked() -> None:
    shown: Any = Console(file=io.StringIO(), force_terminal=True, width=200)
    report.whole(environment(), results(), {report.PROVEN: 100.0}, shown)
    marked = [line for line in text(shown).splitlines() if "\x1b[1;31m" in line]
    assert ["61 s" in line for line in marked if "command to" in line] == [True]


ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:Admin-a1b2c3"


def test_the_arn_of_a_secret_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its middle is the code of a pictograph, which a rehearsal once showed instead."""
    progress.console().print(ARN, markup=False)
    assert ARN in capsys.readouterr().out
