"""The runtime's archive: the same bytes wherever it is packed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from compiler.assets import packed


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "fargate_runtime"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "setup.py").write_text("def greet() -> str:\n    return 'hello'\n")
    (folder / "inner" / "__init__.py").write_text("NAME = 'inner'\n")
    return folder


def test_digest_is_that_of_the_content(package: Path) -> None:
    asset = packed(package, "assets/runtime.zip")
    assert asset.path == "assets/runtime.zip"
    assert asset.sha256 == hashlib.sha256(asset.content).hexdigest()


def test_archive_ignores_times_and_permissions_of_a_checkout(
    package: Path,
) -> None:
    before = packed(package, "a.zip")
    for file in package.rglob("*.py"):
        os.utime(file, (1, 2))
        file.chmod(0o777)
    assert packed(package, "a.zip") == before


def test_caches_and_hidden_files_stay_out(package: Path) -> None:
    before = packed(package, "a.zip")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "setup.cpython-311.pyc").write_bytes(b"x")
    (package / ".setup.py.swp").write_bytes(b"x")
    assert packed(package, "a.zip") == before


def test_every_line_of_the_package_changes_the_digest(package: Path) -> None:
    before = packed(package, "a.zip").sha256
    (package / "inner" / "__init__.py").write_text("NAME = 'other'\n")
    assert packed(package, "a.zip").sha256 != before


def test_python_imports_the_package_from_the_archive(
    package: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "runtime.zip"
    archive.write_bytes(packed(package, "a.zip").content)
    program = "from fargate_runtime import inner, setup; print(setup.greet())"
    said = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(archive)},
        cwd=tmp_path / "fargate_runtime" / "inner",
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "hello\n"


def test_archived_files_are_world_readable(package: Path, tmp_path: Path) -> None:
    # Airflow's container runs as a user of its own: files of mode 0 would be unreadable
    # to it once the archive is unpacked.
    archive = tmp_path / "runtime.zip"
    archive.write_bytes(packed(package, "a.zip").content)
    with zipfile.ZipFile(archive) as opened:
        modes = {entry.external_attr >> 16 for entry in opened.infolist()}
    assert modes == {0o100644}
