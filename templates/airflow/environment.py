"""Environment variables of the components: Airflow's configuration and secrets.

Two tables. An :class:`EnvVar` has a name, a value, its components and a reason. A
:class:`SecretVar` is filled by ECS from a key of a Secrets Manager secret; its
components follow from the component table.

No URL with a password is in a template or a secret: ECS injects the parts. The
bootstrap builds the URLs for the process it starts, and the ``_CMD`` settings build
them for every other process. Nor is a variable called ``DB_HOST``, ``DB_PORT`` or
``BACKEND``: the image's entrypoint would take it for its own. What is not set here is
Airflow's default on purpose, ``worker_autoscale`` above all: it would make the number
of tasks of a worker unknown to the autoscaler.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic

from troposphere import AWSHelperFn, If, Join, NoValue, Region, ecs

from compiler.wiring import ConditionName, Value
from fargate_runtime import contract
from fargate_runtime.contract import Env
from templates.airflow.bundles import BUNDLES, bundle_list
from templates.airflow.components import (
    AFTER_MIGRATION,
    ALL,
    API_SERVER,
    AUTOSCALER,
    COMMAND,
    COMPONENTS,
    DAG_PROCESSOR,
    FLOWER,
    MIGRATION,
    SCHEDULER,
    TRIGGERER,
    VERIFICATION,
    WORKER,
    AnyComponent,
    Component,
    Context,
    Secret,
    holding,
    only,
)
from templates.airflow.contexts import TaskInputs
from templates.airflow.platform import Platform
from templates.airflow.routes import FLOWER_PATH
from templates.resources import ports
from templates.types import SecretArn

RECYCLE_SECONDS = 1200
"""Life of a pooled connection: after a failover, those to the old writer expire."""

VISIBILITY_SECONDS = (contract.LONGEST_PROTECTION_MINUTES + 180) * 60
"""When the broker redelivers a message that no worker acknowledged.

Never under a running task: above the longest that ECS protects a worker, with three
hours to spare for a deployment. Being late costs nothing: Airflow itself notices a dead
worker after 300 seconds, and a task that no worker takes after 30 minutes.
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
"""Celery settings that Airflow has no option for."""

LOG_FOLDER = "logs"
"""Prefix of task logs in the log bucket."""

USES_AIRFLOW = ALL - only(AUTOSCALER, VERIFICATION)
"""Every command of Airflow's; the others do not even import it."""

AIRFLOW = USES_AIRFLOW - only(FLOWER)
SERVICES = frozenset(component for component in COMPONENTS if component.is_service)
METADATA = holding(Secret.METADATA)
RESULTS = holding(Secret.RESULTS)
BROKER = holding(Secret.BROKER)
CELERY_RESULTS = BROKER & RESULTS
CELERY_BY_AIRFLOW = BROKER & USES_AIRFLOW
METADATA_DATABASE = METADATA | holding(Secret.SCALING)
"""Connected to Airflow's own database, as its owner or as the autoscaler."""
WITH_SECRET_VARIABLES = only(*(API_SERVER, SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER))
"""Components to which operators may hand secrets (``secret_environment.py``)."""

READS_SECRETS = only(API_SERVER)
"""Components that look for connections and variables in Secrets Manager: running tasks
ask the API server for theirs."""

READS_SECRETS_AT_PARSING = only(DAG_PROCESSOR, TRIGGERER)
"""Components that do so only if operators say so. What DAG files and triggers ask for
is looked up in the process itself, so its role needs the right, and DAG code has it."""

LOGS = only(API_SERVER, TRIGGERER, WORKER)
MEASURED = only(SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER)
"""Components that publish Airflow's own metrics."""


@dataclass(frozen=True)
class EnvVar(Generic[Context]):
    """One environment variable; its value may depend on its components' inputs."""

    name: str
    value: str | Callable[[Context], Value | AWSHelperFn]
    components: frozenset[Component[Context]]
    why: str

    def resolve(self, inputs: Context) -> str | Value | AWSHelperFn:
        """Return the value in a template with these inputs."""
        return self.value if isinstance(self.value, str) else self.value(inputs)


def _transport_option(key: str, value: str, why: str) -> EnvVar[TaskInputs]:
    name = f"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__{key}"
    return EnvVar(name, value, CELERY_BY_AIRFLOW, why)


# Without a type, so that mypy infers each row's context from its components.
_ROWS = (
    # How a container starts.
    EnvVar(
        Env.RUNTIME_BUCKET,
        lambda inputs: inputs.platform.runtime.bucket,
        ALL,
        "The bootstrap downloads our code from here with the task role.",
    ),
    EnvVar(
        Env.RUNTIME_KEY,
        lambda inputs: inputs.platform.runtime.key,
        ALL,
        "The object in that bucket.",
    ),
    EnvVar(
        Env.RUNTIME_SHA256,
        lambda inputs: inputs.platform.runtime.sha256,
        ALL,
        "Checked before any import from the archive.",
    ),
    EnvVar(
        Env.RUNTIME_PATH,
        contract.RUNTIME_PATH,
        ALL,
        "Path of the archive, in a folder that every user may write to.",
    ),
    EnvVar(
        "PYTHONPATH",
        contract.RUNTIME_PATH,
        ALL,
        "Every other process, a health check or a shell too, imports our code.",
    ),
    EnvVar(
        "AWS_REGION",
        lambda _: Region,
        ALL,
        "Fargate sets it without documenting it; the bootstrap signs with it.",
    ),
    EnvVar(
        "AWS_DEFAULT_REGION",
        lambda _: Region,
        ALL,
        "The name that boto3 reads.",
    ),
    EnvVar(
        "CONNECTION_CHECK_MAX_COUNT",
        "0",
        ALL,
        "The entrypoint waits for connections before the bootstrap has set them.",
    ),
    EnvVar(
        "MIGRATION_VERSION",
        lambda inputs: inputs.migration_version,
        AFTER_MIGRATION,
        "Version that the migration job prepared; a new one is a new deployment.",
    ),
    EnvVar(
        "DUMB_INIT_SETSID",
        "0",
        only(WORKER),
        "SIGTERM goes to Celery alone, which waits for running tasks. By default "
        "every process gets it, and tasks die (apache/airflow #18066).",
    ),
    EnvVar(
        "AIRFLOW_ARGUMENTS",
        "version",
        only(COMMAND),
        "Arguments of the airflow command; operators override them.",
    ),
    EnvVar(
        Env.RELAY_URL,
        lambda inputs: inputs.platform.url,
        only(VERIFICATION),
        "The one address that the verification relay sends requests to.",
    ),
    EnvVar(
        Env.RELAY_BUCKET,
        lambda inputs: inputs.platform.buckets.log_bucket_name,
        only(VERIFICATION),
        "It finds the requests there, below a prefix that no other component reads.",
    ),
    # Settings of operators (fargate_runtime/operator_settings.py).
    EnvVar(
        Env.AIRFLOW_CONFIG,
        contract.CONFIG_PATH,
        USES_AIRFLOW,
        "The container's start writes the operator's options there, and health checks "
        "and shells read them too.",
    ),
    EnvVar(
        Env.DEFAULT_OPTIONS,
        lambda inputs: inputs.platform.default_options,
        only(API_SERVER),
        "Name and colour of the environment in the UI; not as variables of Airflow, "
        "which operators could not replace.",
    ),
    EnvVar(
        Env.AIRFLOW_OPTIONS,
        lambda inputs: inputs.platform.settings.airflow,
        USES_AIRFLOW,
        "The operator's options, as JSON.",
    ),
    EnvVar(
        Env.OPERATOR_VARIABLES,
        lambda inputs: inputs.platform.settings.environment,
        USES_AIRFLOW,
        "The operator's environment variables, as JSON: CloudFormation cannot take the "
        "names of variables out of it.",
    ),
    EnvVar(
        Env.SECRETS_PREFIX,
        lambda inputs: inputs.platform.settings.secrets_prefix,
        READS_SECRETS | READS_SECRETS_AT_PARSING,
        "The container's start makes it an option of Airflow.",
    ),
    EnvVar(
        Env.ENABLE_SECRETS_AT_PARSING,
        lambda inputs: inputs.platform.settings.enable_secrets_at_parsing,
        READS_SECRETS_AT_PARSING,
        "Their role has the right only then.",
    ),
    # Settings of all components.
    EnvVar(
        "AIRFLOW__CORE__EXECUTOR",
        "CeleryExecutor",
        USES_AIRFLOW,
        "The default runs tasks inside the scheduler; Flower's command also requires "
        "this one.",
    ),
    EnvVar(
        "AIRFLOW__CORE__AUTH_MANAGER",
        "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        AIRFLOW,
        "The default is for development: a password file in each API server.",
    ),
    EnvVar(
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "False",
        AIRFLOW,
        "Examples do not belong into an environment.",
    ),
    EnvVar(
        "AIRFLOW__CORE__HOSTNAME_CALLABLE",
        "airflow.utils.net.get_host_ip_address",
        AIRFLOW,
        "The API server reaches a worker's log server by address: no name of a "
        "task resolves in the VPC. Health checks look their job up by it.",
    ),
    EnvVar(
        "AIRFLOW__OPERATORS__DEFAULT_QUEUE",
        contract.DEFAULT_QUEUE,
        USES_AIRFLOW,
        "The queue of tasks without one, which the first pool serves.",
    ),
    EnvVar(
        "AIRFLOW__LOGGING__JSON_LOGS",
        "True",
        SERVICES,
        "One line per event; CloudWatch would split a traceback into many.",
    ),
    EnvVar(
        "AIRFLOW__CORE__FERNET_KEY_CMD",
        "python -m fargate_runtime.keys fernet",
        holding(Secret.FERNET),
        "Secrets Manager cannot generate such a key, so it is derived.",
    ),
    # The metadata database.
    EnvVar(
        Env.METADATA_HOST,
        lambda inputs: inputs.platform.database.host,
        METADATA_DATABASE,
        "The writer's endpoint, which follows a failover.",
    ),
    EnvVar(
        Env.METADATA_PORT,
        lambda inputs: inputs.platform.database.port,
        METADATA_DATABASE,
        "Its port.",
    ),
    EnvVar(
        Env.METADATA_NAME,
        contract.METADATA_DATABASE,
        METADATA_DATABASE,
        "Airflow's own database.",
    ),
    EnvVar(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD",
        "python -m fargate_runtime.connections metadata",
        METADATA,
        "Percent-encodes any password. The asynchronous URL is derived from it.",
    ),
    EnvVar(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS",
        "fargate_runtime.connections.CONNECT_ARGS",
        METADATA,
        "Keepalives and time limits detect a lost writer within 30 s.",
    ),
    EnvVar(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC",
        "fargate_runtime.connections.CONNECT_ARGS_ASYNC",
        METADATA,
        "The same for asyncpg, whose arguments have other names.",
    ),
    EnvVar(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE",
        "5",
        METADATA,
        "With the overflow, 15 connections a process: the sum over all processes "
        "must fit max_connections.",
    ),
    EnvVar(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW",
        "10",
        METADATA,
        "As above.",
    ),
    EnvVar(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_PRE_PING",
        "True",
        METADATA,
        "After a failover the pool holds dead connections.",
    ),
    EnvVar(
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_RECYCLE",
        str(RECYCLE_SECONDS),
        METADATA,
        "As above, for connections that look alive.",
    ),
    EnvVar(
        "PGSSLMODE",
        "verify-full",
        METADATA_DATABASE,
        "libpq and asyncpg both read it; in the URL, asyncpg would refuse it. "
        "Without it the certificate goes unchecked.",
    ),
    EnvVar(
        Env.PGSSLROOTCERT,
        contract.CERTIFICATES_PATH,
        METADATA_DATABASE | CELERY_RESULTS,
        "The bootstrap writes the certificates here; the image has none of RDS.",
    ),
    # The API server.
    EnvVar(
        "AIRFLOW__API__WORKERS",
        "1",
        only(API_SERVER),
        "More tasks are better than more processes, which share no memory "
        "(apache/airflow #52270); the connection arithmetic counts on it.",
    ),
    EnvVar(
        "AIRFLOW__FAB__SESSION_BACKEND",
        "database",
        only(API_SERVER),
        "A login is valid at every API server.",
    ),
    EnvVar(
        "AIRFLOW__FAB__COOKIE_SECURE",
        lambda inputs: inputs.platform.is_https,
        only(API_SERVER),
        "Session cookies use HTTPS only; without a certificate none would be sent.",
    ),
    EnvVar(
        "AIRFLOW__FAB__ENABLE_PROXY_FIX",
        "True",
        only(API_SERVER),
        "The load balancer sends the browser's URL in headers; if they are ignored, "
        "redirects go to http.",
    ),
    EnvVar(
        "FORWARDED_ALLOW_IPS",
        "*",
        only(API_SERVER),
        "Trusted sources of these headers: the load balancer has many addresses, and "
        "the security group admits no others but the workers.",
    ),
    EnvVar(
        "AIRFLOW__API__BASE_URL",
        lambda inputs: inputs.platform.url,
        only(SCHEDULER, DAG_PROCESSOR, TRIGGERER, WORKER),
        "Links in mails and logs. The API server has none: it would redirect every "
        "login to that one name, and a forwarded port could not be used.",
    ),
    # Single sign-on (fargate_runtime/single_sign_on).
    EnvVar(
        Env.SIGN_ON_CONFIG,
        contract.SIGN_ON_PATH,
        only(API_SERVER),
        "The container's start writes the settings there if there is an issuer; "
        "otherwise a webserver_config.py of the image holds.",
    ),
    EnvVar(
        Env.OIDC_ISSUER,
        lambda inputs: inputs.platform.sign_on.oidc_issuer,
        only(API_SERVER, MIGRATION),
        "The provider; the migration job asks whether it answers.",
    ),
    EnvVar(
        Env.OIDC_CLIENT_ID,
        lambda inputs: inputs.platform.sign_on.oidc_client_id,
        only(API_SERVER),
        "The client that is registered there.",
    ),
    EnvVar(
        Env.OIDC_SCOPES,
        lambda inputs: inputs.platform.sign_on.oidc_scopes,
        only(API_SERVER),
        "What the provider is asked for.",
    ),
    EnvVar(
        Env.OIDC_GROUPS_CLAIM,
        lambda inputs: inputs.platform.sign_on.oidc_groups_claim,
        only(API_SERVER),
        "Providers have different names for it.",
    ),
    EnvVar(
        Env.OIDC_ROLES,
        lambda inputs: inputs.platform.sign_on.oidc_roles,
        only(API_SERVER),
        "Airflow's roles by groups of the provider.",
    ),
    EnvVar(
        Env.OIDC_DEFAULT_ROLE,
        lambda inputs: inputs.platform.sign_on.oidc_default_role,
        only(API_SERVER),
        "For users without such a group.",
    ),
    EnvVar(
        Env.LOCAL_ADMIN,
        lambda inputs: inputs.platform.sign_on.local_admin,
        only(API_SERVER),
        "Whether a password still logs in.",
    ),
    # Tokens.
    EnvVar(
        "AIRFLOW__API_AUTH__JWT_ISSUER",
        lambda inputs: inputs.platform.cluster.arn,
        holding(Secret.JWT),
        "One stack's tokens are refused by another.",
    ),
    EnvVar(
        "AIRFLOW__API_AUTH__JWT_AUDIENCE",
        lambda inputs: inputs.platform.cluster.arn,
        only(API_SERVER),
        "As above, for users' tokens.",
    ),
    EnvVar(
        "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME",
        "600",
        holding(Secret.JWT),
        "Life of a task's token in seconds; heartbeats renew it.",
    ),
    EnvVar(
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
        lambda inputs: inputs.execution_api_url,
        only(WORKER),
        "Inside the VPC; the default is the public address, which refuses this path.",
    ),
    # The scheduler.
    EnvVar(
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK",
        "True",
        only(SCHEDULER),
        "The health check requests it.",
    ),
    EnvVar(
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT",
        str(ports.SCHEDULER_HEALTH),
        only(SCHEDULER),
        "Stated, because the health check uses it.",
    ),
    EnvVar(
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT",
        "1800",
        only(SCHEDULER),
        "Seconds a task may wait in the queue, and the life of its token there. "
        "The default of 600 ends before a pool has grown from nothing.",
    ),
    EnvVar(
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT",
        "300",
        only(SCHEDULER),
        "Seconds until a task of a dead worker is detected.",
    ),
    EnvVar(
        Env.WORKER_SLOTS,
        lambda inputs: inputs.platform.worker_slots,
        only(SCHEDULER, MIGRATION),
        "What all workers can run at once, as a sum that the container's start works "
        "out: for the scheduler [core] parallelism, whose default of 32 would cap the "
        "demand that the workers scale by; for the migration job the size of the "
        "default pool, read once, when the first migration creates it.",
    ),
    EnvVar(
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL",
        "60",
        only(SCHEDULER),
        "Seconds between searches for tasks of a dead scheduler. A scheduler "
        "watches the heartbeats of its own tasks only, and ECS replaces one before "
        "it counts as dead: with the default of 300, a worker that died at the same "
        "time was detected five minutes later (measured by killing both).",
    ),
    # DAGs.
    EnvVar(
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST",
        lambda inputs: bundle_list(BUNDLES, inputs.platform.buckets),
        AIRFLOW - only(MIGRATION),
        "The table of bundles.",
    ),
    EnvVar(
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH",
        "/tmp/airflow/dag_bundles",  # noqa: S108 - one user in the container
        only(DAG_PROCESSOR, WORKER, COMMAND),
        "Writable, also with a read-only root.",
    ),
    EnvVar(
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL",
        "0",
        only(DAG_PROCESSOR),
        "Seconds between two updates of a stored DAG. The version of its bundle is "
        "stored at once: with the default of 30, a run that began after a second "
        "release within half a minute had that version and the tasks of the first, "
        "and failed.",
    ),
    EnvVar(
        "AIRFLOW__LOGGING__DAG_PROCESSOR_LOG_TARGET",
        "stdout",
        only(DAG_PROCESSOR),
        "Import errors of DAG files are in the container's log; by default they are "
        "in a file that is lost with the container.",
    ),
    EnvVar(
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS",
        "airflow.models.dag=WARNING airflow.serialization.definitions.dag=WARNING",
        only(DAG_PROCESSOR),
        "Each writes a line at each parse of each DAG: 70 % of a log of 348 MB a day "
        "with 141 DAGs.",
    ),
    # Task logs.
    EnvVar(
        "AIRFLOW__LOGGING__REMOTE_LOGGING",
        "True",
        LOGS,
        "Logs outlive their worker.",
    ),
    EnvVar(
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER",
        lambda inputs: Join(
            "", ["s3://", inputs.platform.buckets.log_bucket_name, "/", LOG_FOLDER]
        ),
        LOGS,
        "The log bucket. Without a connection, the task role is used, and a user's "
        "connection aws_default cannot break the logs.",
    ),
    EnvVar(
        "AIRFLOW__LOGGING__DELETE_LOCAL_LOGS",
        "True",
        only(TRIGGERER, WORKER),
        "The disk of a long-lived worker fills up otherwise.",
    ),
    EnvVar(
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT",
        str(ports.WORKER_LOGS),
        only(API_SERVER, WORKER),
        "Stated, because a security-group rule opens it.",
    ),
    EnvVar(
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT",
        str(ports.TRIGGERER_LOGS),
        only(API_SERVER, TRIGGERER),
        "Stated, because a security-group rule opens it.",
    ),
    # Celery and its broker.
    EnvVar(
        Env.BROKER_HOST,
        lambda inputs: inputs.platform.broker.host,
        BROKER,
        "The primary endpoint, which follows a failover.",
    ),
    EnvVar(
        Env.BROKER_PORT,
        lambda inputs: inputs.platform.broker.port,
        BROKER,
        "Its port.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__BROKER_URL_CMD",
        "python -m fargate_runtime.connections broker",
        CELERY_BY_AIRFLOW,
        "Percent-encodes any password.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__SSL_ACTIVE",
        "True",
        CELERY_BY_AIRFLOW,
        "rediss:// alone encrypts without checking the certificate.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__SSL_MUTUAL_TLS",
        "False",
        CELERY_BY_AIRFLOW,
        "ElastiCache takes no client certificates; the default fails at start.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG",
        json.dumps(EXTRA_CELERY_CONFIG),
        CELERY_BY_AIRFLOW - only(WORKER),
        "After a failover of the broker, retry forever and reopen a broken channel; "
        "otherwise a worker stays healthy and idle. During an outage of the broker, "
        "publishing is retried until Airflow's own time limit, because Airflow "
        "repeats what timed out and fails what was refused. During an outage of the "
        "results database, a worker writes its state later; otherwise it would drop "
        "the message, and the task would stay queued (each measured with an outage "
        "of 8 s).",
    ),
    EnvVar(
        "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG",
        json.dumps(
            {**EXTRA_CELERY_CONFIG, "imports": ["fargate_runtime.worker.bootsteps"]}
        ),
        only(WORKER),
        "The same, and the bootstep that keeps a worker from its queue until ECS "
        "protects it from scale-in. Celery imports it before it builds the consumer.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__TASK_PUBLISH_MAX_RETRIES",
        "300",
        only(SCHEDULER),
        "Retries of a publication that timed out, one second each: a failover of the "
        "broker takes less.",
    ),
    EnvVar(
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES",
        "20",
        only(WORKER),
        "A task retries the API server for some three minutes; the default of 5 "
        "retries ends after 6 s, and a failover of the database takes up to 60.",
    ),
    EnvVar(
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX",
        "10",
        only(WORKER),
        "Most seconds between those retries.",
    ),
    _transport_option(
        "VISIBILITY_TIMEOUT",
        str(VISIBILITY_SECONDS),
        "A message is delivered again after it; never under a running task.",
    ),
    _transport_option(
        "SOCKET_KEEPALIVE",
        "True",
        "kombu leaves it off; a lost primary would never be noticed.",
    ),
    _transport_option("SOCKET_CONNECT_TIMEOUT", "10", "Seconds; kombu waits forever."),
    _transport_option("SOCKET_TIMEOUT", "30", "Seconds; kombu waits forever."),
    _transport_option("RETRY_ON_TIMEOUT", "True", "A failover takes less."),
    _transport_option("HEALTH_CHECK_INTERVAL", "30", "Seconds between checks if idle."),
    EnvVar(
        Env.RESULTS_HOST,
        lambda inputs: inputs.platform.database.host,
        RESULTS,
        "The same cluster, another database.",
    ),
    EnvVar(
        Env.RESULTS_PORT,
        lambda inputs: inputs.platform.database.port,
        RESULTS,
        "Its port.",
    ),
    EnvVar(
        Env.RESULTS_NAME,
        contract.RESULTS_DATABASE,
        RESULTS,
        "A database of its own, so that a worker has no access to the metadata.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__RESULT_BACKEND_CMD",
        "python -m fargate_runtime.connections results",
        CELERY_RESULTS,
        "Unset, Celery would fall back to the metadata database.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__RESULT_BACKEND_SQLALCHEMY_ENGINE_OPTIONS",
        json.dumps(
            {
                "pool_pre_ping": True,
                "pool_recycle": RECYCLE_SECONDS,
                "connect_args": {
                    "sslmode": "verify-full",
                    "sslrootcert": contract.CERTIFICATES_PATH,
                    **contract.CONNECT_ARGS,
                },
            }
        ),
        CELERY_RESULTS,
        "Celery creates its own engine, to which no database setting applies. TLS is "
        "here and not in the environment, which DAG code would inherit.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__WORKER_CONCURRENCY",
        lambda inputs: inputs.pool.concurrency,
        only(WORKER),
        "Tasks at once; the autoscaler divides by it.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER",
        "1",
        only(WORKER),
        "With late acknowledgement: a worker holds no more than it runs.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__TASK_ACKS_LATE",
        "True",
        only(WORKER),
        "A message outlives the worker that took it.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL",
        "True",
        only(WORKER),
        "Health check and autoscaler use it.",
    ),
    EnvVar(
        Env.LONGEST_TASK_MINUTES,
        lambda inputs: inputs.platform.settings.longest_task_minutes,
        only(WORKER),
        "A worker requests protection for this long and ten minutes more, and ends "
        "tasks that run five minutes longer than this.",
    ),
    # Autoscaler and workers.
    EnvVar(
        Env.SCALING_POOLS,
        lambda inputs: Join("", inputs.pools.parts),
        only(AUTOSCALER),
        "Settings of all pools, as JSON (pool_list.py).",
    ),
    EnvVar(
        Env.CLUSTER_NAME,
        lambda inputs: inputs.platform.cluster.name,
        only(AUTOSCALER) | MEASURED,
        "Cluster of the autoscaler's services, and a dimension of all metrics.",
    ),
    EnvVar(
        Env.AIRFLOW_METRICS,
        lambda inputs: inputs.platform.settings.airflow_metrics,
        MEASURED,
        "Whether Airflow's own metrics are printed for CloudWatch.",
    ),
    EnvVar(
        Env.METRICS_PIPE,
        contract.METRICS_PIPE_PATH,
        MEASURED,
        "Processes of tasks and triggers hand their metrics to the main process.",
    ),
    EnvVar(
        Env.WORKER_POOL,
        lambda inputs: inputs.pool.name,
        only(WORKER),
        "Pool of the worker, in its reports to the autoscaler.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__FLOWER_URL_PREFIX",
        FLOWER_PATH,
        only(FLOWER),
        "The load balancer forwards this path.",
    ),
    EnvVar(
        "AIRFLOW__CELERY__FLOWER_BASIC_AUTH_CMD",
        "python -c 'from os import environ as e; "
        'print(e["FLOWER_USER"], e["FLOWER_PASSWORD"], sep=":", end="")\'',
        only(FLOWER),
        "Flower can stop workers, so it has a login. The output is not stripped.",
    ),
)
_COMPONENT_NAMES = tuple(
    EnvVar(
        Env.COMPONENT,
        component.name,
        only(component),
        "Operators have settings for single components.",
    )
    for component in COMPONENTS
    if component in USES_AIRFLOW
)
ENVIRONMENT: tuple[EnvVar[Any], ...] = (*_COMPONENT_NAMES, *_ROWS)
"""Every plain variable, in the order in which a container and Airflow start."""


@dataclass(frozen=True)
class SecretVar:
    """A variable that ECS fills from Secrets Manager when a container starts."""

    name: str
    secret: Secret
    arn: Callable[[Platform], SecretArn]
    key: str = ""
    """The key of a JSON secret; empty for the whole text."""
    is_optional: bool = False
    """Whether the ARN may be empty; the variable is then left out."""


def _login(
    user: str, password: str, secret: Secret, arn: Callable[[Platform], SecretArn]
) -> tuple[SecretVar, SecretVar]:
    return (
        SecretVar(user, secret, arn, "username"),
        SecretVar(password, secret, arn, "password"),
    )


SECRETS = (
    *_login(
        *(Env.METADATA_USER, Env.METADATA_PASSWORD, Secret.METADATA),
        lambda platform: platform.database.airflow_secret_arn,
    ),
    *_login(
        *(Env.RESULTS_USER, Env.RESULTS_PASSWORD, Secret.RESULTS),
        lambda platform: platform.database.results_secret_arn,
    ),
    *_login(
        *(Env.SCALING_USER, Env.SCALING_PASSWORD, Secret.SCALING),
        lambda platform: platform.database.scaling_secret_arn,
    ),
    *_login(
        *(Env.BROKER_USER, Env.BROKER_PASSWORD, Secret.BROKER),
        lambda platform: platform.broker.secret_arn,
    ),
    *_login(
        *(Env.MASTER_USER, Env.MASTER_PASSWORD, Secret.MASTER),
        lambda platform: platform.database.admin_secret_arn,
    ),
    *_login(
        *(Env.ADMIN_USER, Env.ADMIN_PASSWORD, Secret.ADMIN),
        lambda platform: platform.secrets.admin_secret_arn,
    ),
    *_login(
        *("FLOWER_USER", "FLOWER_PASSWORD", Secret.FLOWER),
        lambda platform: platform.secrets.flower_secret_arn,
    ),
    SecretVar(
        "AIRFLOW__API_AUTH__JWT_SECRET",
        Secret.JWT,
        lambda platform: platform.secrets.jwt_secret_arn,
    ),
    SecretVar(
        "AIRFLOW__API__SECRET_KEY",
        Secret.API,
        lambda platform: platform.secrets.api_secret_arn,
    ),
    SecretVar(
        Env.FERNET_SECRET,
        Secret.FERNET,
        lambda platform: platform.secrets.fernet_secret_arn,
    ),
    SecretVar(
        Env.FERNET_SECRET_PREVIOUS,
        Secret.FERNET,
        lambda platform: platform.secrets.previous_fernet_secret_arn,
        is_optional=True,
    ),
)
"""Every variable with a secret in it."""


def secrets_of(component: AnyComponent) -> Iterator[SecretVar]:
    """Yield the variables with secrets that a component may hold."""
    return (row for row in SECRETS if row.secret in component.secrets)


def environment(component: AnyComponent, inputs: TaskInputs) -> list[ecs.Environment]:
    """Return a container's plain variables; the inputs are those of the component."""
    return [
        ecs.Environment(Name=row.name, Value=row.resolve(inputs))
        for row in ENVIRONMENT
        if component in row.components
    ]


def secrets(
    component: AnyComponent, platform: Platform, *, has_optional: ConditionName
) -> list[ecs.Secret | If]:
    """Return a container's variables with secrets.

    ``has_optional`` is the condition under which the optional ones have an ARN.
    """
    variables: list[ecs.Secret | If] = []
    for row in secrets_of(component):
        arn = row.arn(platform)
        source = Join("", [arn, f":{row.key}::"]) if row.key else arn
        secret = ecs.Secret(Name=row.name, ValueFrom=source)
        variables.append(
            If(has_optional, secret, NoValue) if row.is_optional else secret
        )
    return variables


def secret_arns(
    components: Iterable[AnyComponent],
    platform: Platform,
    *,
    has_optional: ConditionName,
) -> list[Value | If]:
    """Return the ARN of each secret that a task is started with, each once."""
    arns: dict[str, Value | If] = {}
    for row in (row for component in components for row in secrets_of(component)):
        arn = row.arn(platform)
        arns[arn.to_json()] = If(has_optional, arn, NoValue) if row.is_optional else arn
    return list(arns.values())
