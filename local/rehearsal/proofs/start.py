"""How soon the environment is of use, and what our part in a start costs."""

from __future__ import annotations

import shlex
import shutil
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence

from local.rehearsal.api import api
from local.rehearsal.containers import logs, running
from local.rehearsal.proof import NotProven
from local.rehearsal.stage import Stage

FIRST_RUN_SECONDS = 20.0
"""From the first healthy moment until a first DAG run has succeeded (issue's bound)."""

GIVE_UP_SECONDS = 120.0
"""A run that comes too late is still told with its time."""

RUNTIME_SECONDS = 0.3
"""Beyond Airflow's own start (the project's bound)."""

ATTEMPTS = 5
BOOTSTRAP_WORDS = 3
"""Of a container's command: ``python -c`` and the bootstrap's text."""


def first_run(stage: Stage) -> str:
    """Run a DAG that was in the bucket before anything started, at once."""
    begun = time.monotonic()
    remedy = logs(stage, "dag-processor", "scheduler", "worker")
    airflow = api(stage)
    airflow.wait_for_dag("proof_plain", seconds=GIVE_UP_SECONDS, remedy=remedy)
    known = time.monotonic() - begun
    run_id = airflow.trigger("proof_plain")
    airflow.wait_for_run("proof_plain", run_id, seconds=GIVE_UP_SECONDS, remedy=remedy)
    seconds = time.monotonic() - begun
    if seconds > FIRST_RUN_SECONDS:
        raise NotProven(
            f"The first run ended {seconds:.1f} s after all was healthy, its DAG was "
            f"known after {known:.1f} s; {FIRST_RUN_SECONDS:.0f} s are allowed.",
            remedy,
        )
    return f"known after {known:.1f} s, three tasks succeeded after {seconds:.1f} s"


def start_up_cost(stage: Stage) -> str:
    """Measure what fetching, checking and entering our code costs a container.

    The bootstrap of a running container is started again with its own environment and
    ``true`` in place of Airflow. Then each ``_CMD`` that it reads its settings by.
    """
    slowest, told = 0.0, []
    for name in ("api-server", "scheduler", "worker"):
        one = running(stage, name)[0]
        environ = one.environment
        bootstrap = _median([*one.command[:BOOTSTRAP_WORDS], "true"], environ)
        settings = {
            variable: _median(shlex.split(value), environ)
            for variable, value in environ.items()
            if variable.endswith("_CMD")
        }
        cost = bootstrap + sum(settings.values())
        slowest = max(slowest, cost)
        told.append(
            f"{name} {cost * 1000:.0f} ms (bootstrap {bootstrap * 1000:.0f}, "
            f"{len(settings)} settings {sum(settings.values()) * 1000:.0f})"
        )
    text = ", ".join(told)
    if slowest > RUNTIME_SECONDS:
        raise NotProven(
            f"{text}; {RUNTIME_SECONDS * 1000:.0f} ms are allowed.",
            "Measure again on a machine with nothing else to do, then look at "
            "runtime/bootstrap.py and what the settings' commands import.",
        )
    return text


def _median(command: Sequence[str], environ: Mapping[str, str]) -> float:
    """Return how many seconds a command takes, the middle one of some attempts."""
    program = shutil.which(command[0], path=environ["PATH"]) or command[0]
    taken = []
    for _ in range(ATTEMPTS):
        begun = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - what the container itself runs
            [program, *command[1:]],
            env=dict(environ),
            cwd=environ["HOME"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
        taken.append(time.perf_counter() - begun)
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            raise NotProven(f"{command[:2]} failed in a container: {said[-300:]}")
    return statistics.median(taken)
