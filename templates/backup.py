"""Copies of the database outside its cluster, made by AWS Backup.

The cluster's own backups go with it, and so does their retention. It does not lock the
vault and copies to no other region or account: both are decisions about somebody else's
account, and a locked vault cannot be deleted with its stack. Restoring takes a role of
its own, which AWS Backup makes on first use.
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
"""For the audit that looks back a year."""

START_WITHIN_MINUTES = 120


class Inputs(Interface):
    """What the backup stack is inputs."""

    cluster_arn: DatabaseArn = about("Aurora cluster to back up.")
    key_arn: KeyArn = about("KMS key of the vault.")
    alarm_topic_arn: TopicArn = about("Topic that failed backups are reported to.")
    permissions_boundary_arn: PolicyArn = about("Boundary of the role, or nothing.")


class Outputs(Interface):
    """What the backup stack makes."""

    vault_name: Text = about("Vault the copies lie in.", public=True)


def define(t: Template, inputs: Inputs) -> Outputs:
    """Write the template."""
    has_boundary = t.condition(
        "HasBoundary", Not(Equals(inputs.permissions_boundary_arn, ""))
    )

    vault = t.add(
        backup.BackupVault(
            "Vault",
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
            BackupVaultName=_unique(),
            EncryptionKeyArn=inputs.key_arn,
        ),
        "Keeps the copies, also after the stack.",
        why="AWS Backup asks for a name of at most 50 characters; it is made of the "
        "stack's ID, unique however long the stack's name is. The key replaces the "
        "vault if it changes, and would meet this name; the key of a stack never does.",
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
        "Lets AWS Backup take snapshots of the database.",
        why="The policy is AWS's own and covers more than Aurora; AWS keeps it in step "
        "with what the service calls, and a backup that lacks a permission is noticed "
        "only when it is needed. Only AWS Backup in this account can use the role.",
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
        "Names the database as what the plan copies.",
        why="By ARN: a tag could be lost, and the backup with it.",
    )

    for watch in BACKUP:
        t.add(
            watch.alarm(
                {"BackupVaultName": Ref(vault)},
                inputs.alarm_topic_arn,
                subject="Backup",
            ),
            watch.purpose,
            why=watch.why,
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
