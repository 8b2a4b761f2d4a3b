"""What the database stack promises."""

from __future__ import annotations

import importlib.resources
import itertools
import json
import re
from typing import Any

import cfnlint.data.schemas.extensions.aws_rds_dbcluster as lint_knowledge
import pytest

from compiler.references import references
from compiler.wiring import Build
from templates import database
from templates.checks.aurora import halves_below, max_connections
from templates.types import AuroraVersion
from tests.maintenance_windows import minutes
from tests.resolver import Stack, deploy

PRODUCTION = {
    "SubnetIds": "subnet-1,subnet-2",
    "GroupId": "sg-1",
    "KeyArn": "<key>",
    "EngineVersion": "17.7",
    "MinCapacity": "2",
    "MaxCapacity": "16",
    "EnableReader": "true",
    "BackupDays": "35",
    "DeletionProtection": "true",
    "SnapshotId": "",
    "LogDays": "365",
    "AlarmTopicArn": "<topic>",
    "PermissionsBoundaryArn": "",
}


def stack(**changes: str) -> Stack:
    page = Build().page(database.define)
    return deploy(json.loads(page.text()), {}, PRODUCTION | changes)


def cluster(**changes: str) -> dict[str, Any]:
    properties: dict[str, Any] = stack(**changes).resources["Cluster"]["Properties"]
    return properties


def needs(document: dict[str, Any], name: str) -> set[str]:
    """Return what CloudFormation makes before ``name``, directly or not."""
    resource = document["Resources"][name]
    stated = resource.get("DependsOn", [])
    read = {other for other, _ in references(resource)}
    read |= {stated} if isinstance(stated, str) else set(stated)
    direct = read & set(document["Resources"])
    return direct.union(*(needs(document, other) for other in direct))


def test_only_its_own_group_guards_the_database_and_no_route_leads_to_it() -> None:
    resources = stack().resources
    assert resources["Cluster"]["Properties"]["VpcSecurityGroupIds"] == ["sg-1"]
    for name in ("Writer", "Reader"):
        assert resources[name]["Properties"]["PubliclyAccessible"] is False


def test_the_server_refuses_plain_text() -> None:
    settings = stack().resources["Settings"]["Properties"]
    assert settings["Parameters"]["rds.force_ssl"] == "1"
    assert cluster()["DBClusterParameterGroupName"] == "<Settings>"


def test_what_is_stored_outlives_the_stack_under_our_key() -> None:
    resources = stack().resources
    for name, policy in (("Cluster", "Snapshot"), ("Log", "Retain")):
        assert resources[name]["DeletionPolicy"] == policy
        assert resources[name]["UpdateReplacePolicy"] == policy
    properties = cluster()
    assert properties["StorageEncrypted"] is True
    assert properties["KmsKeyId"] == "<key>"
    assert properties["MasterUserSecret"] == {"KmsKeyId": "<key>"}
    assert properties["PerformanceInsightsKmsKeyId"] == "<key>"
    assert properties["BackupRetentionPeriod"] == "35"
    assert properties["DeletionProtection"] is True
    assert cluster(DeletionProtection="false")["DeletionProtection"] is False
    assert properties["CopyTagsToSnapshot"] is True


def test_the_log_group_is_ours_before_any_instance_can_log() -> None:
    # RDS makes the group itself, without expiry or key, when it is missing at the
    # first line of log (cloudformation-coverage-roadmap #190).
    document = json.loads(Build().page(database.define).text())
    assert "Cluster" in needs(document, "Log")
    assert "Log" in needs(document, "Writer")

    log = stack().resources["Log"]["Properties"]
    assert log["LogGroupName"] == "/aws/rds/cluster/<Cluster>/postgresql"
    assert log["RetentionInDays"] == "365"
    assert log["KmsKeyId"] == "<key>"
    assert cluster()["EnableCloudwatchLogsExports"] == ["postgresql"]


def test_a_password_that_is_set_by_a_statement_is_not_logged() -> None:
    # ALTER ROLE ... PASSWORD is DDL: log_statement ddl would put it into the log.
    settings = stack().resources["Settings"]["Properties"]["Parameters"]
    assert settings["log_statement"] == "none"


def test_a_restore_takes_from_the_snapshot_what_aws_refuses_to_be_told() -> None:
    restored = cluster(SnapshotId="before-the-upgrade")
    assert restored["SnapshotIdentifier"] == "before-the-upgrade"
    for inherited in ("MasterUsername", "StorageEncrypted"):
        assert inherited not in restored
        assert inherited in cluster()
    assert "SnapshotIdentifier" not in cluster()
    assert "DatabaseName" not in restored
    assert restored["KmsKeyId"] == "<key>"
    assert restored["ManageMasterUserPassword"] is True


def test_a_snapshot_newer_than_our_default_can_be_restored() -> None:
    # Automatic minor upgrades leave such snapshots. RDS refuses an older version
    # and, without one, takes the region's default, perhaps of another major.
    restored = cluster(SnapshotId="after-the-upgrade", EngineVersion="17.9")
    assert restored["EngineVersion"] == "17.9"


def test_a_restore_in_place_does_not_meet_its_own_name() -> None:
    # Changing the snapshot replaces the cluster: a named one would exist already.
    assert "DBClusterIdentifier" not in cluster()


def test_nobody_chooses_or_supplies_a_password() -> None:
    # Controls 39 and 40; what breaks a URL breaks the login (C1).
    resources = stack().resources
    for name, user in (
        ("AirflowLogin", "airflow"),
        ("ResultsLogin", "celery_results"),
        ("ScalingLogin", "airflow_scaling"),
    ):
        secret = resources[name]["Properties"]
        assert "SecretString" not in secret
        made = secret["GenerateSecretString"]
        assert json.loads(made["SecretStringTemplate"]) == {"username": user}
        assert made["GenerateStringKey"] == "password"
        assert made["ExcludePunctuation"] is True
        assert made["PasswordLength"] >= 40
        assert secret["KmsKeyId"] == "<key>"
    assert cluster()["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in cluster()


def test_the_logins_go_with_the_stack_and_a_restored_stack_makes_new_ones() -> None:
    # The migration job sets the passwords of the roles it finds in the snapshot, so a
    # kept secret would only be a live password that nobody owns.
    for given in ("", "a-snapshot"):
        made = stack(SnapshotId=given)
        for name in ("AirflowLogin", "ResultsLogin", "ScalingLogin"):
            assert made.resources[name]["DeletionPolicy"] == "Delete"
        outputs = made.outputs
        assert outputs["ConnectionAirflowSecretArn"] == "<AirflowLogin>"
        assert outputs["ConnectionResultsSecretArn"] == "<ResultsLogin>"
        assert outputs["ConnectionScalingSecretArn"] == "<ScalingLogin>"


def test_airflow_celery_the_autoscaler_and_the_master_are_four_users() -> None:
    users = {database.AIRFLOW_USER, database.RESULTS_USER, database.MASTER_USER}
    users.add(database.SCALING_USER)
    assert len(users) == 4
    assert cluster()["MasterUsername"] == database.MASTER_USER
    assert not users & {"postgres", "admin", "rdsadmin"}


def test_the_port_is_not_the_one_that_scans_try_first() -> None:
    # Control 9.
    assert cluster()["Port"] not in (None, 5432)


def test_backup_and_maintenance_windows_do_not_meet() -> None:
    # Control 11: RDS refuses an overlap at creation.
    properties = cluster()
    backup = minutes(properties["PreferredBackupWindow"])
    maintenance = minutes(properties["PreferredMaintenanceWindow"])
    assert len(backup) == 7 * 60
    assert len(maintenance) == 60
    assert not backup & maintenance


@pytest.mark.parametrize(
    ("capacity", "sees"), [("0", False), ("0.5", False), ("1.5", False), ("2", True)]
)
def test_insights_are_on_where_the_memory_suffices(capacity: str, sees: bool) -> None:  # noqa: FBT001 - a table
    # Control 12: below 2 units they take memory that queries need.
    properties = cluster(MinCapacity=capacity)
    assert properties["PerformanceInsightsEnabled"] is sees
    assert ("PerformanceInsightsKmsKeyId" in properties) is sees


def lint_versions(file: str) -> set[str]:
    text = importlib.resources.files(lint_knowledge).joinpath(file).read_text()
    return {
        version
        for rule in json.loads(text)["allOf"]
        if "aurora-postgresql" in json.dumps(rule["if"])
        for version in re.findall(r'"(\d[\d.]*)"', json.dumps(rule))
    }


def test_every_version_on_offer_can_be_created() -> None:
    # Control 13: a retired version fails at creation and lints clean.
    offered = set(AuroraVersion.rules["AllowedValues"])
    assert offered <= lint_versions("engine_version.json")
    assert not offered & lint_versions("engine_version_deprecated.json")


def test_every_version_on_offer_fits_the_parameter_group() -> None:
    for version in AuroraVersion.rules["AllowedValues"]:
        major, _, minor = version.partition(".")
        assert minor, "state the minor version"
        assert f"aurora-postgresql{major}" == database.PARAMETER_FAMILY


def test_a_second_instance_follows_the_writer_and_takes_over() -> None:
    # Controls 18 and 19: tiers 0 and 1 keep the writer's capacity. Whichever
    # instance is made first becomes the writer.
    assert "Writer" in needs(json.loads(Build().page(database.define).text()), "Reader")
    resources = stack().resources
    tiers = [resources[n]["Properties"]["PromotionTier"] for n in ("Writer", "Reader")]
    assert tiers == [0, 1]
    assert "Reader" not in stack(EnableReader="false").resources


def test_failovers_and_failures_are_announced() -> None:
    # Control 20.
    resources = stack().resources
    events = resources["ClusterEvents"]["Properties"]
    assert events["SnsTopicArn"] == "<topic>"
    assert events["SourceType"] == "db-cluster"
    assert events["SourceIds"] == ["<Cluster>"]
    assert {"failover", "failure"} <= set(events["EventCategories"])
    instances = resources["InstanceEvents"]["Properties"]
    assert instances["SourceIds"] == ["<Writer>", "<Reader>"]
    alone = stack(EnableReader="false").resources["InstanceEvents"]["Properties"]
    assert alone["SourceIds"] == ["<Writer>"]


def test_rds_alone_may_write_metrics_and_for_this_account_only() -> None:
    role = stack().resources["MonitoringRole"]["Properties"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "monitoring.rds.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {
        "aws:SourceAccount": "123456789012"
    }
    assert statement["Condition"]["ArnLike"] == {
        "aws:SourceArn": "arn:aws:rds:eu-central-1:123456789012:*"
    }
    assert "PermissionsBoundary" not in role
    bounded = stack(PermissionsBoundaryArn="<boundary>").resources["MonitoringRole"]
    assert bounded["Properties"]["PermissionsBoundary"] == "<boundary>"
    assert cluster()["MonitoringInterval"] == 60


PUBLISHED = {1: 189, 4: 823, 8: 1669, 16: 3360, 32: 5000, 64: 5000, 128: 5000}
"""AWS's figures for Aurora PostgreSQL, by the most capacity units."""


def test_connections_are_counted_as_aurora_counts_them() -> None:
    for units, connections in PUBLISHED.items():
        assert max_connections(1, units) == connections


def test_a_cluster_that_may_shrink_below_one_unit_admits_fewer() -> None:
    assert max_connections(0.5, 16) == 2000
    assert max_connections(0, 32) == 2000
    assert max_connections(0.5, 1) == 189


def test_more_capacity_never_means_fewer_connections() -> None:
    counts = [max_connections(1, half / 2) for half in range(2, 513)]
    assert all(low <= high for low, high in itertools.pairwise(counts))


def test_capacities_are_spelt_as_parameters_spell_them() -> None:
    assert halves_below(2) == ("0", "0.5", "1", "1.5")
