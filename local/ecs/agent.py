"""The agent: three loops that bring tasks to the emulator's state, and their servers.

One loop reads the emulator, one drives tasks, one evaluates alarms. What the first two
share is in the task registry, behind its lock. The servers (AWS proxy, task metadata,
load balancer, Service Connect) have their own threads and take the lock briefly.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from local.ecs.addresses import AddressBlock
from local.ecs.application_autoscaling import ApplicationAutoscaling
from local.ecs.aws_proxy import AwsProxy
from local.ecs.connect_filter import Destination
from local.ecs.container_env import DEVIATIONS
from local.ecs.container_host import ContainerHost
from local.ecs.credentials import RoleCredentials
from local.ecs.ecs_api import EcsApi
from local.ecs.emulator_client import AWS_ERRORS, EmulatorClient, Listener, TargetGroup
from local.ecs.load_balancer import LoadBalancer
from local.ecs.logs import LogShipper
from local.ecs.metrics import MetricStore
from local.ecs.model import EcsService, TaskDefinition
from local.ecs.network import TaskNetwork
from local.ecs.roles import RoleAuthorizer
from local.ecs.scheduler import ServiceDeployment
from local.ecs.security_groups import SecurityGroups
from local.ecs.services import SCHEDULER, ServiceScheduler
from local.ecs.settings import AgentSettings
from local.ecs.task import EcsTask
from local.ecs.task_firewall import AWS, Endpoint, TaskFirewall
from local.ecs.task_metadata import TaskMetadataServer
from local.ecs.task_registry import TaskRegistry
from local.iam.aws_calls import AwsScope

STOPPED_BY_AGENT = "The local ECS agent stops"
MAX_PROBLEMS = 50
SCALING_SECONDS = 0.5
"""How often alarms are evaluated."""

HTTPS = 443

LAUNCHED_SECONDS = 3.0
"""How often the launched alarms and policies are read."""


@dataclass(frozen=True)
class TaskRow:
    """A task as a row of the table of ``local``."""

    name: str
    """The service, or the family of a one-off task."""
    task_id: str
    status: str
    health: str
    seconds: float
    """Since the task was created, until it stopped."""
    pids: tuple[int, ...]
    """The main process of each container that runs."""
    reason: str
    exit_codes: tuple[int, ...]


class EcsAgent:
    """Runs on this machine what ECS would run on Fargate.

    ``url`` is set as soon as the agent exists, and known before by the port in the
    settings: the emulator takes it as ``AWS_ENDPOINT_URL``, so that its functions, the
    migration job's above all, call AWS through the agent. From then on it takes
    requests; tasks that are requested before ``start`` wait for it.
    """

    def __init__(
        self, settings: AgentSettings, *, emulator: EmulatorClient | None = None
    ) -> None:
        """Listen at once; nothing runs before ``start``."""
        self.settings = settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        self.registry = TaskRegistry()
        self.lock, self.tasks = self.registry.lock, self.registry.tasks
        self.problems: list[str] = []
        self.credentials = RoleCredentials()
        self._emulator = emulator or EmulatorClient(
            settings.emulator_url, region=settings.region, account=settings.account
        )
        self.roles = RoleAuthorizer(
            self._emulator.permissions,
            settings.folder / "calls.log",
            is_authorising=settings.is_authorising,
        )
        self._addresses = AddressBlock()
        self._load_balancer = LoadBalancer(settings.listener_certificate, self._note)
        self._network = TaskNetwork(self._addresses, self._load_balancer)
        metrics = MetricStore()
        self._log_shipper = LogShipper(self._emulator, self._note, metrics)
        self.autoscaler = ApplicationAutoscaling(
            self._emulator, metrics, self.registry.is_deploying
        )
        self.firewall = TaskFirewall(self._emulator.security_groups, self._endpoints)
        self.host = ContainerHost(
            settings,
            self._emulator,
            self.roles,
            self._log_shipper,
            self._addresses,
            registry=self.registry,
            firewall=self.firewall,
        )
        self.services = ServiceScheduler(
            self.registry, self._emulator, self._start_for_service
        )
        self._metadata_server = TaskMetadataServer(
            self.registry, self.credentials, self.roles, self._note
        )
        self._aws_proxy = AwsProxy(
            settings.emulator_url,
            AwsScope(settings.region, settings.account),
            self.credentials,
            self.roles,
            EcsApi(self.registry, self.host),
            bucket_key=self._emulator.bucket_key,
            metrics=metrics,
            port=settings.proxy_port,
            on_error=self._note,
        )
        self.host.proxy_url = self.url = self._aws_proxy.url
        self.host.metadata_url = self._metadata_server.url
        self.firewall.open_to_all.add(_address(self._metadata_server.url))
        self._is_over = threading.Event()
        self._kill_at = float("inf")
        self._threads = [
            threading.Thread(target=self._read, name="agent-reads", daemon=True),
            threading.Thread(target=self._drive, name="agent-drives", daemon=True),
            threading.Thread(target=self._scale, name="agent-scales", daemon=True),
        ]

    def start(self) -> None:
        """Begin to follow the emulator."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float = 10) -> None:
        """End every task, by force after some seconds, and stop serving."""
        self._kill_at = time.monotonic() + seconds
        self._is_over.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._log_shipper.close()
        self.firewall.close()
        self._network.close()
        self._load_balancer.close()
        self._aws_proxy.close()
        self._metadata_server.close()
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

    def listener_urls(self) -> dict[int, str]:
        """Return the local address of each load balancer listener, by its AWS port."""
        return self._load_balancer.urls()

    def deviations(self) -> list[str]:
        """Return what differs from Fargate, for the report."""
        extra = [
            f"{name} is added to every container."
            for name in self.settings.extra_environment
        ]
        replaced = [
            f"{name} names a local server, in every container that has it."
            for name in self.settings.replaced_variables
        ]
        rewritten = [
            f"{name} is changed in every container that has it."
            for name in self.settings.rewritten_variables
        ]
        if (seconds := self.settings.restart_seconds) is not None:
            extra.append(
                f"A container that ran {seconds:g} s is restarted by its restart "
                "policy, even if that requires a longer time."
            )
        firewall = [self.firewall.deviation] if self.firewall.deviation else []
        return [
            *DEVIATIONS,
            *firewall,
            *self.autoscaler.deviations(),
            *extra,
            *replaced,
            *rewritten,
        ]

    def task_rows(self) -> list[TaskRow]:
        """Return the state of every task, the newest last."""
        with self.lock:
            return [_row(task) for task in self.tasks.values()]

    def is_steady(self) -> bool:
        """Return whether every service runs what is desired of it."""
        return self.registry.is_steady()

    def unsteady_services(self) -> list[str]:
        """Return what each service lacks that does not run what is desired."""
        return self.registry.unsteady_services()

    def definition(self, reference: str) -> TaskDefinition:
        """Return a task definition by ARN, family:revision or family."""
        return self.host.definition(reference)

    def _start_for_service(
        self, service: EcsService, deployment: ServiceDeployment
    ) -> EcsTask:
        return self.host.run(
            service.cluster_arn,
            self.host.definition(deployment.definition_arn),
            service=service,
            deployment_id=deployment.id,
            connections=self._network.connections(service),
        )

    def _read(self) -> None:
        while not self._is_over.is_set():
            try:
                services = self._emulator.services()
                listeners: list[Listener] = []
                groups: list[TargetGroup] = []
                if any(service.targets for service in services):
                    groups = self._emulator.target_groups()
                    listeners = list(self._emulator.listeners())
                self._load_balancer.update(listeners, groups)
                with self.lock:
                    self._network.update(services)
                    self.services.update(services)
                    self.firewall.update()
            except AWS_ERRORS as error:
                self._note(f"cannot read the emulator: {error}")
            except Exception as error:  # noqa: BLE001 - the loop must go on
                self._note(f"reading failed: {type(error).__name__}: {error}")
            self._is_over.wait(self.settings.read_seconds)

    def _endpoints(self, groups: SecurityGroups) -> Iterator[Endpoint]:
        """Yield every destination of tasks that a security group guards."""
        for name, address in self.settings.stores.items():
            if name in groups.stores:
                yield Endpoint(address, *groups.stores[name])
        services = [state.service for state in self.registry.services.values()]
        yield from self._network.endpoints(services, self.tasks.values(), groups)
        yield Endpoint(_address(self.url), AWS, HTTPS)

    def _scale(self) -> None:
        read_at = 0.0
        while not self._is_over.wait(SCALING_SECONDS):
            now = time.time()
            try:
                if now - read_at > LAUNCHED_SECONDS:
                    self.autoscaler.update(now)
                    read_at = now
                with self.lock:
                    services = [s.service for s in self.registry.services.values()]
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
                if time.monotonic() > self._kill_at:
                    for task in self.tasks.values():
                        task.kill(self.host)
                    return
            if not is_over:
                self._is_over.wait(self.settings.tick_seconds)
            else:
                time.sleep(self.settings.tick_seconds)

    def _step(self, *, is_over: bool) -> None:
        for task in list(self.tasks.values()):
            if is_over:
                task.stop(STOPPED_BY_AGENT, SCHEDULER)
            task.step(self.host)
        if is_over:
            return
        self.firewall.release(self.tasks.values())
        self._network.step(self.registry)
        self._load_balancer.step(time.monotonic(), self.settings.probe_seconds)
        self.services.step(time.time())

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
            del self.problems[:-MAX_PROBLEMS]


def _address(url: str) -> Destination:
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


def _row(task: EcsTask) -> TaskRow:
    return TaskRow(
        name=task.service_name or task.definition.family,
        task_id=task.id,
        status=task.status,
        health=task.health.value,
        seconds=(task.stopped or time.time()) - task.created,
        pids=tuple(
            pid
            for container in task.containers
            if container.processes
            and not container.is_over
            and (pid := container.processes.main)
        ),
        reason=task.stopped_reason,
        exit_codes=tuple(
            container.exit_code
            for container in task.containers
            if container.exit_code is not None
        ),
    )
