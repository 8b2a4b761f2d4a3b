"""AWS Backup: retention, schedule, alarms and names."""

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
    page = Build().template(backup.define)
    return deploy(json.loads(page.text()), {}, GIVEN | changes, name=name)


def test_vault_uses_the_customer_managed_key() -> None:
    vault = stack().resources["Vault"]["Properties"]
    assert vault["EncryptionKeyArn"] == "<key>"


def test_monthly_copies_are_kept_for_a_year() -> None:
    plan = stack().resources["Plan"]["Properties"]["BackupPlan"]
    lifecycles = {r["RuleName"]: r["Lifecycle"] for r in plan["BackupPlanRule"]}
    assert lifecycles["daily"] == {"DeleteAfterDays": 35}
    assert lifecycles["monthly"] == {"DeleteAfterDays": 365}
    for rule in plan["BackupPlanRule"]:
        assert rule["TargetBackupVault"] == "<Vault>"


def test_copies_start_outside_the_windows_of_the_database() -> None:
    # AWS Backup does not start within a database's own windows; the job expires.
    busy = minutes(database.BACKUP_WINDOW) | minutes(database.MAINTENANCE_WINDOW)
    plan = stack().resources["Plan"]["Properties"]["BackupPlan"]
    for rule in plan["BackupPlanRule"]:
        schedule = re.match(r"cron\((\d+) (\d+) ", rule["ScheduleExpression"])
        assert schedule
        start = int(schedule[2]) * 60 + int(schedule[1])
        # An hour's distance, as AWS asks for.
        window = range(start - 60, start + rule["StartWindowMinutes"] + 60)
        assert not {day * 1440 + m for day in range(7) for m in window} & busy


def test_role_of_the_copies_outlives_the_stack() -> None:
    # AWS Backup deletes an expired copy with the role that made it.
    role, vault = (stack().resources[name] for name in ("Role", "Vault"))
    for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
        assert role[policy] == vault[policy]
        assert role[policy].startswith("Retain")


def test_a_day_without_a_backup_raises_an_alarm() -> None:
    # Where Aurora is turned off in AWS Backup, no job starts: nothing fails.
    alarm = stack().resources["BackupMissing"]["Properties"]
    assert alarm["MetricName"] == "NumberOfBackupJobsCompleted"
    assert alarm["TreatMissingData"] == "breaching"
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", 1)
    day = 24 * 3600
    assert day < alarm["Period"] * alarm["EvaluationPeriods"] < 2 * day


def test_failed_missing_and_expired_backups_raise_alarms() -> None:
    resources = stack().resources
    actions = {
        properties["MetricName"]: properties["AlarmActions"]
        for properties in (
            r["Properties"]
            for r in resources.values()
            if r["Type"] == "AWS::CloudWatch::Alarm"
        )
    }
    assert actions == {
        "NumberOfBackupJobsFailed": ["<topic>"],
        "NumberOfBackupJobsCompleted": ["<topic>"],
        "NumberOfBackupJobsExpired": ["<topic>"],
    }


def test_names_are_short_and_unique_for_long_stack_names() -> None:
    # AWS Backup: 2 to 50 letters, digits, hyphens and underscores.
    resources = stack("x" * 128).resources
    for name in (
        resources["Vault"]["Properties"]["BackupVaultName"],
        resources["Plan"]["Properties"]["BackupPlan"]["BackupPlanName"],
    ):
        assert re.fullmatch(r"[a-zA-Z0-9_-]{2,50}", name)
        assert name.endswith("6b7c8d90-1a2b-11ef-8e3a-0a1b2c3d4e5f")
