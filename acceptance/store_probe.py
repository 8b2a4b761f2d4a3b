"""Queries and logins to the datastores, with the packages of the container image.

``store_probe_main`` makes them in a process of Airflow's own Python. The logins go
there through a pipe: every user of this machine can see an argument.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from acceptance.check import CheckFailed
from local.airflow_environment import airflow_environment

ROOT = Path(__file__).resolve().parents[1]
MAIN = Path(__file__).with_name("store_probe_main.py")
SECONDS = 90.0


def rows(environ: Mapping[str, str], query: str, *values: Any) -> list[list[Any]]:
    """Return the rows of a query to the metadata database of a container's environ."""
    found: list[list[Any]] = _call("rows", environ, query, values)
    return found


def logins(
    environ: Mapping[str, str], database: str, pairs: Sequence[tuple[str, str]]
) -> list[str]:
    """Return the server's error for each user and password, empty for a success.

    The server is the one at ``RESULTS_HOST`` and ``RESULTS_PORT``.
    """
    errors: list[str] = _call("logins", environ, database, pairs)
    return errors


def login_as(
    environ: Mapping[str, str], master: Mapping[str, str], password: str
) -> dict[str, str]:
    """Return the user that each datastore reports for a login with this password.

    ``master`` makes the role and its database, and they are dropped afterwards.
    Datastores: ``metadata``, ``metadata, asynchronous``, ``results``, ``broker``.
    """
    users: dict[str, str] = _call("login_as", environ, master, password)
    return users


def _call(function: str, environ: Mapping[str, str], *arguments: Any) -> Any:
    """Call a function of ``store_probe_main``. Raises CheckFailed with its error."""
    done = subprocess.run(  # noqa: S603 - our own script
        [airflow_environment().python, MAIN],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        input=json.dumps([function, dict(environ), *arguments]),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise CheckFailed(lines[-1] if lines else f"{MAIN.name} wrote no error.")
    return json.loads(done.stdout)
