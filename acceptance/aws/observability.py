"""Metrics, alarms, container logs and backups."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from acceptance.aws.environment import AwsEnvironment
from acceptance.aws.promises import Promise, kept
from acceptance.check import CheckFailed, Skipped
from fargate_runtime import contract
from templates.airflow.pools import POOLS

RECENT = timedelta(minutes=5)
"""Within which the autoscaler must have published: it does so every ten seconds."""

PERIOD_SECONDS = 60
ALARMS_AT_ONCE = 100
SCALING_POLICY = ":scalingpolicy"
"""In the ARN of an action that only scales, in lower case."""
COMPLETED_BACKUPS = "NumberOfBackupJobsCompleted"
EARLY = timedelta(days=2)
"""After which a daily plan must have made its first backup."""


def metrics(environment: AwsEnvironment) -> str:
    """See every metric of the autoscaler published within the last minutes."""
    cluster = environment.outputs["ClusterName"]
    pools = [pool.name for pool in POOLS]
    published = [
        *((name, pool) for pool in pools for name in contract.POOL_METRICS),
        *((name, "") for name in contract.CLUSTER_METRICS),
    ]
    now = datetime.now(UTC)
    answer = environment.aws.call(
        "cloudwatch",
        "get_metric_data",
        "the metrics",
        MetricDataQueries=[
            _query(number, name, cluster, pool)
            for number, (name, pool) in enumerate(published)
        ],
        StartTime=now - RECENT,
        EndTime=now + timedelta(minutes=1),
    )
    values = {entry["Id"]: entry["Values"] for entry in answer["MetricDataResults"]}
    missing = [
        " ".join(filter(None, pair))
        for number, pair in enumerate(published)
        if not values.get(f"m{number}")
    ]
    if missing:
        raise CheckFailed(
            f"Not published in the last {RECENT.seconds // 60} minutes: "
            f"{', '.join(missing)}.",
            environment.logs("scheduler"),
        )
    beats = {
        pool: sum(values[f"m{number}"])
        for number, (name, pool) in enumerate(published)
        if name == contract.AUTOSCALER_HEARTBEAT
    }
    shown = ", ".join(f"{count:.0f} of {pool}" for pool, count in beats.items())
    return f"{len(published)} metrics in the last 5 minutes; heartbeats: {shown}"


def _query(number: int, name: str, cluster: str, pool: str) -> dict[str, Any]:
    dimensions = {contract.CLUSTER_DIMENSION: cluster}
    if pool:
        dimensions[contract.POOL_DIMENSION] = pool
    return {
        "Id": f"m{number}",
        "MetricStat": {
            "Metric": {
                "Namespace": contract.METRIC_NAMESPACE,
                "MetricName": name,
                "Dimensions": [
                    {"Name": key, "Value": value} for key, value in dimensions.items()
                ],
            },
            "Period": PERIOD_SECONDS,
            "Stat": "Sum",
        },
    }


def alarms(environment: AwsEnvironment) -> str:
    """See no alarm in ALARM but those that only scale, or wait for a first backup."""
    existing = list(_alarms(environment))
    ringing = [alarm for alarm in existing if alarm["StateValue"] == "ALARM"]
    wrong = [
        f"{alarm['AlarmName']}: {alarm.get('StateReason', '')}"
        for alarm in ringing
        if not _only_scales(alarm) and not _waits_for_backup(environment, alarm)
    ]
    missing = len(environment.of_type("AWS::CloudWatch::Alarm")) - len(existing)
    if missing and not environment.is_local:
        raise CheckFailed(f"{missing} alarms of the stack are gone.")
    if wrong:
        raise CheckFailed(
            f"In ALARM: {'; '.join(wrong)}", "docs/troubleshooting.md names each."
        )
    disabled = [alarm["AlarmName"] for alarm in existing if not alarm["ActionsEnabled"]]
    if disabled:
        raise CheckFailed(f"Without actions: {', '.join(disabled)}.")
    silent = sum(alarm["StateValue"] == "INSUFFICIENT_DATA" for alarm in existing)
    return (
        f"{len(existing)} alarms: {len(existing) - len(ringing) - silent} OK, {silent} "
        f"without data yet, {len(ringing)} in ALARM as they may be"
        + (f"; {missing} are stubs in the emulator" if missing else "")
    )


def _alarms(environment: AwsEnvironment) -> Iterator[dict[str, Any]]:
    names = [r.physical_id for r in environment.of_type("AWS::CloudWatch::Alarm")]
    for start in range(0, len(names), ALARMS_AT_ONCE):
        answer = environment.aws.call(
            "cloudwatch",
            "describe_alarms",
            "the alarms",
            AlarmNames=names[start : start + ALARMS_AT_ONCE],
            MaxRecords=ALARMS_AT_ONCE,
        )
        yield from answer["MetricAlarms"]


def _waits_for_backup(environment: AwsEnvironment, alarm: dict[str, Any]) -> bool:
    """Whether it reports a missing backup of a stack that can have none yet."""
    started = environment.stack.started
    return alarm.get("MetricName") == COMPLETED_BACKUPS and (
        not started or datetime.now(UTC) - started < EARLY
    )


def _only_scales(alarm: dict[str, Any]) -> bool:
    actions = alarm.get("AlarmActions", ())
    return bool(actions) and all(SCALING_POLICY in action.lower() for action in actions)


def container_logs(environment: AwsEnvironment) -> str:
    """See each service write to its log group."""
    groups: dict[str, set[str]] = {}
    definitions = environment.definitions()
    for service in environment.services():
        if not service["desiredCount"]:
            continue
        definition = definitions.get(service["taskDefinition"])
        if definition is None:
            raise CheckFailed(
                f"{service['serviceName']} runs {service['taskDefinition']}, which is "
                "not the stack's.",
                "An update or a rollback is unfinished: build.py status ENV.",
            )
        for container in definition["containerDefinitions"]:
            options = container["logConfiguration"]["options"]
            groups.setdefault(options["awslogs-group"], set()).add(
                options["awslogs-stream-prefix"]
            )
    silent = [
        f"{prefix} in {group}"
        for group, prefixes in groups.items()
        for prefix in sorted(prefixes)
        if not environment.aws.call(
            "logs",
            "describe_log_streams",
            group,
            logGroupName=group,
            logStreamNamePrefix=f"{prefix}/",
            limit=1,
        )["logStreams"]
    ]
    if silent:
        raise CheckFailed(f"Without a log stream: {', '.join(silent)}.")
    count = sum(map(len, groups.values()))
    return f"{count} containers of running services write to {len(groups)} log groups"


def protection(environment: AwsEnvironment) -> str:
    """See deletion protection as the parameter says."""
    is_asked_for = environment.stack.parameters["DeletionProtection"] == "true"
    name = environment.id_of("Database/Cluster")
    (cluster,) = environment.aws.call(
        "rds", "describe_db_clusters", name, DBClusterIdentifier=name
    )["DBClusters"]
    balancer = environment.id_of("LoadBalancer/LoadBalancer")
    attributes = {
        entry["Key"]: entry["Value"]
        for entry in environment.aws.call(
            "elbv2",
            "describe_load_balancer_attributes",
            balancer,
            LoadBalancerArn=balancer,
        )["Attributes"]
    }
    observed = {
        "database": bool(cluster.get("DeletionProtection")),
        "load balancer": attributes.get("deletion_protection.enabled") == "true",
        "stack": environment.stack.is_protected,
    }
    wrong = [name for name, is_on in observed.items() if is_on != is_asked_for]
    if wrong:
        raise CheckFailed(
            f"DeletionProtection is {is_asked_for}; not so: {', '.join(wrong)}.",
            "Launch again: build.py launch ENV.",
        )
    state = "on" if is_asked_for else "off"
    return f"{state} at {', '.join(observed)}, as the parameter says"


def first_backup(environment: AwsEnvironment) -> str:
    """See a completed backup of the database in AWS Backup."""
    if environment.stack.parameters.get("EnableBackup") != "true":
        raise Skipped("EnableBackup is false")
    regional = environment.aws.call("backup", "describe_region_settings", "AWS Backup")
    if not regional["ResourceTypeOptInPreference"].get("Aurora"):
        raise CheckFailed(
            "AWS Backup is switched off for Aurora in this region.",
            "Switch it on: aws backup update-region-settings "
            "--resource-type-opt-in-preference Aurora=true.",
        )
    name = environment.id_of("Database/Cluster")
    arn = environment.aws.call(
        "rds", "describe_db_clusters", name, DBClusterIdentifier=name
    )["DBClusters"][0]["DBClusterArn"]
    jobs = environment.aws.call("backup", "list_backup_jobs", arn, ByResourceArn=arn)[
        "BackupJobs"
    ]
    states = [str(job["State"]) for job in jobs]
    if "COMPLETED" in states:
        return f"{states.count('COMPLETED')} completed jobs of {len(jobs)}"
    failed = [job for job in jobs if job["State"] in {"FAILED", "EXPIRED", "ABORTED"}]
    if failed:
        raise CheckFailed(
            f"The newest job is {failed[0]['State']}: "
            f"{failed[0].get('StatusMessage', 'no reason given')}.",
            "Look at the role and the vault in templates/backup.py.",
        )
    started = environment.stack.started
    if started and datetime.now(UTC) - started > EARLY:
        raise CheckFailed(
            "No backup job in the two days since the stack was launched.",
            "Look at the selection of the plan in templates/backup.py.",
        )
    raise Skipped("no job is over yet: the plan starts its first one within a day")


def replicas(environment: AwsEnvironment) -> str:
    """See the database's reader and the broker's replica as asked for."""
    parameters = environment.stack.parameters
    has_reader = parameters.get("EnableDatabaseReader") == "true"
    has_replica = parameters.get("EnableCacheReplica") == "true"
    database, cache = (
        environment.id_of("Database/Cluster"),
        environment.id_of("Cache/Nodes"),
    )
    (cluster,) = environment.aws.call(
        "rds", "describe_db_clusters", database, DBClusterIdentifier=database
    )["DBClusters"]
    (group,) = environment.aws.call(
        "elasticache", "describe_replication_groups", cache, ReplicationGroupId=cache
    )["ReplicationGroups"]
    has_failover = parameters.get("EnableCacheFailover") == "true"
    state = "enabled" if has_failover else "disabled"
    promises = [
        Promise(
            "database", "instances", len(cluster["DBClusterMembers"]), 1 + has_reader
        ),
        Promise("database", "Status", cluster["Status"], "available"),
        Promise("broker", "nodes", len(group["MemberClusters"]), 1 + has_replica),
        Promise("broker", "AutomaticFailover", group["AutomaticFailover"], state),
        Promise("broker", "MultiAZ", group["MultiAZ"], state),
        Promise("broker", "Status", group["Status"], "available"),
    ]
    return kept(environment, promises, remedy="Compare with build.py plan ENV.")


def reporting(environment: AwsEnvironment) -> str:
    """See the event subscriptions active, and the web firewall bound and logging."""
    if environment.is_local:
        raise Skipped("event subscriptions and the web firewall are stubs here")
    promises: list[Promise] = []
    for resource in environment.of_type("AWS::RDS::EventSubscription"):
        (subscription,) = environment.aws.call(
            "rds",
            "describe_event_subscriptions",
            resource.name,
            SubscriptionName=resource.physical_id,
        )["EventSubscriptionsList"]
        status = subscription["Status"]
        promises.append(Promise(resource.name, "Status", status, "active"))
    if environment.stack.parameters["LoadBalancerScheme"] == "internet-facing":
        balancer = environment.id_of("LoadBalancer/LoadBalancer")
        acl = environment.aws.call(
            "wafv2", "get_web_acl_for_resource", balancer, ResourceArn=balancer
        ).get("WebACL", {})
        promises.append(Promise.on("load balancer", "web ACL", bool(acl)))
        if acl:
            logging = environment.aws.call(
                "wafv2", "get_logging_configuration", acl["ARN"], ResourceArn=acl["ARN"]
            )["LoggingConfiguration"]
            destinations = len(logging["LogDestinationConfigs"])
            promises.append(Promise("web ACL", "logs", destinations, 1))
    return kept(environment, promises, remedy="Launch again: build.py launch ENV.")
