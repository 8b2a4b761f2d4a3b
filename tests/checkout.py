"""A checkout with small templates, for tests of the whole command line."""

from __future__ import annotations

import compileall
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIXTURE = Path(__file__).parent / "fixture_project"
REAL = (
    "build.py",
    "acceptance",
    "cli",
    "cloudformation",
    "compiler",
    "deploy",
    "local",
    "pools.json",
    "pyproject.toml",
    "requirements",
    "team_image",
)

ENVIRONMENT = ".venv-dev"
"""The environment that runs the tests; a checkout shares it."""

INHERITED = ("PATH", "HOME", "TMPDIR")
"""Environment variables that a command inherits from the test."""


class Checkout:
    """The real command line and compiler over a copy of the fixture project."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dist = root / "dist"
        shutil.copytree(_original().name, root, dirs_exist_ok=True)
        (root / ENVIRONMENT).symlink_to(sys.prefix)

    def command(self, *arguments: str) -> list[str]:
        """Return the words of a command line."""
        return [sys.executable, "build.py", *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        """Return a minimal environment, free of settings of this machine."""
        inherited = {n: os.environ[n] for n in INHERITED if n in os.environ}
        return {**inherited, "PYTHONDONTWRITEBYTECODE": "1", **more}

    def run(
        self, *arguments: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``build.py`` with its output piped."""
        return subprocess.run(  # noqa: S603 - our own command
            self.command(*arguments),
            cwd=self.root,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
        )

    def change(self, path: str, old: str, new: str) -> None:
        """Replace a text that the file must contain."""
        file = self.root / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new))

    def written(self) -> Mapping[str, bytes]:
        """Return every file of ``dist/``."""
        return {
            file.relative_to(self.dist).as_posix(): file.read_bytes()
            for file in self.dist.rglob("*")
            if file.is_file()
        }


@functools.cache
def _original() -> tempfile.TemporaryDirectory[str]:
    """Return the folder that every checkout is a copy of, with bytecode.

    A copy keeps the times of its files, by which Python knows that the bytecode is that
    of the source. Without it each command would compile every module that it imports.
    """
    folder = tempfile.TemporaryDirectory(prefix="checkout-")
    root = Path(folder.name)
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in REAL:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name, ignore=unwanted)
        else:
            shutil.copy2(ROOT / name, root / name)
    shutil.copytree(FIXTURE, root, dirs_exist_ok=True, ignore=unwanted)
    compileall.compile_dir(root, quiet=2)
    return folder
