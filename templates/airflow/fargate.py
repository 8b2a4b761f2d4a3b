"""Log group, roles, task definition and service of a component.

Every task of the product is made here, so what holds for all is written once: no root
user, no capability without ECS Exec, no public address, a log that never blocks the
process, a deployment that rolls back.

The image's own entrypoint stays (dumb-init, then Airflow's script); the command in
front of the component's is the bootstrap. ``InitProcessEnabled`` adds ECS's init
above both: it reaps the processes that an ECS Exec session leaves behind and passes
SIGTERM to dumb-init alone.

With a read-only root the writable folders are volumes. Fargate gives a volume to root
unless the image declares the folder, so that setting needs an image derived from
Airflow's which ends in ``VOLUME /tmp /opt/airflow``.

A component may run beside another, as a second container of its task. The two share
the task's roles and log group, and each has its own secrets, settings, log streams and
limit of memory. The proxy of Service Connect has a share too. CloudFormation cannot
subtract, so the rest of the task's memory is looked up.

Services have no deployment alarms. An alarm on a service needs the service's name, so
it is made after it, and the service cannot wait for it: the migration job, the health
checks and the circuit breaker decide whether a release works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from awacs.aws import PolicyDocument
from troposphere import (
    And,
    AWSHelperFn,
    Equals,
    FindInMap,
    GetAtt,
    If,
    Join,
    Not,
    NoValue,
    Ref,
    Region,
    Split,
    ecs,
    iam,
    logs,
)

from compiler.interfaces import place
from compiler.wiring import ConditionName, Template, Value, WiringError
from templates.airflow import environment, permissions
from templates.airflow.components import (
    AnyComponent,
    Secret,
    ServiceConnect,
    containers_of,
)
from templates.airflow.contexts import TaskInputs
from templates.airflow.fargate_sizes import PROXY_MEMORY, memories
from templates.airflow.secret_environment import SecretSlots
from templates.resources.assume_role import trust
from templates.resources.image_repository import is_in_ecr
from templates.types import (
    NONE,
    Architecture,
    Count,
    DagPermissions,
    EcsService,
    Gibibytes,
    LogGroupName,
    Mebibytes,
    SecurityGroupId,
    SecurityGroupIds,
    ServiceName,
    TargetGroupArn,
    TaskSize,
    Text,
)

BOOTSTRAP = Path(__file__).parents[2] / "fargate_runtime" / "bootstrap.py"
"""Inlined in the container command: it downloads the runtime archive."""

USER = "50000:0"
"""The image's user airflow. The group must be root's, or the entrypoint fails."""

START_SECONDS = 180
"""Failed health checks do not count for so long: Python loads all of Airflow."""

CHECK_SECONDS = 30
CHECK_TIMEOUT_SECONDS = 15
"""The runtime's own checks take up to ten seconds when a store is slow."""

GRACE_SECONDS = 300
"""ECS ignores the load balancer's checks of a new task for so long."""

RESTART_SECONDS = 60
"""A container that must have run so long before ECS starts it again in place, which is
the least that ECS takes: one that fails at once is not started in a loop."""

MEMORY_LEFT = "MemoryLeft"

LOG_BUFFER = "25m"
"""Buffer while CloudWatch throttles; more is dropped, so the process never waits."""

WRITABLE = {"tmp": "/tmp", "home": "/opt/airflow"}  # noqa: S108 - a mount point


@dataclass(frozen=True, kw_only=True)
class FargateTask:
    """The resources of a component, before its service."""

    component: AnyComponent
    definition: ecs.TaskDefinition
    log: logs.LogGroup
    execution_role: iam.Role
    role: iam.Role
    existence: dict[str, Any]


class Fargate:
    """The tasks and services of one template."""

    def __init__(self, t: Template, inputs: TaskInputs) -> None:
        self._t = t
        self._inputs = inputs
        self._platform = inputs.platform

    def task(
        self,
        component: AnyComponent,
        *,
        size: TaskSize | None = None,
        architecture: Architecture | None = None,
        arguments: Sequence[AWSHelperFn] = (),
        ephemeral_storage_gib: Gibibytes | None = None,
        secret_environment: Text | None = None,
        dag_permissions: DagPermissions | None = None,
        condition: ConditionName | None = None,
    ) -> FargateTask:
        """Add a component's log group, roles and task definition.

        Size and architecture are the component's and the platform's by default;
        ``arguments`` follow the component's command; ``secret_environment`` holds
        secret variables of operators (``secret_environment.py``), and
        ``dag_permissions`` what code of DAG authors may do beside Airflow's own.
        """
        self._check(component)
        existence: dict[str, Any] = {"Condition": condition} if condition else {}
        log = self._t.add(
            logs.LogGroup(
                f"{component.title}Log",
                KmsKeyId=self._platform.key_arn,
                RetentionInDays=self._platform.log_days,
                DeletionPolicy="RetainExceptOnCreate",
                UpdateReplacePolicy="Retain",
                **existence,
            ),
            f"Log of the {component.label}.",
            why="Retained: the reason of a failed launch lies here, after the "
            "rollback too.",
        )
        slots = secret_environment and SecretSlots(
            self._t, secret_environment, component.title
        )
        execution_role = self.role(
            f"{component.title}Execution",
            permissions.execution_policy(
                self._platform,
                log_group_arn=GetAtt(log, "Arn"),
                secret_arns=[
                    *environment.secret_arns(
                        containers_of(component),
                        self._platform,
                        has_optional=self._has_previous_key(),
                    ),
                    *(slots.arns() if slots else ()),
                ],
            ),
            purpose=f"start the {component.label}: pull, log, and hand over secrets",
            pulls_image=True,
            reads_fernet_key=any(
                Secret.FERNET in each.secrets for each in containers_of(component)
            ),
            existence=existence,
        )
        role = self.role(
            f"{component.title}Task",
            permissions.task_policy(containers_of(component), self._inputs),
            purpose=f"call AWS from the {component.label}",
            enable_execute_command=component.is_service,
            reads_secrets_when=self._reads_secrets_when(component),
            dag_permissions=dag_permissions,
            existence=existence,
        )
        size = size or component.size
        if size is None:
            raise WiringError(
                f"{self._t.name}: the {component.label}",
                "its task has no size",
                "Write size=... or give the component one",
            )
        _, *beside = containers_of(component)
        taken = sum(other.memory_beside for other in beside)
        if component.service_connect:
            taken += PROXY_MEMORY
        memory = self._memory_left(component, size.memory, taken)
        storage: dict[str, Any] = {}
        if ephemeral_storage_gib is not None:
            storage["EphemeralStorage"] = ecs.EphemeralStorage(
                SizeInGiB=ephemeral_storage_gib
            )
        definition = self._t.add(
            ecs.TaskDefinition(
                f"{component.title}Definition",
                RequiresCompatibilities=["FARGATE"],
                NetworkMode="awsvpc",
                RuntimePlatform=ecs.RuntimePlatform(
                    CpuArchitecture=architecture or self._platform.architecture,
                    OperatingSystemFamily="LINUX",
                ),
                Cpu=size.cpu.crossing(),
                Memory=size.memory.crossing(),
                ExecutionRoleArn=GetAtt(execution_role, "Arn"),
                TaskRoleArn=GetAtt(role, "Arn"),
                ContainerDefinitions=[
                    self._container(
                        component,
                        log,
                        arguments,
                        slots.secrets() if slots else (),
                        Memory=memory,
                    ),
                    *(
                        self._container(
                            other,
                            log,
                            Memory=other.memory_beside,
                            RestartPolicy=ecs.RestartPolicy(
                                Enabled=True, RestartAttemptPeriod=RESTART_SECONDS
                            ),
                        )
                        for other in beside
                    ),
                ],
                Volumes=If(
                    self._has_readonly_root(),
                    [ecs.Volume(Name=name) for name in WRITABLE],
                    NoValue,
                ),
                **storage,
                **existence,
            ),
            component.purpose,
        )
        return FargateTask(
            component=component,
            definition=definition,
            log=log,
            execution_role=execution_role,
            role=role,
            existence=existence,
        )

    def service(
        self,
        task: FargateTask,
        *,
        group_id: SecurityGroupId,
        further_group_ids: SecurityGroupIds | None = None,
        count: Count | int | None = None,
        target_group_arn: TargetGroupArn | None = None,
        redeploy_for: Sequence[Value] = (),
        **properties: Any,
    ) -> EcsService:
        """Add the service that keeps a task running.

        Leave out ``count`` where a scaling stack owns it: a count in the template
        would reset it at every update. ``redeploy_for`` are values that reach only new
        tasks, so that a change of one starts a deployment. The switch of ECS Exec is
        such a value in every service.
        """
        component = task.component
        if count is not None:
            properties["DesiredCount"] = count
        if target_group_arn is not None:
            properties["LoadBalancers"] = [
                ecs.LoadBalancer(
                    ContainerName=component.name,
                    ContainerPort=component.port,
                    TargetGroupArn=target_group_arn,
                )
            ]
            properties["HealthCheckGracePeriodSeconds"] = GRACE_SECONDS
        if component.service_connect:
            properties["ServiceConnectConfiguration"] = self._connect(task)
        if "CapacityProviderStrategy" not in properties:
            properties["LaunchType"] = "FARGATE"
        service = self._t.add(
            ecs.Service(
                component.title,
                Cluster=self._platform.cluster.arn,
                TaskDefinition=Ref(task.definition),
                PlatformVersion="LATEST",
                NetworkConfiguration=ecs.NetworkConfiguration(
                    AwsvpcConfiguration=ecs.AwsvpcConfiguration(
                        AssignPublicIp="DISABLED",
                        SecurityGroups=self._groups(group_id, further_group_ids),
                        Subnets=self._platform.subnet_ids,
                    )
                ),
                DeploymentConfiguration=ecs.DeploymentConfiguration(
                    # New tasks are healthy before old ones stop.
                    MinimumHealthyPercent=100,
                    MaximumPercent=200,
                    DeploymentCircuitBreaker=ecs.DeploymentCircuitBreaker(
                        Enable=True, Rollback=True
                    ),
                ),
                AvailabilityZoneRebalancing="ENABLED"
                if component.may_be_moved
                else "DISABLED",
                EnableExecuteCommand=self._platform.settings.enable_execute_command,
                ForceNewDeployment=ecs.ForceNewDeployment(
                    EnableForceNewDeployment=True,
                    ForceNewDeploymentNonce=Join(
                        " ",
                        [
                            self._platform.settings.enable_execute_command,
                            *redeploy_for,
                        ],
                    ),
                ),
                EnableECSManagedTags=True,
                PropagateTags="SERVICE",
                **properties,
                **task.existence,
            ),
            f"Keeps the {component.label} running.",
            why="Without a circuit breaker a release that never starts would block the "
            "stack for hours.",
        )
        return EcsService(
            service_name=ServiceName(GetAtt(service, "Name")),
            log_group_name=LogGroupName(Ref(task.log)),
        )

    def _groups(
        self, own: SecurityGroupId, further: SecurityGroupIds | None
    ) -> list[SecurityGroupId] | If:
        """Return the security groups of a task: its own, and those of the operator."""
        if further is None:
            return [own]
        has_further = self._when("HasFurtherSecurityGroups", _has_entries(further))
        texts = further.crossing()
        return If(has_further, Split(",", Join(",", [own, texts])), [own])

    def _connect(self, task: FargateTask) -> ecs.ServiceConnectConfiguration:
        """Return what lets a service find others by name, or be found by its own.

        The port speaks TCP to the proxy on purpose: for HTTP, Service Connect cuts
        every answer after 15 seconds, and it sits before the load balancer's
        requests too.
        """
        name, port = task.component.name, task.component.port
        services: dict[str, Any] = {}
        if task.component.service_connect is ServiceConnect.SERVER:
            alias = ecs.ServiceConnectClientAlias(DnsName=name, Port=port)
            services["Services"] = [
                ecs.ServiceConnectService(
                    PortName=name, DiscoveryName=name, ClientAliases=[alias]
                )
            ]
        return ecs.ServiceConnectConfiguration(
            Enabled=True,
            Namespace=self._platform.cluster.namespace_arn,
            LogConfiguration=_logging(task.log, "service-connect"),
            **services,
        )

    def _memory_left(
        self, component: AnyComponent, whole: Mebibytes, taken: int
    ) -> Any:
        """Return the limit of a task's main container, in MiB."""
        if not taken:
            return whole.data
        lefts: dict[str, Any] = self._t.mappings.get(MEMORY_LEFT, {})
        self._t.add_mapping(
            MEMORY_LEFT,
            {
                str(size): {**lefts.get(str(size), {}), component.title: size - taken}
                for size in memories(above=taken)
            },
        )
        return FindInMap(MEMORY_LEFT, whole, component.title)

    def _container(
        self,
        component: AnyComponent,
        log: logs.LogGroup,
        arguments: Sequence[AWSHelperFn] = (),
        more_secrets: Sequence[If] = (),
        **optional: Any,
    ) -> ecs.ContainerDefinition:
        if component.port:
            optional["PortMappings"] = [
                ecs.PortMapping(
                    Name=component.name, ContainerPort=component.port, Protocol="tcp"
                )
            ]
        if component.health:
            optional["HealthCheck"] = ecs.HealthCheck(
                Command=["CMD-SHELL", component.health.command],
                Interval=CHECK_SECONDS,
                Timeout=CHECK_TIMEOUT_SECONDS,
                Retries=component.health.retries,
                StartPeriod=START_SECONDS,
            )
        return ecs.ContainerDefinition(
            Name=component.name,
            Image=self._platform.image,
            Essential=not component.beside,
            Command=[
                *("python", "-c", BOOTSTRAP.read_text(encoding="utf-8")),
                *component.command,
                *arguments,
            ],
            Environment=environment.environment(component, self._inputs),
            Secrets=[
                *environment.secrets(
                    component, self._platform, has_optional=self._has_previous_key()
                ),
                *more_secrets,
            ],
            User=USER,
            ReadonlyRootFilesystem=self._platform.settings.readonly_root_filesystem,
            LinuxParameters=ecs.LinuxParameters(
                Capabilities=self._capabilities(component),
                InitProcessEnabled=True,
            ),
            MountPoints=If(
                self._has_readonly_root(),
                [
                    ecs.MountPoint(SourceVolume=name, ContainerPath=path)
                    for name, path in WRITABLE.items()
                ],
                NoValue,
            ),
            StopTimeout=component.stop_seconds,
            LogConfiguration=_logging(log, component.name),
            **optional,
        )

    def _capabilities(self, component: AnyComponent) -> ecs.KernelCapabilities | If:
        """Return no capability, or the default ones where ECS Exec is possible.

        The agent of ECS Exec runs in the container, and which capabilities it needs is
        not documented (aws/containers-roadmap #1360).
        """
        none = ecs.KernelCapabilities(Drop=["ALL"])
        if (component.beside or component).is_service:
            return If(self.is_exec_allowed(), NoValue, none)
        return none

    def role(
        self,
        name: str,
        policy: PolicyDocument,
        *,
        purpose: str,
        trusted: PolicyDocument | None = None,
        pulls_image: bool = False,
        reads_fernet_key: bool = False,
        enable_execute_command: bool = False,
        reads_secrets_when: ConditionName | None = None,
        dag_permissions: DagPermissions | None = None,
        existence: dict[str, Any] | None = None,
    ) -> iam.Role:
        """Make a role with a managed policy of its own, inside the boundary."""
        existence = existence or {}
        managed = self._t.add(
            iam.ManagedPolicy(f"{name}Policy", PolicyDocument=policy, **existence),
            f"Permissions to {purpose}.",
        )
        optional: list[tuple[ConditionName, Ref]] = []
        if pulls_image:
            optional.append((self._is_in_ecr(), self._pull_policy()))
        if reads_fernet_key:
            optional.append((self._has_existing_key(), self._fernet_policy()))
        if enable_execute_command:
            optional.append((self.is_exec_allowed(), self._exec_policy()))
        if reads_secrets_when:
            optional.append((reads_secrets_when, self._secrets_policy()))
        arns = _attached([Ref(managed)], optional)
        if dag_permissions:
            arns = self._with_dag_permissions(arns, dag_permissions)
        boundary = self._platform.settings.permissions_boundary_arn
        has_boundary = self._when("HasPermissionsBoundary", Not(Equals(boundary, "")))
        return self._t.add(
            iam.Role(
                f"{name}Role",
                AssumeRolePolicyDocument=trusted
                or trust(permissions.TASKS, on_behalf_of="ecs:*"),
                ManagedPolicyArns=arns,
                PermissionsBoundary=If(has_boundary, boundary, NoValue),
                **existence,
            ),
            f"Role to {purpose}.",
        )

    def _with_dag_permissions(self, arns: Any, added: DagPermissions) -> If:
        """Return policies with those of the operator, and with roles to assume."""
        can_assume = self._when(
            "HasAssumableRoles", _has_entries(added.assumable_role_arns)
        )
        name = "AssumePolicy"
        if name not in self._t.resources:
            self._t.add(
                iam.ManagedPolicy(
                    name,
                    PolicyDocument=permissions.assume_policy(added.assumable_role_arns),
                    Condition=can_assume,
                ),
                "Permissions to assume the roles that the operator names.",
            )
        arns = If(can_assume, Split(",", Join(",", [Join(",", arns), Ref(name)])), arns)
        has_extras = self._when(
            "HasExtraPolicies", _has_entries(added.extra_policy_arns)
        )
        extras = Join(",", added.extra_policy_arns)
        return If(has_extras, Split(",", Join(",", [Join(",", arns), extras])), arns)

    def _check(self, component: AnyComponent) -> None:
        """Raise WiringError where the template lacks what a container is made from."""
        for container in containers_of(component):
            if not isinstance(self._inputs, container.inputs):
                raise WiringError(
                    f"{place(type(self._inputs))}",
                    f"the {container.label} needs {place(container.inputs)}",
                    f"Write class Inputs({container.inputs.__name__})",
                )

    def _pull_policy(self) -> Ref:
        """Return the policy to pull an image from ECR, added once per template."""
        name = "PullPolicy"
        if name not in self._t.resources:
            self._t.add(
                iam.ManagedPolicy(
                    name,
                    PolicyDocument=permissions.pull_policy(self._platform),
                    Condition=self._is_in_ecr(),
                ),
                "Permissions to pull the image from its repository in ECR.",
            )
        return Ref(name)

    def _fernet_policy(self) -> Ref:
        """Return the policy of an existing Fernet secret, added once per template."""
        name = "FernetPolicy"
        if name not in self._t.resources:
            self._t.add(
                iam.ManagedPolicy(
                    name,
                    PolicyDocument=permissions.fernet_policy(self._platform),
                    Condition=self._has_existing_key(),
                ),
                "Permission to decrypt the operator's Fernet secret.",
            )
        return Ref(name)

    def _is_in_ecr(self) -> ConditionName:
        return self._when("IsInEcr", is_in_ecr(self._platform.image))

    def _exec_policy(self) -> Ref:
        """Return the policy for ECS Exec, added once per template."""
        name = "ExecPolicy"
        if name not in self._t.resources:
            self._t.add(
                iam.ManagedPolicy(
                    name,
                    PolicyDocument=permissions.exec_policy(self._platform),
                    Condition=self.is_exec_allowed(),
                ),
                "Permissions for ECS Exec sessions and their log.",
            )
        return Ref(name)

    def _secrets_policy(self) -> Ref:
        """Return the policy to read what is below the prefix, added once."""
        name = "SecretsPolicy"
        if name not in self._t.resources:
            self._t.add(
                iam.ManagedPolicy(
                    name,
                    PolicyDocument=permissions.secrets_policy(self._platform),
                    Condition=self._has_secrets_prefix(),
                ),
                "Permissions to read connections and variables in Secrets Manager.",
            )
        return Ref(name)

    def _reads_secrets_when(self, component: AnyComponent) -> ConditionName | None:
        """Return the condition under which a component reads secrets, if it may."""
        if component in environment.READS_SECRETS:
            return self._has_secrets_prefix()
        if component in environment.READS_SECRETS_AT_PARSING:
            settings = self._platform.settings
            return self._when(
                "HasSecretsAtParsing",
                And(
                    Not(Equals(settings.secrets_prefix, "")),
                    Equals(settings.enable_secrets_at_parsing, "true"),
                ),
            )
        return None

    def _has_secrets_prefix(self) -> ConditionName:
        prefix = self._platform.settings.secrets_prefix
        return self._when("HasSecretsPrefix", Not(Equals(prefix, "")))

    def is_exec_allowed(self) -> ConditionName:
        """Return the condition under which ECS Exec is enabled."""
        return self._when(
            "IsExecAllowed",
            Equals(self._platform.settings.enable_execute_command, "true"),
        )

    def _has_readonly_root(self) -> ConditionName:
        is_readonly = self._platform.settings.readonly_root_filesystem
        return self._when("HasReadonlyRoot", Equals(is_readonly, "true"))

    def _has_previous_key(self) -> ConditionName:
        arn = self._platform.secrets.previous_fernet_secret_arn
        return self._when("HasPreviousFernetKey", Not(Equals(arn, "")))

    def _has_existing_key(self) -> ConditionName:
        arn = self._platform.secrets.existing_fernet_secret_arn
        return self._when("HasExistingFernetKey", Not(Equals(arn, "")))

    def _when(self, name: str, expression: AWSHelperFn) -> ConditionName:
        """Return a condition, added once per template."""
        if name in self._t.conditions:
            return ConditionName(name)
        return self._t.condition(name, expression)


def _has_entries(values: Value) -> And:
    """Return whether a list of the operator's, or of a pool, has an entry."""
    texts = values.crossing()
    return And(Not(Equals(texts, "")), Not(Equals(texts, NONE)))


def _attached(
    policies: list[Ref], optional: Sequence[tuple[ConditionName, Ref]]
) -> list[Ref] | If:
    """Return the policies of a role, each optional one under its condition."""
    if not optional:
        return policies
    (condition, policy), *others = optional
    without = _attached(policies, others)
    return If(condition, _attached([*policies, policy], others), without)


def _logging(log: logs.LogGroup, prefix: str) -> ecs.LogConfiguration:
    return ecs.LogConfiguration(
        LogDriver="awslogs",
        Options={
            "awslogs-group": Ref(log),
            "awslogs-region": Region,
            "awslogs-stream-prefix": prefix,
            "mode": "non-blocking",
            "max-buffer-size": LOG_BUFFER,
        },
    )
