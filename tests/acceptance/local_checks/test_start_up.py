"""Start-up cost counts CPU time, not how busy the machine is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from acceptance.check import CheckFailed
from acceptance.local_checks import start_up

SLEEPS = "import time; time.sleep(0.3)"
WORKS = "import time\nwhile time.process_time() < 0.3: pass"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": os.defpath}


def test_cpu_time_is_counted_and_waiting_is_reported(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start_up, "ATTEMPTS", 1)
    waits = start_up._cost([sys.executable, "-S", "-c", SLEEPS], environ)
    works = start_up._cost([sys.executable, "-S", "-c", WORKS], environ)

    assert waits.cpu < 0.2 < waits.elapsed
    assert works.cpu > 0.29
    assert str(start_up.Cost(0.07, 0.25)) == "70 ms (250 by the clock)"


@pytest.mark.parametrize(("assignment", "calls"), [("", 1), ("SETTING=x ", 0)])
def test_setting_that_is_left_to_its_command_costs_a_start(
    environ: dict[str, str], tmp_path: Path, assignment: str, calls: int
) -> None:
    # As Airflow starts it, without a shell.
    log = tmp_path / "called"
    command = {"SETTING_CMD": f'sh -c "echo called >> {log}"'}
    bootstrap = ["sh", "-c", f'{assignment}exec "$@"', "bootstrap"]

    start_up._start_cost(bootstrap, environ | command)

    assert log.exists() == bool(calls)


def test_bootstrap_that_fails_is_a_failure(environ: dict[str, str]) -> None:
    with pytest.raises(CheckFailed, match="bootstrap ended with 1"):
        start_up._cost(["false"], environ)
