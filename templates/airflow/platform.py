"""What every Airflow task runs on, as one record that crosses nested stacks whole.

The parent builds it once. A nested template takes ``platform: Platform`` and declares
only the members it uses, so its parameters show what its tasks depend on.
"""

from __future__ import annotations

from compiler.parameters import WRITTEN_AS_OBJECT
from compiler.wiring import AssetBucket, AssetDigest, AssetKey, Record, about
from templates.types import (
    AirflowSecrets,
    Architecture,
    Boolean,
    Broker,
    Buckets,
    ClaimName,
    ClientId,
    Cluster,
    Database,
    DefaultRole,
    GroupRoles,
    Image,
    IssuerUrl,
    JsonText,
    KeyArn,
    LogDays,
    Minutes,
    PolicyArn,
    PolicyArns,
    RoleArns,
    Scopes,
    SecretKey,
    SecretsPrefix,
    SubnetIds,
    TaskSecurityGroups,
    Text,
    Url,
)


class AirflowSettings(Record):
    """The operator's settings of all Airflow tasks.

    Each is a parameter of the parent by its own name, with the default and the
    constraints written here, and a member of :class:`Platform`.
    """

    longest_task_minutes: Minutes = about(
        "Minutes the longest task may run; an alarm rings when one runs longer, and "
        "5 minutes later its worker ends it, as Airflow's execution_timeout ends no "
        "task that hangs in native code. An update waits for running tasks too; "
        "CloudFormation gives up after 2160.",
        group="Components",
        label="Longest task",
        Default=720,
        MinValue=10,
        MaxValue=2820,
    )
    airflow: JsonText = about(
        "Options of Airflow as JSON: "
        '{"core.default_task_retries": "3", "worker": {...}, "pool spot": {...}}. '
        "docs/configuration.md has what else may be named.",
        group="Airflow",
        label="Airflow options",
        tags=[WRITTEN_AS_OBJECT],
        Default="",
    )
    environment: JsonText = about(
        "Environment variables as JSON, no secrets: "
        '{"NAME": "value", "worker": {...}, "pool spot": {...}}.',
        group="Airflow",
        label="Environment variables",
        tags=[WRITTEN_AS_OBJECT],
        Default="",
    )
    airflow_metrics: Boolean = about(
        "Whether some 35 of Airflow's own metrics go to CloudWatch, with alarms; some "
        "13 USD a month. Turn it off to send them elsewhere, by OpenTelemetry.",
        group="Airflow",
        label="Airflow metrics",
        Default="true",
    )
    secrets_prefix: SecretsPrefix = about(
        "Where Airflow looks for connections and variables in Secrets Manager: "
        "PREFIX/connections/ID and PREFIX/variables/KEY. The API server alone reads "
        "them, for all tasks. Empty for off.",
        group="Airflow",
        label="Prefix of secrets",
        Default="",
    )
    enable_secrets_at_parsing: Boolean = about(
        "Whether the DAG processor and the triggerer may read these secrets too: for "
        "DAG files that use them outside of tasks, and for deferred operators. DAG "
        "authors can then read every one of them.",
        group="Airflow",
        label="Secrets outside of tasks",
        Default="false",
    )
    enable_execute_command: Boolean = about(
        "Whether operators may open a shell, or forward a port, into a task. "
        "Sessions are logged and encrypted.",
        group="Hardening",
        label="ECS Exec",
        Default="false",
    )
    readonly_root_filesystem: Boolean = about(
        "Whether the containers' root file systems are read-only. Excludes ECS "
        "Exec and needs an image that declares its writable folders as volumes.",
        group="Hardening",
        label="Read-only root",
        Default="false",
    )
    permissions_boundary_arn: PolicyArn = about(
        "Managed policy that bounds every role. Empty for none.",
        group="Hardening",
        label="Permissions boundary",
        Default="",
    )
    extra_policy_arns: PolicyArns = about(
        "Managed policies to attach to the roles of the workers, the DAG "
        "processor and the triggerer, which run your code. A pool can have a list of "
        "its own instead.",
        group="Hardening",
        label="Extra policies",
        Default="",
    )
    assumable_role_arns: RoleArns = about(
        "Roles, such as those of other accounts, that the roles of the workers, the "
        "DAG processor and the triggerer may assume. A pool can have a list of its own "
        "instead.",
        group="Hardening",
        label="Assumable roles",
        Default="",
    )


class SingleSignOn(Record):
    """Login by an OpenID Connect provider; each is a parameter of the parent."""

    oidc_issuer: IssuerUrl = about(
        "Issuer of an OpenID Connect provider that users log in with; "
        "docs/single-sign-on.md says what to register there. Empty for logins with "
        "passwords only.",
        group="Single sign-on",
        label="Issuer",
        Default="",
    )
    oidc_client_id: ClientId = about(
        "Client that is registered with the provider for this environment.",
        group="Single sign-on",
        label="Client ID",
        Default="",
    )
    oidc_client_secret_arn: SecretKey = about(
        "Secret of Secrets Manager with the client's secret, or with :key at its end "
        "a key of that secret. Only the API servers get it.",
        group="Single sign-on",
        label="Client secret",
        Default="",
    )
    oidc_scopes: Scopes = about(
        "Scopes to ask the provider for.",
        group="Single sign-on",
        label="Scopes",
        Default="openid email profile",
    )
    oidc_groups_claim: ClaimName = about(
        "Claim that holds the groups of a user.",
        group="Single sign-on",
        label="Groups claim",
        Default="groups",
    )
    oidc_roles: GroupRoles = about(
        "Roles of groups: data-admins=Admin, analysts=Viewer. At each login a user "
        "gets the roles of their groups, and loses all others.",
        group="Single sign-on",
        label="Roles of groups",
        Default="",
    )
    oidc_default_role: DefaultRole = about(
        "Role of users who are in none of these groups; none refuses their login.",
        group="Single sign-on",
        label="Default role",
        Default="none",
    )
    local_admin: Boolean = about(
        "Whether users with a password still log in beside single sign-on. false "
        "closes the form, and refuses the password of a user with the role Admin.",
        group="Single sign-on",
        label="Local logins",
        Default="true",
    )


class RuntimeArchive(Record):
    """The archive of our code that every container downloads."""

    bucket: AssetBucket = about("Bucket of the runtime archive.")
    key: AssetKey = about("Object key of the runtime archive.")
    sha256: AssetDigest = about("SHA-256 of the runtime archive, in hexadecimal.")


class Platform(Record):
    """Everything that an Airflow task of any component may depend on."""

    image: Image = about("Container image that holds Airflow.")
    runtime: RuntimeArchive = about("Our code beside it.")
    architecture: Architecture = about("Processor of all tasks but the workers.")
    cluster: Cluster = about("Cluster of the tasks.")
    subnet_ids: SubnetIds = about("Subnets of the tasks.")
    groups: TaskSecurityGroups = about("Security groups of the tasks.", flat=True)
    key_arn: KeyArn = about("KMS key for logs, secrets and objects.")
    log_days: LogDays = about("Days to keep the logs of the containers.")
    database: Database = about("Aurora: Airflow's metadata and Celery's results.")
    broker: Broker = about("Valkey: Celery's queues.")
    secrets: AirflowSecrets = about("Secrets of the components.", flat=True)
    buckets: Buckets = about("Buckets of DAGs and task logs.", flat=True)
    url: Url = about("Address of the Airflow UI, for links.")
    is_https: Boolean = about("Whether that address begins with https.")
    worker_slots: Text = about("Task instances that all pools can run, as a sum.")
    default_options: Text = about("Options of Airflow that operators may replace.")
    settings: AirflowSettings = about("Settings of all tasks.", flat=True)
    sign_on: SingleSignOn = about("How users log in.", flat=True)
