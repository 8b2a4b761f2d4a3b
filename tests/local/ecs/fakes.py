"""An emulator in memory: what somebody asked for, without an API."""

from __future__ import annotations

import json
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
from local.ecs.policy import RolePermissions
from local.ecs.task import EcsTask

CLUSTER = "arn:aws:ecs:eu-central-1:000000000000:cluster/airflow"
TASK_ROLE = "arn:aws:iam::000000000000:role/task"
EXECUTION_ROLE = "arn:aws:iam::000000000000:role/execution"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
FOREVER = "import time; print('up', flush=True); time.sleep(600)"


def arn(number: int, family: str = "toy") -> str:
    return f"arn:aws:ecs:eu-central-1:000000000000:task-definition/{family}:{number}"


def script(text: str) -> tuple[str, ...]:
    return ("python3", "-c", text)


class FakeEmulator(EmulatorClient):
    """Answers from plain attributes."""

    def __init__(self) -> None:
        self.asked: dict[str, EcsService] = {}
        self.definitions: dict[str, TaskDefinition] = {}
        self.secrets: dict[str, str] = {}
        self.roles: dict[str, RolePermissions] = {}
        self.doors: list[Listener] = []
        self.groups: list[TargetGroup] = []
        self.written: dict[str, list[str]] = {}
        self.keys: dict[str, str] = {}
        self.records: list[Mapping[str, Any]] = []
        self._releases = 0

    def define(
        self, number: int, *containers: ContainerDefinition, roles: bool = False
    ) -> str:
        found = TaskDefinition(
            arn=arn(number),
            containers=containers,
            task_role_arn=TASK_ROLE,
            execution_role_arn=EXECUTION_ROLE if roles else "",
        )
        self.definitions[found.arn] = found
        return found.arn

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
    ) -> None:
        self._releases += 1
        self.asked[name] = EcsService(
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
        )

    def scale(self, desired: int, name: str = "web") -> None:
        before = self.asked[name]
        self.asked[name] = EcsService(**{**vars(before), "desired": desired})

    def services(self) -> list[EcsService]:
        return list(self.asked.values())

    def definition(self, reference: str) -> TaskDefinition:
        return self.definitions[reference]

    def cluster_arn(self, reference: str) -> str:
        return CLUSTER if reference in {CLUSTER, "airflow"} else ""

    def go_back(self, service: EcsService, definition_arn: str) -> None:
        self._releases += 1
        self.asked[service.name] = EcsService(
            **{
                **vars(service),
                "definition_arn": definition_arn,
                "deployment_id": f"ecs-svc/{self._releases}",
            }
        )

    def desired(self, cluster: str, service: str) -> int:
        assert cluster == CLUSTER.rpartition("/")[2]
        return self.asked[service].desired

    def set_desired(self, cluster: str, service: str, count: int) -> None:
        assert cluster == CLUSTER.rpartition("/")[2]
        self.scale(count, service)

    def launched(self, types: Sequence[str]) -> list[Mapping[str, Any]]:
        return [one for one in self.records if one["type"] in types]

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
        yield from self.doors

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


def until(is_so: Callable[[], Any], seconds: float = 15) -> Any:
    """Wait for something and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := is_so():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come to pass")


def tasks(agent: EcsAgent, status: str = "RUNNING", name: str = "web") -> list[EcsTask]:
    with agent.lock:
        return [
            task
            for task in agent.tasks.values()
            if task.status == status and task.service_name in {name, ""}
        ]


def run_once(agent: EcsAgent, definition_arn: str, **given: Any) -> EcsTask:
    return agent.host.run(
        CLUSTER,
        agent.definition(definition_arn),
        overrides=given.get("overrides", {}),
        group="family:toy",
        started_by="",
    )


def document(text: bytes) -> Mapping[str, Any]:
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


def free_port() -> int:
    """Return a port that nobody has on any address."""
    with socket.create_server(("", 0)) as probe:
        return int(probe.getsockname()[1])
