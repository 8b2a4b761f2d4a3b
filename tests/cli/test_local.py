"""The commands: what they end with, and that they end what they began."""

from __future__ import annotations

import platform
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import click
import pytest
from click.testing import CliRunner, Result

from acceptance import suites
from acceptance.check import Check, CheckFailed
from acceptance.checks.dags import DAGS
from cli.local import commands
from deploy.dist import Environment
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
        **told: Any,
    ) -> None:
        self.name, self.told, self.is_up = name, told, False
        self.url, self.admin = "http://127.0.0.1:1", ("admin", "secret")
        self.folder = self.logs_folder = Path("folder")
        self.seconds: Mapping[str, float] = {"all healthy": 38.0}
        self.peak_mebibytes = 1800.0
        self.outputs = {"AdminLoginCommand": "aws secretsmanager"}
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


SELECT = suites.select


def select(
    environment: Environment, *, has_faults: bool, has_scaling: bool
) -> suites.Selection:
    """Return a selection with three easy checks, one of which fails."""
    no_faults = "" if has_faults else "--no-faults"
    no_scaling = "" if has_scaling else "--no-scaling"
    checks: list[Check[Any]] = [
        Check("It is", lambda _: "so it is"),
        Check("It lives", lambda _: "yes", skipped_by=no_faults),
        Check("It grows", fails, skipped_by=no_scaling),
    ]
    selected = SELECT(environment, has_faults=has_faults, has_scaling=has_scaling)
    return replace(selected, suites={"checks": checks})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Give a command line with a stage that is none and proofs that are easy."""
    image = {"Type": "String", "Default": "x"}
    own = {
        "parent.template.json": {"Parameters": {"Image": image}, **template()},
        "parameters/dev/codepipeline.json": {"Parameters": {}},
    }
    write(tmp_path / "dist", own)
    monkeypatch.setattr(environments, "LocalEnvironment", FakeEnvironment)
    monkeypatch.setattr(FakeEnvironment, "fails", None)
    monkeypatch.setattr(suites, "select", select)

    def do(*words: str) -> Result:
        group = click.Group(commands=commands(tmp_path, lambda: None))
        return CliRunner().invoke(group, [*words])

    return do


def test_what_is_left_out_is_said_and_not_run(run: Callable[..., Result]) -> None:
    seen = run("rehearse", "dev", "--no-scaling")
    assert seen.exit_code == 0, seen.output
    assert "so it is" in seen.output
    assert "--no-scaling was given." in seen.output
    assert "\n2 passed, 0 failed, 1 skipped\n" in seen.output


def test_one_proof_that_fails_is_a_rehearsal_that_failed(
    run: Callable[..., Result],
) -> None:
    seen = run("rehearse", "dev")
    assert seen.exit_code == 1
    assert "It was not so." in seen.output
    assert not MADE[0].is_up


def test_parameters_are_set_over_those_of_the_proofs(
    run: Callable[..., Result],
) -> None:
    run(
        "rehearse",
        "dev",
        "--no-scaling",
        "--set",
        "EnableFlower=false",
        "--set",
        "A=b=c",
    )
    assert MADE[0].told["overrides"] == {"EnableFlower": "false", "A": "b=c"}


def test_without_faults_no_container_is_told_of_them(
    run: Callable[..., Result],
) -> None:
    run("rehearse", "dev", "--no-faults", "--no-scaling")
    assert MADE[0].told["extra_environment"] == {}
    assert MADE[0].told["dags"] == (DAGS,)


def test_a_stage_that_does_not_come_up_is_told_in_its_words(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = LocalEnvironmentError("The launch failed.", "Because.", "Mend it.")
    monkeypatch.setattr(FakeEnvironment, "fails", error)
    for command in ("local", "rehearse"):
        seen = run(command, "dev")
        assert seen.exit_code == 1
        for words in ("The launch failed.", "Because.", "Mend it."):
            assert words in seen.output
        assert "Traceback" not in seen.output


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
    for command in ("local", "rehearse"):
        seen = run(command, "dev")
        assert seen.exit_code == 3
        assert reason in seen.output
    assert not MADE


def test_an_interrupted_rehearsal_is_stopped(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeEnvironment, "fails", KeyboardInterrupt())
    seen = run("rehearse", "dev")
    assert seen.exit_code == 130
    assert "Nothing of it runs." in seen.output


def test_ctrl_c_is_the_way_to_end_what_runs_locally(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "for_ever", interrupted)
    seen = run("local", "dev")
    assert seen.exit_code == 0, seen.output
    assert "Web page  http://127.0.0.1:1" in seen.output
    assert "Stopped" in seen.output
    assert not MADE[0].is_up
