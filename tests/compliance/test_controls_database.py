"""Controls 1 to 23, on what production's database would be."""

from __future__ import annotations

import importlib.resources
import json
import re

import pytest
from cfnlint.data.schemas.extensions import aws_rds_dbcluster as lint_knowledge

from tests.compliance.environments import Estates
from tests.maintenance_windows import minutes

KEY = "<Encryption.Key.Arn>"


@pytest.mark.control(1, 2)
def test_the_database_its_insights_and_its_master_secret_lie_under_our_key(
    estates: Estates,
) -> None:
    for estate in estates.each:
        cluster = estate.one("RDS::DBCluster")
        assert cluster["StorageEncrypted"] is True
        assert cluster["KmsKeyId"] == KEY
        assert cluster["MasterUserSecret"]["KmsKeyId"] == KEY
        insights = cluster["PerformanceInsightsEnabled"]
        assert cluster.get("PerformanceInsightsKmsKeyId") == (KEY if insights else None)


@pytest.mark.control(3)
def test_the_server_demands_tls_and_every_client_checks_its_name(
    estates: Estates,
) -> None:
    # The server's side alone lets a client talk to an impostor.
    estate = estates.usual
    groups = estate.of("RDS::DBClusterParameterGroup")
    ((place, settings),) = groups.items()
    assert settings["Parameters"]["rds.force_ssl"] == "1"
    cluster = estate.one("RDS::DBCluster")
    assert cluster["DBClusterParameterGroupName"] == f"<{place}>"
    clients = 0
    for container in estate.containers().values():
        told = {each["Name"]: each["Value"] for each in container["Environment"]}
        if "METADATA_HOST" in told:
            clients += 1
            assert told["PGSSLMODE"] == "verify-full"
            assert told["PGSSLROOTCERT"]
        if "AIRFLOW__CELERY__RESULT_BACKEND_CMD" in told:
            clients += 1
            options = told["AIRFLOW__CELERY__RESULT_BACKEND_SQLALCHEMY_ENGINE_OPTIONS"]
            arguments = json.loads(options)["connect_args"]
            assert arguments["sslmode"] == "verify-full"
            assert arguments["sslrootcert"] == told["PGSSLROOTCERT"]
    assert clients > 1


@pytest.mark.control(4)
def test_nobody_deletes_the_database_by_mistake(estates: Estates) -> None:
    assert estates.usual.one("RDS::DBCluster")["DeletionProtection"] is True


@pytest.mark.control(5)
def test_every_moment_of_the_last_week_and_more_can_be_restored(
    estates: Estates,
) -> None:
    assert int(estates.usual.one("RDS::DBCluster")["BackupRetentionPeriod"]) >= 7


@pytest.mark.control(6)
def test_a_login_by_token_is_possible(estates: Estates) -> None:
    cluster = estates.usual.one("RDS::DBCluster")
    assert cluster["EnableIAMDatabaseAuthentication"] is True


@pytest.mark.control(7)
def test_the_database_logs_to_a_group_of_ours(estates: Estates) -> None:
    estate = estates.usual
    ((place, cluster),) = estate.of("RDS::DBCluster").items()
    assert cluster["EnableCloudwatchLogsExports"] == ["postgresql"]
    names = [
        group.get("LogGroupName") for group in estate.of("Logs::LogGroup").values()
    ]
    assert f"/aws/rds/cluster/<{place}>/postgresql" in names


@pytest.mark.control(8)
def test_a_snapshot_carries_the_tags_of_its_database(estates: Estates) -> None:
    assert estates.usual.one("RDS::DBCluster")["CopyTagsToSnapshot"] is True


@pytest.mark.control(9)
def test_the_port_is_stated_and_not_the_well_known_one(estates: Estates) -> None:
    for estate in estates.each:
        assert estate.one("RDS::DBCluster")["Port"] not in (None, 5432)
        for place, instance in estate.of("RDS::DBInstance").items():
            assert "Port" not in instance, place


@pytest.mark.control(10)
def test_the_master_user_has_no_well_known_name(estates: Estates) -> None:
    name = estates.usual.one("RDS::DBCluster")["MasterUsername"]
    assert name not in ("postgres", "admin", "root", "awsuser")


@pytest.mark.control(11)
def test_the_database_is_not_maintained_while_it_is_backed_up(estates: Estates) -> None:
    cluster = estates.usual.one("RDS::DBCluster")
    backup = minutes(cluster["PreferredBackupWindow"])
    maintenance = minutes(cluster["PreferredMaintenanceWindow"])
    assert backup
    assert maintenance
    assert not backup & maintenance


@pytest.mark.control(12)
def test_the_database_never_shrinks_below_what_insights_need(estates: Estates) -> None:
    scaling = estates.usual.one("RDS::DBCluster")["ServerlessV2ScalingConfiguration"]
    assert float(scaling["MinCapacity"]) >= 2
    assert float(scaling["MaxCapacity"]) >= float(scaling["MinCapacity"])


def versions(file: str) -> set[str]:
    """Return the versions of Aurora PostgreSQL that the linter's table names."""
    text = importlib.resources.files(lint_knowledge).joinpath(file).read_text()
    return {
        version
        for rule in json.loads(text)["allOf"]
        if "aurora-postgresql" in json.dumps(rule["if"])
        for version in re.findall(r'"(\d[\d.]*)"', json.dumps(rule))
    }


@pytest.mark.control(13)
def test_the_version_can_still_be_created_and_fits_its_parameter_group(
    estates: Estates,
) -> None:
    # The linter warns of 16.6 and lets 11.9 pass: so both of its tables are asked.
    version = estates.usual.one("RDS::DBCluster")["EngineVersion"]
    assert version in versions("engine_version.json")
    assert version not in versions("engine_version_deprecated.json")
    family = estates.usual.one("RDS::DBClusterParameterGroup")["Family"]
    assert family == f"aurora-postgresql{version.partition('.')[0]}"


@pytest.mark.control(14, 15)
def test_every_instance_is_patched_and_has_no_public_address(estates: Estates) -> None:
    for estate in estates.each:
        for place, instance in estate.of("RDS::DBInstance").items():
            assert instance["AutoMinorVersionUpgrade"] is True, place
            assert instance["PubliclyAccessible"] is False, place


@pytest.mark.control(16)
def test_what_the_scheduler_does_to_the_database_can_be_seen(estates: Estates) -> None:
    cluster = estates.usual.one("RDS::DBCluster")
    assert cluster["PerformanceInsightsEnabled"] is True


@pytest.mark.control(17)
def test_the_operating_system_below_is_measured_each_minute(estates: Estates) -> None:
    cluster = estates.usual.one("RDS::DBCluster")
    assert cluster["MonitoringInterval"] == 60
    role = cluster["MonitoringRoleArn"].strip("<>").removesuffix(".Arn")
    assert estates.usual.of("IAM::Role")[role]["ManagedPolicyArns"]


@pytest.mark.control(18, 19)
def test_a_second_instance_stands_by_and_follows_the_writers_capacity(
    estates: Estates,
) -> None:
    # Aurora spreads instances over the zones of the subnet group by itself. Below
    # tier 1 a reader shrinks by its own load and takes over cold.
    instances = estates.usual.of("RDS::DBInstance")
    assert len(instances) >= 2
    assert all(each["PromotionTier"] in (0, 1) for each in instances.values())
    assert not any("AvailabilityZone" in each for each in instances.values())


@pytest.mark.control(20)
def test_somebody_hears_of_a_failover_and_of_a_failure(estates: Estates) -> None:
    for estate in estates.each:
        subscriptions = estate.of("RDS::EventSubscription").values()
        heard = {
            (one["SourceType"], source, event)
            for one in subscriptions
            for source in one["SourceIds"]
            for event in one["EventCategories"]
            if one["SnsTopicArn"] == "<AlarmTopic.Topic>" and one.get("Enabled", True)
        }
        ((cluster, _),) = estate.of("RDS::DBCluster").items()
        for event in ("failover", "failure"):
            assert ("db-cluster", f"<{cluster}>", event) in heard
        for instance in estate.of("RDS::DBInstance"):
            assert ("db-instance", f"<{instance}>", "failure") in heard


@pytest.mark.control(21)
def test_copies_are_kept_outside_the_cluster(estates: Estates) -> None:
    selection = estates.usual.one("Backup::BackupSelection")["BackupSelection"]
    ((cluster, _),) = estates.usual.of("RDS::DBCluster").items()
    assert selection["Resources"] == [f"<{cluster}.DBClusterArn>"]
    plan = estates.usual.one("Backup::BackupPlan")["BackupPlan"]
    assert all(rule["Lifecycle"]["DeleteAfterDays"] for rule in plan["BackupPlanRule"])


@pytest.mark.control(22)
def test_a_deleted_database_leaves_a_snapshot(estates: Estates) -> None:
    (cluster,) = estates.usual.whole("RDS::DBCluster").values()
    assert cluster["DeletionPolicy"] == "Snapshot"
    assert cluster["UpdateReplacePolicy"] == "Snapshot"


@pytest.mark.control(23)
def test_nobody_chose_the_masters_password(estates: Estates) -> None:
    cluster = estates.usual.one("RDS::DBCluster")
    assert cluster["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in cluster
