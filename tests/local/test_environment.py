"""LocalEnvironments that do not come up: what is said, and that nothing is left of them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli import product
from cli.errors import ExitCode
from local import folders
from local.environment import LocalEnvironment
from local.errors import LocalEnvironmentError
from tests.deploy.fakes import template, write

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


@pytest.fixture(scope="session")
def built() -> Path:
    """Give the checkout, with a dist/ that may be launched."""
    product.build_if_changed()
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


def test_an_environment_that_nobody_wrote_is_wrong_use(small: Path) -> None:
    with pytest.raises(LocalEnvironmentError) as caught:
        LocalEnvironment(small, "tset").start()
    assert caught.value.exit_code is ExitCode.USAGE
    assert "It holds: dev." in str(caught.value)
    assert not (small / ".local").exists()


def test_without_a_build_it_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(LocalEnvironmentError, match="Run make templates"):
        LocalEnvironment(tmp_path, "dev").start()


def test_an_image_of_another_airflow_does_not_come_up(small: Path) -> None:
    with pytest.raises(LocalEnvironmentError, match=r"is apache/airflow:2\.10\.5, and"):
        LocalEnvironment(small, "dev").start()
    assert not list((small / ".local" / "environments").iterdir())


def test_a_folder_of_another_rehearsal_is_left_to_it(small: Path) -> None:
    other = folders.claim_this(small / "mine")
    assert other
    with pytest.raises(LocalEnvironmentError, match="is another rehearsal's"):
        LocalEnvironment(small, "dev", folder=small / "mine").start()
    assert (small / "mine").exists()
    other.give_up()


@pytest.mark.slow
def test_a_launch_that_is_refused_is_told_and_leaves_nothing(
    built: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "environment"
    with pytest.raises(LocalEnvironmentError) as caught:
        LocalEnvironment(built, "dev", folder=folder, overrides={"ZoneCount": "nine"}).start()
    assert "ZoneCount" in str(caught.value)
    assert not folder.exists()
    assert alive(folder) == []


@pytest.mark.slow
def test_one_that_is_told_to_end_leaves_nothing(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "environment"
    program = (
        "from local import interrupts\n"
        "from local.environment import LocalEnvironment\n"
        "import pathlib; interrupts.raise_on_all()\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        f"environment = LocalEnvironment(pathlib.Path({str(built)!r}), 'dev', folder=folder,\n"
        "    tell=lambda text: print(text, flush=True))\n"
        "try: environment.start()\n"
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
            time.sleep(0.05)  # the migration job begins
        assert len(alive(folder)) > 3
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read().endswith("interrupted\n")
    assert not folder.exists()
    assert alive(folder) == []
