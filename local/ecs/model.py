"""Task definitions and services, parsed from answers of the ECS API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]
"""An answer of the ECS API."""


@dataclass(frozen=True, kw_only=True)
class ContainerHealthCheck:
    """A container health check, with the defaults of ECS; times in seconds."""

    command: tuple[str, ...]
    interval: float = 30
    timeout: float = 5
    retries: int = 3
    start_period: float = 0

    @classmethod
    def of(cls, document: Document) -> ContainerHealthCheck:
        """Read the ``healthCheck`` of a container definition."""
        return cls(
            command=tuple(document["command"]),
            interval=float(document.get("interval") or cls.interval),
            timeout=float(document.get("timeout") or cls.timeout),
            retries=int(document.get("retries") or cls.retries),
            start_period=float(document.get("startPeriod") or cls.start_period),
        )


@dataclass(frozen=True, kw_only=True)
class LogConfiguration:
    """The log group and stream prefix of a container."""

    group: str
    prefix: str


@dataclass(frozen=True, kw_only=True)
class RestartPolicy:
    """When ECS restarts a container without its task."""

    least_seconds: float = 300
    """Minimum run time; a container that ended sooner stays down."""
    ignored: frozenset[int] = frozenset()
    """Exit codes after which it stays down."""

    @classmethod
    def of(cls, document: Document) -> RestartPolicy | None:
        """Read the ``restartPolicy`` of a container definition, if there is one."""
        if not document or not document.get("enabled"):
            return None
        return cls(
            least_seconds=float(
                document.get("restartAttemptPeriod") or cls.least_seconds
            ),
            ignored=frozenset(map(int, document.get("ignoredExitCodes") or ())),
        )


@dataclass(frozen=True, kw_only=True)
class ContainerDefinition:
    """A container definition."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Variable -> ValueFrom."""
    is_essential: bool = True
    restart: RestartPolicy | None = None
    health: ContainerHealthCheck | None = None
    depends_on: tuple[tuple[str, str], ...] = ()
    """Container and condition: START, COMPLETE, SUCCESS or HEALTHY."""
    stop_seconds: float = 30
    ports: Mapping[str, int] = field(default_factory=dict)
    """Name of a port mapping -> port."""
    log: LogConfiguration | None = None

    @classmethod
    def of(cls, document: Document) -> ContainerDefinition:
        """Read one of the ``containerDefinitions``."""
        health = document.get("healthCheck")
        is_checked = health and health["command"] and health["command"] != ["NONE"]
        logging = document.get("logConfiguration") or {}
        options = logging.get("options") or {}
        return cls(
            name=document["name"],
            image=document.get("image", ""),
            command=(
                *(document.get("entryPoint") or ()),
                *(document.get("command") or ()),
            ),
            environment={
                entry["name"]: str(entry.get("value", ""))
                for entry in document.get("environment") or ()
            },
            secrets={
                entry["name"]: entry["valueFrom"]
                for entry in document.get("secrets") or ()
            },
            is_essential=document.get("essential", True),
            restart=RestartPolicy.of(document.get("restartPolicy") or {}),
            health=ContainerHealthCheck.of(health) if health and is_checked else None,
            depends_on=tuple(
                (entry["containerName"], entry["condition"])
                for entry in document.get("dependsOn") or ()
            ),
            stop_seconds=float(document.get("stopTimeout") or cls.stop_seconds),
            ports={
                entry.get("name") or str(entry["containerPort"]): int(
                    entry["containerPort"]
                )
                for entry in document.get("portMappings") or ()
            },
            log=LogConfiguration(
                group=options["awslogs-group"],
                prefix=options.get("awslogs-stream-prefix", "ecs"),
            )
            if logging.get("logDriver") == "awslogs" and "awslogs-group" in options
            else None,
        )


@dataclass(frozen=True, kw_only=True)
class TaskDefinition:
    """A revision of a task definition."""

    arn: str
    containers: tuple[ContainerDefinition, ...]
    task_role_arn: str = ""
    execution_role_arn: str = ""
    cpu: str = "256"
    memory: str = "512"

    @property
    def family(self) -> str:
        """The name without the revision."""
        return self.arn.rpartition("/")[2].partition(":")[0]

    @property
    def revision(self) -> str:
        """The revision number."""
        return self.arn.rpartition(":")[2]

    @classmethod
    def of(cls, document: Document) -> TaskDefinition:
        """Read the answer of DescribeTaskDefinition."""
        return cls(
            arn=document["taskDefinitionArn"],
            containers=tuple(
                ContainerDefinition.of(entry)
                for entry in document["containerDefinitions"]
            ),
            task_role_arn=document.get("taskRoleArn") or "",
            execution_role_arn=document.get("executionRoleArn") or "",
            cpu=str(document.get("cpu") or cls.cpu),
            memory=str(document.get("memory") or cls.memory),
        )


@dataclass(frozen=True)
class ServiceConnectEndpoint:
    """A Service Connect endpoint: DNS name, port, and name of the port mapping."""

    name: str
    port: int
    port_name: str


@dataclass(frozen=True)
class LoadBalancerTarget:
    """A target group of a service, with the container port that is its target."""

    group_arn: str
    port: int


def security_groups(document: Document) -> tuple[str, ...]:
    """Return the groups of a service's or a RunTask request's network interfaces."""
    network = document.get("networkConfiguration") or {}
    return tuple((network.get("awsvpcConfiguration") or {}).get("securityGroups") or ())


@dataclass(frozen=True, kw_only=True)
class EcsService:
    """An ECS service: its desired state."""

    arn: str
    name: str
    cluster_arn: str
    desired: int
    definition_arn: str
    deployment_id: str
    minimum_percent: int = 100
    maximum_percent: int = 200
    has_breaker: bool = False
    has_rollback: bool = False
    grace_seconds: float = 0
    """How long unhealthy targets of a new task do not count."""
    targets: tuple[LoadBalancerTarget, ...] = ()
    namespace: str = ""
    """The Service Connect namespace, if the service is in one."""
    endpoints: tuple[ServiceConnectEndpoint, ...] = ()
    task_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags that its tasks get from it."""
    security_groups: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Document) -> EcsService:
        """Read one of the answers of DescribeServices."""
        primary = next(
            (d for d in document["deployments"] if d["status"] == "PRIMARY"),
            document["deployments"][0],
        )
        rollout = document.get("deploymentConfiguration") or {}
        breaker = rollout.get("deploymentCircuitBreaker") or {}
        connect = primary.get("serviceConnectConfiguration") or {}
        is_connected = bool(connect.get("enabled"))
        return cls(
            arn=document["serviceArn"],
            name=document["serviceName"],
            cluster_arn=document["clusterArn"],
            desired=int(document["desiredCount"]),
            definition_arn=primary["taskDefinition"],
            deployment_id=primary["id"],
            minimum_percent=int(rollout.get("minimumHealthyPercent", 100)),
            maximum_percent=int(rollout.get("maximumPercent", 200)),
            has_breaker=bool(breaker.get("enable")),
            has_rollback=bool(breaker.get("rollback")),
            grace_seconds=float(document.get("healthCheckGracePeriodSeconds") or 0),
            security_groups=security_groups(document),
            targets=tuple(
                LoadBalancerTarget(entry["targetGroupArn"], int(entry["containerPort"]))
                for entry in document.get("loadBalancers") or ()
                if entry.get("targetGroupArn")
            ),
            namespace=connect.get("namespace", "default") if is_connected else "",
            endpoints=tuple(
                ServiceConnectEndpoint(
                    name=alias.get("dnsName")
                    or entry.get("discoveryName")
                    or entry["portName"],
                    port=int(alias["port"]),
                    port_name=entry["portName"],
                )
                for entry in connect.get("services") or ()
                for alias in entry.get("clientAliases") or ()
                if is_connected
            ),
            task_tags={
                tag["key"]: tag["value"]
                for tag in document.get("tags") or ()
                if document.get("propagateTags") == "SERVICE"
            },
        )
