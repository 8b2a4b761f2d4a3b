"""Constants that templates, tools and containers share, each written once.

The only module of this package that other packages import. It imports nothing, not
even from the standard library: a template build must not depend on what a container
holds, nor a container on what a build holds.

``bootstrap`` cannot import it, because it runs before the archive is there; a test
compares the names of its variables.
"""

# ruff: noqa: S105 - names of variables, not the secrets in them

# Airflow.

AIRFLOW_DISTRIBUTION = "apache-airflow-core"
AIRFLOW_VERSION_PREFIX = "3.3."
"""The Airflow that the configuration, the commands and the secrets support."""

DEFAULT_QUEUE = "default"
"""Airflow's ``[operators] default_queue``: the queue of tasks that name none."""


class Env:
    """Environment variables that task definitions set and the runtime reads."""

    RUNTIME_BUCKET = "RUNTIME_BUCKET"
    RUNTIME_KEY = "RUNTIME_KEY"
    RUNTIME_SHA256 = "RUNTIME_SHA256"
    RUNTIME_PATH = "RUNTIME_PATH"

    COMPONENT = "COMPONENT"
    """Name of the container's component, for settings that are for it alone."""

    AIRFLOW_CONFIG = "AIRFLOW_CONFIG"
    """Airflow's configuration file, which the container's start writes."""

    DEFAULT_OPTIONS = "DEFAULT_OPTIONS"
    AIRFLOW_OPTIONS = "AIRFLOW_OPTIONS"
    """Options of Airflow as JSON (``operator_settings``): of the templates, and of the
    operator."""

    SECRETS_PREFIX = "SECRETS_PREFIX"
    """Where connections and variables are in Secrets Manager, or nothing."""

    ENABLE_SECRETS_AT_PARSING = "ENABLE_SECRETS_AT_PARSING"
    """Whether a component that runs DAG code outside of tasks reads them too."""

    OPERATOR_VARIABLES = "OPERATOR_VARIABLES"
    """The operator's environment variables as JSON."""

    PGSSLROOTCERT = "PGSSLROOTCERT"
    """libpq and asyncpg read the certificate authorities from this file."""

    METADATA_HOST = "METADATA_HOST"
    METADATA_PORT = "METADATA_PORT"
    METADATA_NAME = "METADATA_NAME"
    METADATA_USER = "METADATA_USER"
    METADATA_PASSWORD = "METADATA_PASSWORD"
    """The metadata database, and the role of Airflow that owns it."""

    RESULTS_HOST = "RESULTS_HOST"
    RESULTS_PORT = "RESULTS_PORT"
    RESULTS_NAME = "RESULTS_NAME"
    RESULTS_USER = "RESULTS_USER"
    RESULTS_PASSWORD = "RESULTS_PASSWORD"
    """The database of Celery's results, and the role that owns it."""

    BROKER_HOST = "BROKER_HOST"
    BROKER_PORT = "BROKER_PORT"
    BROKER_USER = "BROKER_USER"
    BROKER_PASSWORD = "BROKER_PASSWORD"

    MASTER_USER = "MASTER_USER"
    MASTER_PASSWORD = "MASTER_PASSWORD"
    """The master user of the database cluster; the migration job alone has it."""

    SCALING_USER = "SCALING_USER"
    SCALING_PASSWORD = "SCALING_PASSWORD"
    """The role of the autoscaler, which may only read."""

    ADMIN_USER = "ADMIN_USER"
    ADMIN_PASSWORD = "ADMIN_PASSWORD"
    """The first login of the Airflow UI."""

    SIGN_ON_CONFIG = "SIGN_ON_CONFIG"
    """File for the API server's settings of single sign-on (``single_sign_on``)."""

    OIDC_ISSUER = "OIDC_ISSUER"
    OIDC_CLIENT_ID = "OIDC_CLIENT_ID"
    OIDC_CLIENT_SECRET = "OIDC_CLIENT_SECRET"
    OIDC_SCOPES = "OIDC_SCOPES"
    OIDC_GROUPS_CLAIM = "OIDC_GROUPS_CLAIM"
    OIDC_ROLES = "OIDC_ROLES"
    OIDC_DEFAULT_ROLE = "OIDC_DEFAULT_ROLE"
    LOCAL_ADMIN = "LOCAL_ADMIN"
    """Single sign-on, as in the parameters of the stack."""

    FERNET_SECRET = "FERNET_SECRET"
    FERNET_SECRET_PREVIOUS = "FERNET_SECRET_PREVIOUS"

    WORKER_SLOTS = "WORKER_SLOTS"
    """Task instances that the workers of all pools can run at once, as a sum of
    products: ``10*8+25*4``. CloudFormation knows the numbers and cannot calculate."""

    WORKER_POOL = "WORKER_POOL"
    LONGEST_TASK_MINUTES = "LONGEST_TASK_MINUTES"
    SCALING_POOLS = "SCALING_POOLS"
    """The settings of all pools as JSON (``autoscaler.settings``)."""

    CLUSTER_NAME = "CLUSTER_NAME"

    AIRFLOW_METRICS = "AIRFLOW_METRICS"
    METRICS_PIPE = "METRICS_PIPE"
    METRICS_PROCESS = "METRICS_PROCESS"
    """Whether Airflow's metrics are published, the pipe by which the processes of a
    container hand theirs over, and the ID of the process that publishes them."""

    RELAY_URL = "RELAY_URL"
    RELAY_BUCKET = "RELAY_BUCKET"
    RELAY_RUN = "RELAY_RUN"
    """The verification relay: where it sends requests, where it finds them, and the
    name of the run, which ``verify`` sets when it starts the task."""


POOL_TARGET = "pool "
"""Before the name of a pool, where settings name a pool and not a component."""

# Files in a container.

RUNTIME_PATH = "/tmp/airflow-runtime.zip"  # noqa: S108 - one user in the container
"""Where the bootstrap puts the runtime archive; a path entry of every Python there."""

CERTIFICATES_PATH = "/tmp/rds-ca.pem"  # noqa: S108 - as above
"""Where the bootstrap puts the certificate authorities of RDS."""

# DAG releases: objects of a bundle in the release bucket, below the bundle's name.

RELEASE_FORMAT = 1
"""Format of pointer and archives. A reader refuses a higher one, and a client never
replaces a pointer of a higher one."""

RELEASE_POINTER = "current.json"
"""The one object that is ever replaced. It names the current version, which is the
SHA-256 of an archive, and those before."""

RELEASE_ARCHIVES = "archives"
"""Folder of the archives, each ``<SHA-256>.tar.gz``."""

RELEASE_FILES = 10_000
RELEASE_BYTES = 512 * 1024 * 1024
"""Most files of a release, and their size unpacked: bounds for the disk of a worker and
for the time that its first task waits."""

RELEASE_BUNDLE = "fargate_runtime.release_bundle.ReleaseBundle"
"""The bundle class that Airflow imports."""

CONFIG_PATH = "/tmp/airflow.cfg"  # noqa: S108 - as above
"""Where the container's start writes Airflow's configuration."""

METRICS_PIPE_PATH = "/tmp/airflow-metrics"  # noqa: S108 - as above
"""Where the publishing process makes the pipe."""

SIGN_ON_PATH = "/tmp/webserver_config.py"  # noqa: S108 - as above
"""Where the API server's start writes its settings of single sign-on."""

NO_ROLE = "none"
"""The default role that refuses the login."""

# Connections and variables in Secrets Manager.

SECRETS_BACKEND = "fargate_runtime.secrets_backend.SecretsManager"
"""The class that Airflow imports."""

CONNECTIONS_FOLDER = "connections"
VARIABLES_FOLDER = "variables"
"""Between the prefix and the name."""

# Databases.

METADATA_DATABASE = "airflow"
RESULTS_DATABASE = "celery_results"
"""The databases inside the Aurora cluster; the migration job creates them."""

CONNECT_ARGS = {
    "connect_timeout": 15,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 5,
    "tcp_user_timeout": 30_000,
}
"""For psycopg2, in seconds but for the last, in milliseconds.

A writer that fails over without a word is noticed within half a minute, idle or
not, instead of after the kernel's quarter of an hour.
"""

# Migration job.

DATABASE_WAIT_SECONDS = 300
"""How long a database may take to answer: Aurora resumes from a pause in seconds,
a restored one takes its new master password within minutes."""

MIGRATION_LIMIT_SECONDS = 50 * 60
"""How long the job may take. CloudFormation gives up on a custom resource after an
hour, and the stack event then shows no reason."""

MIGRATION_DONE = "MIGRATION DONE"
MIGRATION_FAILED = "MIGRATION FAILED: "
"""The last line of the job's log begins with one of them; the reason follows."""

MIGRATION_JOB_FAILED = "migration job failed"
"""Begins the reason of the stack event; ``diagnose`` looks for it."""

# Verification relay.

RELAY_FOLDER = "verification"
"""Prefix in the log bucket; below it each run has a folder of its name."""

RELAY_IDLE_SECONDS = 120
"""Without a request for so long, the relay ends: ``verify`` was killed."""

RELAY_LIMIT_SECONDS = 45 * 60
"""The relay ends in any case."""

# Task protection.

SHORTEST_PROTECTION_MINUTES = 1
LONGEST_PROTECTION_MINUTES = 2880
"""Bounds that ECS sets for the duration of a task protection."""

PROTECTION_MARGIN_MINUTES = 10
"""Requested beyond the longest task. Two renewals, so that a task taken just before a
renewal, and the one after it being refused, is still covered to its end."""

# Tasks that run too long.

LONGEST_TASK_PARAMETER = "LongestTaskMinutes"
"""The parameter of the stack; messages of a worker name it."""

LONG_TASK_GRACE_MINUTES = 5
"""Between the alarm on a task that runs too long and its end. Less than the protection
margin: the worker is still protected when it ends the task."""

# Scaling.

POOL_TAG = "airflow:pool"
"""Tag of every worker service; its value is the name of the pool. No tag of the stack,
which would be on every service, may have this name (``compiler/tags.py``)."""

METRIC_NAMESPACE = "AirflowOnFargate"
"""The only namespace that the autoscaler's role may write to."""

CLUSTER_DIMENSION = "ClusterName"
POOL_DIMENSION = "Pool"
"""A metric of a pool has both dimensions, a metric of all pools the cluster alone."""

WORKER_DEFICIT = "WorkerDeficit"
"""Workers to add now, beyond those that start already and those that were revived."""

WORKER_SURPLUS = "WorkerSurplus"
"""Workers that are drained, idle and unprotected: those that may be stopped."""

AUTOSCALER_HEARTBEAT = "AutoscalerHeartbeat"
"""1 for every round in which the autoscaler read fresh numbers for the pool."""

STALLED_TASKS = "StalledTasks"
"""Tasks that wait in the queue of a pool in which no task runs."""

OVERDUE_TASKS = "OverdueTasks"
"""Tasks of a pool that have run for longer than ``LongestTaskMinutes``."""

UNKNOWN_QUEUE_TASKS = "UnknownQueueTasks"
"""Tasks that wait in queues which no pool serves."""

STALE_BUNDLES = "StaleBundles"
"""DAG bundles that were not refreshed for ``STALE_BUNDLE_SECONDS``."""

STALE_BUNDLE_SECONDS = 150
"""Two refreshes that failed, and half a minute for one that takes long: bundles are
refreshed every 60 s. With the minute of the alarm, less than five minutes. A deployment
stops no DAG processor before the next one is healthy."""

WORKERS = "Workers"
"""The sum of the desired counts of all pools."""

POOL_METRICS = (
    *(WORKER_DEFICIT, WORKER_SURPLUS, AUTOSCALER_HEARTBEAT),
    *(STALLED_TASKS, OVERDUE_TASKS),
)
CLUSTER_METRICS = (UNKNOWN_QUEUE_TASKS, STALE_BUNDLES, WORKERS)

# Airflow's own metrics, which ``airflow_metrics`` publishes in the same namespace.

QUEUE_DIMENSION = "Queue"
SLOT_POOL_DIMENSION = "AirflowPool"
"""A pool of Airflow's, which has slots; ``Pool`` is a pool of workers."""

MOST_DIMENSION_VALUES = 20
"""Queues, and pools of slots, that have metrics of their own; ``OTHERS`` is the rest,
so that no DAG makes metrics without end."""

OTHERS = "(others)"

COUNT, SECONDS = "Count", "Seconds"
"""Units of CloudWatch."""

SCHEDULER_HEARTBEAT = "SchedulerHeartbeat"
DAG_PROCESSOR_HEARTBEAT = "DagProcessorHeartbeat"
TRIGGERER_HEARTBEAT = "TriggererHeartbeat"
IMPORT_ERRORS = "ImportErrors"
FAILED_RUN_SECONDS = "FailedDagRunSeconds"
OPEN_SLOTS = "PoolOpenSlots"
SCHEDULED_SLOTS = "PoolScheduledSlots"

AIRFLOW_METRICS = (
    # The scheduler, and the DAG runs.
    (SCHEDULER_HEARTBEAT, "scheduler_heartbeat", COUNT, ""),
    ("SchedulerLoopSeconds", "scheduler.scheduler_loop_duration", SECONDS, ""),
    ("ExecutorOpenSlots", "executor.open_slots", COUNT, ""),
    ("DagRunsRunning", "scheduler.dagruns.running", COUNT, ""),
    ("ScheduleDelaySeconds", "dagrun.schedule_delay", SECONDS, ""),
    ("FirstTaskDelaySeconds", "dagrun.first_task_scheduling_delay", SECONDS, ""),
    ("SucceededDagRunSeconds", "dagrun.duration.success", SECONDS, ""),
    (FAILED_RUN_SECONDS, "dagrun.duration.failed", SECONDS, ""),
    ("TasksKilledExternally", "scheduler.tasks.killed_externally", COUNT, ""),
    ("TasksWithoutHeartbeat", "task_instances_without_heartbeats_killed", COUNT, ""),
    ("OrphanedTasksCleared", "scheduler.orphaned_tasks.cleared", COUNT, ""),
    ("CeleryPublishTimeouts", "celery.task_timeout_error", COUNT, ""),
    # The DAG processor.
    (DAG_PROCESSOR_HEARTBEAT, "dag_processor_heartbeat", COUNT, ""),
    (IMPORT_ERRORS, "dag_processing.import_errors", COUNT, ""),
    ("ParseSeconds", "dag_processing.total_parse_time", SECONDS, ""),
    ("FileParseSeconds", "dag_processing.last_duration", SECONDS, ""),
    ("ParseTimeouts", "dag_processing.processor_timeouts", COUNT, ""),
    ("FilesToParse", "dag_processing.file_path_queue_size", COUNT, ""),
    ("Dags", "dagbag_size", COUNT, ""),
    # The triggerer.
    (TRIGGERER_HEARTBEAT, "triggerer_heartbeat", COUNT, ""),
    ("TriggersRunning", "triggers.running", COUNT, ""),
    ("TriggererCapacityLeft", "triggerer.capacity_left", COUNT, ""),
    ("TriggersFailed", "triggers.failed", COUNT, ""),
    ("TriggersSucceeded", "triggers.succeeded", COUNT, ""),
    ("TriggersBlocked", "triggers.blocked_main_thread", COUNT, ""),
    # Task instances, by queue.
    ("TasksScheduled", "ti.scheduled", COUNT, QUEUE_DIMENSION),
    ("TasksQueued", "ti.queued", COUNT, QUEUE_DIMENSION),
    ("TasksRunning", "ti.running", COUNT, QUEUE_DIMENSION),
    ("TasksDeferred", "ti.deferred", COUNT, QUEUE_DIMENSION),
    # Slots, by pool of Airflow's.
    (OPEN_SLOTS, "pool.open_slots", COUNT, SLOT_POOL_DIMENSION),
    (SCHEDULED_SLOTS, "pool.scheduled_slots", COUNT, SLOT_POOL_DIMENSION),
    # Tasks that ended, by pool of workers.
    ("TaskSeconds", "task.duration", SECONDS, POOL_DIMENSION),
    ("TasksSucceeded", "ti.finish=success", COUNT, POOL_DIMENSION),
    ("TasksFailed", "ti.finish=failed", COUNT, POOL_DIMENSION),
    ("TasksToRetry", "ti.finish=up_for_retry", COUNT, POOL_DIMENSION),
)
"""Name in CloudWatch, Airflow's own name (with the state for the end of a task), unit,
and dimension beside the cluster. Whatever is not here is not published: a metric that
is published costs money each month."""

STARVING_POOLS = "StarvingPools"
"""Pools of Airflow's without an open slot, while tasks are scheduled for them."""

STORAGE_RESOLUTION = 1
"""``StorageResolution`` of PutMetricData; 60 would make a ten-second alarm blind."""

ROUND_SECONDS = 10
"""How often the autoscaler decides and publishes; the period of the scaling alarms."""

BALANCED = "balanced"
ECONOMY = "economy"
SCALING_PROFILES = (BALANCED, ECONOMY)
"""What a pool prefers where cost and waiting time conflict."""

TARGET_START_SECONDS = {BALANCED: 15, ECONOMY: 45}
"""The wait that a profile aims at, unless the pool sets another. Predicted tasks meet
it; tasks that nothing announced wait for a worker to start."""

SCALE_IN_DELAY_SECONDS = {BALANCED: 30, ECONOMY: 20}
"""How long fewer workers must suffice before one is drained, unless the pool sets
another. A drained worker that still has tasks is revived at once, so a short delay
will do."""

MOST_WORKERS = 5000
"""Tasks that ECS allows in one service."""
