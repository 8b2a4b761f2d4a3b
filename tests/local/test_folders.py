"""Folders of local environments that run side by side, crash, or are kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.errors import Unable
from local import folders, running_environments
from local.running_environments import RunningEnvironment

ROOT = Path(__file__).parents[2]


def test_two_environments_have_folders_of_their_own(tmp_path: Path) -> None:
    claims = [folders.claim(tmp_path, "dev") for _ in range(2)]
    assert [claim.folder.name for claim in claims] == ["dev-1", "dev-2"]
    for claim in claims:
        claim.give_up()
    assert not list(tmp_path.iterdir())


def test_folder_of_a_crash_is_taken_over_and_cleared(tmp_path: Path) -> None:
    crash = "from local import folders; import pathlib, os, signal\n"
    crash += f"claim = folders.claim(pathlib.Path({str(tmp_path)!r}), 'dev')\n"
    crash += "(claim.folder / 'aws').mkdir()\n(claim.folder / 'log').touch()\n"
    crash += "os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", crash], cwd=ROOT, check=False)  # noqa: S603 - ours

    claim = folders.claim(tmp_path, "dev")
    assert claim.folder.name == "dev-1"
    assert (claim.folder / "log").exists()
    claim.clear()
    assert [path.name for path in claim.folder.iterdir()] == [folders.LOCK]
    claim.give_up()


def test_kept_folder_stays_until_it_is_named(tmp_path: Path) -> None:
    claim = folders.claim(tmp_path, "dev")
    claim.keep()
    other = folders.claim(tmp_path, "dev")
    assert other.folder.name == "dev-2"

    named = folders.claim_this(claim.folder)
    assert named
    assert folders.claim_this(claim.folder) is None


def test_environment_is_found_by_its_own_name_while_it_runs(tmp_path: Path) -> None:
    """A crash leaves the file, and dev-x-1 is no folder of dev."""
    claim = folders.claim(tmp_path / running_environments.FOLDER, "dev-x")
    running = RunningEnvironment("http://aws", "eu-central-1", "1", "http://ui", "ca")
    running.write(claim.folder)
    assert running_environments.find(tmp_path, "dev-x") == running
    assert running_environments.find(tmp_path, "dev") is None
    (claim.folder / running_environments.FILE).write_text("{")
    with pytest.raises(Unable, match="is damaged"):
        running_environments.find(tmp_path, "dev-x")
    claim.keep()
    assert running_environments.find(tmp_path, "dev-x") is None
