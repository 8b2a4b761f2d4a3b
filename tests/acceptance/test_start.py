"""What a start costs is measured by what it does, not by how busy the machine is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from acceptance.check import CheckFailed
from acceptance.checks import start

SLEEPS = "import time; time.sleep(0.3)"
WORKS = "import time\nwhile time.process_time() < 0.3: pass"


def told(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": os.defpath, **more}


@pytest.mark.slow
def test_waiting_is_told_and_work_is_counted(tmp_path: Path) -> None:
    waited = start._cost([sys.executable, "-S", "-c", SLEEPS], told(tmp_path))
    worked = start._cost([sys.executable, "-S", "-c", WORKS], told(tmp_path))

    assert waited.worked < 0.2 < waited.waited
    assert worked.worked > 0.29
    assert str(start.Cost(0.07, 0.25)) == "70 ms (250 by the clock)"


@pytest.mark.parametrize(("given", "calls"), [("", 1), ("SETTING=x ", 0)])
def test_a_setting_that_is_left_to_its_command_costs_a_start(
    tmp_path: Path, given: str, calls: int
) -> None:
    # As Airflow starts it, without a shell.
    log = tmp_path / "called"
    environ = told(tmp_path, SETTING_CMD=f'sh -c "echo called >> {log}"')

    start._of_start(["sh", "-c", f'{given}exec "$@"', "bootstrap"], environ)

    assert log.exists() == bool(calls)


def test_a_bootstrap_that_fails_is_no_proof(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="bootstrap ended with 1"):
        start._cost(["false"], told(tmp_path))
