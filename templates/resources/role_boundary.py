"""Permissions boundary of the roles that a launch creates.

A launch writes the policies of its roles, so a changed template could give a role every
permission of the account. The boundary holds each role to what the
roles of the shipped templates need, on resources that belong to the launched stacks.
Policies named in ``ExtraPolicyArns`` have no effect beyond it: where tasks need more,
the administrator passes a boundary of his own. Roles to assume are named one by one
(``launch_role.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from awacs.aws import (
    Action,
    Allow,
    Bool,
    Condition,
    ConditionElement,
    Statement,
    StringEquals,
    StringLike,
)
from troposphere import AWSHelperFn, Sub

from compiler.iam_scopes import ACCOUNT, HERE, STACK_NAME_TAG
from compiler.launch_permissions import StackScope
from compiler.policy_conditions import all_of


@dataclass(frozen=True, kw_only=True)
class BoundaryScope:
    """How far some actions of the stack's roles may reach; ARNs as in ServiceScope."""

    actions: tuple[str, ...]
    why: str
    resources: tuple[str, ...] = ()
    """Empty for ``*``."""
    like: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    equal: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    true: tuple[str, ...] = ()
    """Condition keys that must be true."""


BOUNDARY = (
    BoundaryScope(
        actions=(
            "cloudwatch:PutMetricData",
            "ecr:GetAuthorizationToken",
            "ecs:ListServices",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
            "tag:GetResources",
        ),
        why="IAM checks them against no resource.",
    ),
    BoundaryScope(
        actions=("cloudformation:DescribeStacks",),
        resources=(
            f"cloudformation:{HERE}:stack/<root>/*",
            f"cloudformation:{HERE}:stack/<stack>*",
        ),
        why="The migration function tells a rollback from an update.",
    ),
    BoundaryScope(
        actions=(
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:BatchImportUpstreamImage",
            "ecr:CreateRepository",
            "ecr:GetDownloadUrlForLayer",
        ),
        resources=("ecr:${AWS::Region}:*:repository/*",),
        why="The image's repository is the operator's.",
    ),
    BoundaryScope(
        actions=(
            "ecs:DescribeServices",
            "ecs:DescribeTasks",
            "ecs:StopTask",
            "ecs:UpdateTaskProtection",
        ),
        resources=(f"ecs:{HERE}:service/<stack>*", f"ecs:{HERE}:task/<stack>*"),
        why="Services and tasks carry the name of their cluster.",
    ),
    BoundaryScope(
        actions=("ecs:RunTask",),
        resources=(f"ecs:{HERE}:task-definition/*",),
        like={"ecs:cluster": (f"ecs:{HERE}:cluster/<stack>*",)},
        why="In the stack's own cluster.",
    ),
    BoundaryScope(
        actions=("iam:PassRole",),
        resources=(f"iam:{ACCOUNT}:role/<stack>*",),
        equal={"iam:PassedToService": ("ecs-tasks.amazonaws.com",)},
        why="The migration function starts a task with two roles of the stack.",
    ),
    BoundaryScope(
        actions=("kms:Decrypt", "kms:GenerateDataKey"),
        resources=(f"kms:{HERE}:key/*",),
        like={
            "kms:ViaService": (
                "backup.${AWS::Region}.amazonaws.com*",
                "rds.${AWS::Region}.amazonaws.com*",
                "s3.${AWS::Region}.amazonaws.com*",
                "secretsmanager.${AWS::Region}.amazonaws.com*",
            )
        },
        why="Services use keys for the roles, on what these may read or write.",
    ),
    BoundaryScope(
        actions=("kms:CreateGrant",),
        resources=(f"kms:{HERE}:key/*",),
        true=("kms:GrantIsForAWSResource",),
        why="AWS Backup copies an encrypted snapshot.",
    ),
    BoundaryScope(
        actions=("kms:DescribeKey",),
        resources=(f"kms:{HERE}:key/*",),
        why="AWS Backup reads the key of what it copies.",
    ),
    BoundaryScope(
        actions=("lambda:InvokeFunction",),
        resources=(f"lambda:{HERE}:function:<stack>*",),
        why="The migration function continues itself.",
    ),
    BoundaryScope(
        actions=(
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogStreams",
            "logs:GetLogEvents",
            "logs:PutLogEvents",
            "logs:PutRetentionPolicy",
        ),
        resources=(
            f"logs:{HERE}:log-group:<stack>*",
            f"logs:{HERE}:log-group:RDSOSMetrics*",
        ),
        why="Logs of the stack, and the group in which RDS writes enhanced monitoring.",
    ),
    BoundaryScope(
        actions=("logs:DescribeLogGroups",),
        resources=(f"logs:{HERE}:log-group:*",),
        why="ECS Exec looks for the group of its session log.",
    ),
    BoundaryScope(
        actions=("s3:GetObject", "s3:ListBucket", "s3:PutObject"),
        resources=("s3:::<lower>*",),
        why="Buckets of the stack.",
    ),
    BoundaryScope(
        actions=("secretsmanager:GetSecretValue",),
        resources=(f"secretsmanager:{HERE}:secret:*",),
        like={f"aws:ResourceTag/{STACK_NAME_TAG}": ("<stack>*",)},
        why="Secrets of the stack.",
    ),
    BoundaryScope(
        actions=("secretsmanager:GetSecretValue",),
        resources=(
            f"secretsmanager:{HERE}:secret:<stack>*/connections/*",
            f"secretsmanager:{HERE}:secret:<stack>*/variables/*",
        ),
        why="Connections and variables of Airflow. By name: a secret that does not "
        "exist has no tag, and looking for it is no error.",
    ),
    BoundaryScope(
        actions=("secretsmanager:GetSecretValue",),
        resources=(f"secretsmanager:{HERE}:secret:rds!*",),
        like={
            "aws:ResourceTag/aws:rds:primaryDBClusterArn": (
                f"rds:{HERE}:cluster:<lower>*",
            )
        },
        why="The master login that RDS keeps for the stack's database.",
    ),
    BoundaryScope(
        actions=(
            "backup:CopyFromBackupVault",
            "backup:CopyIntoBackupVault",
            "backup:DescribeBackupVault",
            "rds:AddTagsToResource",
            "rds:CopyDBClusterSnapshot",
            "rds:CreateDBClusterSnapshot",
            "rds:DeleteDBClusterSnapshot",
            "rds:DescribeDBClusterAutomatedBackups",
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeDBClusters",
            "rds:DescribeDBInstances",
            "rds:ListTagsForResource",
            "rds:ModifyDBClusterSnapshotAttribute",
        ),
        resources=(
            f"backup:{HERE}:backup-vault:*",
            f"rds:{HERE}:cluster:<lower>*",
            f"rds:{HERE}:cluster-snapshot:awsbackup:*",
            f"rds:{HERE}:db:<lower>*",
        ),
        why="AWS Backup copies the stack's database into a vault.",
    ),
)
"""What the roles of the templates may do at most, AWS managed policies included."""


def boundary_statements(
    stack_prefix: str, bucket: str | AWSHelperFn
) -> list[Statement]:
    """Return the boundary of roles of stacks with this prefix.

    ``bucket`` holds the published files, from which containers read their code.
    """
    scope = StackScope(stack_prefix)
    statements = [
        Statement(
            Effect=Allow,
            Action=[Action(*action.split(":")) for action in row.actions],
            Resource=scope.arns(row.resources) if row.resources else ["*"],
            **_conditions(row, scope),
        )
        for row in BOUNDARY
    ]
    return [
        *statements,
        Statement(
            Effect=Allow,
            Action=[Action("s3", "GetObject")],
            Resource=[Sub("arn:${AWS::Partition}:s3:::${Bucket}/*", Bucket=bucket)],
        ),
    ]


def _conditions(row: BoundaryScope, scope: StackScope) -> dict[str, Condition]:
    tests: list[ConditionElement] = [
        *(
            StringLike(key, [_value(each, scope) for each in values])
            for key, values in row.like.items()
        ),
        *(StringEquals(key, list(values)) for key, values in row.equal.items()),
        *(Bool(key, "true") for key in row.true),
    ]
    return {"Condition": all_of(tests)} if tests else {}


def _value(text: str, scope: StackScope) -> str | Sub:
    """Return a value of a condition: an ARN, a service or a name."""
    is_arn = text.count(":") >= len(["service", "region", "account", ""]) - 1
    return scope.arns([text])[0] if is_arn else scope.value(text)
