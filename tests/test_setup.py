"""A fresh machine sets itself up: the Makefile, the installer, and what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import Checkout

ROOT = Path(__file__).parents[1]
INSTALL = ROOT / "requirements" / "install.py"

NOWHERE = "nothing==1.0 --hash=sha256:" + "0" * 64


def install(
    environment: Path, pins: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own script
        [sys.executable, INSTALL, environment, pins],
        env={"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_failed_install_leaves_no_stamp_and_is_taken_up_again(tmp_path: Path) -> None:
    # A stamp beside half an install sends every later command into a missing module.
    environment, pins = tmp_path / "venv", tmp_path / "pins.txt"
    pins.write_text(NOWHERE)
    failed = install(environment, pins)
    assert failed.returncode == 1
    assert "pip could not install" in failed.stderr
    assert "No matching distribution found for nothing==1.0" in failed.stderr
    assert not (environment / ".installed").exists()

    pins.write_text("")
    done = install(environment, pins)
    assert done.returncode == 0, done.stderr
    assert (environment / ".installed").exists()

    again = install(environment, pins)
    assert (again.returncode, again.stderr) == (0, "")

    pins.write_text(NOWHERE)
    assert install(environment, pins).returncode == 1
    assert not (environment / ".installed").exists()


def test_old_python_is_told_so(tmp_path: Path) -> None:
    program = (
        "import runpy, sys; sys.version_info = (3, 9, 1, 'final', 0);"
        f"sys.argv = ['install.py', 'venv', 'pins']; runpy.run_path({str(INSTALL)!r},"
        "run_name='__main__')"
    )
    said = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 1
    assert "Python 3.11 or newer is needed" in said.stderr
    assert "make PYTHON=" in said.stderr


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "requirements").glob("*.in"))
)
def test_pins_are_exact_hashed_and_name_no_registry(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE)
    blocks = [block for block in re.split(r"\n(?=\S)", text) if "==" in block]
    assert all("--hash=sha256:" in block for block in blocks)
    wanted = (ROOT / "requirements" / f"{name}.in").read_text().splitlines()
    for line in (line for line in wanted if line and not line.startswith("#")):
        assert re.search(r"==\d", line), f"{line} is no exact version"
        pin = re.sub(r"\[.*\]", "", line)
        assert f"\n{pin} " in f"\n{text}", f"run `make pins` for {line}"


def test_make_alone_lists_every_target_with_a_sentence() -> None:
    said = subprocess.run(
        ["make", "--no-print-directory"],  # noqa: S607 - whichever make there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    listed = dict(re.findall(r"^  ([a-z-]+) +(\S.*\.)$", said, re.MULTILINE))
    targets = re.findall(
        r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert listed.keys() == set(targets) - {"gone"}
    assert {"templates", "test", "check", "bench", "format", "clean"} <= listed.keys()


def test_make_without_a_python_says_what_to_do(checkout: Checkout) -> None:
    (checkout.root / "Makefile").write_text((ROOT / "Makefile").read_text())
    said = subprocess.run(
        ["make", "PYTHON=", "templates"],  # noqa: S607 - whichever make there is
        cwd=checkout.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode
    assert "Python 3.11 or newer is needed" in said.stderr


def test_continuous_integration_runs_what_the_readme_says() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    readme = (ROOT / "README.md").read_text()
    for command in ("make test", "make rehearse ENV=dev"):
        assert command in lines
        assert command in readme
