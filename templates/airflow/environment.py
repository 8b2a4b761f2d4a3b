"""What each component is told: Airflow's configuration and secrets, with the reasons.

Two tables. A setting says its variable, its value, whom it is for and why. A secret
says which variable ECS fills from which key of which Secrets Manager secret; who gets
it follows from the component table.

No URL with a password is in a template or a secret: ECS hands over the parts. The
bootstrap builds the URLs for what it starts, and the ``_CMD`` settings build them for
whatever else asks. Nor is a variable called ``DB_HOST``, ``DB_PORT`` or ``BACKEND``:
the image's entrypoint would take it for its own. What is not set here is Airflow's
default on purpose, ``worker_autoscale`` above all: it would make the number of tasks a
worker takes unknown to the scaling.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from troposphere import AWSHelperFn, If, Join, NoValue, Region, Sub, ecs

from compiler.wiring import ConditionName, Value
from templates.airflow import ports
from templates.airflow.components import (
    API_SERVER,
    AUTOSCALER,
    COMMAND,
    DAG_PROCESSOR,
    EVERYONE,
    FLOWER,
    MIGRATION,
    SCHEDULER,
    TRIGGERER,
    WORKER,
    Audience,
    Component,
    Secret,
    holding,
    only,
)
from templates.airflow.routes import FLOWER_PATH
from templates.airflow.task_context import Site, known
from templates.types import SecretArn

RUNTIME_PATH = "/tmp/airflow-runtime.zip"  # noqa: S108 - one user in the container
"""Where the bootstrap puts the runtime archive; a path entry of every Python there."""

CERTIFICATES_PATH = "/tmp/rds-ca.pem"  # noqa: S108 - as above
"""Where the bootstrap puts the certificate authorities of RDS."""

METADATA_NAME = "airflow"
RESULTS_NAME = "celery_results"
"""The databases inside the cluster; the migration job makes them."""

RECYCLE_SECONDS = 1200
"""Life of a pooled connection: after a failover, the old writer's die out."""

VISIBILITY_SECONDS = (2880 + 180) * 60
"""When the broker delivers a message anew that nobody acknowledged.

Never under a running task: above the longest that ECS protects a worker (2,880
minutes) and the three hours that a deployment may then take. It costs nothing to be
so late: Airflow itself notices a dead worker after 300 seconds, and a task that
nobody takes after 30 minutes.
"""

EXTRA_CELERY_CONFIG = {
    "broker_connection_max_retries": None,
    "broker_channel_error_retry": True,
    "task_publish_retry_policy": {
        "max_retries": None,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 0.5,
    },
    "result_backend_always_retry": True,
    "result_backend_max_sleep_between_retries_ms": 5000,
}
"""What Airflow has no setting for and Celery must know, whoever runs it."""

LOG_FOLDER = "logs"
"""Where in the log bucket the logs of task instances lie."""

DEFAULT_QUEUE = "default"

RUNS_AIRFLOW: Audience = EVERYONE - only(AUTOSCALER)
"""Everybody whose command is Airflow's; the autoscaler does not even import it."""

AIRFLOW: Audience = RUNS_AIRFLOW - only(FLOWER)
SERVICES: Audience = frozenset(one for one in EVERYONE if one.is_service)
METADATA = holding(Secret.METADATA)
RESULTS = holding(Secret.RESULTS)
BROKER = holding(Secret.BROKER)
HOLDS_RESULTS: Audience = BROKER & RESULTS
CELERY_BY_AIRFLOW: Audience = BROKER & RUNS_AIRFLOW
READS_METADATA: Audience = METADATA | holding(Secret.SCALING)
"""Whoever connects to Airflow's own database, as its owner or to count."""
LOGS: Audience = only(API_SERVER, TRIGGERER, WORKER)

SettingValue = str | Callable[[Site], Value | AWSHelperFn]


@dataclass(frozen=True)
class Setting:
    """One environment variable."""

    variable: str
    value: SettingValue
    who: Audience
    why: str


def _bundles(site: Site) -> Sub:
    """Return the list of DAG bundles; like the logs, they use the task role."""
    bundle = {
        "name": "dags",
        "classpath": "airflow.providers.amazon.aws.bundles.s3.S3DagBundle",
        "kwargs": {
            "bucket_name": "${Bucket}",
            "aws_conn_id": None,
            "refresh_interval": 60,
        },
    }
    return Sub(json.dumps([bundle]), Bucket=known(site.storage).dag_bucket_name)


SETTINGS = (
    # How a container starts.
    Setting(
        "RUNTIME_BUCKET",
        lambda site: site.runtime.bucket,
        EVERYONE,
        "The bootstrap fetches our code from here with the task role.",
    ),
    Setting(
        "RUNTIME_KEY",
        lambda site: site.runtime.key,
        EVERYONE,
        "The object in that bucket.",
    ),
    Setting(
        "RUNTIME_SHA256",
        lambda site: site.runtime.sha256,
        EVERYONE,
        "Checked before anything of the archive is imported.",
    ),
    Setting(
        "RUNTIME_PATH",
        RUNTIME_PATH,
        EVERYONE,
        "Where the archive is put, in a folder that every user may write to.",
    ),
    Setting(
        "PYTHONPATH",
        RUNTIME_PATH,
        EVERYONE,
        "Every later process, a health check or a shell too, imports our code.",
    ),
    Setting(
        "AWS_REGION",
        lambda _: Region,
        EVERYONE,
        "Fargate sets it, but promises it nowhere; the bootstrap signs with it.",
    ),
    Setting(
        "AWS_DEFAULT_REGION",
        lambda _: Region,
        EVERYONE,
        "The name that boto3 reads.",
    ),
    Setting(
        "CONNECTION_CHECK_MAX_COUNT",
        "0",
        EVERYONE,
        "The entrypoint's own waiting runs before the bootstrap, so the connections "
        "it would test do not exist yet.",
    ),
    Setting(
        "MIGRATION_VERSION",
        lambda site: known(site.migration_version),
        EVERYONE - only(MIGRATION),
        "What the migration job let pass; a new version is a new deployment.",
    ),
    Setting(
        "DUMB_INIT_SETSID",
        "0",
        only(WORKER),
        "SIGTERM goes to Celery alone, which lets running tasks finish. By default "
        "every process gets it, and tasks die (apache/airflow #18066).",
    ),
    Setting(
        "AIRFLOW_ARGUMENTS",
        "version",
        only(COMMAND),
        "What follows airflow; whoever runs the task gives other arguments.",
    ),
    # What every part of Airflow agrees on.
    Setting(
        "AIRFLOW__CORE__EXECUTOR",
        "CeleryExecutor",
        RUNS_AIRFLOW,
        "The default runs tasks inside the scheduler; Flower's command too exists "
        "with this one only.",
    ),
    Setting(
        "AIRFLOW__CORE__AUTH_MANAGER",
        "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        AIRFLOW,
        "The default is for development: a password file in each API server.",
    ),
    Setting(
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "False",
        AIRFLOW,
        "Examples are for a laptop.",
    ),
    Setting(
        "AIRFLOW__CORE__HOSTNAME_CALLABLE",
        "airflow.utils.net.get_host_ip_address",
        AIRFLOW,
        "The API server reaches a worker's log server by address: no name of a "
        "task resolves in the VPC. Health checks look their job up by it.",
    ),
    Setting(
        "AIRFLOW__OPERATORS__DEFAULT_QUEUE",
        DEFAULT_QUEUE,
        RUNS_AIRFLOW,
        "The queue of tasks that name none, which the first pool serves.",
    ),
    Setting(
        "AIRFLOW__LOGGING__JSON_LOGS",
        "True",
        SERVICES,
        "One line an event; CloudWatch would split a traceback into thirty.",
    ),
    Setting(
        "AIRFLOW__CORE__FERNET_KEY_CMD",
        "python -m fargate_runtime.keys fernet",
        holding(Secret.FERNET),
        "Secrets Manager cannot generate such a key, so it is derived.",
    ),
    # The metadata database.
    Setting(
        "METADATA_HOST",
        lambda site: site.database.host,
        READS_METADATA,
        "The writer's endpoint, which follows a failover.",
    ),
    Setting(
        "METADATA_PORT",
        lambda site: site.database.port,
        READS_METADATA,
        "Its port.",
    ),
    Setting("METADATA_NAME", METADATA_NAME, READS_METADATA, "Airflow's own database."),
    Setting(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD",
        "python -m fargate_runtime.connections metadata",
        METADATA,
        "Percent-encodes any password. The asynchronous URL is derived from it.",
    ),
    Setting(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS",
        "fargate_runtime.connections.CONNECT_ARGS",
        METADATA,
        "Keepalives and time limits notice a writer that is gone within 30 s.",
    ),
    Setting(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC",
        "fargate_runtime.connections.CONNECT_ARGS_ASYNC",
        METADATA,
        "The same for asyncpg, which knows other words.",
    ),
    Setting(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE",
        "5",
        METADATA,
        "With the overflow, 15 connections a process: the sum over all processes "
        "must fit max_connections.",
    ),
    Setting(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW",
        "10",
        METADATA,
        "As above.",
    ),
    Setting(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_PRE_PING",
        "True",
        METADATA,
        "After a failover the pool holds dead connections.",
    ),
    Setting(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_RECYCLE",
        str(RECYCLE_SECONDS),
        METADATA,
        "As above, for connections that look alive.",
    ),
    Setting(
        "PGSSLMODE",
        "verify-full",
        READS_METADATA,
        "libpq and asyncpg both read it; in the URL, asyncpg would refuse it. "
        "Without it the certificate goes unchecked.",
    ),
    Setting(
        "PGSSLROOTCERT",
        CERTIFICATES_PATH,
        READS_METADATA | HOLDS_RESULTS,
        "The bootstrap puts the certificates here; the image has none of RDS.",
    ),
    # The API server.
    Setting(
        "AIRFLOW__API__WORKERS",
        "1",
        only(API_SERVER),
        "More tasks are better than more processes, which share no memory "
        "(apache/airflow #52270); the connection arithmetic counts on it.",
    ),
    Setting(
        "AIRFLOW__FAB__SESSION_BACKEND",
        "database",
        only(API_SERVER),
        "A login holds at every API server.",
    ),
    Setting(
        "AIRFLOW__FAB__COOKIE_SECURE",
        lambda site: known(site.has_https),
        only(API_SERVER),
        "The session goes over HTTPS alone; without a certificate it would go nowhere.",
    ),
    Setting(
        "AIRFLOW__FAB__ENABLE_PROXY_FIX",
        "True",
        only(API_SERVER),
        "The load balancer says by header what the browser asked for; unheard, "
        "redirects go to http.",
    ),
    Setting(
        "FORWARDED_ALLOW_IPS",
        "*",
        only(API_SERVER),
        "Whom to believe such headers: the load balancer has many addresses, and "
        "the security group lets nobody else in but the workers.",
    ),
    Setting(
        "AIRFLOW__API__BASE_URL",
        lambda site: known(site.url),
        only(SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER),
        "Links in mails and logs. The API server has none: it would send every "
        "login to that one name, and a forwarded port could not be used.",
    ),
    # Tokens.
    Setting(
        "AIRFLOW__API_AUTH__JWT_ISSUER",
        lambda site: site.cluster.arn,
        holding(Secret.JWT),
        "One stack's tokens are refused by another.",
    ),
    Setting(
        "AIRFLOW__API_AUTH__JWT_AUDIENCE",
        lambda site: site.cluster.arn,
        only(API_SERVER),
        "As above, for users' tokens.",
    ),
    Setting(
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME",
        "600",
        holding(Secret.JWT),
        "Life of a task's token in seconds; heartbeats renew it.",
    ),
    Setting(
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        lambda site: known(site.execution_api_url),
        only(WORKER),
        "Inside the VPC; the default is the public address, which refuses it.",
    ),
    # The scheduler.
    Setting(
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK",
        "True",
        only(SCHEDULER),
        "Otherwise there is no page for the health check to ask.",
    ),
    Setting(
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT",
        str(ports.SCHEDULER_HEALTH),
        only(SCHEDULER),
        "Stated, because the health check asks there.",
    ),
    Setting(
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT",
        "1800",
        only(SCHEDULER),
        "Seconds a task may wait in the queue, and the life of its token there. "
        "The default of 600 ends before a pool has grown from nothing.",
    ),
    Setting(
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT",
        "300",
        only(SCHEDULER),
        "Seconds until a task whose worker died is noticed.",
    ),
    Setting(
        "WORKER_SLOTS",
        lambda site: known(site.worker_slots),
        only(SCHEDULER, MIGRATION),
        "What all workers can run at once, as a sum that the start works out: for the "
        "scheduler [core] parallelism, whose default of 32 would cap the demand that "
        "the workers scale by; for the migration job the size of the default pool, read "
        "once, when the first migration makes it.",
    ),
    Setting(
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL",
        "60",
        only(SCHEDULER),
        "Seconds between looks for tasks of a scheduler that is gone. A scheduler "
        "watches the heartbeats of its own tasks alone, and ECS replaces one before "
        "its end counts: with the default of 300, a worker that died at the same time "
        "was noticed after five minutes more (measured by killing both).",
    ),
    # Where DAGs come from.
    Setting(
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST",
        _bundles,
        AIRFLOW - only(MIGRATION),
        "The DAG bucket at its root: a prefix that does not exist yet would fail.",
    ),
    Setting(
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH",
        "/tmp/airflow/dag_bundles",  # noqa: S108 - one user in the container
        only(DAG_PROCESSOR, WORKER, COMMAND),
        "Writable, with a read-only root too.",
    ),
    Setting(
        "AIRFLOW__LOGGING__DAG_PROCESSOR_LOG_TARGET",
        "stdout",
        only(DAG_PROCESSOR),
        "Why a DAG file cannot be imported is in the container's log; by default it "
        "is in a file that goes with the container.",
    ),
    # Where task logs go.
    Setting(
        "AIRFLOW__LOGGING__REMOTE_LOGGING",
        "True",
        LOGS,
        "A log outlives its worker.",
    ),
    Setting(
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER",
        lambda site: Join(
            "", ["s3://", known(site.storage).log_bucket_name, "/", LOG_FOLDER]
        ),
        LOGS,
        "The log bucket. No connection is named beside it, so the task role is "
        "used, and a connection aws_default of the users' cannot break the logs.",
    ),
    Setting(
        "AIRFLOW__LOGGING__DELETE_LOCAL_LOGS",
        "True",
        only(TRIGGERER, WORKER),
        "The disk of a long-lived worker fills up otherwise.",
    ),
    Setting(
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT",
        str(ports.WORKER_LOGS),
        only(API_SERVER, WORKER),
        "Stated, because a security-group rule opens it.",
    ),
    Setting(
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT",
        str(ports.TRIGGERER_LOGS),
        only(API_SERVER, TRIGGERER),
        "Stated, because a security-group rule opens it.",
    ),
    # Celery and its broker.
    Setting(
        "BROKER_HOST",
        lambda site: known(site.broker).host,
        BROKER,
        "The primary endpoint, which follows a failover.",
    ),
    Setting(
        "BROKER_PORT",
        lambda site: known(site.broker).port,
        BROKER,
        "Its port.",
    ),
    Setting(
        "AIRFLOW__CELERY__BROKER_URL_CMD",
        "python -m fargate_runtime.connections broker",
        CELERY_BY_AIRFLOW,
        "Percent-encodes any password.",
    ),
    Setting(
        "AIRFLOW__CELERY__SSL_ACTIVE",
        "True",
        CELERY_BY_AIRFLOW,
        "rediss:// alone encrypts without checking the certificate.",
    ),
    Setting(
        "AIRFLOW__CELERY__SSL_MUTUAL_TLS",
        "False",
        CELERY_BY_AIRFLOW,
        "ElastiCache takes no client certificates; the default fails at start.",
    ),
    Setting(
        "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG",
        json.dumps(EXTRA_CELERY_CONFIG),
        CELERY_BY_AIRFLOW - only(WORKER),
        "After a failover of the broker: try for ever, and take up a broken "
        "channel again, instead of standing there healthy and idle. While the broker "
        "is away, publishing is tried until Airflow's own time limit, for Airflow "
        "repeats what timed out and fails what was refused. While the results "
        "database is away, a worker writes its state later: refused, it would throw "
        "away the message, and the task would stay queued (each measured with an "
        "outage of 8 s).",
    ),
    Setting(
        "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG",
        json.dumps(
            {**EXTRA_CELERY_CONFIG, "imports": ["fargate_runtime.worker.bootsteps"]}
        ),
        only(WORKER),
        "The same, and what holds a worker back from its queue until ECS protects it "
        "from scale-in. Celery imports it before it builds the consumer.",
    ),
    Setting(
        "AIRFLOW__CELERY__TASK_PUBLISH_MAX_RETRIES",
        "300",
        only(SCHEDULER),
        "How often Airflow repeats a publication that timed out, one second each: a "
        "failover of the broker is over in less.",
    ),
    Setting(
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES",
        "20",
        only(WORKER),
        "A task asks the API server again for some three minutes; the default of 5 "
        "ends after 6 s, and a failover of the database takes up to 60.",
    ),
    Setting(
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX",
        "10",
        only(WORKER),
        "Seconds between those questions at most.",
    ),
    *(
        Setting(
            f"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__{key}",
            value,
            CELERY_BY_AIRFLOW,
            why,
        )
        for key, value, why in (
            (
                "VISIBILITY_TIMEOUT",
                str(VISIBILITY_SECONDS),
                "A message is delivered again after it; never under a running task.",
            ),
            (
                "SOCKET_KEEPALIVE",
                "True",
                "kombu leaves it off; a lost primary would never be missed.",
            ),
            ("SOCKET_CONNECT_TIMEOUT", "10", "Seconds; kombu waits for ever."),
            ("SOCKET_TIMEOUT", "30", "Seconds; kombu waits for ever."),
            ("RETRY_ON_TIMEOUT", "True", "A failover is over in less."),
            ("HEALTH_CHECK_INTERVAL", "30", "Seconds between questions when idle."),
        )
    ),
    Setting(
        "RESULTS_HOST",
        lambda site: site.database.host,
        RESULTS,
        "The same cluster, another database.",
    ),
    Setting("RESULTS_PORT", lambda site: site.database.port, RESULTS, "Its port."),
    Setting(
        "RESULTS_NAME",
        RESULTS_NAME,
        RESULTS,
        "A database of its own, so that a worker holds no way to the metadata.",
    ),
    Setting(
        "AIRFLOW__CELERY__RESULT_BACKEND_CMD",
        "python -m fargate_runtime.connections results",
        HOLDS_RESULTS,
        "Unset, Celery would fall back to the metadata database.",
    ),
    Setting(
        "AIRFLOW__CELERY__RESULT_BACKEND_SQLALCHEMY_ENGINE_OPTIONS",
        json.dumps(
            {
                "pool_pre_ping": True,
                "pool_recycle": RECYCLE_SECONDS,
                "connect_args": {
                    "sslmode": "verify-full",
                    "sslrootcert": CERTIFICATES_PATH,
                    "connect_timeout": 15,
                    "keepalives": 1,
                    "keepalives_idle": 30,
                    "keepalives_interval": 5,
                    "keepalives_count": 5,
                    "tcp_user_timeout": 30_000,
                },
            }
        ),
        HOLDS_RESULTS,
        "Celery makes its own engine, which no database setting reaches. TLS is "
        "here and not in the environment, which DAG code would inherit.",
    ),
    Setting(
        "AIRFLOW__CELERY__WORKER_CONCURRENCY",
        lambda site: known(site.concurrency),
        only(WORKER),
        "Tasks at once; what the scaling divides by.",
    ),
    Setting(
        "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER",
        "1",
        only(WORKER),
        "With late acknowledgement: a worker holds no more than it runs.",
    ),
    Setting(
        "AIRFLOW__CELERY__TASK_ACKS_LATE",
        "True",
        only(WORKER),
        "A message outlives the worker that took it.",
    ),
    Setting(
        "AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL",
        "True",
        only(WORKER),
        "Health check and autoscaler ask the worker by it.",
    ),
    Setting(
        "LONGEST_TASK_MINUTES",
        lambda site: known(site.longest_task_minutes),
        only(WORKER),
        "For so long, and ten minutes, a worker asks for protection each time.",
    ),
    # What the autoscaler and the workers agree on.
    Setting(
        "SCALING_POOLS",
        lambda site: Join("", known(site.pools).parts),
        only(AUTOSCALER),
        "What the operator chose for each pool, as JSON (pool_list.py).",
    ),
    Setting(
        "CLUSTER_NAME",
        lambda site: site.cluster.name,
        only(AUTOSCALER),
        "Whose services it looks at, and a dimension of what it publishes.",
    ),
    Setting(
        "WORKER_POOL",
        lambda site: known(site.pool),
        only(WORKER),
        "Whose worker it is, which it tells the autoscaler.",
    ),
    Setting(
        "AIRFLOW__CELERY__FLOWER_URL_PREFIX",
        FLOWER_PATH,
        only(FLOWER),
        "The load balancer leads here by path.",
    ),
    Setting(
        "AIRFLOW__CELERY__FLOWER_BASIC_AUTH_CMD",
        "python -c 'from os import environ as e; "
        'print(e["FLOWER_USER"], e["FLOWER_PASSWORD"], sep=":", end="")\'',
        only(FLOWER),
        "Flower can stop workers, so it has a login. The output is not stripped.",
    ),
)
"""Every plain variable, in the order in which a reader would ask for them."""


@dataclass(frozen=True)
class Injected:
    """A variable that ECS fills from Secrets Manager when a container starts."""

    variable: str
    secret: Secret
    arn: Callable[[Site], SecretArn]
    key: str = ""
    """Which key of a JSON secret; nothing for the whole text."""
    is_optional: bool = False
    """Whether the ARN may be empty; the variable is then left out."""


INJECTED = (
    *(
        Injected(f"{prefix}_{variable}", secret, arn, key)
        for prefix, secret, arn in (
            (
                "METADATA",
                Secret.METADATA,
                lambda site: site.database.airflow_secret_arn,
            ),
            ("RESULTS", Secret.RESULTS, lambda site: site.database.results_secret_arn),
            ("SCALING", Secret.SCALING, lambda site: site.database.scaling_secret_arn),
            ("BROKER", Secret.BROKER, lambda site: known(site.broker).secret_arn),
            ("MASTER", Secret.MASTER, lambda site: site.database.admin_secret_arn),
            (
                "ADMIN",
                Secret.ADMIN,
                lambda site: known(site.admin_secret_arn),
            ),
            ("FLOWER", Secret.FLOWER, lambda site: known(site.flower_secret_arn)),
        )
        for variable, key in (("USER", "username"), ("PASSWORD", "password"))
    ),
    Injected(
        "AIRFLOW__API_AUTH__JWT_SECRET",
        Secret.JWT,
        lambda site: site.keys.jwt_secret_arn,
    ),
    Injected(
        "AIRFLOW__API__SECRET_KEY", Secret.API, lambda site: site.keys.api_secret_arn
    ),
    Injected("FERNET_SECRET", Secret.FERNET, lambda site: site.keys.fernet_secret_arn),
    Injected(
        "FERNET_SECRET_PREVIOUS",
        Secret.FERNET,
        lambda site: site.keys.previous_fernet_secret_arn,
        is_optional=True,
    ),
)
"""Every variable with a secret in it."""


def settings_of(component: Component) -> Iterator[Setting]:
    """Yield the settings that are for a component."""
    return (setting for setting in SETTINGS if component in setting.who)


def injected_into(component: Component) -> Iterator[Injected]:
    """Yield the variables with secrets that a component may hold."""
    return (one for one in INJECTED if one.secret in component.secrets)


def environment(component: Component, site: Site) -> list[ecs.Environment]:
    """Return a container's plain variables."""
    return [
        ecs.Environment(
            Name=setting.variable,
            Value=setting.value
            if isinstance(setting.value, str)
            else setting.value(site),
        )
        for setting in settings_of(component)
    ]


def secrets(
    component: Component, site: Site, *, has_optional: ConditionName
) -> list[ecs.Secret | If]:
    """Return a container's variables with secrets.

    ``has_optional`` is the condition under which the optional ones have an ARN.
    """
    found: list[ecs.Secret | If] = []
    for one in injected_into(component):
        arn = one.arn(site)
        source = Join("", [arn, f":{one.key}::"]) if one.key else arn
        secret = ecs.Secret(Name=one.variable, ValueFrom=source)
        found.append(If(has_optional, secret, NoValue) if one.is_optional else secret)
    return found


def secret_arns(
    residents: Iterable[Component], site: Site, *, has_optional: ConditionName
) -> list[Value | If]:
    """Return the ARN of each secret that a task is started with, each once."""
    found: dict[str, Value | If] = {}
    for one in (one for resident in residents for one in injected_into(resident)):
        arn = one.arn(site)
        found[arn.to_json()] = (
            If(has_optional, arn, NoValue) if one.is_optional else arn
        )
    return list(found.values())
