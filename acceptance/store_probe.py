"""Queries and logins to the datastores, with the packages of the container image.

``store_probe_main`` makes them in a process of Airflow's own Python. The logins go
there through a pipe: every user of this machine can see an argument.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acceptance.check import CheckFailed
from local.airflow_environment import airflow_environment

ROOT = Path(__file__).resolve().parents[1]
MAIN = Path(__file__).with_name("store_probe_main.py")
SECONDS = 90.0

Call = tuple[str, Mapping[str, str], list[Any]]
"""A function of ``store_probe_main``, a container's environ, and further arguments."""


def probe(*calls: Call) -> list[Any]:
    """Return the result of each call. Raises CheckFailed with an error of a server."""
    environ = {"PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    results: list[Any] = ask(MAIN, environ, calls)
    return results


def ask(script: Path, environ: Mapping[str, str], question: Any) -> Any:
    """Return what a script of Airflow's Python answers to a question, both in JSON.

    The answer is the last line of its output: Airflow logs there too. Raises
    CheckFailed with the last line of its errors.
    """
    done = subprocess.run(  # noqa: S603 - our own script
        [airflow_environment().python, script],
        env=dict(environ),
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    if done.returncode or not lines:
        raise CheckFailed(lines[-1] if lines else f"{script.name} wrote nothing.")
    return json.loads(lines[-1])
