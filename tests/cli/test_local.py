"""The commands local and verify: exit codes, and what they stop."""

from __future__ import annotations

import platform
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import click
import pytest
from click.testing import CliRunner, Result

from acceptance import suites
from acceptance.check import Check, CheckFailed
from acceptance.checks.dags import DAGS
from acceptance.local_checks import packages
from cli import local as local_module
from cli.deployment import ProjectContext
from cli.errors import ExitCode, Failure, Problem
from cli.local import command as local_command
from cli.verify import command as verify_command
from local import environment as environments
from local import interrupts, waiting
from local.errors import LocalEnvironmentError
from tests.deploy.fakes import template, write


class FakeEnvironment:
    """A stage that comes up at once, or not at all."""

    fails: BaseException | None = None

    def __init__(
        self,
        _project: Path,
        name: str,
        *,
        tell: Callable[[str], None],
        **options: Any,
    ) -> None:
        self.name, self.options, self.is_up = name, options, False
        self.project = _project
        self.url, self.admin = "http://127.0.0.1:1", ("admin", "secret")
        self.folder = self.logs_folder = Path("folder")
        self.seconds: Mapping[str, float] = {"all healthy": 38.0}
        self.peak_mebibytes = 1800.0
        self.outputs = {
            "AdminLoginCommand": "aws secretsmanager",
            "DagBucketName": "bucket",
        }
        self.agent: Any = type(
            "Agent", (), {"url": "", "settings": type("S", (), {"account": "1"})}
        )
        MADE[:] = [self]
        tell("begun")

    def __enter__(self) -> Self:
        if self.fails:
            raise self.fails
        self.is_up = True
        return self

    def __exit__(self, *_: object) -> None:
        self.is_up = False

    def client(self, _service: str) -> None:
        return None

    def rows(self) -> list[Any]:
        return []

    def deviations(self) -> list[str]:
        return ["Aurora is not Aurora."]


MADE: list[FakeEnvironment] = []
"""The last one."""


def fails(_stage: object) -> str:
    raise CheckFailed("It was not so.")


def interrupted(*_: object) -> str:
    raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Leave signals as they were."""
    before = {number: signal.getsignal(number) for number in interrupts.ENDS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


CHECKS: tuple[Check[Any], ...] = (
    Check("It is", lambda _: "so it is"),
    Check("It lives", lambda _: "yes", option=suites.NO_FAULTS),
    Check("It grows", fails, option=suites.NO_SCALING),
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Give a command line with a fake environment and trivial checks."""
    image = {"Type": "String", "Default": "x"}
    own = {
        "parent.template.json": {"Parameters": {"Image": image}, **template()},
        "parameters/dev/codepipeline.json": {"Parameters": {}},
    }
    write(tmp_path / "dist", own)
    monkeypatch.setattr(environments, "LocalEnvironment", FakeEnvironment)
    monkeypatch.setattr(FakeEnvironment, "fails", None)
    monkeypatch.setattr(suites, "_suites", lambda *_: {"checks": CHECKS})

    def check(_environment: str, values: Mapping[str, str]) -> None:
        if "Wrong" in values:
            raise Failure(Problem(where="--set Wrong", what="No such parameter."))

    project = ProjectContext(tmp_path / "dist", lambda _: ("", {}, dict))

    def do(*words: str) -> Result:
        group = click.Group(
            commands=[
                local_command(tmp_path, lambda _environment: None, check),
                verify_command(tmp_path, project, check=check, version=lambda: "1"),
            ]
        )
        return CliRunner().invoke(group, [*words])

    return do


def test_skipped_checks_are_listed_and_not_run(run: Callable[..., Result]) -> None:
    result = run("verify", "dev", "--local", "--no-scaling")
    assert result.exit_code == 0, result.output
    assert "so it is" in result.output
    assert "--no-scaling was given." in result.output
    assert "\n2 passed, 0 failed, 1 skipped\n" in result.output


def test_only_checks_whose_title_contains_a_text_are_run(
    run: Callable[..., Result],
) -> None:
    result = run("verify", "dev", "--local", "--only", "IT is")
    assert "so it is" in result.output
    assert "\n1 passed, 0 failed, 2 skipped\n" in result.output
    assert result.output.count("Not selected: --only was given.") == 2
    # Nothing of the faults and of the scaling is in the environment.
    assert MADE[0].options["extra_environment"] == {}
    assert MADE[0].options["dags"] == (DAGS, packages.DAGS)


@pytest.mark.parametrize("where", ["--local", "--no-scaling"])
def test_unknown_text_is_refused_before_anything_starts(
    where: str, run: Callable[..., Result]
) -> None:
    MADE.clear()
    result = run("verify", "dev", where, "--only", "no such title")
    assert result.exit_code == ExitCode.USAGE
    assert "No check that these options allow" in result.output
    assert not MADE


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--local", "--region", "eu-west-1"), "do not go with --local"),
        (("--no-faults",), "need --local"),
        (("--running",), "No environment dev runs on this machine."),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: tuple[str, ...], text: str, run: Callable[..., Result]
) -> None:
    MADE.clear()
    done = run("verify", "dev", *words)
    assert done.exit_code == ExitCode.USAGE
    assert text in done.output
    assert not MADE


def test_failed_check_fails_the_command(
    run: Callable[..., Result],
) -> None:
    result = run("verify", "dev", "--local")
    assert result.exit_code == ExitCode.FAILED
    assert "It was not so." in result.output
    assert not MADE[0].is_up


def test_set_takes_precedence_over_parameters_of_the_checks(
    run: Callable[..., Result],
) -> None:
    run(
        "verify",
        "dev",
        "--local",
        "--no-scaling",
        "--set",
        "EnableFlower=false",
        "--set",
        "A=b=c",
    )
    overrides = MADE[0].options["overrides"]
    assert overrides.items() >= {"EnableFlower": "false", "A": "b=c"}.items()


def never_installed(*_arguments: object) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("Wrong=1",), ExitCode.FAILED),
        (("=1",), ExitCode.USAGE),
        (("A",), ExitCode.USAGE),
        (("A=1", "--set", "A=2"), ExitCode.USAGE),
    ],
    ids=str,
)
def test_wrong_value_of_set_is_refused_before_anything_starts(
    words: tuple[str, ...],
    code: ExitCode,
    run: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    MADE.clear()
    monkeypatch.setattr(local_module, "team_packages", never_installed)
    assert run("local", "dev", "--set", *words).exit_code == code
    assert not MADE


def test_containers_have_no_fault_settings_without_faults(
    run: Callable[..., Result],
) -> None:
    run("verify", "dev", "--local", "--no-faults", "--no-scaling")
    assert MADE[0].options["extra_environment"] == {}
    assert MADE[0].options["dags"] == (DAGS, packages.DAGS)


def test_problem_of_an_environment_that_does_not_start_is_printed(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = LocalEnvironmentError("The launch failed.", "Because.", "Mend it.")
    monkeypatch.setattr(FakeEnvironment, "fails", error)
    for words in (("local", "dev"), ("verify", "dev", "--local")):
        result = run(*words)
        assert result.exit_code == ExitCode.FAILED
        for text in ("The launch failed.", "Because.", "Mend it."):
            assert text in result.output
        assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("system", "release", "reason"),
    [
        ("Darwin", "25.1.0", "Linux 5.3 or newer is needed; this is Darwin."),
        ("Linux", "5.2.9-el8", "Linux 5.3 or newer is needed; this is 5.2.9-el8."),
    ],
)
def test_unsupported_system_is_refused_before_anything_is_installed(
    system: str,
    release: str,
    reason: str,
    run: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "release", lambda: release)
    MADE.clear()
    for words in (("local", "dev"), ("verify", "dev", "--local")):
        result = run(*words)
        assert result.exit_code == ExitCode.UNABLE
        assert reason in result.output
    assert not MADE


def test_interrupted_verify_is_stopped(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeEnvironment, "fails", KeyboardInterrupt())
    result = run("verify", "dev", "--local")
    assert result.exit_code == ExitCode.INTERRUPTED
    assert "All processes of the environment are stopped" in result.output


def test_ctrl_c_stops_a_local_environment(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "for_ever", interrupted)
    result = run("local", "dev")
    assert result.exit_code == 0, result.output
    assert "Web page  http://127.0.0.1:1" in result.output
    assert f"DAGs      {MADE[0].options['dags'][0]}" in result.output
    assert "Stopped" in result.output
    assert not MADE[0].is_up
