"""The agent: one loop that brings tasks to what was asked for, and what serves them.

Three threads of its own: one reads the emulator, one drives tasks, one evaluates
alarms. Everything that the first two share is behind ``lock``. The servers (gateway,
metadata, load balancer, Service Connect) have their own threads and take the lock for
as long as it takes to look.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from local.ecs.addresses import AddressBlock
from local.ecs.application_autoscaling import ApplicationAutoscaling
from local.ecs.aws_calls import Where
from local.ecs.aws_proxy import Gateway
from local.ecs.container_env import DEVIATIONS
from local.ecs.container_host import Machine
from local.ecs.credentials import Sessions
from local.ecs.ecs_api import EcsApi
from local.ecs.emulator_client import Emulator, EmulatorError, Listener, TargetGroup
from local.ecs.load_balancer import Door
from local.ecs.logs import Shipper
from local.ecs.metrics import Metrics
from local.ecs.model import Service, TaskDefinition
from local.ecs.network import Network
from local.ecs.protection import ProtectionRefusedError
from local.ecs.roles import Roles
from local.ecs.scheduler import Deployment, Rollout
from local.ecs.services import Services
from local.ecs.settings import Settings
from local.ecs.task import Task
from local.ecs.task_metadata import Endpoint

STOPPED_BY_AGENT = "The rehearsal ends"
KEPT_PROBLEMS = 50
SCALING_SECONDS = 0.5
"""How often alarms are looked at."""

LAUNCHED_SECONDS = 3.0
"""How often the launched alarms and policies are read."""


@dataclass(frozen=True)
class Row:
    """A line of the table that follows the health of everything."""

    name: str
    """The service, or the family of a one-off task."""
    task_id: str
    status: str
    health: str
    seconds: float
    """Since the task was asked for."""
    pids: tuple[int, ...]
    """The main process of each container that runs."""
    reason: str
    exit_codes: tuple[int, ...]


class Agent:
    """Runs on this machine what ECS would run on Fargate.

    ``url`` is there as soon as the agent is made, and known before by the port in the
    settings: the emulator takes it as ``AWS_ENDPOINT_URL``, so that its functions, the
    migration job's above all, call AWS through the agent. From then on it takes requests;
    tasks that are asked for before ``start`` wait for it.
    """

    def __init__(self, settings: Settings, *, emulator: Emulator | None = None) -> None:
        """Listen at once; nothing runs before ``start``."""
        self.settings = settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        self.lock = threading.RLock()
        self.tasks: dict[str, Task] = {}
        self.problems: list[str] = []
        self.sessions = Sessions()
        self._emulator = emulator or Emulator(
            settings.emulator_url, region=settings.region, account=settings.account
        )
        self.roles = Roles(
            self._emulator.permissions,
            settings.folder / "calls.log",
            is_authorising=settings.is_authorising,
        )
        self._addresses = AddressBlock()
        self._door = Door(settings.door_certificate)
        self._network = Network(self._addresses, self._door)
        self._shipper = Shipper(self._emulator)
        self.services = Services(self._emulator, self._start_for)
        self.autoscaler = ApplicationAutoscaling(
            self._emulator, Metrics(), self._is_deploying
        )
        self._host = Machine(
            settings, self._emulator, self.roles, self._shipper, self._addresses
        )
        self._definitions: dict[str, TaskDefinition] = {}
        self._endpoint = Endpoint(self)
        self._gateway = Gateway(
            settings.emulator_url,
            Where(settings.region, settings.account),
            self.sessions,
            self.roles,
            bucket_key=self._emulator.bucket_key,
            definition=self.definition,
            metrics=self.autoscaler.metrics,
            port=settings.gateway_port,
        )
        self._gateway.attach(EcsApi(self))
        self._host.gateway_url = self.url = self._gateway.url
        self._host.endpoint_url = self._endpoint.url
        self._is_over = threading.Event()
        self._give_up = float("inf")
        self._threads = [
            threading.Thread(target=self._read, name="agent-reads", daemon=True),
            threading.Thread(target=self._drive, name="agent-drives", daemon=True),
            threading.Thread(target=self._scale, name="agent-scales", daemon=True),
        ]

    # For the rehearsal.

    def start(self) -> None:
        """Begin to follow the emulator."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 10) -> None:
        """End every task, by force after some seconds, and stop serving."""
        self._give_up = time.monotonic() + seconds
        self._is_over.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._shipper.close()
        self._network.close()
        self._door.close()
        self._gateway.close()
        self._endpoint.close()
        self._addresses.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def doors(self) -> dict[int, str]:
        """Return the address here of each load balancer listener, by its port there."""
        return self._door.urls()

    def deviations(self) -> list[str]:
        """Return what differs from Fargate, for the report."""
        extra = [
            f"{name} is added to every container."
            for name in self.settings.extra_environment
        ]
        replaced = [
            f"{name} names a stand-in, in every container that has it."
            for name in self.settings.stand_ins
        ]
        if (seconds := self.settings.restart_seconds) is not None:
            extra.append(
                f"A container that ran {seconds:g} s is restarted by its restart "
                "policy, whatever longer time that asks for."
            )
        return [*DEVIATIONS, *self.autoscaler.deviations(), *extra, *replaced]

    def rows(self) -> list[Row]:
        """Return how every task is, the newest last."""
        with self.lock:
            return [_row(task) for task in self.tasks.values()]

    def is_steady(self) -> bool:
        """Return whether every service runs what it should, and well."""
        with self.lock:
            kept = list(self.services.kept.values())
            return bool(kept) and all(
                one.primary.rollout is Rollout.COMPLETED
                and sum(
                    task.is_healthy and task.is_wanted
                    for task in self.tasks.values()
                    if task.service_name == one.service.name
                )
                == one.service.desired
                for one in kept
            )

    # For the servers.

    def definition(self, reference: str) -> TaskDefinition:
        """Return a task definition; a revision never changes, so it is kept."""
        known = self._definitions.get(reference)
        if known is None:
            known = self._emulator.definition(reference)
            self._definitions[known.arn] = known
        return known

    def cluster_arn(self, reference: str) -> str:
        """Return a cluster's ARN, or nothing."""
        return self._emulator.cluster_arn(reference)

    def run(
        self,
        cluster_arn: str,
        definition: TaskDefinition,
        *,
        overrides: Mapping[str, Any],
        group: str,
        started_by: str,
    ) -> Task:
        """Run a task once."""
        task = self._host.make(
            cluster_arn,
            definition,
            overrides=overrides,
            group=group,
            started_by=started_by,
        )
        with self.lock:
            self.tasks[task.id] = task
        return task

    def protect(self, task: Task, *, is_wanted: bool, minutes: int | None) -> None:
        """Set or end a task's protection.

        Raises ProtectionRefusedError and ValueError.
        """
        with self.lock:
            now = time.time()
            kept = next(
                (
                    one
                    for one in self.services.kept.values()
                    if one.service.name == task.service_name
                    and one.service.cluster_arn == task.cluster_arn
                ),
                None,
            )
            others = sum(
                one.protection.is_on(now) and not one.is_over
                for one in self.tasks.values()
                if one.group == task.group
                and one.cluster_arn == task.cluster_arn
                and one is not task
            )
            task.protection.ask(
                is_wanted=is_wanted,
                minutes=minutes,
                now=now,
                is_of_service=bool(task.service_name),
                others=others,
                desired=kept.service.desired if kept else 0,
            )

    def protection_of(self, task: Task) -> dict[str, Any]:
        """Return a task's protection as the ECS API shows it.

        Raises ProtectionRefusedError for a task of no service.
        """
        if not task.service_name:
            raise ProtectionRefusedError(
                "TASK_NOT_VALID", "the task belongs to no service"
            )
        is_on = task.protection.is_on(time.time())
        found: dict[str, Any] = {"taskArn": task.arn, "protectionEnabled": is_on}
        if is_on:
            found["expirationDate"] = task.protection.until
        return found

    def _is_deploying(self, cluster: str, service: str) -> bool:
        with self.lock:
            return any(
                one.primary.rollout is Rollout.IN_PROGRESS
                for one in self.services.kept.values()
                if one.service.name == service
                and one.service.cluster_arn.endswith(f"/{cluster}")
            )

    # The loops.

    def _start_for(self, service: Service, deployment: Deployment) -> Task:
        task = self._host.make(
            service.cluster_arn,
            self.definition(deployment.definition_arn),
            service=service,
            deployment_id=deployment.id,
            connections=self._network.connections(service),
        )
        self.tasks[task.id] = task
        return task

    def _read(self) -> None:
        while not self._is_over.is_set():
            try:
                services = self._emulator.services()
                listeners: list[Listener] = []
                groups: list[TargetGroup] = []
                if any(service.targets for service in services):
                    groups = self._emulator.target_groups()
                    listeners = list(self._emulator.listeners())
                self._door.take(listeners, groups)
                with self.lock:
                    self._network.take(services)
                    self.services.take(services)
            except EmulatorError as error:
                self._note(f"cannot read the emulator: {error}")
            except Exception as error:  # noqa: BLE001 - the loop must go on
                self._note(f"reading failed: {type(error).__name__}: {error}")
            self._is_over.wait(self.settings.read_seconds)

    def _scale(self) -> None:
        read = 0.0
        while not self._is_over.wait(SCALING_SECONDS):
            now = time.time()
            try:
                if now - read > LAUNCHED_SECONDS:
                    self.autoscaler.take(now)
                    read = now
                with self.lock:
                    services = [one.service for one in self.services.kept.values()]
                self.autoscaler.sample(services, now)
                self.autoscaler.step(now)
            except Exception as error:  # noqa: BLE001 - the loop must go on
                self._note(f"scaling failed: {type(error).__name__}: {error}")

    def _drive(self) -> None:
        while True:
            is_over = self._is_over.is_set()
            with self.lock:
                try:
                    self._step(is_over=is_over)
                except Exception as error:  # noqa: BLE001 - the loop must go on
                    self._note(f"a step failed: {type(error).__name__}: {error}")
                if is_over and all(task.is_over for task in self.tasks.values()):
                    return
                if time.monotonic() > self._give_up:
                    for task in self.tasks.values():
                        task.kill(self._host)
                    return
            if not is_over:
                self._is_over.wait(self.settings.tick_seconds)
            else:
                time.sleep(self.settings.tick_seconds)

    def _step(self, *, is_over: bool) -> None:
        for task in list(self.tasks.values()):
            if is_over:
                task.stop(STOPPED_BY_AGENT, "ServiceSchedulerInitiated")
            task.step(self._host)
        if is_over:
            return
        services = {arn: kept.service for arn, kept in self.services.kept.items()}
        self._network.step(services, list(self.tasks.values()))
        self._door.step(time.monotonic(), self.settings.probe_seconds)
        self.services.step(self.tasks, time.time())

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
            del self.problems[:-KEPT_PROBLEMS]


def _row(task: Task) -> Row:
    return Row(
        name=task.service_name or task.definition.family,
        task_id=task.id,
        status=task.status,
        health=task.health.value,
        seconds=time.time() - task.created,
        pids=tuple(
            pid
            for one in task.containers
            if one.processes and not one.is_over and (pid := one.processes.main)
        ),
        reason=task.stopped_reason,
        exit_codes=tuple(
            one.exit_code for one in task.containers if one.exit_code is not None
        ),
    )
