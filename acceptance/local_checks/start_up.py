"""What the project's own code adds to the start of a container."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acceptance.check import CheckFailed
from acceptance.containers import with_environ
from local.environment import LocalEnvironment

RUNTIME_SECONDS = 0.3
"""Beyond Airflow's own start (the project's bound)."""

ATTEMPTS = 5
COMMAND = "_CMD"
COMMAND_SECONDS = 60
BOOTSTRAP_WORDS = 3
"""Of a container's command: ``python -c`` and the bootstrap's text."""


def start_up_cost(environment: LocalEnvironment) -> str:
    """Compare the cost of each container's start with its bound."""
    costs = start_up_costs(environment)
    text = ", ".join(f"{name} {cost}" for name, cost in sorted(costs.items()))
    if max(cost.cpu for cost in costs.values()) > RUNTIME_SECONDS:
        raise CheckFailed(
            f"{text}; {RUNTIME_SECONDS * 1000:.0f} ms are allowed.",
            "Look at fargate_runtime/bootstrap.py, fargate_runtime/start.py and the "
            "imports of the commands of settings.",
        )
    return text


def start_up_costs(environment: LocalEnvironment) -> dict[str, Cost]:
    """Measure what fetching, checking and entering our code costs each component.

    The bootstrap of each running container is started again with its own environment
    and ``true`` in place of Airflow. A setting whose value did not reach Airflow costs
    a start of its ``_CMD`` besides, and again each time that Airflow reads it.
    """
    costs: dict[str, Cost] = {}
    for container, environ in with_environ(environment):
        if container.name in costs:
            continue
        try:
            costs[container.name] = _start_cost(
                container.command[:BOOTSTRAP_WORDS], environ
            )
        except CheckFailed:
            # A worker that the scaling took away meanwhile has no role any more.
            if Path(f"/proc/{container.pid}").exists():
                raise
    return costs


@dataclass(frozen=True)
class Cost:
    """What a process takes, in seconds."""

    cpu: float
    """Other programs on this machine do not count."""
    elapsed: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu + other.cpu, self.elapsed + other.elapsed)

    def __str__(self) -> str:
        return f"{self.cpu * 1000:.0f} ms ({self.elapsed * 1000:.0f} by the clock)"


def _start_cost(bootstrap: Sequence[str], environ: Mapping[str, str]) -> Cost:
    """Return what the bootstrap costs, and the settings that it leaves to commands."""
    cost = _cost([*bootstrap, "true"], environ)
    variables = _variables([*bootstrap, "env", "-0"], environ)
    for variable, value in environ.items():
        setting = variable.removesuffix(COMMAND)
        if setting != variable and setting not in variables:
            cost += _cost(shlex.split(value), environ)
    return cost


def _cost(command: Sequence[str], environ: Mapping[str, str]) -> Cost:
    """Return the least that a command takes, of some attempts."""
    costs = []
    for _ in range(ATTEMPTS):
        started = time.perf_counter()
        process = _start(command, environ, subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        elapsed = time.perf_counter() - started
        costs.append(Cost(used.ru_utime + used.ru_stime, elapsed))
        _raise_if_failed(process)
    return min(costs, key=lambda cost: cost.cpu)


def _variables(command: Sequence[str], environ: Mapping[str, str]) -> set[str]:
    """Return the names of the variables that ``env -0`` prints."""
    process = _start(command, environ, subprocess.PIPE)
    printed, _ = process.communicate(timeout=COMMAND_SECONDS)
    _raise_if_failed(process)
    return {entry.partition("=")[0] for entry in printed.decode().split("\0")}


def _start(
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


def _raise_if_failed(process: subprocess.Popen[bytes]) -> None:
    if process.returncode:
        raise CheckFailed(
            f"A container's own bootstrap ended with {process.returncode}.",
            "Try the command of its task definition by hand.",
        )
