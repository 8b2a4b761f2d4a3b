"""The containers that run on a stage: what they were told, and what they hold."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from acceptance.check import Pending, until
from local.ecs.model import EcsService
from local.ecs.task import EcsTask
from local.environment import Stage
from local.processes import descendants

START_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class Running:
    """A container whose main process runs."""

    name: str
    """As in the task definition: the component's."""
    task_id: str
    task_arn: str
    cluster_arn: str
    service: str
    address: str
    """Of the task; what Airflow calls the host name."""
    pid: int
    command: tuple[str, ...]
    """As in the task definition."""
    declared: Mapping[str, str]
    """Variable -> ``ValueFrom`` of the secrets in the task definition."""
    log: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the main process was started with."""
        return environment(self.pid)

    @property
    def pids(self) -> tuple[int, ...]:
        """The main process and all below it."""
        return (self.pid, *descendants(self.pid))


def running(stage: Stage, name: str = "") -> list[Running]:
    """Return the containers that run and are to run on, of one name or of any."""
    with stage.agent.lock:
        return [
            Running(
                name=one.definition.name,
                task_id=task.id,
                task_arn=task.arn,
                cluster_arn=task.cluster_arn,
                service=task.service_name,
                address=task.sandbox.address,
                pid=pid,
                command=one.definition.command,
                declared=one.definition.secrets,
                log=one.stream.path,
            )
            for task in stage.agent.tasks.values()
            if task.should_run
            for one in task.containers
            if one.processes and not one.is_over and (pid := one.processes.main)
            if name in {"", one.definition.name}
        ]


def environments(stage: Stage) -> list[tuple[Running, dict[str, str]]]:
    """Return each container with what it was started with, if it still runs."""
    found: list[tuple[Running, dict[str, str]]] = []
    for one in running(stage):
        # Workers come and go by themselves.
        with contextlib.suppress(OSError):
            found.append((one, one.environment))
    return found


def first(stage: Stage, name: str) -> Running:
    """Return a container of a name; wait for one that is only about to start.

    A pool of workers without anything to do may sleep.
    """
    return until(
        f"a container {name}",
        lambda: next(iter(running(stage, name)), None) or Pending("none runs"),
        seconds=START_SECONDS,
        remedy=logs(stage, name),
    )


def services(stage: Stage) -> list[tuple[EcsService, list[EcsTask]]]:
    """Return every service with all tasks it ever had, those that ended too."""
    with stage.agent.lock:
        return [
            (
                kept.service,
                [
                    task
                    for task in stage.agent.tasks.values()
                    if task.service_name == kept.service.name
                    and task.cluster_arn == kept.service.cluster_arn
                ],
            )
            for kept in stage.agent.registry.services.values()
        ]


def logs(stage: Stage, *names: str) -> str:
    """Return where the logs of components lie, as the remedy of a message."""
    folder = stage.agent.settings.folder / "logs"
    found = sorted(str(path) for name in names for path in folder.glob(f"{name}-*.log"))
    return f"Read {', '.join(found or [str(folder)])}."


def environment(pid: int) -> dict[str, str]:
    """Return what a process was started with. Raises OSError when it is gone."""
    pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    texts = (pair.decode(errors="surrogateescape") for pair in pairs if pair)
    return {name: value for name, _, value in (text.partition("=") for text in texts)}
