"""Virtual environments of pinned packages, made by the project's installer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

Tell = Callable[[str], None]


def install(name: str, tell: Tell, *, root: Path = ROOT) -> str:
    """Bring ``.venv-NAME`` up to date with ``requirements/NAME.txt``.

    A second process waits for the first. ``tell`` gets the installer's output; if it
    fails, the output is also returned.
    """
    pins = root / "requirements" / f"{name}.txt"
    return install_pins(root / f".venv-{name}", pins, tell, root=root)


def install_pins(
    environment: Path, pins: Path, tell: Tell, *options: str, root: Path = ROOT
) -> str:
    """Bring an environment up to date with a file of pins, as ``install`` does."""
    output: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own installer
        [
            *(sys.executable, root / "requirements" / "install.py"),
            *options,
            *(environment, pins),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            output.append(line)
            tell(line.rstrip())
    return "".join(output).strip() if process.returncode else ""
