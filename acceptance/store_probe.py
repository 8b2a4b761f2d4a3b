"""Questions to the stores, asked with the packages of the image.

``asking_inside`` answers them in a process of Airflow's own Python. The logins go
there through a pipe: an argument would be seen by everybody on this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acceptance.check import NotProven
from local.airflow_environment import airflow_environment

ROOT = Path(__file__).resolve().parents[1]
INSIDE = Path(__file__).with_name("asking_inside.py")
SECONDS = 90.0


def rows(environ: Mapping[str, str], question: str, *values: Any) -> list[list[Any]]:
    """Return what the metadata database answers to a container with ``environ``."""
    found: list[list[Any]] = _ask("rows", environ, question, values)
    return found


def logins(
    environ: Mapping[str, str], database: str, pairs: Sequence[tuple[str, str]]
) -> list[str]:
    """Return for each user and password what the server said: nothing if it let in.

    Asked at ``RESULTS_HOST`` and ``RESULTS_PORT``.
    """
    found: list[str] = _ask("logins", environ, database, pairs)
    return found


def whoever(
    environ: Mapping[str, str], master: Mapping[str, str], password: str
) -> dict[str, str]:
    """Return as whom each store takes the URLs of a role with this password.

    The role and its database are made by ``master`` and gone afterwards. Stores:
    ``metadata``, ``metadata, asynchronous``, ``results``, ``broker``.
    """
    found: dict[str, str] = _ask("whoever", environ, master, password)
    return found


def _ask(function: str, environ: Mapping[str, str], *arguments: Any) -> Any:
    """Ask one question. Raises NotProven with what the store or TLS said."""
    asked = subprocess.run(  # noqa: S603 - our own script
        [airflow_environment().python, INSIDE],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        input=json.dumps([function, dict(environ), *arguments]),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if asked.returncode:
        said = asked.stderr.strip().splitlines()
        raise NotProven(said[-1] if said else f"{INSIDE.name} said nothing.")
    return json.loads(asked.stdout)
