"""Controls 1 to 23: the database."""

from __future__ import annotations

import json
import re

import pytest

from tests.compliance.environments import Environments, variables
from tests.linter_data import linter_data
from tests.maintenance_windows import minutes

KEY = "<Encryption.Key.Arn>"


@pytest.mark.control(1, 2)
def test_database_is_encrypted_with_a_customer_key(environments: Environments) -> None:
    for environment in environments.variants:
        cluster = environment.single("RDS::DBCluster")
        assert cluster["StorageEncrypted"] is True
        assert cluster["KmsKeyId"] == KEY
        assert cluster["MasterUserSecret"]["KmsKeyId"] == KEY
        insights = cluster["PerformanceInsightsEnabled"]
        assert cluster.get("PerformanceInsightsKmsKeyId") == (KEY if insights else None)


@pytest.mark.control(3)
def test_database_clients_verify_tls(environments: Environments) -> None:
    # With TLS on the server alone, a client would accept an impostor.
    environment = environments.base
    groups = environment.properties("RDS::DBClusterParameterGroup")
    ((place, group),) = groups.items()
    assert group["Parameters"]["rds.force_ssl"] == "1"
    cluster = environment.single("RDS::DBCluster")
    assert cluster["DBClusterParameterGroupName"] == f"<{place}>"
    clients = 0
    for container in environment.containers().values():
        settings = variables(container)
        if "METADATA_HOST" in settings:
            clients += 1
            assert settings["PGSSLMODE"] == "verify-full"
            assert settings["PGSSLROOTCERT"]
        if "AIRFLOW__CELERY__RESULT_BACKEND_CMD" in settings:
            clients += 1
            options = settings[
                "AIRFLOW__CELERY__RESULT_BACKEND_SQLALCHEMY_ENGINE_OPTIONS"
            ]
            arguments = json.loads(options)["connect_args"]
            assert arguments["sslmode"] == "verify-full"
            assert arguments["sslrootcert"] == settings["PGSSLROOTCERT"]
    assert clients > 1


@pytest.mark.control(4)
def test_database_has_deletion_protection(environments: Environments) -> None:
    assert environments.base.single("RDS::DBCluster")["DeletionProtection"] is True


@pytest.mark.control(5)
def test_database_backups_reach_back_a_week(environments: Environments) -> None:
    assert int(environments.base.single("RDS::DBCluster")["BackupRetentionPeriod"]) >= 7


@pytest.mark.control(6)
def test_database_accepts_iam_tokens(environments: Environments) -> None:
    cluster = environments.base.single("RDS::DBCluster")
    assert cluster["EnableIAMDatabaseAuthentication"] is True


@pytest.mark.control(7)
def test_postgresql_log_goes_to_an_own_log_group(environments: Environments) -> None:
    environment = environments.base
    ((place, cluster),) = environment.properties("RDS::DBCluster").items()
    assert cluster["EnableCloudwatchLogsExports"] == ["postgresql"]
    names = [
        group.get("LogGroupName")
        for group in environment.properties("Logs::LogGroup").values()
    ]
    assert f"/aws/rds/cluster/<{place}>/postgresql" in names


@pytest.mark.control(8)
def test_database_snapshots_carry_its_tags(environments: Environments) -> None:
    assert environments.base.single("RDS::DBCluster")["CopyTagsToSnapshot"] is True


@pytest.mark.control(9)
def test_database_port_is_not_the_default(environments: Environments) -> None:
    for environment in environments.variants:
        assert environment.single("RDS::DBCluster")["Port"] not in (None, 5432)
        for place, instance in environment.properties("RDS::DBInstance").items():
            assert "Port" not in instance, place


@pytest.mark.control(10)
def test_master_user_name_is_not_well_known(environments: Environments) -> None:
    name = environments.base.single("RDS::DBCluster")["MasterUsername"]
    assert name not in ("postgres", "admin", "root", "awsuser")


@pytest.mark.control(11)
def test_database_windows_are_apart(environments: Environments) -> None:
    cluster = environments.base.single("RDS::DBCluster")
    backup = minutes(cluster["PreferredBackupWindow"])
    maintenance = minutes(cluster["PreferredMaintenanceWindow"])
    assert backup
    assert maintenance
    assert not backup & maintenance


@pytest.mark.control(12)
def test_database_capacity_suffices_for_insights(environments: Environments) -> None:
    scaling = environments.base.single("RDS::DBCluster")[
        "ServerlessV2ScalingConfiguration"
    ]
    assert float(scaling["MinCapacity"]) >= 2
    assert float(scaling["MaxCapacity"]) >= float(scaling["MinCapacity"])


def versions(file: str) -> set[str]:
    """Return the versions of Aurora PostgreSQL that the linter's table names."""
    table = linter_data(f"schemas/extensions/aws_rds_dbcluster/{file}")
    return {
        version
        for rule in table["allOf"]
        if "aurora-postgresql" in json.dumps(rule["if"])
        for version in re.findall(r'"(\d[\d.]*)"', json.dumps(rule))
    }


@pytest.mark.control(13)
def test_engine_version_can_be_created(environments: Environments) -> None:
    # The linter warns of 16.6 and lets 11.9 pass: so both of its tables are asked.
    version = environments.base.single("RDS::DBCluster")["EngineVersion"]
    assert version in versions("engine_version.json")
    assert version not in versions("engine_version_deprecated.json")
    family = environments.base.single("RDS::DBClusterParameterGroup")["Family"]
    assert family == f"aurora-postgresql{version.partition('.')[0]}"


@pytest.mark.control(14, 15)
def test_instances_are_patched_and_not_public(environments: Environments) -> None:
    for environment in environments.variants:
        for place, instance in environment.properties("RDS::DBInstance").items():
            assert instance["AutoMinorVersionUpgrade"] is True, place
            assert instance["PubliclyAccessible"] is False, place


@pytest.mark.control(16)
def test_performance_insights_are_on(environments: Environments) -> None:
    cluster = environments.base.single("RDS::DBCluster")
    assert cluster["PerformanceInsightsEnabled"] is True


@pytest.mark.control(17)
def test_enhanced_monitoring_is_on(environments: Environments) -> None:
    cluster = environments.base.single("RDS::DBCluster")
    assert cluster["MonitoringInterval"] == 60
    role = cluster["MonitoringRoleArn"].strip("<>").removesuffix(".Arn")
    assert environments.base.properties("IAM::Role")[role]["ManagedPolicyArns"]


@pytest.mark.control(18, 19)
def test_reader_keeps_the_writers_capacity(environments: Environments) -> None:
    # Aurora spreads instances over the zones of the subnet group by itself. Below
    # tier 1 a reader shrinks by its own load and takes over cold.
    instances = environments.base.properties("RDS::DBInstance")
    assert len(instances) >= 2
    assert all(each["PromotionTier"] in (0, 1) for each in instances.values())
    assert not any("AvailabilityZone" in each for each in instances.values())


@pytest.mark.control(20)
def test_failover_and_failure_events_are_published(environments: Environments) -> None:
    for environment in environments.variants:
        subscriptions = environment.properties("RDS::EventSubscription").values()
        published = {
            (subscription["SourceType"], source, event)
            for subscription in subscriptions
            for source in subscription["SourceIds"]
            for event in subscription["EventCategories"]
            if subscription["SnsTopicArn"] == "<AlarmTopic.Topic>"
            and subscription["Enabled"] is True
        }
        ((cluster, _),) = environment.properties("RDS::DBCluster").items()
        for event in ("configuration change", "failover", "failure", "maintenance"):
            assert ("db-cluster", f"<{cluster}>", event) in published
        for instance in environment.properties("RDS::DBInstance"):
            for event in ("configuration change", "failure", "maintenance"):
                assert ("db-instance", f"<{instance}>", event) in published


@pytest.mark.control(21)
def test_aws_backup_copies_the_database(environments: Environments) -> None:
    selection = environments.base.single("Backup::BackupSelection")["BackupSelection"]
    ((cluster, _),) = environments.base.properties("RDS::DBCluster").items()
    assert selection["Resources"] == [f"<{cluster}.DBClusterArn>"]
    plan = environments.base.single("Backup::BackupPlan")["BackupPlan"]
    assert all(rule["Lifecycle"]["DeleteAfterDays"] for rule in plan["BackupPlanRule"])


@pytest.mark.control(22)
def test_deleted_database_leaves_a_snapshot(environments: Environments) -> None:
    (cluster,) = environments.base.resources("RDS::DBCluster").values()
    assert cluster["DeletionPolicy"] == "Snapshot"
    assert cluster["UpdateReplacePolicy"] == "Snapshot"


@pytest.mark.control(23)
def test_master_password_is_managed_by_rds(environments: Environments) -> None:
    cluster = environments.base.single("RDS::DBCluster")
    assert cluster["ManageMasterUserPassword"] is True
    assert "MasterUserPassword" not in cluster
