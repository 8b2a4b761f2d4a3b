"""The database: logs, restores, logins, versions and connections."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from compiler.references import references
from compiler.wiring import Build
from templates import database
from templates.checks.aurora import halves_below, max_connections
from templates.types import AuroraVersion
from tests.compliance.test_controls_database import versions
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
    page = Build().template(database.define)
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


def test_log_group_is_created_before_any_instance() -> None:
    # RDS creates a missing group itself, without expiry or key, at the first line of
    # the log (cloudformation-coverage-roadmap #190).
    document = json.loads(Build().template(database.define).text())
    assert "Cluster" in needs(document, "Log")
    assert "Log" in needs(document, "Writer")


def test_password_statements_are_not_logged() -> None:
    # ALTER ROLE ... PASSWORD is DDL: log_statement ddl would put it into the log.
    settings = stack().resources["Settings"]["Properties"]["Parameters"]
    assert settings["log_statement"] == "none"


def test_restore_inherits_user_and_encryption_from_the_snapshot() -> None:
    restored = cluster(SnapshotId="before-the-upgrade")
    assert restored["SnapshotIdentifier"] == "before-the-upgrade"
    for inherited in ("MasterUsername", "StorageEncrypted"):
        assert inherited not in restored
        assert inherited in cluster()
    assert "SnapshotIdentifier" not in cluster()
    assert "DatabaseName" not in restored
    assert restored["KmsKeyId"] == "<key>"
    assert restored["ManageMasterUserPassword"] is True


def test_restore_accepts_a_newer_engine_version() -> None:
    # Automatic minor upgrades leave such snapshots. RDS refuses an older version
    # and, without one, takes the region's default, perhaps of another major.
    restored = cluster(SnapshotId="after-the-upgrade", EngineVersion="17.9")
    assert restored["EngineVersion"] == "17.9"


def test_logins_are_generated_for_their_users() -> None:
    resources = stack().resources
    for name, user in (
        ("AirflowLogin", "airflow"),
        ("ResultsLogin", "celery_results"),
        ("ScalingLogin", "airflow_scaling"),
    ):
        recipe = resources[name]["Properties"]["GenerateSecretString"]
        assert json.loads(recipe["SecretStringTemplate"]) == {"username": user}
        assert recipe["GenerateStringKey"] == "password"
        assert recipe["PasswordLength"] >= 40


def test_restored_stack_has_new_logins() -> None:
    # The migration job sets the passwords of the roles in the snapshot.
    for snapshot in ("", "a-snapshot"):
        outputs = stack(SnapshotId=snapshot).outputs
        assert outputs["ConnectionAirflowSecretArn"] == "<AirflowLogin>"
        assert outputs["ConnectionResultsSecretArn"] == "<ResultsLogin>"
        assert outputs["ConnectionScalingSecretArn"] == "<ScalingLogin>"


def test_airflow_celery_autoscaler_and_master_are_four_users() -> None:
    users = {database.AIRFLOW_USER, database.RESULTS_USER, database.MASTER_USER}
    users.add(database.SCALING_USER)
    assert len(users) == 4
    assert cluster()["MasterUsername"] == database.MASTER_USER
    assert "rdsadmin" not in users, "reserved by RDS"


@pytest.mark.parametrize(
    ("capacity", "is_on"), [("0", False), ("0.5", False), ("1.5", False), ("2", True)]
)
def test_insights_need_two_units_of_capacity(capacity: str, is_on: bool) -> None:  # noqa: FBT001 - a table
    # Below 2 units they take memory that queries need.
    properties = cluster(MinCapacity=capacity)
    assert properties["PerformanceInsightsEnabled"] is is_on
    assert ("PerformanceInsightsKmsKeyId" in properties) is is_on


def test_offered_versions_can_be_created() -> None:
    # A retired version fails at creation, and the linter passes it.
    offered = set(AuroraVersion.rules["AllowedValues"])
    assert offered <= versions("engine_version.json")
    assert not offered & versions("engine_version_deprecated.json")


def test_offered_versions_fit_the_parameter_group() -> None:
    for version in AuroraVersion.rules["AllowedValues"]:
        major, _, minor = version.partition(".")
        assert minor, "state the minor version"
        assert f"aurora-postgresql{major}" == database.PARAMETER_FAMILY


def test_writer_is_created_before_the_reader() -> None:
    # The instance that is created first becomes the writer.
    assert "Writer" in needs(
        json.loads(Build().template(database.define).text()), "Reader"
    )


def test_instance_events_follow_the_reader() -> None:
    for enable_reader, sources in (
        ("true", ["<Writer>", "<Reader>"]),
        ("false", ["<Writer>"]),
    ):
        resources = stack(EnableReader=enable_reader).resources
        assert resources["InstanceEvents"]["Properties"]["SourceIds"] == sources


PUBLISHED = {1: 189, 4: 823, 8: 1669, 16: 3360, 32: 5000, 64: 5000, 128: 5000}
"""AWS's figures for Aurora PostgreSQL, by the most capacity units."""


def test_connections_are_counted_as_aurora_counts_them() -> None:
    for units, connections in PUBLISHED.items():
        assert max_connections(1, units) == connections


def test_cluster_below_one_unit_admits_fewer_connections() -> None:
    assert max_connections(0.5, 16) == 2000
    assert max_connections(0, 32) == 2000
    assert max_connections(0.5, 1) == 189


def test_more_capacity_never_means_fewer_connections() -> None:
    counts = [max_connections(1, half / 2) for half in range(2, 513)]
    assert all(low <= high for low, high in itertools.pairwise(counts))


def test_capacities_are_written_as_in_parameter_files() -> None:
    assert halves_below(2) == ("0", "0.5", "1", "1.5")
