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

from local.ecs.container_env import TaskSandbox
from local.ecs.health import HealthChecker, HealthStatus
from local.ecs.logs import LogStream
from local.ecs.model import ContainerDefinition, EcsService, TaskDefinition
from local.ecs.processes import KILLED, ContainerProcesses
from local.ecs.protection import TaskProtection

ESSENTIAL_EXITED = "Essential container in task exited"

SHIP_SECONDS = 1.0
"""How often the new lines of a log are delivered, all in one call."""


class StartError(Exception):
    """A task cannot start; the message is ECS's stopped reason."""


@dataclass(frozen=True)
class ProcessSpec:
    """A container's process, ready to start."""

    command: list[str]
    environment: Mapping[str, str]
    folder: Path
    check: list[str]
    control_group: Path | None = None
    """Where its connections are limited, if they are."""


class TaskHost(Protocol):
    """What a task needs of its host."""

    def admit(self, task: EcsTask) -> None:
        """Make the task's folders and open its logs. Raises StartError."""

    def prepare(self, task: EcsTask, container: ContainerDefinition) -> ProcessSpec:
        """Return a container's process, secrets resolved. Raises StartError."""

    def ship(self, stream: LogStream, *, is_over: bool) -> None:
        """Deliver what is new in a container's log."""

    @property
    def probe_seconds(self) -> float | None:
        """Interval of health checks until a container is healthy."""

    @property
    def restart_seconds(self) -> float | None:
        """Upper limit of ``restartAttemptPeriod``."""


@dataclass
class TaskContainer:
    """A container of a task, from its definition to its exit code."""

    definition: ContainerDefinition
    stream: LogStream
    token: str
    """Names the container at the metadata endpoint."""
    spec: ProcessSpec | None = None
    """Kept for restarts: ECS reads secrets once per task."""
    processes: ContainerProcesses | None = None
    restarts: int = 0
    checker: HealthChecker | None = None
    exit_code: int | None = None
    reason: str = ""
    started: float = 0
    is_over: bool = False
    kill_at: float | None = None
    ship_at: float = 0
    """When new lines of the log are delivered next; monotonic."""

    @property
    def health(self) -> HealthStatus:
        """The health by the container's own check."""
        return self.checker.health if self.checker else HealthStatus.UNKNOWN

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
            "HEALTHY": self.health is HealthStatus.HEALTHY,
        }[condition]

    def can_never_meet(self, condition: str) -> bool:
        """Return whether the condition can no longer be met."""
        return self.is_over and not self.meets(condition)


@dataclass
class EcsTask:
    """A task that runs, or ran, as local processes."""

    arn: str
    cluster_arn: str
    definition: TaskDefinition
    sandbox: TaskSandbox
    containers: list[TaskContainer]
    group: str = ""
    started_by: str = ""
    deployment_id: str = ""
    security_groups: tuple[str, ...] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    token: str = ""
    """In the task's credential and agent URLs."""
    tags: Mapping[str, str] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    started: float = 0
    stopping: float = 0
    stopped: float = 0
    status: str = "PROVISIONING"
    should_run: bool = True
    stop_code: str = ""
    stopped_reason: str = ""
    settled_seconds: float = 1
    """After this a task without a health check counts as healthy."""
    protection: TaskProtection = field(default_factory=TaskProtection)
    is_in_service: bool = True
    """Whether the checks of all its target groups pass."""
    is_refused: bool = False
    """Whether a target group finds it unhealthy."""
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
        """Whether the task is stopped."""
        return self.status == "STOPPED"

    @property
    def health(self) -> HealthStatus:
        """The task's health: that of its essential containers with a check."""
        statuses = [
            container.health
            for container in self.containers
            if container.definition.is_essential and container.definition.health
        ]
        if HealthStatus.UNHEALTHY in statuses:
            return HealthStatus.UNHEALTHY
        if not statuses or HealthStatus.UNKNOWN in statuses:
            return HealthStatus.UNKNOWN
        return HealthStatus.HEALTHY

    @property
    def is_healthy(self) -> bool:
        """Whether the service scheduler counts it as healthy."""
        has_check = any(container.definition.health for container in self.containers)
        is_settled = time.time() - self.started >= self.settled_seconds
        is_passing = self.health is HealthStatus.HEALTHY if has_check else is_settled
        return self.status == "RUNNING" and is_passing and self.is_in_service

    @property
    def is_unhealthy(self) -> bool:
        """Whether the service scheduler replaces it."""
        return self.health is HealthStatus.UNHEALTHY or self.is_refused

    def container(self, name: str) -> TaskContainer | None:
        """Return a container by name."""
        return next((c for c in self.containers if c.definition.name == name), None)

    def container_arn(self, container: TaskContainer) -> str:
        """Return the ARN of one of the task's containers."""
        return f"{self.arn.replace(':task/', ':container/')}/{container.token}"

    def is_of(self, service: EcsService) -> bool:
        """Return whether the task belongs to a service."""
        return (self.service_name, self.cluster_arn) == (
            service.name,
            service.cluster_arn,
        )

    def stop(self, reason: str, code: str) -> None:
        """Request the end of the task; the first reason stands."""
        if self.should_run:
            self.should_run = False
            self.stop_code, self.stopped_reason = code, reason
            self.version += 1

    def step(self, host: TaskHost) -> None:
        """Take the steps that are due now."""
        if self.is_over:
            return
        if self.status == "PROVISIONING":
            self.status = "PENDING"
            self._guarded(host, lambda: host.admit(self))
        for container in self.containers:
            self._watch(container, host)
        if self.should_run:
            self._guarded(host, lambda: self._start_ready(host))
        if not self.should_run:
            self._end(host)
        elif self.status == "PENDING" and all(
            container.processes or container.is_over for container in self.containers
        ):
            self.status, self.started = "RUNNING", time.time()
            self.version += 1

    def kill(self, host: TaskHost) -> None:
        """Kill every container at once."""
        for container in self.containers:
            if container.processes and not container.is_over:
                code = container.processes.kill()
                self._finish(container, host, code)
        self._end(host)

    def _guarded(self, host: TaskHost, act: Callable[[], None]) -> None:
        try:
            act()
        except StartError as error:
            self.stop(str(error), "TaskFailedToStart")
            self._end(host)

    def _start_ready(self, host: TaskHost) -> None:
        for container in self.containers:
            if container.processes or container.is_over:
                continue
            dependencies = [
                (dependency, condition)
                for name, condition in container.definition.depends_on
                if (dependency := self.container(name))
            ]
            for dependency, condition in dependencies:
                if dependency.can_never_meet(condition):
                    raise StartError(
                        f"container {container.definition.name} depends on "
                        f"{dependency.definition.name}, which is not {condition} and "
                        f"ended with exit code {dependency.exit_code}"
                    )
            if all(other.meets(condition) for other, condition in dependencies):
                self._start(container, host)

    def _start(self, container: TaskContainer, host: TaskHost) -> None:
        spec = container.spec or host.prepare(self, container.definition)
        container.spec = spec
        try:
            container.processes = ContainerProcesses(
                spec.command,
                environment=spec.environment,
                folder=spec.folder,
                output=container.stream.path,
                control_group=spec.control_group,
            )
        except OSError as error:
            raise StartError(f"CannotStartContainerError: {error}") from error
        container.started = time.time()
        if container.definition.health:
            container.checker = HealthChecker(
                container.definition.health,
                spec.check,
                environment=spec.environment,
                folder=spec.folder,
                control_group=spec.control_group,
                started=time.monotonic(),
                probe_seconds=host.probe_seconds,
            )

    def _watch(self, container: TaskContainer, host: TaskHost) -> None:
        if container.processes is None or container.is_over:
            return
        code = container.processes.exit_code()
        now = time.monotonic()
        if code is not None or now >= container.ship_at:
            container.ship_at = now + SHIP_SECONDS
            host.ship(container.stream, is_over=code is not None)
        if code is not None:
            if self._restart(container, host, code):
                return
            self._finish(container, host, code)
            if container.definition.is_essential:
                self.stop(ESSENTIAL_EXITED, "EssentialContainerExited")
        elif container.checker:
            container.checker.step(now)

    def _restart(self, container: TaskContainer, host: TaskHost, code: int) -> bool:
        """Prepare a restart if the restart policy allows it."""
        policy = container.definition.restart
        if policy is None or not self.should_run or code in policy.ignored:
            return False
        minimum = policy.least_seconds
        if host.restart_seconds is not None:
            minimum = min(minimum, host.restart_seconds)
        if time.time() - container.started < minimum:
            return False
        if container.checker:
            container.checker.stop()
        container.processes, container.checker = None, None
        container.restarts += 1
        self.version += 1
        return True

    def _finish(self, container: TaskContainer, host: TaskHost, code: int) -> None:
        container.exit_code, container.is_over = code, True
        if container.checker:
            container.checker.stop()
        host.ship(container.stream, is_over=True)

    def _end(self, host: TaskHost) -> None:
        """Stop the containers, dependents before what they depend on."""
        now = time.monotonic()
        alive = [
            container
            for container in self.containers
            if container.processes and not container.is_over
        ]
        if not alive:
            for container in self.containers:
                container.is_over = True
            self.status, self.stopped = "STOPPED", time.time()
            self.stopping = self.stopping or self.stopped
            self.version += 1
            return
        self.status = "DEACTIVATING" if self.status == "RUNNING" else "STOPPING"
        self.stopping = self.stopping or time.time()
        required = {
            name for container in alive for name, _ in container.definition.depends_on
        }
        for container in alive:
            processes = container.processes
            if processes is None or container.definition.name in required:
                continue
            if container.kill_at is None:
                container.kill_at = now + container.definition.stop_seconds
                processes.terminate()
            elif now >= container.kill_at:
                code = processes.kill()
                container.reason = (
                    f"killed after {container.definition.stop_seconds:g} s"
                )
                self._finish(container, host, code or KILLED)
