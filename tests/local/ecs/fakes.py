"""A fake emulator in memory, and helpers of the tests of the ECS agent."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from local.ecs import AgentSettings, ContainerImage, EcsAgent
from local.ecs.emulator_client import EmulatorClient, Listener, SecretError, TargetGroup
from local.ecs.model import (
    ContainerDefinition,
    EcsService,
    LoadBalancerTarget,
    ServiceConnectEndpoint,
    TaskDefinition,
)
from local.ecs.task import EcsTask
from local.iam.policy import RolePermissions

CLUSTER = "arn:aws:ecs:eu-central-1:000000000000:cluster/airflow"
TASK_ROLE = "arn:aws:iam::000000000000:role/task"
EXECUTION_ROLE = "arn:aws:iam::000000000000:role/execution"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
FOREVER = "import time; print('up', flush=True); time.sleep(600)"


def arn(number: int, family: str = "demo") -> str:
    return f"arn:aws:ecs:eu-central-1:000000000000:task-definition/{family}:{number}"


def script(text: str) -> tuple[str, ...]:
    return ("python3", "-c", text)


def app(
    command: str | tuple[str, ...] = FOREVER, name: str = "app", **options: Any
) -> ContainerDefinition:
    """Return a container that runs Python code, or another command."""
    words = script(command) if isinstance(command, str) else command
    return ContainerDefinition(name=name, command=words, **options)


class FakeEmulator(EmulatorClient):
    """Answers from plain attributes."""

    def __init__(self) -> None:
        self.desired_services: dict[str, EcsService] = {}
        self.definitions: dict[str, TaskDefinition] = {}
        self.secrets: dict[str, str] = {}
        self.roles: dict[str, RolePermissions] = {}
        self.active_listeners: list[Listener] = []
        self.groups: list[TargetGroup] = []
        self.written: dict[str, list[str]] = {}
        self.keys: dict[str, str] = {}
        self.records: list[Mapping[str, Any]] = []
        self._releases = 0

    def define(
        self, number: int, *containers: ContainerDefinition, roles: bool = False
    ) -> str:
        definition = TaskDefinition(
            arn=arn(number),
            containers=containers,
            task_role_arn=TASK_ROLE,
            execution_role_arn=EXECUTION_ROLE if roles else "",
        )
        self.definitions[definition.arn] = definition
        return definition.arn

    def serve(
        self,
        definition_arn: str,
        desired: int = 1,
        *,
        name: str = "web",
        targets: tuple[LoadBalancerTarget, ...] = (),
        endpoints: tuple[ServiceConnectEndpoint, ...] = (),
        namespace: str = "",
        has_breaker: bool = False,
        task_tags: Mapping[str, str] | None = None,
    ) -> None:
        self._releases += 1
        self.desired_services[name] = EcsService(
            arn=f"arn:aws:ecs:eu-central-1:000000000000:service/airflow/{name}",
            name=name,
            cluster_arn=CLUSTER,
            desired=desired,
            definition_arn=definition_arn,
            deployment_id=f"ecs-svc/{self._releases}",
            targets=targets,
            endpoints=endpoints,
            namespace=namespace,
            has_breaker=has_breaker,
            has_rollback=has_breaker,
            task_tags=task_tags or {},
        )

    def scale(self, desired: int, name: str = "web") -> None:
        before = self.desired_services[name]
        self.desired_services[name] = EcsService(**{**vars(before), "desired": desired})

    def services(self) -> list[EcsService]:
        return list(self.desired_services.values())

    def definition(self, reference: str) -> TaskDefinition:
        return self.definitions[reference]

    def cluster_arn(self, reference: str) -> str:
        return CLUSTER if reference in {CLUSTER, "airflow"} else ""

    def go_back(self, service: EcsService, definition_arn: str) -> None:
        self._releases += 1
        self.desired_services[service.name] = EcsService(
            **{
                **vars(service),
                "definition_arn": definition_arn,
                "deployment_id": f"ecs-svc/{self._releases}",
            }
        )

    def desired(self, cluster: str, service: str) -> int:
        assert cluster == CLUSTER.rpartition("/")[2]
        return self.desired_services[service].desired

    def set_desired(self, cluster: str, service: str, count: int) -> None:
        assert cluster == CLUSTER.rpartition("/")[2]
        self.scale(count, service)

    def launched(self, types: Sequence[str]) -> list[Mapping[str, Any]]:
        return [record for record in self.records if record["type"] in types]

    def secret(self, value_from: str) -> tuple[str, str]:
        if value_from not in self.secrets:
            raise SecretError(f"unable to retrieve secret from asm: {value_from}")
        return value_from, self.secrets[value_from]

    def secret_key(self, arn: str) -> str:
        return self.keys.get(arn, "")

    def permissions(self, role_arn: str) -> RolePermissions:
        return self.roles.get(role_arn, RolePermissions((EVERYTHING,)))

    def bucket_key(self, bucket: str) -> str:
        return self.keys.get(bucket, "")

    def open_stream(self, group: str, stream: str) -> None:
        self.written.setdefault(f"{group} {stream}", [])

    def write(self, group: str, stream: str, lines: Sequence[str]) -> None:
        self.written[f"{group} {stream}"] += lines

    def listeners(self) -> Iterator[Listener]:
        yield from self.active_listeners

    def target_groups(self) -> list[TargetGroup]:
        return self.groups


def settings(folder: Path, **changes: Any) -> AgentSettings:
    return AgentSettings(
        emulator_url=changes.pop("emulator_url", "http://127.0.0.1:9"),
        folder=folder,
        image=ContainerImage(),
        tick_seconds=0.03,
        read_seconds=0.05,
        settled_seconds=changes.pop("settled_seconds", 0.4),
        **changes,
    )


def until(is_so: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait for a true value and return it; the limit is for a busy machine."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := is_so():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not so after {seconds:g} s")


def tasks(agent: EcsAgent, status: str = "RUNNING", name: str = "web") -> list[EcsTask]:
    with agent.lock:
        return [
            task
            for task in agent.tasks.values()
            if task.status == status and task.service_name in {name, ""}
        ]


def run(
    agent: EcsAgent,
    emulator: FakeEmulator,
    *containers: ContainerDefinition,
    roles: bool = False,
) -> EcsTask:
    """Run a one-off task."""
    return run_again(agent, emulator.define(1, *containers, roles=roles))


def run_again(agent: EcsAgent, definition_arn: str) -> EcsTask:
    """Run another one-off task of a definition."""
    return agent.host.run(
        CLUSTER, agent.definition(definition_arn), group="family:demo"
    )


def ended(task: EcsTask) -> EcsTask:
    until(lambda: task.is_over)
    return task


def log_of(task: EcsTask, name: str = "app") -> str:
    """Return what a container has written so far."""
    container = task.container(name)
    assert container is not None
    path = container.stream.path
    return path.read_text() if path.exists() else ""


def is_up(task: EcsTask) -> bool:
    """Return whether the main container has said that it is up."""
    return task.status == "RUNNING" and "up" in log_of(task)


def free_port() -> int:
    """Return a port that is free on every address."""
    with socket.create_server(("", 0)) as probe:
        return int(probe.getsockname()[1])
