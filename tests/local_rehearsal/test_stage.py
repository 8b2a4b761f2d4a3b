"""Stages that do not come up: what is said, and that nothing is left of them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import build
from delivery.problems import ExitCode
from local.rehearsal.problems import StageError
from local.rehearsal.stage import Stage

ROOT = Path(__file__).parents[2]


def alive(folder: Path) -> list[int]:
    """Return the processes that know a folder, by command line or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (
                process / "environ"
            ).read_bytes()
            is_there = (process / "cwd").readlink().is_relative_to(folder)
        except OSError:
            continue
        if str(folder).encode() in told or is_there:
            found.append(int(process.name))
    return found


@pytest.fixture(scope="session", autouse=True)
def built() -> None:
    """Have a dist/ that may be launched."""
    build._up_to_date()


def test_an_environment_that_nobody_wrote_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        Stage(ROOT, "tset", folder=tmp_path / "stage").start()
    assert caught.value.exit_code is ExitCode.WRONG_USE
    assert "It holds: dev, prod, staging." in str(caught.value)
    assert not (tmp_path / "stage").exists()


def test_without_a_build_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="Run make templates"):
        Stage(tmp_path, "dev").start()


def test_an_image_of_another_airflow_does_not_come_up(tmp_path: Path) -> None:
    image = {"Image": "apache/airflow:2.10.5"}
    with pytest.raises(StageError, match="runs Airflow"):
        Stage(ROOT, "dev", folder=tmp_path / "stage", overrides=image).start()
    assert not (tmp_path / "stage").exists()


@pytest.mark.slow
def test_a_launch_that_is_refused_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "stage"
    with pytest.raises(StageError) as caught:
        Stage(ROOT, "dev", folder=folder, overrides={"ZoneCount": "nine"}).start()
    assert "ZoneCount" in str(caught.value)
    assert not folder.exists()
    assert alive(folder) == []


@pytest.mark.slow
def test_one_that_is_told_to_end_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "stage"
    program = (
        "from local.rehearsal import interrupts\n"
        "from local.rehearsal.stage import Stage\n"
        "import pathlib; interrupts.raise_on_all()\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        f"stage = Stage(pathlib.Path({str(ROOT)!r}), 'dev', folder=folder,\n"
        "    tell=lambda text: print(text, flush=True))\n"
        "try: stage.start()\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)\n"
    )
    with subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        said = next(line for line in process.stdout if "stores up" in line)
        assert said
        deadline = time.monotonic() + 30
        while not list(folder.glob("a/logs/*")) and time.monotonic() < deadline:
            time.sleep(0.05)  # the setup task begins
        assert len(alive(folder)) > 3
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read().endswith("interrupted\n")
    assert not folder.exists()
    assert alive(folder) == []
