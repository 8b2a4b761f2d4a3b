"""Every check that reads AWS: what it says of recorded answers, and when it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from acceptance.aws import components, encryption, observability, security_groups
from acceptance.aws.environment import AwsEnvironment
from acceptance.check import CheckFailed, Skipped
from tests.acceptance.aws.recorded import IMAGE, KEY, RecordedAws, environment

Check = Callable[[AwsEnvironment], str]

PASSES = (
    (components.stacks, "resources, all complete"),
    (components.names, "16 names and the tags of 1 secrets are the stack's"),
    (components.images, "apache/airflow:3.3.2: 10 settings of 10 resources"),
    (observability.replicas, "6 settings of 2 resources as promised"),
    (observability.reporting, "1 settings of 1 resources as promised"),
    (components.services, "running and healthy: 1 AirflowServices/ApiServer"),
    (components.targets, "healthy: 1 Api"),
    (components.secrets, "exactly the table's"),
    (components.scaling, "as promised"),
    (security_groups.equal_to_table, "of 12 groups, all of the table, no other"),
    (encryption.at_rest, "as promised"),
    (encryption.in_transit, "as promised"),
    (encryption.not_public, "as promised"),
    (observability.metrics, "13 metrics in the last 5 minutes"),
    (observability.alarms, "1 OK, 0 without data yet, 1 in ALARM as they may be"),
    (observability.container_logs, "1 containers of running services"),
    (observability.protection, "on at database, load balancer, stack"),
    (observability.first_backup, "1 completed jobs of 1"),
)

SERVICE, LISTENERS = "ecs:describe_services", "elbv2:describe_listeners"
TASK = "ecs:describe_task_definition"
RULES, ALARMS = "ec2:describe_security_group_rules", "cloudwatch:describe_alarms"


def secrets(
    *changed: dict[str, str], image: str = IMAGE
) -> Callable[[Any], dict[str, Any]]:
    """Return an answer in which every container has these secrets."""
    container = {"name": "worker", "image": image, "secrets": list(changed)}
    return lambda _: {"taskDefinition": {"containerDefinitions": [container]}}


FAILS: tuple[tuple[Check, str, Any, str], ...] = (
    # Check, operation, path and value to change, words of the failure.
    (components.services, SERVICE, ("services", 0, "runningCount", 0), "0 running"),
    (
        components.services,
        *("ecs:describe_tasks", ("tasks", 0, "healthStatus", "UNHEALTHY")),
        "0 healthy",
    ),
    (
        components.services,
        SERVICE,
        ("services", 0, "deployments", [{"rolloutState": "IN_PROGRESS"}]),
        "a deployment is IN_PROGRESS",
    ),
    (components.services, SERVICE, ("services", []), "ApiServer is gone"),
    (
        components.targets,
        "elbv2:describe_target_health",
        ("TargetHealthDescriptions", 0, "TargetHealth", {"State": "unhealthy"}),
        "Api: unhealthy",
    ),
    (
        components.targets,
        *("elbv2:describe_target_health", ("TargetHealthDescriptions", [])),
        "Api has no target",
    ),
    (components.secrets, TASK, secrets(), "worker lacks BROKER_PASSWORD"),
    (
        components.secrets,
        *(TASK, secrets({"name": "MASTER_PASSWORD", "valueFrom": "arn"})),
        "worker holds MASTER_PASSWORD",
    ),
    (
        components.scaling,
        "application-autoscaling:describe_scalable_targets",
        ("ScalableTargets", 0, "MaxCapacity", 9),
        "MaxCapacity is 9, not 4",
    ),
    (
        components.scaling,
        *("application-autoscaling:describe_scaling_policies", ("ScalingPolicies", [])),
        "ScaleOut: exists is False",
    ),
    (
        components.scaling,
        "application-autoscaling:describe_scalable_targets",
        ("ScalableTargets", 0, "SuspendedState", {"ScheduledScalingSuspended": True}),
        "suspended is True, not False",
    ),
    (
        security_groups.equal_to_table,
        *(RULES, ("SecurityGroupRules", 0, "CidrIpv4", "0.0.0.0/0")),
        "load_balancer from 0.0.0.0/0, port 443",
    ),
    (security_groups.equal_to_table, RULES, ("SecurityGroupRules", []), "and 75 more"),
    (
        encryption.at_rest,
        *("kms:get_key_rotation_status", ("KeyRotationEnabled", False)),
        "KMS key: rotation is False",
    ),
    (
        encryption.at_rest,
        *("rds:describe_db_clusters", ("DBClusters", 0, "KmsKeyId", "other")),
        "database: KmsKeyId is 'other'",
    ),
    (
        encryption.at_rest,
        "elasticache:describe_replication_groups",
        ("ReplicationGroups", 0, "AtRestEncryptionEnabled", False),
        "broker: at rest is False",
    ),
    (
        encryption.at_rest,
        *("logs:describe_log_groups", ("logGroups", [])),
        "AirflowServices/ApiServerLog: kmsKeyId is None",
    ),
    (
        encryption.at_rest,
        *("secretsmanager:describe_secret", ("KmsKeyId", "other")),
        "Database/AirflowLogin: KmsKeyId is 'other'",
    ),
    (
        components.names,
        *("secretsmanager:describe_secret", ("Tags", [])),
        "Database/AirflowLogin has no tag of the stack",
    ),
    (
        components.images,
        *(TASK, secrets(image="other")),
        "worker: image is 'other'",
    ),
    (
        observability.replicas,
        *("rds:describe_db_clusters", ("DBClusters", 0, "DBClusterMembers", [])),
        "database: instances is 0, not 1",
    ),
    (
        observability.replicas,
        "elasticache:describe_replication_groups",
        ("ReplicationGroups", 0, "MultiAZ", "disabled"),
        "broker: MultiAZ is 'disabled'",
    ),
    (
        observability.reporting,
        "rds:describe_event_subscriptions",
        ("EventSubscriptionsList", 0, "Status", "no-permission"),
        "Database/Events: Status is 'no-permission'",
    ),
    (
        encryption.at_rest,
        *("sns:get_topic_attributes", ("Attributes", {})),
        "alarm topic: KmsMasterKeyId is ''",
    ),
    (
        encryption.in_transit,
        *("rds:describe_db_cluster_parameters", ("Parameters", [])),
        "rds.force_ssl is None",
    ),
    (
        encryption.in_transit,
        "elasticache:describe_replication_groups",
        ("ReplicationGroups", 0, "TransitEncryptionMode", "preferred"),
        "TransitEncryptionMode is 'preferred'",
    ),
    (
        encryption.in_transit,
        *(LISTENERS, ("Listeners", 0, "SslPolicy", "ELBSecurityPolicy-2016-08")),
        "SslPolicy is 'ELBSecurityPolicy-2016-08'",
    ),
    (
        encryption.in_transit,
        *(LISTENERS, ("Listeners", 1, "DefaultActions", [{"Type": "forward"}])),
        "default action is 'forward'",
    ),
    (
        encryption.in_transit,
        *("s3:get_bucket_policy", ("Policy", '{"Statement": []}')),
        "denies requests without TLS is False",
    ),
    (
        encryption.not_public,
        "s3:get_public_access_block",
        ("PublicAccessBlockConfiguration", "BlockPublicPolicy", False),
        "BlockPublicPolicy is False",
    ),
    (
        encryption.not_public,
        *("rds:describe_db_instances", ("DBInstances", 0, "PubliclyAccessible", True)),
        "writer: PubliclyAccessible is True",
    ),
    (
        encryption.not_public,
        "elbv2:describe_load_balancers",
        ("LoadBalancers", 0, "Scheme", "internet-facing"),
        "scheme is 'internet-facing'",
    ),
    (
        observability.metrics,
        *("cloudwatch:get_metric_data", lambda _: {"MetricDataResults": []}),
        "WorkerDeficit default",
    ),
    (
        observability.alarms,
        *(ALARMS, ("MetricAlarms", 1, "StateValue", "ALARM")),
        "In ALARM: api-errors",
    ),
    (
        observability.alarms,
        *(ALARMS, ("MetricAlarms", 1, "ActionsEnabled", False)),
        "Without actions: api-errors",
    ),
    (observability.alarms, ALARMS, ("MetricAlarms", []), "2 alarms of the stack"),
    (
        observability.container_logs,
        *("logs:describe_log_streams", ("logStreams", [])),
        "api-server in api-server-log",
    ),
    (
        observability.container_logs,
        *(SERVICE, ("services", 0, "taskDefinition", "arn:definition/older")),
        "which is not the stack's",
    ),
    (
        observability.protection,
        *("rds:describe_db_clusters", ("DBClusters", 0, "DeletionProtection", False)),
        "not so: database",
    ),
    (
        observability.first_backup,
        *("backup:describe_region_settings", ("ResourceTypeOptInPreference", {})),
        "switched off for Aurora",
    ),
    (
        observability.first_backup,
        *("backup:list_backup_jobs", ("BackupJobs", 0, "State", "FAILED")),
        "newest job is FAILED",
    ),
    (
        observability.first_backup,
        *("backup:list_backup_jobs", ("BackupJobs", [])),
        "No backup job in the two days",
    ),
)


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "STEADY_SECONDS", -1.0)


def change(aws: RecordedAws, operation: str, changed: Any) -> None:
    """Replace an answer, or recorded value in it."""
    if callable(changed):
        aws.answers[operation] = changed
        return
    *path, last, value = changed
    place: Any = aws.answers[operation]
    for step in path:
        place = place[step]
    place[last] = value


@pytest.mark.parametrize(
    ("check", "text"), PASSES, ids=[check.__name__ for check, _ in PASSES]
)
def test_promises_that_are_kept_pass(check: Check, text: str) -> None:
    assert text in check(environment(RecordedAws()))


@pytest.mark.parametrize(
    ("check", "operation", "changed", "text"),
    FAILS,
    ids=[f"{check.__name__}: {text[:30]}" for check, _, _, text in FAILS],
)
def test_broken_promise_fails(
    check: Check, operation: str, changed: Any, text: str
) -> None:
    aws = RecordedAws()
    change(aws, operation, changed)

    with pytest.raises(CheckFailed) as failed:
        check(environment(aws))

    assert text in str(failed.value)


def test_incomplete_nested_stack_fails() -> None:
    incomplete = environment(RecordedAws())
    object.__setattr__(incomplete.resources[1], "status", "UPDATE_FAILED")

    with pytest.raises(CheckFailed, match="Security is UPDATE_FAILED"):
        components.stacks(incomplete)


def test_public_load_balancer_needs_its_web_firewall() -> None:
    aws = RecordedAws()
    public = environment(aws, LoadBalancerScheme="internet-facing")
    assert observability.reporting(public).startswith("3 settings")
    change(aws, "wafv2:get_web_acl_for_resource", lambda _: {})

    with pytest.raises(CheckFailed, match="load balancer: web ACL is False"):
        observability.reporting(public)


@pytest.mark.parametrize(
    "check", [components.scaling, components.targets, observability.reporting]
)
def test_stubs_of_the_emulator_are_skipped(check: Check) -> None:
    aws = RecordedAws(is_local=True)
    change(aws, "elbv2:describe_target_health", ("TargetHealthDescriptions", []))

    with pytest.raises(Skipped, match=r"emulator|stubs"):
        check(environment(aws))


def test_unanswered_setting_counts_apart_in_the_emulator_only() -> None:
    changed = ("DBClusters", 0, "KmsKeyId", "")
    local, aws = RecordedAws(is_local=True), RecordedAws()
    for recorded in (local, aws):
        change(recorded, "rds:describe_db_clusters", changed)

    text = encryption.at_rest(environment(local))
    assert text.endswith("the emulator does not answer database KmsKeyId")
    with pytest.raises(CheckFailed, match=f"not '{KEY}'"):
        encryption.at_rest(environment(aws))


def test_backup_that_is_not_due_is_skipped() -> None:
    aws = RecordedAws()
    with pytest.raises(Skipped, match="EnableBackup is false"):
        observability.first_backup(environment(aws, EnableBackup="false"))
    assert not aws.called


def test_rules_of_flower_are_expected_only_where_it_runs() -> None:
    aws = RecordedAws()
    answers: Any = aws.answers
    (security,) = answers["cloudformation:describe_stacks"]["Stacks"]
    for parameter in security["Parameters"]:
        if parameter["ParameterKey"] == "EnableFlower":
            parameter["ParameterValue"] = "false"
    page = answers["ec2:describe_security_group_rules"]
    rules = [r for r in page["SecurityGroupRules"] if r["GroupId"] != "sg-flower"]
    page["SecurityGroupRules"] = rules
    with pytest.raises(CheckFailed, match=r"not in the table: .* sg-flower"):
        security_groups.equal_to_table(environment(aws))
    page["SecurityGroupRules"] = [r for r in rules if "sg-flower" not in str(r)]
    assert "of 11 groups" in security_groups.equal_to_table(environment(aws))


@pytest.mark.parametrize("is_new", [True, False])
def test_missing_backup_is_no_fault_of_a_new_stack(*, is_new: bool) -> None:
    aws = RecordedAws()
    answers: Any = aws.answers
    alarm = answers["cloudwatch:describe_alarms"]["MetricAlarms"][1]
    alarm |= {"StateValue": "ALARM", "MetricName": "NumberOfBackupJobsCompleted"}
    launched = environment(aws)
    if is_new:
        launched.stack = replace(launched.stack, started=datetime.now(UTC))
        assert "2 in ALARM as they may be" in observability.alarms(launched)
    else:
        with pytest.raises(CheckFailed, match="api-errors"):
            observability.alarms(launched)
