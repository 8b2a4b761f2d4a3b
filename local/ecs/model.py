"""What the agent reads from ECS: task definitions and services, as it needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]
"""An answer of the ECS API."""


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """A container health check, with the defaults of ECS; times in seconds."""

    command: tuple[str, ...]
    interval: float = 30
    timeout: float = 5
    retries: int = 3
    start_period: float = 0

    @classmethod
    def of(cls, found: Document) -> HealthCheck:
        """Read the ``healthCheck`` of a container definition."""
        return cls(
            command=tuple(found["command"]),
            interval=float(found.get("interval") or cls.interval),
            timeout=float(found.get("timeout") or cls.timeout),
            retries=int(found.get("retries") or cls.retries),
            start_period=float(found.get("startPeriod") or cls.start_period),
        )


@dataclass(frozen=True, kw_only=True)
class Log:
    """Where the log of a container goes."""

    group: str
    prefix: str


@dataclass(frozen=True, kw_only=True)
class Restart:
    """When a container that ended begins anew without its task, as ECS does it."""

    least_seconds: float = 300
    """It must have run so long; one that ended sooner stays down."""
    ignored: frozenset[int] = frozenset()
    """Exit codes after which it stays down."""

    @classmethod
    def of(cls, found: Document) -> Restart | None:
        """Read the ``restartPolicy`` of a container definition, if there is one."""
        if not found or not found.get("enabled"):
            return None
        return cls(
            least_seconds=float(found.get("restartAttemptPeriod") or cls.least_seconds),
            ignored=frozenset(map(int, found.get("ignoredExitCodes") or ())),
        )


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container definition."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Variable -> ValueFrom."""
    is_essential: bool = True
    restart: Restart | None = None
    health: HealthCheck | None = None
    depends_on: tuple[tuple[str, str], ...] = ()
    """Container and condition: START, COMPLETE, SUCCESS or HEALTHY."""
    stop_seconds: float = 30
    ports: Mapping[str, int] = field(default_factory=dict)
    """Name of a port mapping -> port."""
    log: Log | None = None

    @classmethod
    def of(cls, found: Document) -> Container:
        """Read one of the ``containerDefinitions``."""
        health = found.get("healthCheck")
        is_checked = health and health["command"] and health["command"] != ["NONE"]
        logging = found.get("logConfiguration") or {}
        options = logging.get("options") or {}
        return cls(
            name=found["name"],
            image=found.get("image", ""),
            command=(
                *(found.get("entryPoint") or ()),
                *(found.get("command") or ()),
            ),
            environment={
                one["name"]: str(one.get("value", ""))
                for one in found.get("environment") or ()
            },
            secrets={
                one["name"]: one["valueFrom"] for one in found.get("secrets") or ()
            },
            is_essential=found.get("essential", True),
            restart=Restart.of(found.get("restartPolicy") or {}),
            health=HealthCheck.of(health) if health and is_checked else None,
            depends_on=tuple(
                (one["containerName"], one["condition"])
                for one in found.get("dependsOn") or ()
            ),
            stop_seconds=float(found.get("stopTimeout") or cls.stop_seconds),
            ports={
                one.get("name") or str(one["containerPort"]): int(one["containerPort"])
                for one in found.get("portMappings") or ()
            },
            log=Log(
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
    containers: tuple[Container, ...]
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
        """The number behind the name."""
        return self.arn.rpartition(":")[2]

    @classmethod
    def of(cls, found: Document) -> TaskDefinition:
        """Read the answer of DescribeTaskDefinition."""
        return cls(
            arn=found["taskDefinitionArn"],
            containers=tuple(
                Container.of(one) for one in found["containerDefinitions"]
            ),
            task_role_arn=found.get("taskRoleArn") or "",
            execution_role_arn=found.get("executionRoleArn") or "",
            cpu=str(found.get("cpu") or cls.cpu),
            memory=str(found.get("memory") or cls.memory),
        )


@dataclass(frozen=True)
class Endpoint:
    """What a service offers by Service Connect: a name, a port, and whose port."""

    name: str
    port: int
    port_name: str


@dataclass(frozen=True)
class Target:
    """A target group that tasks of a service are in, with one port of one container."""

    group_arn: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Service:
    """What somebody asked ECS to keep running."""

    arn: str
    name: str
    cluster_arn: str
    desired: int
    definition_arn: str
    deployment_id: str
    minimum_percent: int = 100
    maximum_percent: int = 200
    has_breaker: bool = False
    rolls_back: bool = False
    grace_seconds: float = 0
    """How long unhealthy targets of a new task do not count."""
    targets: tuple[Target, ...] = ()
    namespace: str = ""
    """The Service Connect namespace, if the service is in one."""
    endpoints: tuple[Endpoint, ...] = ()

    @classmethod
    def of(cls, found: Document) -> Service:
        """Read one of the answers of DescribeServices."""
        primary = next(
            (d for d in found["deployments"] if d["status"] == "PRIMARY"),
            found["deployments"][0],
        )
        rollout = found.get("deploymentConfiguration") or {}
        breaker = rollout.get("deploymentCircuitBreaker") or {}
        connect = primary.get("serviceConnectConfiguration") or {}
        is_connected = bool(connect.get("enabled"))
        return cls(
            arn=found["serviceArn"],
            name=found["serviceName"],
            cluster_arn=found["clusterArn"],
            desired=int(found["desiredCount"]),
            definition_arn=primary["taskDefinition"],
            deployment_id=primary["id"],
            minimum_percent=int(rollout.get("minimumHealthyPercent", 100)),
            maximum_percent=int(rollout.get("maximumPercent", 200)),
            has_breaker=bool(breaker.get("enable")),
            rolls_back=bool(breaker.get("rollback")),
            grace_seconds=float(found.get("healthCheckGracePeriodSeconds") or 0),
            targets=tuple(
                Target(one["targetGroupArn"], int(one["containerPort"]))
                for one in found.get("loadBalancers") or ()
                if one.get("targetGroupArn")
            ),
            namespace=connect.get("namespace", "default") if is_connected else "",
            endpoints=tuple(
                Endpoint(
                    name=alias.get("dnsName")
                    or one.get("discoveryName")
                    or one["portName"],
                    port=int(alias["port"]),
                    port_name=one["portName"],
                )
                for one in connect.get("services") or ()
                for alias in one.get("clientAliases") or ()
                if is_connected
            ),
        )
