"""The host of containers: creates tasks and their folders, logs and environment."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from local.ecs import container_env
from local.ecs.addresses import AddressBlock
from local.ecs.container_env import TaskSandbox
from local.ecs.emulator_client import AWS_ERRORS, EmulatorClient, SecretError
from local.ecs.image import TaskFolders
from local.ecs.logs import LogShipper, LogStream
from local.ecs.model import ContainerDefinition, EcsService, TaskDefinition
from local.ecs.roles import AccessDeniedError, RoleAuthorizer
from local.ecs.settings import AgentSettings
from local.ecs.task import EcsTask, ProcessSpec, StartError, TaskContainer
from local.ecs.task_firewall import TaskFirewall
from local.ecs.task_registry import TaskRegistry
from local.iam.policy import ApiCall, kms_context

SHORT = 8
"""Characters of a task's id in its folder's name; sockets allow 108 in a path."""


class ContainerHost:
    """Creates tasks, and provides what needs a role or a folder."""

    def __init__(
        self,
        settings: AgentSettings,
        emulator: EmulatorClient,
        roles: RoleAuthorizer,
        log_shipper: LogShipper,
        addresses: AddressBlock,
        *,
        registry: TaskRegistry,
        firewall: TaskFirewall,
    ) -> None:
        self._settings = settings
        self._emulator = emulator
        self._roles = roles
        self._log_shipper = log_shipper
        self._addresses = addresses
        self._registry = registry
        self._firewall = firewall
        self._definitions: dict[str, TaskDefinition] = {}
        self.proxy_url = ""
        self.metadata_url = ""

    def definition(self, reference: str) -> TaskDefinition:
        """Return a task definition; revisions never change, so they are cached."""
        definition = self._definitions.get(reference)
        if definition is None:
            definition = self._emulator.definition(reference)
            self._definitions[definition.arn] = definition
        return definition

    def cluster_arn(self, reference: str) -> str:
        """Return a cluster's ARN, or nothing."""
        return self._emulator.cluster_arn(reference)

    @property
    def probe_seconds(self) -> float | None:
        """Interval of health checks until a container is healthy."""
        return self._settings.probe_seconds

    @property
    def restart_seconds(self) -> float | None:
        """Upper limit of ``restartAttemptPeriod``."""
        return self._settings.restart_seconds

    def run(
        self,
        cluster_arn: str,
        definition: TaskDefinition,
        *,
        service: EcsService | None = None,
        deployment_id: str = "",
        connections: Mapping[tuple[str, int], tuple[str, int]] | None = None,
        overrides: Mapping[str, Any] | None = None,
        group: str = "",
        started_by: str = "",
        security_groups: tuple[str, ...] = (),
    ) -> EcsTask:
        """Create and register a task; the agent's loop starts it."""
        task_id = secrets.token_hex(16)
        root = self._settings.folder / "tasks" / task_id[:SHORT]
        head, _, cluster = cluster_arn.rpartition("/")
        log = self._settings.folder / "logs"
        log.mkdir(parents=True, exist_ok=True)
        task = EcsTask(
            arn=f"{head.removesuffix(':cluster')}:task/{cluster}/{task_id}",
            cluster_arn=cluster_arn,
            definition=definition,
            sandbox=TaskSandbox(
                address=self._addresses.next(),
                folders=TaskFolders(root, self._settings.image.own_folders),
                connections=connections or {},
                block=self._addresses.prefix,
                ports={
                    port: self._addresses.port(port)
                    for container in definition.containers
                    for port in container_env.listened_ports(container)
                },
            ),
            containers=[
                TaskContainer(
                    definition=container,
                    stream=LogStream(
                        path=log / f"{container.name}-{task_id[:SHORT]}.log",
                        group=container.log.group if container.log else "",
                        name=f"{container.log.prefix}/{container.name}/{task_id}"
                        if container.log
                        else "",
                    ),
                    token=secrets.token_hex(16),
                )
                for container in definition.containers
            ],
            group=f"service:{service.name}" if service else group,
            started_by=deployment_id or started_by,
            deployment_id=deployment_id,
            security_groups=service.security_groups if service else security_groups,
            overrides=overrides or {},
            token=secrets.token_hex(16),
            tags=service.task_tags if service else {},
            settled_seconds=self._settings.settled_seconds,
        )
        return self._registry.add(task)

    def admit(self, task: EcsTask) -> None:
        """Make the task's folders and open its logs, with the execution role."""
        settings = self._settings
        container_env.prepare(
            task.sandbox,
            settings.image,
            task.sandbox.folders.root / "bin",
            settings.files,
        )
        role = task.definition.execution_role_arn
        for container in task.containers:
            if not container.stream.group:
                continue
            arn = (
                f"arn:{task.arn.split(':')[1]}:logs:{settings.region}:"
                f"{settings.account}:log-group:{container.stream.group}"
                f":log-stream:{container.stream.name}"
            )
            try:
                if role:
                    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
                        self._roles.check(role, ApiCall(action=action, resource=arn))
                self._emulator.open_stream(
                    container.stream.group, container.stream.name
                )
            except (AccessDeniedError, *AWS_ERRORS) as error:
                container.stream.group = ""
                raise StartError(
                    "ResourceInitializationError: failed to validate logger args: "
                    f"create stream has been retried 1 times: {error}"
                ) from error

    def prepare(self, task: EcsTask, container: ContainerDefinition) -> ProcessSpec:
        """Return a container's process, its secrets resolved by the execution role."""
        settings = self._settings
        image, sandbox = settings.image, task.sandbox
        override: Mapping[str, Any] = next(
            (
                entry
                for entry in task.overrides.get("containerOverrides") or ()
                if entry["name"] == container.name
            ),
            {},
        )
        token = next(
            entry.token for entry in task.containers if entry.definition is container
        )
        programs = sandbox.folders.root / "bin"
        environment = container_env.environment(
            container,
            image,
            sandbox,
            secrets=self._secrets(task, container),
            fargate=self._fargate(task, token),
            extra=settings.extra_environment,
            programs=programs,
            moved_ports=self._addresses.moved_ports(),
            replaced_variables=settings.replaced_variables,
            rewritten_variables=settings.rewritten_variables,
        )
        environment |= {
            entry["name"]: sandbox.rewrite(entry["value"])
            for entry in override.get("environment") or ()
        }
        words = override.get("command") or container.command
        command = image.command([sandbox.rewrite(word) for word in words])
        check = container.health.command if container.health else ()
        return ProcessSpec(
            command=command,
            environment=environment,
            folder=sandbox.folders.outside(image.home),
            check=container_env.check_command(check, sandbox) if check else [],
            control_group=self._firewall.admit(task),
        )

    def ship(self, stream: LogStream, *, is_over: bool) -> None:
        """Deliver what is new in a container's log."""
        self._log_shipper.ship(stream, is_over=is_over)

    def _secrets(self, task: EcsTask, container: ContainerDefinition) -> dict[str, str]:
        role = task.definition.execution_role_arn
        values: dict[str, str] = {}
        for variable, value_from in container.secrets.items():
            try:
                arn, value = self._emulator.secret(value_from)
                if role:
                    self._check_secret_access(role, arn)
            except (SecretError, AccessDeniedError) as error:
                raise StartError(
                    "ResourceInitializationError: unable to pull secrets or registry "
                    "auth: execution resource retrieval failed: unable to retrieve "
                    f"secret for {variable}: {error}"
                ) from error
            values[variable] = value
        return values

    def _check_secret_access(self, role: str, secret_arn: str) -> None:
        """Raise AccessDeniedError unless a role may read and decrypt a secret."""
        self._roles.check(
            role, ApiCall(action="secretsmanager:GetSecretValue", resource=secret_arn)
        )
        if key := self._emulator.secret_key(secret_arn):
            context = kms_context("secretsmanager", self._settings.region)
            self._roles.check(
                role, ApiCall(action="kms:Decrypt", resource=key, context=context)
            )

    def _fargate(self, task: EcsTask, token: str) -> dict[str, str]:
        """Return what Fargate sets in every container."""
        settings, url = self._settings, self.metadata_url
        return {
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_ENDPOINT_URL": self.proxy_url,
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
