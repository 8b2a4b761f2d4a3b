"""One task: its containers from the first start to the last exit.

A state machine that the agent's loop drives by ``step``; nothing here waits. The order
is ECS's: secrets first, then each container when what it depends on is ready; when an
essential container ends, the others are asked to end too, dependents first, and killed
after their stop timeout.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from local.ecs.container_env import Place
from local.ecs.health import Checkup, Health
from local.ecs.logs import Stream
from local.ecs.model import Container, TaskDefinition
from local.ecs.processes import KILLED, Processes
from local.ecs.protection import Protection

ESSENTIAL_EXITED = "Essential container in task exited"


class StartError(Exception):
    """A task cannot start; the message is ECS's stopped reason."""


@dataclass(frozen=True)
class Prepared:
    """A container's process, ready to start."""

    command: list[str]
    environment: Mapping[str, str]
    folder: Path
    check: list[str]


class Host(Protocol):
    """What a task needs of the machine."""

    def admit(self, task: Task) -> None:
        """Make the task's folders and open its logs. Raises StartError."""

    def prepare(self, task: Task, container: Container) -> Prepared:
        """Return a container's process, secrets resolved. Raises StartError."""

    def ship(self, stream: Stream, *, is_over: bool) -> None:
        """Deliver what is new in a container's log."""

    @property
    def probe_seconds(self) -> float | None:
        """How often a new container's health is asked for."""

    @property
    def restart_seconds(self) -> float | None:
        """After how long a container may be restarted, unless its own time is less."""


@dataclass
class Running:
    """A container of a task and what became of it."""

    definition: Container
    stream: Stream
    token: str
    """Names the container at the metadata endpoint."""
    prepared: Prepared | None = None
    """What a restart begins with: secrets are read once a task."""
    processes: Processes | None = None
    restarts: int = 0
    checkup: Checkup | None = None
    exit_code: int | None = None
    reason: str = ""
    started: float = 0
    is_over: bool = False
    kill_at: float | None = None

    @property
    def health(self) -> Health:
        """The health by the container's own check."""
        return self.checkup.health if self.checkup else Health.UNKNOWN

    @property
    def status(self) -> str:
        """The ``lastStatus`` of the container."""
        if self.is_over:
            return "STOPPED"
        return "RUNNING" if self.processes else "PENDING"

    def meets(self, condition: str) -> bool:
        """Return whether a container that depends on this one may start."""
        return {
            "START": self.processes is not None or self.is_over,
            "COMPLETE": self.is_over,
            "SUCCESS": self.is_over and self.exit_code == 0,
            "HEALTHY": self.health is Health.HEALTHY,
        }[condition]

    def can_never_meet(self, condition: str) -> bool:
        """Return whether waiting for it is vain."""
        return self.is_over and not self.meets(condition)


@dataclass
class Task:
    """A task of ECS on this machine."""

    arn: str
    cluster_arn: str
    definition: TaskDefinition
    place: Place
    containers: list[Running]
    group: str = ""
    started_by: str = ""
    deployment_id: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    token: str = ""
    """In the task's credential and agent URLs."""
    created: float = field(default_factory=time.time)
    started: float = 0
    stopping: float = 0
    stopped: float = 0
    status: str = "PROVISIONING"
    is_wanted: bool = True
    stop_code: str = ""
    stopped_reason: str = ""
    settled_seconds: float = 1
    """When a task that nothing checks counts as well."""
    protection: Protection = field(default_factory=Protection)
    is_in_service: bool = True
    """False when a load balancer that the task belongs to finds it unwell."""
    is_refused: bool = False
    """Whether a load balancer has given it up."""
    version: int = 1

    @property
    def id(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def service_name(self) -> str:
        """The service that the task belongs to, or nothing."""
        kind, _, name = self.group.partition(":")
        return name if kind == "service" else ""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.status == "STOPPED"

    @property
    def health(self) -> Health:
        """The task's health: that of its essential containers with a check."""
        found = [
            one.health
            for one in self.containers
            if one.definition.is_essential and one.definition.health
        ]
        if Health.UNHEALTHY in found:
            return Health.UNHEALTHY
        if not found or Health.UNKNOWN in found:
            return Health.UNKNOWN
        return Health.HEALTHY

    @property
    def is_healthy(self) -> bool:
        """Whether the service scheduler counts on it."""
        has_check = any(one.definition.health for one in self.containers)
        is_settled = time.time() - self.started >= self.settled_seconds
        is_well = self.health is Health.HEALTHY if has_check else is_settled
        return self.status == "RUNNING" and is_well and self.is_in_service

    @property
    def is_unhealthy(self) -> bool:
        """Whether the service scheduler replaces it."""
        return self.health is Health.UNHEALTHY or self.is_refused

    def container(self, name: str) -> Running | None:
        """Return a container by name."""
        return next((c for c in self.containers if c.definition.name == name), None)

    def stop(self, reason: str, code: str) -> None:
        """Ask the task to end; the first reason stands."""
        if self.is_wanted:
            self.is_wanted = False
            self.stop_code, self.stopped_reason = code, reason
            self.version += 1

    def step(self, host: Host) -> None:
        """Do whatever is due now."""
        if self.is_over:
            return
        if self.status == "PROVISIONING":
            self.status = "PENDING"
            self._guarded(host, lambda: host.admit(self))
        for one in self.containers:
            self._watch(one, host)
        if self.is_wanted:
            self._guarded(host, lambda: self._start_ready(host))
        if not self.is_wanted:
            self._end(host)
        elif self.status == "PENDING" and all(
            one.processes or one.is_over for one in self.containers
        ):
            self.status, self.started = "RUNNING", time.time()
            self.version += 1

    def kill(self, host: Host) -> None:
        """End everything now, without waiting for anybody."""
        for one in self.containers:
            if one.processes and not one.is_over:
                code = one.processes.kill()
                self._over(one, host, code)
        self._end(host)

    def _guarded(self, host: Host, act: Callable[[], None]) -> None:
        try:
            act()
        except StartError as error:
            self.stop(str(error), "TaskFailedToStart")
            self._end(host)

    def _start_ready(self, host: Host) -> None:
        for one in self.containers:
            if one.processes or one.is_over:
                continue
            needed = [
                (found, condition)
                for name, condition in one.definition.depends_on
                if (found := self.container(name))
            ]
            for found, condition in needed:
                if found.can_never_meet(condition):
                    raise StartError(
                        f"container {one.definition.name} depends on "
                        f"{found.definition.name}, which is not {condition} and ended "
                        f"with exit code {found.exit_code}"
                    )
            if all(found.meets(condition) for found, condition in needed):
                self._start(one, host)

    def _start(self, one: Running, host: Host) -> None:
        ready = one.prepared = one.prepared or host.prepare(self, one.definition)
        try:
            one.processes = Processes(
                ready.command,
                environment=ready.environment,
                folder=ready.folder,
                output=one.stream.path,
            )
        except OSError as error:
            raise StartError(f"CannotStartContainerError: {error}") from error
        one.started = time.time()
        if one.definition.health:
            one.checkup = Checkup(
                one.definition.health,
                ready.check,
                environment=ready.environment,
                folder=ready.folder,
                started=time.monotonic(),
                probe_seconds=host.probe_seconds,
            )

    def _watch(self, one: Running, host: Host) -> None:
        if one.processes is None or one.is_over:
            return
        code = one.processes.exit_code()
        host.ship(one.stream, is_over=code is not None)
        if code is not None:
            if self._begins_anew(one, host, code):
                return
            self._over(one, host, code)
            if one.definition.is_essential:
                self.stop(ESSENTIAL_EXITED, "EssentialContainerExited")
        elif one.checkup:
            one.checkup.step(time.monotonic())

    def _begins_anew(self, one: Running, host: Host, code: int) -> bool:
        """Let the container start again, if its restart policy says so."""
        policy = one.definition.restart
        if policy is None or not self.is_wanted or code in policy.ignored:
            return False
        least = policy.least_seconds
        if host.restart_seconds is not None:
            least = min(least, host.restart_seconds)
        if time.time() - one.started < least:
            return False
        if one.checkup:
            one.checkup.stop()
        one.processes, one.checkup = None, None
        one.restarts += 1
        self.version += 1
        return True

    def _over(self, one: Running, host: Host, code: int) -> None:
        one.exit_code, one.is_over = code, True
        if one.checkup:
            one.checkup.stop()
        host.ship(one.stream, is_over=True)

    def _end(self, host: Host) -> None:
        """Bring the containers down, those first on which no other depends."""
        now = time.monotonic()
        alive = [one for one in self.containers if one.processes and not one.is_over]
        if not alive:
            for one in self.containers:
                one.is_over = True
            self.status, self.stopped = "STOPPED", time.time()
            self.stopping = self.stopping or self.stopped
            self.version += 1
            return
        self.status = "DEACTIVATING" if self.status == "RUNNING" else "STOPPING"
        self.stopping = self.stopping or time.time()
        needed = {name for one in alive for name, _ in one.definition.depends_on}
        for one in alive:
            processes = one.processes
            if processes is None or one.definition.name in needed:
                continue
            if one.kill_at is None:
                one.kill_at = now + one.definition.stop_seconds
                processes.terminate()
            elif now >= one.kill_at:
                code = processes.kill()
                one.reason = f"killed after {one.definition.stop_seconds:g} s"
                self._over(one, host, code or KILLED)
