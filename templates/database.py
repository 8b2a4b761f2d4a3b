"""Aurora PostgreSQL Serverless v2: a writer, an optional reader, and their logins.

It creates no database inside the cluster and no role: the migration job does, with the
owner that each needs, so a restored cluster and a new one are the same to it.
The operating-system metrics go to the account's log group RDSOSMetrics, which all
databases share, so no stack can own it.

A restore is a launch with ``snapshot_id``, and an ``engine_version`` that is not older
than the snapshot's. Never remove the snapshot's ID: without it CloudFormation replaces
the cluster by an empty one.
"""

from __future__ import annotations

from troposphere import (
    Equals,
    GetAtt,
    If,
    Not,
    NoValue,
    Or,
    Ref,
    Sub,
    iam,
    logs,
    rds,
)

from compiler.wiring import Interface, Template, about
from templates.checks.aurora import SMALLEST_FOR_INSIGHTS, halves_below
from templates.resources.assume_role import trust
from templates.resources.conditions import boolean
from templates.resources.generated_login import login
from templates.resources.ports import POSTGRESQL
from templates.types import (
    AuroraCapacity,
    AuroraVersion,
    Boolean,
    Database,
    DatabaseArn,
    DatabaseId,
    Days,
    HostName,
    KeyArn,
    LogDays,
    LogGroupName,
    PolicyArn,
    PortNumber,
    SecretArn,
    SecurityGroupId,
    SnapshotId,
    SubnetIds,
    TopicArn,
)

ENGINE = "aurora-postgresql"
PARAMETER_FAMILY = "aurora-postgresql17"
"""Of the one major version that types.AuroraVersion allows."""

MASTER_USER = "airflow_master"
"""Not postgres or admin, which attackers try first (RDS.24); for migrations alone."""
AIRFLOW_USER = "airflow"
RESULTS_USER = "celery_results"
SCALING_USER = "airflow_scaling"

SETTINGS = {
    "rds.force_ssl": "1",
    # The migration job sends ALTER ROLE ... PASSWORD; "ddl" would log what follows.
    "log_statement": "none",
    # Milliseconds. Airflow's scheduler loop suffers from any query this slow.
    "log_min_duration_statement": "1000",
    # Schedulers share the work by row locks, so lock waits belong in the log.
    "log_lock_waits": "1",
    # KiB. A sort that spills this much needs memory or an index.
    "log_temp_files": "10240",
}

BACKUP_WINDOW = "02:00-03:00"
MAINTENANCE_WINDOW = "sun:04:00-sun:05:00"
"""In UTC and apart from the backup window: RDS refuses an overlap."""

MONITORING_SECONDS = 60
SERVERLESS = "db.serverless"
WRITER_TIER = 0
READER_TIER = 1
"""Tiers 0 and 1 keep the writer's capacity, so a failover meets a warm instance."""

CLUSTER_EVENTS = ["configuration change", "failover", "failure", "maintenance"]
INSTANCE_EVENTS = ["availability", "configuration change", "failure", "maintenance"]
"""Without those of daily work, such as backups and the steps of the capacity."""


class Inputs(Interface):
    """Network, key, size and protection of the database."""

    subnet_ids: SubnetIds = about("Subnets of the database.")
    group_id: SecurityGroupId = about("Security group of the database.")
    key_arn: KeyArn = about("KMS key of the data, backups, secrets and logs.")
    engine_version: AuroraVersion = about("Version of Aurora PostgreSQL.")
    min_capacity: AuroraCapacity = about("Fewest Aurora capacity units.")
    max_capacity: AuroraCapacity = about("Most Aurora capacity units.")
    enable_reader: Boolean = about("Whether there is a second instance.")
    backup_days: Days = about("Days to keep automatic backups.")
    deletion_protection: Boolean = about("Whether the cluster is protected.")
    snapshot_id: SnapshotId = about("Cluster snapshot to restore from, or nothing.")
    log_days: LogDays = about("Days to keep the database's log.")
    alarm_topic_arn: TopicArn = about("Topic of failovers and failures.")
    permissions_boundary_arn: PolicyArn = about("Boundary of the role, or nothing.")


class Outputs(Interface):
    """Connection of the database, and its identifiers."""

    connection: Database = about("Address and secrets of the database.")
    cluster_id: DatabaseId = about("The Aurora cluster, for alarms.")
    cluster_arn: DatabaseArn = about("The Aurora cluster, for AWS Backup.")
    log_group_name: LogGroupName = about("Log of PostgreSQL.", public=True)


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the logins, the cluster, its instances and its events."""
    is_restored = t.condition("IsRestored", Not(Equals(inputs.snapshot_id, "")))
    has_reader = t.condition("HasReader", Equals(inputs.enable_reader, "true"))
    has_boundary = t.condition(
        "HasBoundary", Not(Equals(inputs.permissions_boundary_arn, ""))
    )
    is_protected = t.condition(
        "IsProtected", Equals(inputs.deletion_protection, "true")
    )
    has_insights = t.condition(
        "HasInsights",
        Not(
            Or(
                *(
                    Equals(inputs.min_capacity, units)
                    for units in halves_below(SMALLEST_FOR_INSIGHTS)
                )
            )
        ),
    )

    # Logins. RDS generates the master's password itself.
    airflow = t.add(
        login("AirflowLogin", AIRFLOW_USER, inputs.key_arn),
        "Login of Airflow in its metadata database, with a role of its own.",
        why="Deleted with the stack: the migration job sets the role's password from "
        "this secret each time, so a restored cluster accepts a new one.",
    )
    results = t.add(
        login("ResultsLogin", RESULTS_USER, inputs.key_arn),
        "Login of Celery in the database of its results, and no other.",
        why="Workers run the DAG authors' code and hold this secret; with the role of "
        "Airflow they could read every connection.",
    )
    autoscaler = t.add(
        login("ScalingLogin", SCALING_USER, inputs.key_arn),
        "Login of the autoscaler, for the few tables that it reads.",
        why="A role of its own: a compromised autoscaler reveals numbers and durations "
        "of tasks, and no connection or variable.",
    )

    # Storage, and the endpoint that clients connect to.
    subnets = t.add(
        rds.DBSubnetGroup(
            "Subnets",
            DBSubnetGroupDescription="Isolated subnets of the database.",
            SubnetIds=inputs.subnet_ids,
        ),
        "Places the database in the isolated subnets.",
    )
    settings = t.add(
        rds.DBClusterParameterGroup(
            "Settings",
            Description="Required TLS, and logs of slow queries and lock waits.",
            Family=PARAMETER_FAMILY,
            Parameters=SETTINGS,
        ),
        "Denies connections without TLS and logs slow queries and lock waits.",
        why="Statements are not logged: a password that is set by a statement would be "
        "in the log.",
    )
    monitoring = t.add(
        iam.Role(
            "MonitoringRole",
            AssumeRolePolicyDocument=trust(
                "monitoring.rds.amazonaws.com", on_behalf_of="rds:*"
            ),
            ManagedPolicyArns=[
                Sub(
                    "arn:${AWS::Partition}:iam::aws:policy/service-role/"
                    "AmazonRDSEnhancedMonitoringRole"
                )
            ],
            PermissionsBoundary=If(
                has_boundary, inputs.permissions_boundary_arn, NoValue
            ),
        ),
        "Role of RDS to write operating-system metrics of the database.",
    )
    cluster = t.add(
        rds.DBCluster(
            "Cluster",
            DeletionPolicy="Snapshot",
            UpdateReplacePolicy="Snapshot",
            Engine=ENGINE,
            EngineVersion=inputs.engine_version,
            AutoMinorVersionUpgrade=True,
            ServerlessV2ScalingConfiguration=rds.ServerlessV2ScalingConfiguration(
                MinCapacity=inputs.min_capacity, MaxCapacity=inputs.max_capacity
            ),
            DBClusterParameterGroupName=Ref(settings),
            DBSubnetGroupName=Ref(subnets),
            VpcSecurityGroupIds=[inputs.group_id],
            Port=POSTGRESQL,
            SnapshotIdentifier=If(is_restored, inputs.snapshot_id, NoValue),
            MasterUsername=If(is_restored, NoValue, MASTER_USER),
            ManageMasterUserPassword=True,
            MasterUserSecret=rds.MasterUserSecret(KmsKeyId=inputs.key_arn),
            EnableIAMDatabaseAuthentication=True,
            StorageEncrypted=If(is_restored, NoValue, True),  # noqa: FBT003 CloudFormation's If
            KmsKeyId=inputs.key_arn,
            BackupRetentionPeriod=inputs.backup_days,
            PreferredBackupWindow=BACKUP_WINDOW,
            PreferredMaintenanceWindow=MAINTENANCE_WINDOW,
            CopyTagsToSnapshot=True,
            DeletionProtection=boolean(is_protected),
            EnableCloudwatchLogsExports=["postgresql"],
            MonitoringInterval=MONITORING_SECONDS,
            MonitoringRoleArn=GetAtt(monitoring, "Arn"),
            PerformanceInsightsEnabled=boolean(has_insights),
            PerformanceInsightsKmsKeyId=If(has_insights, inputs.key_arn, NoValue),
        ),
        "Holds Airflow's metadata and Celery's results.",
        why="A restore takes the master's name and the encryption from the snapshot "
        "and accepts no other; the key re-encrypts it, also a snapshot that was not "
        "encrypted. The version is a parameter: automatic upgrades leave snapshots "
        "newer than any version written here, and without one RDS takes the region's "
        "default. Below 2 units Performance Insights takes memory that queries need, "
        "so it is off. It has no name: a named cluster cannot be replaced, so no "
        "snapshot could be restored in place.",
    )

    # The log group must exist before RDS creates one that never expires.
    log = t.add(
        logs.LogGroup(
            "Log",
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
            LogGroupName=Sub(f"/aws/rds/cluster/${{{cluster.title}}}/postgresql"),
            RetentionInDays=inputs.log_days,
            KmsKeyId=inputs.key_arn,
        ),
        "Log of PostgreSQL, with the operator's retention.",
        why="RDS requires this name, which contains the cluster's ID, and creates the "
        "group where it is missing: without expiry or key. Only instances log, so the "
        "group is created after the cluster and before the first instance. Retained "
        "after deletion, because RDS would recreate it with its last lines.",
    )

    # Instances, which fail over.
    writer = t.add(
        rds.DBInstance(
            "Writer",
            DependsOn=log,
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
            DBClusterIdentifier=Ref(cluster),
            Engine=ENGINE,
            DBInstanceClass=SERVERLESS,
            PromotionTier=WRITER_TIER,
            PubliclyAccessible=False,
            AutoMinorVersionUpgrade=True,
        ),
        "Runs the queries.",
        why="No snapshot policy: the data belongs to the cluster.",
    )
    reader = t.add(
        rds.DBInstance(
            "Reader",
            Condition=has_reader,
            DependsOn=writer,
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
            DBClusterIdentifier=Ref(cluster),
            Engine=ENGINE,
            DBInstanceClass=SERVERLESS,
            PromotionTier=READER_TIER,
            PubliclyAccessible=False,
            AutoMinorVersionUpgrade=True,
        ),
        "Takes over from another zone when the writer fails.",
        why="Created after the writer, or it might become the writer. Nothing reads "
        "from it: Airflow must read its own latest writes.",
    )

    t.add(
        rds.EventSubscription(
            "ClusterEvents",
            Enabled=True,
            SnsTopicArn=inputs.alarm_topic_arn,
            SourceType="db-cluster",
            SourceIds=[Ref(cluster)],
            EventCategories=CLUSTER_EVENTS,
        ),
        "Publishes failovers, failures and maintenance of the cluster.",
    )
    t.add(
        rds.EventSubscription(
            "InstanceEvents",
            Enabled=True,
            SnsTopicArn=inputs.alarm_topic_arn,
            SourceType="db-instance",
            SourceIds=[Ref(writer), If(has_reader, Ref(reader), NoValue)],
            EventCategories=INSTANCE_EVENTS,
        ),
        "Publishes restarts, failures and maintenance of the instances.",
    )

    return Outputs(
        connection=Database(
            host=HostName(GetAtt(cluster, "Endpoint.Address")),
            port=PortNumber(GetAtt(cluster, "Endpoint.Port")),
            admin_secret_arn=SecretArn(GetAtt(cluster, "MasterUserSecret.SecretArn")),
            airflow_secret_arn=SecretArn(Ref(airflow)),
            results_secret_arn=SecretArn(Ref(results)),
            scaling_secret_arn=SecretArn(Ref(autoscaler)),
        ),
        cluster_id=DatabaseId(Ref(cluster)),
        cluster_arn=DatabaseArn(GetAtt(cluster, "DBClusterArn")),
        log_group_name=LogGroupName(Ref(log)),
    )
