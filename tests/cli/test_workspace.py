"""The commands init, ls, doctor and completion, and what every command refuses."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import product
from cli.command import SYNONYMS, report
from cli.errors import ExitCode
from cli.main import main
from deploy import aws as aws_module
from tests.deploy.fakes import FakeAws, described


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the commands see a copy of the parameter files."""
    shutil.copytree(product.ROOT / "parameters", tmp_path / "parameters")
    monkeypatch.setattr(product, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_new_environment_has_the_values_of_another_but_not_its_stack(
    root: Path,
) -> None:
    old = {
        "Parameters": {"LogDays": "7"},
        "Tags": {"environment": "dev", "team": "data"},
        "Target": {"Account": "111122223333", "StackName": "airflow"},
    }
    (root / "parameters/dev.json").write_text(json.dumps(old))
    assert run("init", "test", "--like", "dev").exit_code == ExitCode.OK
    assert json.loads((root / "parameters/test.json").read_text()) == {
        "Parameters": {"LogDays": "7"},
        "Tags": {"environment": "test", "team": "data"},
        "Target": {"Account": "111122223333"},
    }
    assert run("init", "test").exit_code == ExitCode.REFUSED
    assert run("init", "te_st").exit_code == ExitCode.USAGE
    assert run("init", "test2", "--like", "prd").exit_code == ExitCode.USAGE


def test_environments_are_listed_with_their_state(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "parameters/bad.json").write_text("{")
    account = FakeAws(describe_stacks=described("airflow-dev", "CREATE_COMPLETE"))
    monkeypatch.setattr(aws_module, "Aws", lambda **_options: account)
    rows = {row["environment"]: row for row in json.loads(run("ls", "--json").output)}
    assert rows["dev"]["status"] == "CREATE_COMPLETE"
    assert rows["dev"]["account"] == "111122223333"
    assert rows["bad"]["status"].startswith("unknown: parameters/bad.json")


def test_doctor_reports_what_is_wrong_and_ends_with_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_REGION", "mars-1")
    done = run("doctor", "--json")
    assert done.exit_code == ExitCode.FAILED
    bad = {each["name"] for each in json.loads(done.output) if not each["is_good"]}
    assert bad >= {"credentials"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    assert "_BUILD_PY_COMPLETE" in run("completion", shell).output


@pytest.mark.parametrize(("word", "name"), [*SYNONYMS.items()])
def test_word_of_another_tool_names_the_command(word: str, name: str) -> None:
    assert name in main.commands
    done = run(word, "dev")
    assert done.exit_code == ExitCode.USAGE
    assert f"Here it is called {name}." in done.output


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("destroy", "dev", "--keep-data", "--delete-data"), "more than once"),
        (("plan", "dev", "--region", "a", "--region", "b"), "more than once"),
        (("plan", "dev", "--emulator", "--profile", "x"), "exclude each other"),
        (("link", "dev", "--badge", "--json"), "exclude each other"),
        (("events", "dev", "--follow", "--json"), "exclude each other"),
        (("catalog", "dev", "--parameter", "=x", "--emulator"), "NAME=VALUE"),
        *(
            ((name, "dev", option), "is empty")
            for name in ("plan", "launch", "destroy", "publish", "catalog", "local")
            for option in ("--stack-name=", " ", "")
        ),
        (("templates", "--dist", ""), "is empty"),
        (("launch", "dev", "--role-arn"), "build.py launch"),
        (("launch", "dev", "--notify", "launches"), "is no topic"),
        (("deplyo", "dev"), "Did you mean launch?"),
        (("local", "dev.json"), "Did you mean dev?"),
        ((), "Usage: "),
        (("destroy", ""), "is empty"),
    ],
    ids=str,
)
def test_command_line_that_could_mean_something_else_is_refused(
    words: tuple[str, ...], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(**_options: Any) -> Any:
        pytest.fail("a call of AWS")

    monkeypatch.setattr(aws_module, "Aws", never)
    done = run(*words)
    assert done.exit_code == ExitCode.USAGE
    assert what in done.output


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EROFS, "file system writable"),
        (errno.ELOOP, "Correct the path"),
    ],
)
def test_remedy_of_an_error_of_this_machine_is_about_that_error(
    number: int, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(OSError(number, "what")) == ExitCode.UNABLE
    assert remedy in capsys.readouterr().err


def test_wrong_command_line_is_json_where_json_is_asked_for() -> None:
    document = json.loads(run("status", "dev", "--json", "--profil", "x").output)
    assert document["ExitCode"] == ExitCode.USAGE
    assert "--profile" in document["Errors"][0]["What"]
