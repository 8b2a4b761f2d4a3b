"""How soon the environment is of use, and what our part in a start costs."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acceptance.api import api
from acceptance.check import NotProven
from acceptance.containers import environments, logs
from local.environment import Stage

FIRST_RUN_SECONDS = 20.0
"""From the first healthy moment until a first DAG run has succeeded, at most."""

GIVE_UP_SECONDS = 120.0
"""A run that comes too late is still told with its time."""

RUNTIME_SECONDS = 0.3
"""Beyond Airflow's own start (the project's bound)."""

ATTEMPTS = 5
COMMAND = "_CMD"
COMMAND_SECONDS = 60
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
    """Hold what our code costs a container's start to its bound."""
    costs = start_up_costs(stage)
    text = ", ".join(f"{name} {cost}" for name, cost in sorted(costs.items()))
    if max(cost.worked for cost in costs.values()) > RUNTIME_SECONDS:
        raise NotProven(
            f"{text}; {RUNTIME_SECONDS * 1000:.0f} ms are allowed.",
            "Look at fargate_runtime/bootstrap.py, fargate_runtime/start.py and what the commands of "
            "settings import.",
        )
    return text


def start_up_costs(stage: Stage) -> dict[str, Cost]:
    """Measure what fetching, checking and entering our code costs each container.

    The bootstrap of each running container is started again with its own environment
    and ``true`` in place of Airflow. A setting whose value did not reach Airflow costs
    a start of its ``_CMD`` besides, and again each time that Airflow reads it.
    """
    costs: dict[str, Cost] = {}
    for one, environ in environments(stage):
        if one.name in costs:
            continue
        try:
            costs[one.name] = _of_start(one.command[:BOOTSTRAP_WORDS], environ)
        except NotProven:
            # A worker that the scaling took away meanwhile has no role any more.
            if Path(f"/proc/{one.pid}").exists():
                raise
    return costs


@dataclass(frozen=True)
class Cost:
    """What a process takes, in seconds."""

    worked: float
    """Of a processor: what else runs on this machine does not count."""
    waited: float
    """By the clock."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.worked + other.worked, self.waited + other.waited)

    def __str__(self) -> str:
        return f"{self.worked * 1000:.0f} ms ({self.waited * 1000:.0f} by the clock)"


def _of_start(bootstrap: Sequence[str], environ: Mapping[str, str]) -> Cost:
    """Return what the bootstrap costs, and the settings that it leaves to commands."""
    cost = _cost([*bootstrap, "true"], environ)
    given = _variables([*bootstrap, "env", "-0"], environ)
    for variable, value in environ.items():
        setting = variable.removesuffix(COMMAND)
        if setting != variable and setting not in given:
            cost += _cost(shlex.split(value), environ)
    return cost


def _cost(command: Sequence[str], environ: Mapping[str, str]) -> Cost:
    """Return the least that a command takes, of some attempts."""
    seen = []
    for _ in range(ATTEMPTS):
        begun = time.perf_counter()
        process = _begin(command, environ, subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        waited = time.perf_counter() - begun
        seen.append(Cost(used.ru_utime + used.ru_stime, waited))
        _check(process)
    return min(seen, key=lambda cost: cost.worked)


def _variables(command: Sequence[str], environ: Mapping[str, str]) -> set[str]:
    """Return the names of the variables that ``env -0`` prints."""
    process = _begin(command, environ, subprocess.PIPE)
    printed, _ = process.communicate(timeout=COMMAND_SECONDS)
    _check(process)
    return {one.partition("=")[0] for one in printed.decode().split("\0")}


def _begin(
    command: Sequence[str], environ: Mapping[str, str], output: int
) -> subprocess.Popen[bytes]:
    """Start a command as a container does; ``timeout`` ends one that hangs."""
    return subprocess.Popen(  # noqa: S603 - what the container itself runs
        ["/usr/bin/timeout", str(COMMAND_SECONDS), *command],
        env=dict(environ),
        cwd=environ["HOME"],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.DEVNULL,
    )


def _check(process: subprocess.Popen[bytes]) -> None:
    if process.returncode:
        raise NotProven(
            f"A container's own bootstrap ended with {process.returncode}.",
            "Try the command of its task definition by hand.",
        )
