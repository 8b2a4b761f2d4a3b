"""Copies of the database outside its cluster, made by AWS Backup.

The cluster's own backups are deleted with it. It does not lock the
vault and copies to no other region or account: both are decisions about other accounts,
and a locked vault cannot be deleted with its stack. Restoring takes a role of its own,
which AWS Backup creates on first use.
"""

from __future__ import annotations

from troposphere import (
    Equals,
    GetAtt,
    If,
    Join,
    Not,
    NoValue,
    Ref,
    Select,
    Split,
    StackId,
    Sub,
    backup,
    iam,
)

from compiler.wiring import Interface, Template, about
from templates.resources.alarms import BACKUP
from templates.resources.assume_role import trust
from templates.types import DatabaseArn, KeyArn, PolicyArn, Text, TopicArn

DAILY = "cron(0 8 * * ? *)"
MONTHLY = "cron(0 12 1 * ? *)"
"""In UTC, hours after the database's own backup and maintenance windows."""

DAILY_KEPT_DAYS = 35
"""As long as a cluster can keep its own."""
MONTHLY_KEPT_DAYS = 365
"""An audit looks back one year."""

START_WITHIN_MINUTES = 120


class Inputs(Interface):
    """The database, and the key and alarms of its copies."""

    cluster_arn: DatabaseArn = about("Aurora cluster to back up.")
    key_arn: KeyArn = about("KMS key of the vault.")
    alarm_topic_arn: TopicArn = about("Topic of failed backups.")
    permissions_boundary_arn: PolicyArn = about("Boundary of the role, or nothing.")


class Outputs(Interface):
    """The vault."""

    vault_name: Text = about("Vault of the copies.", public=True)


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the vault, the plan, its role and its alarms."""
    has_boundary = t.condition(
        "HasBoundary", Not(Equals(inputs.permissions_boundary_arn, ""))
    )

    vault = t.add(
        backup.BackupVault(
            "Vault",
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
            BackupVaultName=_unique(),
            EncryptionKeyArn=inputs.key_arn,
        ),
        "Vault of the copies, retained after the stack.",
        why="AWS Backup requires a name of at most 50 characters; it consists of the "
        "stack's ID, unique however long the stack's name is. A change of the key "
        "would replace the vault under the same name; a stack's key never changes.",
    )
    plan = t.add(
        backup.BackupPlan(
            "Plan",
            BackupPlan=backup.BackupPlanResourceType(
                BackupPlanName=_unique(),
                BackupPlanRule=[
                    _rule("daily", DAILY, DAILY_KEPT_DAYS, vault),
                    _rule("monthly", MONTHLY, MONTHLY_KEPT_DAYS, vault),
                ],
            ),
        ),
        "Copies the database every day and every month.",
    )

    role = t.add(
        iam.Role(
            "Role",
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
            # The account alone: AWS Backup documents no source ARN for a role.
            AssumeRolePolicyDocument=trust("backup.amazonaws.com"),
            ManagedPolicyArns=[
                Sub(
                    "arn:${AWS::Partition}:iam::aws:policy/service-role/"
                    "AWSBackupServiceRolePolicyForBackup"
                )
            ],
            PermissionsBoundary=If(
                has_boundary, inputs.permissions_boundary_arn, NoValue
            ),
        ),
        "Role of AWS Backup to take snapshots of the database.",
        why="The policy is AWS's own and covers more than Aurora; AWS updates it with "
        "the service, and a backup that lacks a permission is noticed only when it is "
        "needed. Only AWS Backup in this account can use the role. Retained with the "
        "vault: AWS Backup deletes an expired copy with the role that made it.",
    )
    t.add(
        backup.BackupSelection(
            "Selection",
            BackupPlanId=Ref(plan),
            BackupSelection=backup.BackupSelectionResourceType(
                SelectionName="database",
                IamRoleArn=GetAtt(role, "Arn"),
                Resources=[inputs.cluster_arn],
            ),
        ),
        "Selects the database for the plan.",
        why="By ARN: a tag could be lost, and the backup with it.",
    )

    for spec in BACKUP:
        t.add(
            spec.alarm(
                {"BackupVaultName": Ref(vault)},
                inputs.alarm_topic_arn,
                subject="Backup",
            ),
            spec.purpose,
            why=spec.why,
        )

    return Outputs(vault_name=Text(Ref(vault)))


def _unique() -> Join:
    return Join("-", ["airflow", Select(2, Split("/", StackId))])


def _rule(
    name: str, schedule: str, days: int, vault: backup.BackupVault
) -> backup.BackupRuleResourceType:
    return backup.BackupRuleResourceType(
        RuleName=name,
        TargetBackupVault=Ref(vault),
        ScheduleExpression=schedule,
        StartWindowMinutes=START_WITHIN_MINUTES,
        Lifecycle=backup.LifecycleResourceType(DeleteAfterDays=days),
    )
