"""The component table: commands, health checks and secrets of everything that runs.

The secrets of a component are Airflow's own security model and no more: a holder of
the JWT secret can forge any user, and DAG authors hold whatever a worker, the DAG
processor or the triggerer holds. Environment variables are in ``environment.py``,
permissions on AWS in ``permissions.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from compiler.wiring import title
from fargate_runtime.contract import Env
from templates.airflow.contexts import (
    AutoscalerInputs,
    ServiceInputs,
    TaskInputs,
    WorkerInputs,
)
from templates.airflow.routes import FLOWER_PATH
from templates.resources import ports
from templates.types import CpuUnits, Mebibytes, TaskSize

Context = TypeVar("Context", bound=TaskInputs)
Context_co = TypeVar("Context_co", bound=TaskInputs, covariant=True)


class Secret(Enum):
    """A secret that components may hold."""

    METADATA = "Airflow's role in its own database"
    RESULTS = "the role that owns the database of Celery's results and no other"
    SCALING = "a role that may read the few tables that the autoscaler needs"
    BROKER = "the Celery user of the broker"
    JWT = "the key that signs user and task tokens"
    API = "the key that signs sessions and requests for logs"
    FERNET = "the key that encrypts connections and variables"
    FLOWER = "the login of Flower"
    MASTER = "the master user of the database cluster"
    ADMIN = "the login of Airflow's first administrator"


class ServiceConnect(Enum):
    """What Service Connect does for a component."""

    CLIENT = "it finds other services by name"
    SERVER = "others find it by name, too"


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """A shell command that fails when the component does not work."""

    command: str
    retries: int = 5
    """Half a minute each: a failover takes less than these."""


def http_check(port: int, path: str) -> str:
    """Return a command that requests a path from the component itself."""
    return f"curl --fail --silent --output /dev/null http://localhost:{port}{path}"


@dataclass(frozen=True, kw_only=True)
class Component(Generic[Context_co]):
    """A container that the product runs: a task of its own, or one beside another."""

    name: str
    inputs: type[Context_co]
    """The inputs that its template must have, for its variables and permissions."""
    label: str
    purpose: str
    command: tuple[str, ...]
    secrets: frozenset[Secret]
    port: int | None = None
    service_connect: ServiceConnect | None = None
    health: HealthCheck | None = None
    stop_seconds: int = 30
    """From SIGTERM to SIGKILL; Fargate allows 120."""
    size: TaskSize | None = None
    """Its fixed size, where it is no parameter."""
    is_service: bool = True
    """Whether an ECS service of its own keeps it running."""
    beside: Component[TaskInputs] | None = None
    """The component in whose task it runs, if not in a task of its own. That one
    continues without it, and ECS restarts it in place."""
    memory_beside: int = 0
    """Its share of that task's memory, in MiB."""
    may_be_moved: bool = True
    """Whether ECS may replace it to balance the zones."""
    runs_author_code: bool = False
    """Whether it runs code of DAG authors."""

    @property
    def title(self) -> str:
        """The name in logical IDs."""
        return title(self.name)


API_SERVER = Component(
    name="api-server",
    inputs=ServiceInputs,
    label="API server",
    purpose="Serves the Airflow UI, the REST API and the Execution API.",
    command=(
        *("airflow", "api-server", "--port", str(ports.API_SERVER)),
        "--proxy-headers",
    ),
    secrets=frozenset({Secret.METADATA, Secret.JWT, Secret.API, Secret.FERNET}),
    port=ports.API_SERVER,
    service_connect=ServiceConnect.SERVER,
    health=HealthCheck(command=http_check(ports.API_SERVER, "/api/v2/version")),
    # Its server waits up to [api] worker_timeout, 120 s, for open requests.
    stop_seconds=120,
)
SCHEDULER = Component(
    name="scheduler",
    inputs=ServiceInputs,
    label="scheduler",
    purpose="Schedules task instances and sends them to Celery.",
    command=("airflow", "scheduler"),
    secrets=frozenset(
        {
            *(Secret.METADATA, Secret.JWT, Secret.API, Secret.FERNET),
            *(Secret.BROKER, Secret.RESULTS),
        }
    ),
    # 503 as soon as its heartbeat in the database is old.
    health=HealthCheck(command=http_check(ports.SCHEDULER_HEALTH, "/health")),
)
AUTOSCALER = Component(
    name="autoscaler",
    inputs=AutoscalerInputs,
    label="autoscaler",
    purpose="Publishes worker deficit and surplus, and drains surplus workers.",
    command=("python", "-m", "fargate_runtime.autoscaler"),
    # It reads counts and times only, so it holds none of Airflow's own secrets.
    secrets=frozenset({Secret.SCALING, Secret.BROKER}),
    is_service=False,
    beside=SCHEDULER,
    # Its own limit is 150 MB. Beyond this one ECS stops it and not the scheduler.
    memory_beside=256,
)
DAG_PROCESSOR = Component(
    name="dag-processor",
    inputs=ServiceInputs,
    label="DAG processor",
    purpose="Parses the DAG files; nothing else does, and without it no DAG appears.",
    command=("airflow", "dag-processor"),
    secrets=frozenset({Secret.METADATA, Secret.FERNET}),
    health=HealthCheck(command="python -m fargate_runtime.health dag-processor"),
    runs_author_code=True,
)
TRIGGERER = Component(
    name="triggerer",
    inputs=ServiceInputs,
    label="triggerer",
    purpose="Runs the triggers of deferred tasks, thousands of them in one process.",
    command=("airflow", "triggerer"),
    secrets=frozenset({Secret.METADATA, Secret.API, Secret.FERNET}),
    port=ports.TRIGGERER_LOGS,
    health=HealthCheck(command="python -m fargate_runtime.health triggerer"),
    runs_author_code=True,
)
WORKER = Component(
    name="worker",
    inputs=WorkerInputs,
    label="worker",
    purpose="Runs the tasks of one queue.",
    # The template adds the queue. DAG code connects to databases of its own and must
    # not inherit this project's certificate authorities, which the bootstrap needs.
    command=(
        *("env", f"--unset={Env.PGSSLROOTCERT}"),
        *("airflow", "celery", "worker", "--queues"),
    ),
    secrets=frozenset({Secret.API, Secret.FERNET, Secret.BROKER, Secret.RESULTS}),
    port=ports.WORKER_LOGS,
    service_connect=ServiceConnect.CLIENT,
    # It goes through the broker, so a worker that lost the broker fails it too. Its
    # tasks still run, hence the many retries.
    health=HealthCheck(command="python -m fargate_runtime.health worker", retries=10),
    # The most that Fargate allows, for tasks that are still running.
    stop_seconds=120,
    may_be_moved=False,
    runs_author_code=True,
)
FLOWER = Component(
    name="flower",
    inputs=ServiceInputs,
    label="Flower",
    purpose="Shows the Celery workers and their queues.",
    command=("airflow", "celery", "flower", "--port", str(ports.FLOWER)),
    secrets=frozenset({Secret.BROKER, Secret.FLOWER}),
    port=ports.FLOWER,
    health=HealthCheck(command=http_check(ports.FLOWER, f"{FLOWER_PATH}/healthcheck")),
    size=TaskSize(cpu=CpuUnits(256), memory=Mebibytes(1024)),
)
MIGRATION = Component(
    name="migration",
    inputs=TaskInputs,
    label="migration job",
    purpose="Creates database roles, migrates the schema, creates the administrator.",
    command=("python", "-m", "fargate_runtime.migration.job"),
    secrets=frozenset(
        {
            *(Secret.MASTER, Secret.METADATA, Secret.RESULTS, Secret.SCALING),
            *(Secret.FERNET, Secret.ADMIN),
        }
    ),
    size=TaskSize(cpu=CpuUnits(512), memory=Mebibytes(2048)),
    is_service=False,
)
COMMAND = Component(
    name="command",
    inputs=ServiceInputs,
    label="one-off command",
    purpose="Runs one Airflow command, such as db clean or users create.",
    # The arguments are an environment variable: a command override would replace the
    # bootstrap too.
    command=("sh", "-c", 'eval exec airflow "$AIRFLOW_ARGUMENTS"'),
    # The broker is for draining a worker manually.
    secrets=frozenset({Secret.METADATA, Secret.FERNET, Secret.BROKER}),
    size=TaskSize(cpu=CpuUnits(512), memory=Mebibytes(2048)),
    is_service=False,
)
VERIFICATION = Component(
    name="verification",
    inputs=TaskInputs,
    label="verification relay",
    purpose="Sends the requests of build.py verify to a load balancer inside the VPC.",
    command=("python", "-m", "fargate_runtime.relay"),
    # Both ends derive the key of their messages from it.
    secrets=frozenset({Secret.ADMIN}),
    # The smallest that Fargate has.
    size=TaskSize(cpu=CpuUnits(256), memory=Mebibytes(512)),
    is_service=False,
)

AnyComponent = Component[TaskInputs]
"""Every component is one; its own context may require more inputs."""

COMPONENTS: tuple[AnyComponent, ...] = (
    *(API_SERVER, SCHEDULER, AUTOSCALER, DAG_PROCESSOR, TRIGGERER, WORKER),
    *(FLOWER, MIGRATION, COMMAND, VERIFICATION),
)


def only(*components: Component[Context]) -> frozenset[Component[Context]]:
    """Return these components."""
    return frozenset(components)


def holding(secret: Secret) -> frozenset[AnyComponent]:
    """Return every component that holds a secret."""
    return frozenset(
        component for component in COMPONENTS if secret in component.secrets
    )


def containers_of(component: AnyComponent) -> tuple[AnyComponent, ...]:
    """Return the containers of a component's task: it and those beside it."""
    return (component, *(other for other in COMPONENTS if other.beside is component))


ALL = frozenset(COMPONENTS)
AFTER_MIGRATION = only(
    *(API_SERVER, SCHEDULER, AUTOSCALER, DAG_PROCESSOR, TRIGGERER, WORKER),
    *(FLOWER, COMMAND),
)
"""Components that start only after the migration job has passed."""
