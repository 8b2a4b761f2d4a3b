"""Folders of rehearsals that run side by side, crash, or are kept."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from local import folders

ROOT = Path(__file__).parents[2]


def test_two_rehearsals_at_once_have_folders_of_their_own(tmp_path: Path) -> None:
    one, other = folders.claim(tmp_path, "dev"), folders.claim(tmp_path, "dev")
    assert [one.folder.name, other.folder.name] == ["dev-1", "dev-2"]
    one.give_up()
    other.give_up()
    assert not list(tmp_path.iterdir())


def test_what_a_crash_left_is_taken_over_and_cleared(tmp_path: Path) -> None:
    crash = "from local import folders; import pathlib, os, signal\n"
    crash += f"one = folders.claim(pathlib.Path({str(tmp_path)!r}), 'dev')\n"
    crash += "(one.folder / 'aws').mkdir()\n(one.folder / 'log').touch()\n"
    crash += "os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", crash], cwd=ROOT, check=False)  # noqa: S603 - ours

    found = folders.claim(tmp_path, "dev")
    assert found.folder.name == "dev-1"
    assert (found.folder / "log").exists()
    found.clear()
    assert [path.name for path in found.folder.iterdir()] == [folders.LOCK]
    found.give_up()


def test_what_is_kept_stays_until_it_is_named(tmp_path: Path) -> None:
    kept = folders.claim(tmp_path, "dev")
    kept.keep()
    other = folders.claim(tmp_path, "dev")
    assert other.folder.name == "dev-2"

    named = folders.claim_this(kept.folder)
    assert named
    assert folders.claim_this(kept.folder) is None
