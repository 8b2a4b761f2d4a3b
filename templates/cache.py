"""Valkey, the Celery broker: one shard, TLS, one user, no eviction.

Cluster mode and ElastiCache Serverless are left out: Celery's commands use keys of
several slots and fail there with CROSSSLOT (celery #9019). ElastiCache cannot publish
failovers to our topic, since it takes unencrypted topics only; the monitoring stack has
an alarm for them.

The password changes only manually: put a new one into the secret, update the user, then
force a new deployment of the services. Celery keeps it in memory.
"""

from __future__ import annotations

from troposphere import (
    Equals,
    GetAtt,
    If,
    Join,
    Ref,
    Select,
    Split,
    StackId,
    Sub,
    elasticache,
    logs,
)

from compiler.wiring import Interface, Template, about
from templates.resources.conditions import boolean
from templates.resources.generated_login import login
from templates.resources.ports import VALKEY
from templates.resources.stack_tag import stack_tag
from templates.types import (
    Boolean,
    Broker,
    CacheId,
    CacheNodeType,
    Days,
    HostName,
    KeyArn,
    LogDays,
    LogGroupName,
    PortNumber,
    SecretArn,
    SecurityGroupId,
    SubnetIds,
)

ENGINE = "valkey"
ENGINE_VERSION = "8.2"
"""Newer versions have nothing that Celery uses."""
PARAMETER_FAMILY = "valkey8"

CELERY_USER = "celery"
ACCESS = "on ~* &* +@all -@dangerous +info"
"""Permissions of Celery, by measurement: a worker, tasks, priorities, redelivery and
remote control of celery 5.6.3 and kombu 5.6.2 ran with no command refused. All
channels, or remote control fails (celery #8724). KEYS, FLUSHALL and CONFIG are
dangerous and unused; INFO is in that category too, yet only describes the server."""

SNAPSHOT_WINDOW = "02:00-03:00"
MAINTENANCE_WINDOW = "sun:04:00-sun:05:00"
"""In UTC and apart from the snapshot window, like the database's."""


class Inputs(Interface):
    """Network, key and size of the broker."""

    subnet_ids: SubnetIds = about("Subnets of the cache.")
    group_id: SecurityGroupId = about("Security group of the cache.")
    key_arn: KeyArn = about("KMS key of the data, the secret and the logs.")
    node_type: CacheNodeType = about("Size of a Valkey node.")
    enable_replica: Boolean = about("Whether there is a replica.")
    enable_failover: Boolean = about(
        "Whether the replica lies in another zone and takes over."
    )
    snapshot_days: Days = about("Days to keep daily snapshots.")
    log_days: LogDays = about("Days to keep the logs.")


class Outputs(Interface):
    """Connection of the broker, and its identifiers."""

    connection: Broker = about("Address and secret of the broker.")
    cache_id: CacheId = about("The replication group, for alarms.")
    slow_log_group_name: LogGroupName = about("Log of slow commands.", public=True)
    engine_log_group_name: LogGroupName = about("Log of the engine.", public=True)


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the user, the parameters, the logs and the nodes."""
    has_replica = t.condition("HasReplica", Equals(inputs.enable_replica, "true"))
    has_failover = t.condition("HasFailover", Equals(inputs.enable_failover, "true"))

    # Login and permissions.
    secret = t.add(
        login("CeleryLogin", CELERY_USER, inputs.key_arn),
        "Login of schedulers and workers in the broker.",
    )
    user = t.add(
        elasticache.User(
            "CeleryUser",
            UserId=_unique(CELERY_USER),
            UserName=CELERY_USER,
            Tags=stack_tag(),
            Engine=ENGINE,
            AccessString=ACCESS,
            AuthenticationMode=elasticache.AuthenticationMode(
                Type="password",
                Passwords=[
                    Sub(
                        f"{{{{resolve:secretsmanager:${{{secret.title}}}"
                        ":SecretString:password}}"
                    )
                ],
            ),
        ),
        "The only user: every queue and channel, no administration.",
        why="ElastiCache requires an ID of at most 40 characters. It consists of the "
        "stack's own ID, unique however long the stack's name is, and of the user's "
        "name: the one property besides the ID that replaces a user, so a replacement "
        "never has the same ID.",
    )
    users = t.add(
        elasticache.UserGroup(
            "Users",
            UserGroupId=_unique("users"),
            Tags=stack_tag(),
            Engine=ENGINE,
            UserIds=[Ref(user)],
        ),
        "Admits the Celery user alone.",
        why="A group of engine valkey needs no user named default, so there is no "
        "access without a password.",
    )

    # Network, parameters and logs.
    subnets = t.add(
        elasticache.SubnetGroup(
            "Subnets",
            Description="Isolated subnets of the broker.",
            SubnetIds=inputs.subnet_ids,
            Tags=stack_tag(),
        ),
        "Places the broker in the isolated subnets.",
    )
    settings = t.add(
        elasticache.ParameterGroup(
            "Settings",
            Description="Never evict a key.",
            CacheParameterGroupFamily=PARAMETER_FAMILY,
            Properties={"maxmemory-policy": "noeviction"},
            Tags=stack_tag(),
        ),
        "Makes a full broker reject new messages instead of dropping old ones.",
        why="An evicted key is a lost task that stays queued forever, without an "
        "error. ElastiCache's default, volatile-lru, evicts.",
    )
    slow_log = t.add(
        _log("SlowLog", inputs),
        "Log of slow commands.",
    )
    engine_log = t.add(
        _log("EngineLog", inputs),
        "Log of the engine: failovers, synchronisations, full memory.",
    )

    group = t.add(
        elasticache.ReplicationGroup(
            "Nodes",
            DeletionPolicy="Snapshot",
            UpdateReplacePolicy="Snapshot",
            ReplicationGroupDescription="Celery broker of Airflow.",
            Engine=ENGINE,
            EngineVersion=ENGINE_VERSION,
            AutoMinorVersionUpgrade=True,
            ClusterMode="disabled",
            CacheNodeType=inputs.node_type,
            NumCacheClusters=If(has_replica, 2, 1),
            AutomaticFailoverEnabled=boolean(has_failover),
            MultiAZEnabled=boolean(has_failover),
            CacheParameterGroupName=Ref(settings),
            CacheSubnetGroupName=Ref(subnets),
            SecurityGroupIds=[inputs.group_id],
            Port=VALKEY,
            UserGroupIds=[Ref(users)],
            TransitEncryptionEnabled=True,
            AtRestEncryptionEnabled=True,
            KmsKeyId=inputs.key_arn,
            SnapshotRetentionLimit=inputs.snapshot_days,
            SnapshotWindow=SNAPSHOT_WINDOW,
            PreferredMaintenanceWindow=MAINTENANCE_WINDOW,
            LogDeliveryConfigurations=[
                _delivery("slow-log", slow_log),
                _delivery("engine-log", engine_log),
            ],
            Tags=stack_tag(),
        ),
        "Holds the queues between schedulers and workers.",
        why="One shard, since Celery cannot use more. The user group excludes an AUTH "
        "token. Snapshots keep queued messages, which carry the tokens of their tasks; "
        "hence the key at rest. Replica and failover are two switches: in one update "
        "ElastiCache would be asked for the failover before the replica exists, and "
        "refuses it. TransitEncryptionEnabled alone requires TLS in a new group; the "
        "mode is a property for migrations of existing ones.",
    )

    return Outputs(
        connection=Broker(
            host=HostName(GetAtt(group, "PrimaryEndPoint.Address")),
            port=PortNumber(GetAtt(group, "PrimaryEndPoint.Port")),
            secret_arn=SecretArn(Ref(secret)),
        ),
        cache_id=CacheId(Ref(group)),
        slow_log_group_name=LogGroupName(Ref(slow_log)),
        engine_log_group_name=LogGroupName(Ref(engine_log)),
    )


def _unique(name: str) -> Join:
    """Return ``name`` and the 32 digits of the stack's ID, as ElastiCache allows it."""
    stack_uuid = Select(2, Split("/", StackId))
    return Join("-", [name, Join("", Split("-", stack_uuid))])


def _log(name: str, inputs: Inputs) -> logs.LogGroup:
    return logs.LogGroup(
        name,
        DeletionPolicy="RetainExceptOnCreate",
        UpdateReplacePolicy="Retain",
        RetentionInDays=inputs.log_days,
        KmsKeyId=inputs.key_arn,
    )


def _delivery(
    log_type: str, log: logs.LogGroup
) -> elasticache.LogDeliveryConfigurationRequest:
    return elasticache.LogDeliveryConfigurationRequest(
        LogType=log_type,
        LogFormat="json",
        DestinationType="cloudwatch-logs",
        DestinationDetails=elasticache.DestinationDetails(
            CloudWatchLogsDetails=elasticache.CloudWatchLogsDestinationDetails(
                LogGroup=Ref(log)
            )
        ),
    )
