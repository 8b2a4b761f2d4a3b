"""The containers of a local environment: what they were given, and what they hold."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from acceptance.check import Pending, until
from local.ecs.model import EcsService
from local.ecs.task import EcsTask
from local.environment import LocalEnvironment
from local.processes import descendants

START_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class RunningContainer:
    """A container whose main process runs."""

    name: str
    """As in the task definition: the component's."""
    address: str
    """Of the task; what Airflow calls the host name."""
    pid: int
    command: tuple[str, ...]
    """As in the task definition."""
    secrets: Mapping[str, str]
    """Variable -> ``ValueFrom``, as in the task definition."""

    @property
    def environ(self) -> dict[str, str]:
        """What the main process was started with."""
        return process_environ(self.pid)

    @property
    def pids(self) -> tuple[int, ...]:
        """The main process and all below it."""
        return (self.pid, *descendants(self.pid))


def running_containers(
    environment: LocalEnvironment, name: str = ""
) -> list[RunningContainer]:
    """Return the containers that run and are to run on, of one name or of any."""
    with environment.agent.lock:
        return [
            RunningContainer(
                name=container.definition.name,
                address=task.sandbox.address,
                pid=pid,
                command=container.definition.command,
                secrets=container.definition.secrets,
            )
            for task in environment.agent.tasks.values()
            if task.should_run
            for container in task.containers
            if container.processes and not container.is_over
            if (pid := container.processes.main)
            if name in {"", container.definition.name}
        ]


def with_environ(
    environment: LocalEnvironment,
) -> list[tuple[RunningContainer, dict[str, str]]]:
    """Return each container with what it was started with, if it still runs."""
    pairs: list[tuple[RunningContainer, dict[str, str]]] = []
    for container in running_containers(environment):
        # Workers come and go by themselves.
        with contextlib.suppress(OSError):
            pairs.append((container, container.environ))
    return pairs


def first_container(environment: LocalEnvironment, name: str) -> RunningContainer:
    """Return a container of a name; wait for one that is only about to start.

    A pool of workers without anything to do may sleep.
    """
    return until(
        f"a container {name}",
        lambda: (
            next(iter(running_containers(environment, name)), None)
            or Pending("none runs")
        ),
        seconds=START_SECONDS,
        remedy=environment.logs(name),
    )


def services(environment: LocalEnvironment) -> list[tuple[EcsService, list[EcsTask]]]:
    """Return every service with all tasks it ever had, those that ended too."""
    with environment.agent.lock:
        return [
            (
                state.service,
                [
                    task
                    for task in environment.agent.tasks.values()
                    if task.service_name == state.service.name
                    and task.cluster_arn == state.service.cluster_arn
                ],
            )
            for state in environment.agent.registry.services.values()
        ]


def process_environ(pid: int) -> dict[str, str]:
    """Return what a process was started with. Raises OSError when it is gone."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    texts = (pair.decode(errors="surrogateescape") for pair in pairs if pair)
    return {name: value for name, _, value in (text.partition("=") for text in texts)}
