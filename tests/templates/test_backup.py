"""What the backup stack promises."""

from __future__ import annotations

import json
import re

from compiler.wiring import Build
from templates import backup, database
from tests.maintenance_windows import minutes
from tests.resolver import Stack, deploy

GIVEN = {
    "ClusterArn": "<cluster>",
    "KeyArn": "<key>",
    "AlarmTopicArn": "<topic>",
    "PermissionsBoundaryArn": "",
}


def stack(name: str = "airflow", **changes: str) -> Stack:
    page = Build().page(backup.define)
    return deploy(json.loads(page.text()), {}, GIVEN | changes, name=name)


def test_the_database_is_what_the_plan_copies() -> None:
    # Control 21. By ARN: a tag could be lost, and the backup with it.
    selection = stack().resources["Selection"]["Properties"]
    assert selection["BackupPlanId"] == "<Plan>"
    assert selection["BackupSelection"]["Resources"] == ["<cluster>"]
    assert selection["BackupSelection"]["IamRoleArn"] == "<Role.Arn>"


def test_copies_outlive_the_stack_under_our_key() -> None:
    vault = stack().resources["Vault"]
    assert vault["DeletionPolicy"] == vault["UpdateReplacePolicy"] == "Retain"
    assert vault["Properties"]["EncryptionKeyArn"] == "<key>"


def test_some_copies_are_kept_for_the_yearly_audit() -> None:
    plan = stack().resources["Plan"]["Properties"]["BackupPlan"]
    kept = {r["RuleName"]: r["Lifecycle"] for r in plan["BackupPlanRule"]}
    assert kept["daily"] == {"DeleteAfterDays": 35}
    assert kept["monthly"] == {"DeleteAfterDays": 365}
    for rule in plan["BackupPlanRule"]:
        assert rule["TargetBackupVault"] == "<Vault>"


def test_copies_are_made_when_the_database_does_nothing_of_its_own() -> None:
    # AWS Backup does not start within a database's own windows; the job expires.
    busy = minutes(database.BACKUP_WINDOW) | minutes(database.MAINTENANCE_WINDOW)
    plan = stack().resources["Plan"]["Properties"]["BackupPlan"]
    for rule in plan["BackupPlanRule"]:
        found = re.match(r"cron\((\d+) (\d+) ", rule["ScheduleExpression"])
        assert found
        start = int(found[2]) * 60 + int(found[1])
        # An hour's distance, as AWS asks for.
        window = range(start - 60, start + rule["StartWindowMinutes"] + 60)
        assert not {day * 1440 + m for day in range(7) for m in window} & busy


def test_aws_backup_alone_uses_the_role_and_for_this_account_only() -> None:
    role = stack().resources["Role"]["Properties"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "backup.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012"}
    }
    assert "PermissionsBoundary" not in role
    bounded = stack(PermissionsBoundaryArn="<boundary>").resources["Role"]
    assert bounded["Properties"]["PermissionsBoundary"] == "<boundary>"


def test_a_backup_that_fails_or_never_starts_is_reported() -> None:
    resources = stack().resources
    watched = {
        properties["MetricName"]: properties["AlarmActions"]
        for properties in (
            r["Properties"]
            for r in resources.values()
            if r["Type"] == "AWS::CloudWatch::Alarm"
        )
    }
    assert watched == {
        "NumberOfBackupJobsFailed": ["<topic>"],
        "NumberOfBackupJobsExpired": ["<topic>"],
    }


def test_names_are_short_and_unique_however_long_the_stack_name_is() -> None:
    # AWS Backup: 2 to 50 letters, digits, hyphens and underscores.
    resources = stack("x" * 128).resources
    for name in (
        resources["Vault"]["Properties"]["BackupVaultName"],
        resources["Plan"]["Properties"]["BackupPlan"]["BackupPlanName"],
    ):
        assert re.fullmatch(r"[a-zA-Z0-9_-]{2,50}", name)
        assert name.endswith("6b7c8d90-1a2b-11ef-8e3a-0a1b2c3d4e5f")
