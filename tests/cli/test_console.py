"""Console output: complete, literal, and one line for each line in a pipe."""

from __future__ import annotations

import json
import threading

import pytest

from cli import console
from cli.errors import Problem

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:Admin-a1b2c3"


def test_problem_is_printed_word_for_word(capsys: pytest.CaptureFixture[str]) -> None:
    # A linter quotes lists in brackets, which is markup to the library that prints,
    # and long lines were broken where a screen would have ended.
    what = "'x' is not one of ['a', '[bold]b[/bold]']" + ", and so on" * 30
    problem = Problem(where="a.json:1", what=what, why="Why.", remedy="Do.")
    console.problems((problem,), "Nothing was written.")
    assert capsys.readouterr().err == (
        f"error  a.json:1\n       {what}\nwhy    Why.\ndo     Do.\n\n"
        "Nothing was written.\n"
    )


def test_several_problems_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    console.problems((Problem(where="a", what="b"),) * 2)
    assert capsys.readouterr().err.endswith("\n2 problems.\n")


@pytest.mark.parametrize(
    "text",
    ["failed to create: [Data], [red]", "x" * 500, ARN],
    ids=["markup", "long line", "emoji code in an ARN"],
)
def test_result_is_printed_literally(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    # The middle of a secret's ARN is the code of an emoji, which was printed once.
    console.result(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_commands_in_messages_get_their_arguments() -> None:
    with console.commands_typed_as("dev --emulator"):
        assert console.with_arguments("build.py plan ENV; airflow-ENV") == (
            "./build.py plan dev --emulator; airflow-ENV"
        )
        assert console.with_arguments("build.py local ENV") == "./build.py local dev"


def test_waiting_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(console, "WAIT_AGAIN_SECONDS", 0.0)
    said = threading.Semaphore(0)
    monkeypatch.setattr(console, "message", lambda _text: said.release())
    with console.waiting_for("the moon"):
        assert all(said.acquire(timeout=10) for _ in range(2))


def test_json_is_one_document_and_all_else_is_on_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.json_document(True):  # noqa: FBT003 - the one choice
        console.record(Stack="airflow-dev")
        console.result("Would create stack airflow-dev.")
        console.table([("x",)], ("Column",))
        console.problems((Problem(where="a", what="b"),), exit_code=5)
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document["Stack"] == "airflow-dev"
    assert document["Errors"][0]["What"] == "b"
    assert document["ExitCode"] == 5
    assert "Would create" in shown.err


def test_commands_in_json_are_quoted_for_a_shell(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.commands_typed_as("dev --profile 'a b\"c'"):
        console.document({"Next": ["build.py plan ENV"]})
    (command,) = json.loads(capsys.readouterr().out)["Next"]
    assert command == "./build.py plan dev --profile 'a b\"c'"
