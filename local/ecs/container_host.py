"""The machine as a place for tasks: what ``task.py`` needs of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from local.ecs import container_env
from local.ecs.addresses import AddressBlock
from local.ecs.container_env import Place
from local.ecs.emulator_client import Emulator, EmulatorError, SecretError
from local.ecs.image import Folders
from local.ecs.logs import Shipper, Stream
from local.ecs.model import Container, Service, TaskDefinition
from local.ecs.policy import Call, kms_way
from local.ecs.roles import AccessDeniedError, Roles
from local.ecs.settings import Settings
from local.ecs.task import Prepared, Running, StartError, Task

SHORT = 8
"""Characters of a task's id in its folder's name; sockets allow 108 in a path."""


class Machine:
    """Makes tasks, and does for them what needs a role or a folder."""

    def __init__(
        self,
        settings: Settings,
        emulator: Emulator,
        roles: Roles,
        shipper: Shipper,
        addresses: AddressBlock,
    ) -> None:
        self._settings = settings
        self._emulator = emulator
        self._roles = roles
        self._shipper = shipper
        self._addresses = addresses
        self.gateway_url = ""
        self.endpoint_url = ""

    @property
    def probe_seconds(self) -> float | None:
        """How often a new container's health is asked for."""
        return self._settings.probe_seconds

    @property
    def restart_seconds(self) -> float | None:
        """After how long a container may be restarted, unless its own time is less."""
        return self._settings.restart_seconds

    def make(
        self,
        cluster_arn: str,
        definition: TaskDefinition,
        *,
        service: Service | None = None,
        deployment_id: str = "",
        connections: Mapping[tuple[str, int], tuple[str, int]] | None = None,
        overrides: Mapping[str, Any] | None = None,
        group: str = "",
        started_by: str = "",
        task_id: str = "",
    ) -> Task:
        """Return a new task, not started."""
        number = task_id or secrets.token_hex(16)
        root = self._settings.folder / "tasks" / number[:SHORT]
        head, _, cluster = cluster_arn.rpartition("/")
        log = self._settings.folder / "logs"
        log.mkdir(parents=True, exist_ok=True)
        return Task(
            arn=f"{head.removesuffix(':cluster')}:task/{cluster}/{number}",
            cluster_arn=cluster_arn,
            definition=definition,
            place=Place(
                address=self._addresses.next(),
                folders=Folders(root, self._settings.image.own_folders),
                connections=connections or {},
                block=self._addresses.prefix,
                ports={
                    port: self._addresses.port(port)
                    for one in definition.containers
                    for port in container_env.listened_ports(one)
                },
            ),
            containers=[
                Running(
                    definition=one,
                    stream=Stream(
                        path=log / f"{one.name}-{number[:SHORT]}.log",
                        group=one.log.group if one.log else "",
                        name=f"{one.log.prefix}/{one.name}/{number}" if one.log else "",
                    ),
                    token=secrets.token_hex(16),
                )
                for one in definition.containers
            ],
            group=f"service:{service.name}" if service else group,
            started_by=deployment_id or started_by,
            deployment_id=deployment_id,
            overrides=overrides or {},
            token=secrets.token_hex(16),
            settled_seconds=self._settings.settled_seconds,
        )

    def admit(self, task: Task) -> None:
        """Make the task's folders and open its logs, with the execution role."""
        settings = self._settings
        container_env.prepare(
            task.place,
            settings.image,
            task.place.folders.root / "bin",
            settings.files,
        )
        role = task.definition.execution_role_arn
        for one in task.containers:
            if not one.stream.group:
                continue
            arn = (
                f"arn:{task.arn.split(':')[1]}:logs:{settings.region}:"
                f"{settings.account}:log-group:{one.stream.group}"
                f":log-stream:{one.stream.name}"
            )
            try:
                if role:
                    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                        self._roles.check(role, Call(action=action, resource=arn))
                self._emulator.open_stream(one.stream.group, one.stream.name)
            except (AccessDeniedError, *EmulatorError) as error:
                one.stream.group = ""
                raise StartError(
                    "ResourceInitializationError: failed to validate logger args: "
                    f"create stream has been retried 1 times: {error}"
                ) from error

    def prepare(self, task: Task, container: Container) -> Prepared:
        """Return a container's process, its secrets resolved by the execution role."""
        settings = self._settings
        image, place = settings.image, task.place
        override: Mapping[str, Any] = next(
            (
                one
                for one in task.overrides.get("containerOverrides") or ()
                if one["name"] == container.name
            ),
            {},
        )
        token = next(
            one.token for one in task.containers if one.definition is container
        )
        programs = place.folders.root / "bin"
        environment = container_env.environment(
            container,
            image,
            place,
            secrets=self._secrets(task, container),
            fargate=self._fargate(task, token),
            extra=settings.extra_environment,
            programs=programs,
            moved_ports=self._addresses.moved_ports(),
            stand_ins=settings.stand_ins,
        )
        environment |= {
            one["name"]: place.rewrite(one["value"])
            for one in override.get("environment") or ()
        }
        words = override.get("command") or container.command
        command = image.command([place.rewrite(word) for word in words])
        check = container.health.command if container.health else ()
        return Prepared(
            command=command,
            environment=environment,
            folder=place.folders.outside(image.home),
            check=container_env.check_command(check, place) if check else [],
        )

    def ship(self, stream: Stream, *, is_over: bool) -> None:
        """Deliver what is new in a container's log."""
        self._shipper.ship(stream, is_over=is_over)

    def _secrets(self, task: Task, container: Container) -> dict[str, str]:
        role = task.definition.execution_role_arn
        found: dict[str, str] = {}
        for variable, value_from in container.secrets.items():
            try:
                arn, value = self._emulator.secret(value_from)
                if role:
                    self._may_read(role, arn)
            except (SecretError, AccessDeniedError) as error:
                raise StartError(
                    "ResourceInitializationError: unable to pull secrets or registry "
                    "auth: execution resource retrieval failed: unable to retrieve "
                    f"secret for {variable}: {error}"
                ) from error
            found[variable] = value
        return found

    def _may_read(self, role: str, secret_arn: str) -> None:
        """Raise AccessDeniedError unless a role may read and decrypt a secret."""
        self._roles.check(
            role, Call(action="secretsmanager:GetSecretValue", resource=secret_arn)
        )
        if key := self._emulator.secret_key(secret_arn):
            way = kms_way("secretsmanager", self._settings.region)
            self._roles.check(
                role, Call(action="kms:Decrypt", resource=key, context=way)
            )

    def _fargate(self, task: Task, token: str) -> dict[str, str]:
        """Return what Fargate sets in every container."""
        settings, url = self._settings, self.endpoint_url
        return {
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_ENDPOINT_URL": self.gateway_url,
            "ECS_CONTAINER_METADATA_URI": f"{url}/v3/{token}",
            "ECS_CONTAINER_METADATA_URI_V4": f"{url}/v4/{token}",
            "ECS_AGENT_URI": f"{url}/api/{task.token}",
            **(
                {
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI": (
                        f"{url}/v2/credentials/{task.token}"
                    )
                }
                if task.definition.task_role_arn
                else {}
            ),
        }
