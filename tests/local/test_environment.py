"""Environments that do not come up: what is reported, and that nothing is left."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli import product
from cli.errors import Failure, Unable, UsageError
from local import folders
from local.environment import LocalEnvironment
from local.errors import LocalEnvironmentError
from tests.deploy.fakes import template, write

ROOT = Path(__file__).parents[2]


def alive(folder: Path) -> list[int]:
    """Return the processes with a folder in their command line, environ or cwd."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes()
            text += (process / "environ").read_bytes()
            is_there = (process / "cwd").readlink().is_relative_to(folder)
        except OSError:
            continue
        if str(folder).encode() in text or is_there:
            pids.append(int(process.name))
    return pids


@pytest.fixture(scope="session")
def built() -> Path:
    """Give the checkout, with a dist/ that may be launched."""
    product.build_if_changed("dev")
    return ROOT


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Give a project that has a dist/, and pins, and nothing else."""
    image = {"Type": "String", "Default": "apache/airflow:2.10.5"}
    dist = {
        "parent.template.json": {"Parameters": {"Image": image}, **template()},
        "parameters/dev/codepipeline.json": {"Parameters": {}},
    }
    write(tmp_path / "dist", dist)
    (tmp_path / "requirements").mkdir()
    shutil.copy(ROOT / "requirements" / "airflow.txt", tmp_path / "requirements")
    return tmp_path


def test_unknown_environment_is_wrong_use(small: Path) -> None:
    with pytest.raises(UsageError, match=r"It has: dev\."):
        LocalEnvironment(small, "tset").start()
    assert not (small / ".local").exists()


def test_missing_build_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(Unable, match="Run make templates"):
        LocalEnvironment(tmp_path, "dev").start()


def test_image_of_another_airflow_does_not_start(small: Path) -> None:
    with pytest.raises(LocalEnvironmentError, match=r"is apache/airflow:2\.10\.5, and"):
        LocalEnvironment(small, "dev").start()
    assert not list((small / ".local" / "environments").iterdir())


def test_folder_of_another_environment_is_not_used(small: Path) -> None:
    other = folders.claim_this(small / "mine")
    assert other
    with pytest.raises(LocalEnvironmentError, match="is used by another"):
        LocalEnvironment(small, "dev", folder=small / "mine").start()
    assert (small / "mine").exists()
    other.give_up()


@pytest.mark.slow
def test_refused_launch_is_reported_and_leaves_nothing(
    built: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "running"
    overrides = {"ZoneCount": "nine"}
    with pytest.raises(Failure, match="ZoneCount"):
        LocalEnvironment(built, "dev", folder=folder, overrides=overrides).start()
    assert not folder.exists()
    assert alive(folder) == []


@pytest.mark.slow
def test_sigterm_leaves_nothing(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "running"
    program = (
        "from local import interrupts\n"
        "from local.environment import LocalEnvironment\n"
        "import pathlib; interrupts.raise_on_all()\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        f"project = pathlib.Path({str(built)!r})\n"
        "environment = LocalEnvironment(project, 'dev', folder=folder,\n"
        "    tell=lambda text: print(text, flush=True))\n"
        "try: environment.start()\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)\n"
    )
    with subprocess.Popen(  # noqa: S603 - ours
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert any("datastores up" in line for line in process.stdout)
        deadline = time.monotonic() + 30
        while not list(folder.glob("a/logs/*")) and time.monotonic() < deadline:
            time.sleep(0.05)  # the migration job begins
        assert len(alive(folder)) > 3
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read().endswith("interrupted\n")
    assert not folder.exists()
    assert alive(folder) == []
