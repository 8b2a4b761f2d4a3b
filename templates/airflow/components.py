"""The component table: what runs, how one sees that it is well, and what it may know.

A row is a kind of task. Its secrets are Airflow's own security model and no more:
who holds the JWT secret can forge any user, and whatever a worker, the DAG processor
or the triggerer holds, the authors of DAGs hold. What each component is told besides
is in ``configuration.py``, what it may do on AWS in ``permissions.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from compiler.wiring import title
from templates.airflow import ports
from templates.airflow.routes import FLOWER_PATH
from templates.types import CpuUnits, Mebibytes, Size


class Secret(Enum):
    """What a component can be trusted with."""

    METADATA = "Airflow's role in its own database"
    RESULTS = "the role that owns the database of Celery's results and no other"
    SCALING = "a role that may read the few tables which scaling looks at"
    BROKER = "the Celery user of the broker"
    JWT = "the key that signs user and task tokens"
    API = "the key that signs sessions and requests for logs"
    FERNET = "the key that encrypts connections and variables"
    FLOWER = "the login of Flower"
    MASTER = "the master user of the database cluster"
    ADMIN = "the login of Airflow's first administrator"


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """A shell command that fails when the component is of no use."""

    command: str
    retries: int = 5
    """Half a minute each: a failover is over in less than these."""


def page(port: int, path: str) -> str:
    """Return a command that asks a page of the component's own."""
    return f"curl --fail --silent --output /dev/null http://localhost:{port}{path}"


@dataclass(frozen=True, kw_only=True)
class Component:
    """One kind of task."""

    name: str
    label: str
    purpose: str
    command: tuple[str, ...]
    secrets: frozenset[Secret]
    port: int | None = None
    health: HealthCheck | None = None
    stop_seconds: int = 30
    """From SIGTERM to SIGKILL; Fargate allows 120."""
    size: Size | None = None
    """Where the operator has no reason to choose one."""
    is_service: bool = True
    """Whether an ECS service of its own keeps it running."""
    beside: Component | None = None
    """In whose task it runs, if not in one of its own: the other goes on without it,
    and ECS starts it again in place."""
    memory_beside: int = 0
    """How much of that task's memory it may use, in MiB."""
    may_be_moved: bool = True
    """Whether ECS may stop it to balance the zones."""
    runs_author_code: bool = False
    """Whether code of DAG authors runs inside."""

    @property
    def title(self) -> str:
        """The name as logical IDs begin with it."""
        return title(self.name)


API_SERVER = Component(
    name="api-server",
    label="API server",
    purpose="Serves the web page, the REST API and the tasks' own API.",
    command=(
        *("airflow", "api-server", "--port", str(ports.API_SERVER)),
        "--proxy-headers",
    ),
    secrets=frozenset({Secret.METADATA, Secret.JWT, Secret.API, Secret.FERNET}),
    port=ports.API_SERVER,
    health=HealthCheck(command=page(ports.API_SERVER, "/api/v2/version")),
    # Its server waits up to [api] worker_timeout, 120 s, for open requests.
    stop_seconds=120,
)
SCHEDULER = Component(
    name="scheduler",
    label="scheduler",
    purpose="Decides which task runs when, and hands it to Celery.",
    command=("airflow", "scheduler"),
    secrets=frozenset(
        {
            *(Secret.METADATA, Secret.JWT, Secret.API, Secret.FERNET),
            *(Secret.BROKER, Secret.RESULTS),
        }
    ),
    # 503 as soon as its heartbeat in the database is old.
    health=HealthCheck(command=page(ports.SCHEDULER_HEALTH, "/health")),
)
AUTOSCALER = Component(
    name="autoscaler",
    label="autoscaler",
    purpose="Tells how many workers are missing, and drains those that are too many.",
    command=("python", "-m", "fargate_runtime.autoscaler"),
    # It reads counts and times. What Airflow itself holds it could only lose.
    secrets=frozenset({Secret.SCALING, Secret.BROKER}),
    is_service=False,
    beside=SCHEDULER,
    # Its own limit is 150 MB; beyond this one it is ended, and not the scheduler.
    memory_beside=256,
)
DAG_PROCESSOR = Component(
    name="dag-processor",
    label="DAG processor",
    purpose="Reads the DAG files; nothing else does, and without it no DAG appears.",
    command=("airflow", "dag-processor"),
    secrets=frozenset({Secret.METADATA, Secret.FERNET}),
    health=HealthCheck(command="python -m fargate_runtime.health dag-processor"),
    runs_author_code=True,
)
TRIGGERER = Component(
    name="triggerer",
    label="triggerer",
    purpose="Waits for what deferred tasks wait for, thousands of them in one process.",
    command=("airflow", "triggerer"),
    secrets=frozenset({Secret.METADATA, Secret.API, Secret.FERNET}),
    port=ports.TRIGGERER_LOGS,
    health=HealthCheck(command="python -m fargate_runtime.health triggerer"),
    runs_author_code=True,
)
WORKER = Component(
    name="worker",
    label="worker",
    purpose="Runs the tasks of one queue.",
    # The page adds the queue. DAG code connects to databases of its own and must not
    # inherit what the bootstrap needed to place the certificates of ours.
    command=(
        *("env", "--unset=PGSSLROOTCERT"),
        *("airflow", "celery", "worker", "--queues"),
    ),
    secrets=frozenset({Secret.API, Secret.FERNET, Secret.BROKER, Secret.RESULTS}),
    port=ports.WORKER_LOGS,
    # It asks through the broker, so a worker that lost the broker fails it too. Its
    # tasks run on meanwhile, hence the patience.
    health=HealthCheck(command="python -m fargate_runtime.health worker", retries=10),
    # All that Fargate gives a running task to end in.
    stop_seconds=120,
    may_be_moved=False,
    runs_author_code=True,
)
FLOWER = Component(
    name="flower",
    label="Flower",
    purpose="Shows the Celery workers and their queues.",
    command=("airflow", "celery", "flower", "--port", str(ports.FLOWER)),
    secrets=frozenset({Secret.BROKER, Secret.FLOWER}),
    port=ports.FLOWER,
    health=HealthCheck(command=page(ports.FLOWER, f"{FLOWER_PATH}/healthcheck")),
    size=Size(cpu=CpuUnits(256), memory=Mebibytes(1024)),
)
MIGRATION = Component(
    name="migration",
    label="migration job",
    purpose="Makes roles and databases, migrates, and creates the first administrator.",
    command=("python", "-m", "fargate_runtime.migration.job"),
    secrets=frozenset(
        {
            *(Secret.MASTER, Secret.METADATA, Secret.RESULTS, Secret.SCALING),
            *(Secret.FERNET, Secret.ADMIN),
        }
    ),
    size=Size(cpu=CpuUnits(512), memory=Mebibytes(2048)),
    is_service=False,
)
COMMAND = Component(
    name="command",
    label="one-off command",
    purpose="Runs one Airflow command, such as db clean or users create.",
    # The arguments come by environment: a command that an operator gives ECS would
    # replace the bootstrap too.
    command=("sh", "-c", 'eval exec airflow "$AIRFLOW_ARGUMENTS"'),
    # The broker is for draining a worker by hand.
    secrets=frozenset({Secret.METADATA, Secret.FERNET, Secret.BROKER}),
    size=Size(cpu=CpuUnits(512), memory=Mebibytes(2048)),
    is_service=False,
)

COMPONENTS = (
    *(API_SERVER, SCHEDULER, AUTOSCALER, DAG_PROCESSOR, TRIGGERER, WORKER),
    *(FLOWER, MIGRATION, COMMAND),
)

Audience = frozenset[Component]
"""Some of the components: whom a setting or a permission is for."""

EVERYONE: Audience = frozenset(COMPONENTS)


def holding(secret: Secret) -> Audience:
    """Return every component that holds a secret."""
    return frozenset(one for one in COMPONENTS if secret in one.secrets)


def in_task_of(component: Component) -> tuple[Component, ...]:
    """Return the component and those that run beside it, in the order of the table."""
    return (component, *(one for one in COMPONENTS if one.beside is component))


def only(*components: Component) -> Audience:
    """Return these components."""
    return frozenset(components)
