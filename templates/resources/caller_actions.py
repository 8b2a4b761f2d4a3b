"""What the commands of ``build.py`` call, on which resources.

The roles of a pipeline and of ``verify``, and the table in ``docs/permissions.md``,
follow from these rows.
``launch --role-arn`` calls CloudFormation with the caller's rights and lets
CloudFormation create resources with those of the service role.
"""

from __future__ import annotations

from dataclasses import dataclass

from compiler.iam_scopes import ACCOUNT, HERE, LINKED_ROLES, STACK_NAME_TAG
from templates.resources.stack_tag import STACK_TAG

STACKS = (
    f"cloudformation:{HERE}:stack/<root>/*",
    f"cloudformation:{HERE}:stack/<stack>*",
)
BUCKET = ("s3:::${Bucket}",)
OBJECTS = ("s3:::${Bucket}/*",)
ANY = ("*",)

LOGICAL_ID_TAG = "aws:cloudformation:logical-id"

CALLER, VERIFIER = "caller", "verifier"
"""Roles of ``build.py role``: of a pipeline, and of ``build.py verify``."""


@dataclass(frozen=True, kw_only=True)
class CallerActions:
    """Actions of one command on some resources.

    Resources are ARNs as in ServiceScope, or ``*``; ``${Bucket}`` is the bucket of the
    published files and ``${ServiceRole}`` the ARN of the service role.
    """

    command: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    why: str
    equal: tuple[tuple[str, tuple[str, ...]], ...] = ()
    absent: tuple[str, ...] = ()
    """Condition keys that the request must not have."""
    like: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Condition keys with patterns, in which ``<stack>`` may stand."""
    roles: tuple[str, ...] = (CALLER,)
    """Which of the generated roles have them."""


CALLER_ACTIONS = (
    CallerActions(
        command="status",
        actions=(
            "cloudformation:DescribeStackEvents",
            "cloudformation:DescribeStacks",
            "cloudformation:GetTemplate",
            "cloudformation:ListStackResources",
        ),
        resources=STACKS,
        why="Also events and outputs.",
        roles=(CALLER, VERIFIER),
    ),
    CallerActions(
        command="status",
        actions=("cloudwatch:DescribeAlarms",),
        resources=ANY,
        why="State of the alarms. CloudWatch demands it of calls that could return "
        "composite alarms.",
        roles=(CALLER, VERIFIER),
    ),
    CallerActions(
        command="status",
        actions=("ecs:DescribeServices", "ecs:DescribeTasks"),
        resources=(f"ecs:{HERE}:service/<stack>*", f"ecs:{HERE}:task/<stack>*"),
        why="Health of tasks; exit codes of stopped ones for diagnose.",
        roles=(CALLER, VERIFIER),
    ),
    CallerActions(
        command="status",
        actions=("ecs:ListTasks",),
        resources=ANY,
        why="Fargate has no resource to check it against.",
        roles=(CALLER, VERIFIER),
    ),
    CallerActions(
        command="status --drift",
        actions=(
            "cloudformation:DescribeStackResourceDrifts",
            "cloudformation:DetectStackDrift",
            "cloudformation:DetectStackResourceDrift",
        ),
        resources=STACKS,
        why="A resource is compared only where the credentials may also read it, as "
        "those of ReadOnlyAccess; the others are counted.",
        roles=(CALLER, VERIFIER),
    ),
    CallerActions(
        command="status --drift",
        actions=(
            "cloudformation:BatchDescribeTypeConfigurations",
            "cloudformation:DescribeStackDriftDetectionStatus",
        ),
        resources=ANY,
        why="They have no resource to check them against.",
        roles=(CALLER, VERIFIER),
    ),
    CallerActions(
        command="diagnose",
        actions=("ecs:DescribeTaskDefinition",),
        resources=ANY,
        why="The log of a container; it has no resource to check it against.",
        roles=(CALLER, VERIFIER),
    ),
    CallerActions(
        command="diagnose",
        actions=("logs:GetLogEvents",),
        resources=(f"logs:{HERE}:log-group:<stack>*",),
        why="The end of a log.",
    ),
    CallerActions(
        command="logs",
        actions=("logs:FilterLogEvents",),
        resources=(f"logs:{HERE}:log-group:<stack>*",),
        why="Besides those of `status`. For persons: no pipeline needs the logs.",
        roles=(),
    ),
    CallerActions(
        command="airflow",
        actions=("ecs:RunTask", "ecs:StopTask"),
        resources=(
            f"ecs:{HERE}:task-definition/<stack>*Command*",
            f"ecs:{HERE}:task/<stack>*",
        ),
        why="Besides those of `status` and `diagnose`. An Airflow command may change "
        "and delete everything in the metadata database: no generated role has this.",
        roles=(),
    ),
    CallerActions(
        command="airflow",
        actions=("ecs:TagResource",),
        resources=(f"ecs:{HERE}:task/<stack>*",),
        equal=(("ecs:CreateAction", ("RunTask",)),),
        why="The task gets the tags of its definition.",
        roles=(),
    ),
    CallerActions(
        command="airflow",
        actions=("iam:PassRole",),
        resources=(f"iam:{ACCOUNT}:role/<stack>*-Command*",),
        equal=(("iam:PassedToService", ("ecs-tasks.amazonaws.com",)),),
        why="The two roles of one-off commands, and no other of the stack.",
        roles=(),
    ),
    CallerActions(
        command="publish",
        actions=("s3:GetBucketPolicy", "s3:ListBucket"),
        resources=BUCKET,
        why="Whether the bucket is of this account, and complete.",
    ),
    CallerActions(
        command="publish",
        actions=("s3:GetObject", "s3:PutObject"),
        resources=OBJECTS,
        why="Templates and assets.",
    ),
    CallerActions(
        command="publish, the first time",
        actions=(
            "s3:CreateBucket",
            "s3:PutBucketOwnershipControls",
            "s3:PutBucketPolicy",
            "s3:PutBucketPublicAccessBlock",
            "s3:PutBucketVersioning",
            "s3:PutEncryptionConfiguration",
            "s3:PutLifecycleConfiguration",
        ),
        resources=BUCKET,
        why="Creates the bucket, without `--bucket`.",
    ),
    CallerActions(
        command="plan",
        actions=("cloudformation:CreateChangeSet",),
        resources=STACKS,
        absent=("cloudformation:ImportResourceTypes",),
        why="Without the import of resources that exist: the stack would own them.",
    ),
    CallerActions(
        command="plan",
        actions=(
            "cloudformation:DeleteChangeSet",
            "cloudformation:DeleteStack",
            "cloudformation:DescribeChangeSet",
            "cloudformation:DescribeEvents",
            "cloudformation:ListChangeSets",
        ),
        resources=STACKS,
        why="Reads the change set; deletes it, and the empty stack of a first plan.",
    ),
    CallerActions(
        command="plan",
        actions=("iam:PassRole",),
        resources=("${ServiceRole}",),
        equal=(("iam:PassedToService", ("cloudformation.amazonaws.com",)),),
        why="With `--role-arn`: CloudFormation acts with the service role.",
    ),
    CallerActions(
        command="launch",
        actions=(
            "cloudformation:ExecuteChangeSet",
            "cloudformation:SetStackPolicy",
            "cloudformation:UpdateTerminationProtection",
        ),
        resources=STACKS,
        why="The stack policy only where the environment has one.",
    ),
    CallerActions(
        command="recover",
        actions=(
            "cloudformation:CancelUpdateStack",
            "cloudformation:ContinueUpdateRollback",
            "cloudformation:RollbackStack",
        ),
        resources=STACKS,
        why="Deletion is in `plan`.",
    ),
    CallerActions(
        command="destroy",
        actions=(
            "cloudformation:ListStacks",
            "elasticloadbalancing:DescribeLoadBalancerAttributes",
            "rds:DescribeDBClusters",
        ),
        resources=ANY,
        why="What is protected, and what an interrupted deletion left.",
    ),
    CallerActions(
        command="destroy",
        actions=(
            "backup:DescribeBackupVault",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeVpcEndpoints",
            "iam:GetRole",
            "kms:DescribeKey",
            "logs:DescribeLogGroups",
            "secretsmanager:DescribeSecret",
        ),
        resources=ANY,
        why="What would hold the deletion up, and what an earlier one left.",
    ),
    CallerActions(
        command="destroy",
        actions=(
            "ecs:GetTaskProtection",
            "ecs:StopTask",
            "ecs:UpdateService",
            "ecs:UpdateTaskProtection",
        ),
        resources=(f"ecs:{HERE}:service/<stack>*", f"ecs:{HERE}:task/<stack>*"),
        why="Ends protected workers and one-off tasks.",
    ),
    CallerActions(
        command="destroy",
        actions=("s3:ListBucket", "s3:ListBucketVersions"),
        resources=("s3:::<lower>*",),
        why="Whether a bucket is there, and empty; also of `recover`.",
    ),
    CallerActions(
        command="destroy --unprotect",
        actions=("rds:ModifyDBCluster",),
        resources=(
            f"rds:{HERE}:cluster:<lower>*",
            f"rds:{HERE}:cluster-pg:<lower>*",
            f"rds:{HERE}:og:default*",
        ),
        why="Deletion protection of the database.",
    ),
    CallerActions(
        command="destroy --unprotect",
        actions=("elasticloadbalancing:ModifyLoadBalancerAttributes",),
        resources=(f"elasticloadbalancing:{HERE}:loadbalancer/app/<short>*",),
        why="Deletion protection of the load balancer.",
    ),
    CallerActions(
        command="destroy --delete-data",
        actions=(
            "backup:DeleteBackupVault",
            "elasticache:DeleteSnapshot",
            "iam:DeleteRole",
            "iam:DetachRolePolicy",
            "iam:ListAttachedRolePolicies",
            "kms:ScheduleKeyDeletion",
            "logs:DeleteLogGroup",
            "rds:DeleteDBClusterSnapshot",
            "s3:DeleteBucket",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "secretsmanager:DeleteSecret",
        ),
        resources=ANY,
        why="What the stack retained, after the list was confirmed.",
        roles=(),
    ),
    CallerActions(
        command="catalog",
        actions=(
            "servicecatalog:CreateProvisioningArtifact",
            "servicecatalog:DescribeProvisioningArtifact",
            "servicecatalog:ListProvisioningArtifacts",
            "servicecatalog:UpdateProvisioningArtifact",
        ),
        resources=ANY,
        why="Besides `plan` and `launch` for the stack of the portfolio, with every "
        "right that its resources need.",
        roles=(),
    ),
    CallerActions(
        command="catalog",
        actions=("iam:SimulatePrincipalPolicy",),
        resources=ANY,
        why="Whether the launch role can read the templates; skipped without it.",
        roles=(),
    ),
    CallerActions(
        command="preflight",
        actions=(
            "acm:DescribeCertificate",
            "backup:DescribeRegionSettings",
            "cloudwatch:GetMetricStatistics",
            "ec2:DescribeAddresses",
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeInternetGateways",
            "ec2:DescribeManagedPrefixLists",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcAttribute",
            "ec2:DescribeVpcEndpointServices",
            "ec2:DescribeVpcEndpoints",
            "ec2:DescribeVpcs",
            "ecr:DescribeImages",
            "elasticache:DescribeCacheEngineVersions",
            "elasticache:DescribeReservedCacheNodesOfferings",
            "elasticache:DescribeSnapshots",
            "iam:GetPolicy",
            "iam:GetRole",
            "iam:ListRoles",
            "iam:SimulatePrincipalPolicy",
            "logs:DescribeLogGroups",
            "rds:DescribeDBClusterSnapshots",
            "rds:DescribeDBEngineVersions",
            "rds:DescribeOrderableDBInstanceOptions",
            "route53:GetHostedZone",
            "route53:ListResourceRecordSets",
            "s3:ListAllMyBuckets",
            "secretsmanager:DescribeSecret",
            "secretsmanager:ListSecrets",
            "servicequotas:GetAWSDefaultServiceQuota",
            "servicequotas:GetServiceQuota",
        ),
        resources=ANY,
        why="What the account and the region have; a check is left out without it. "
        "A tag of the service role names the boundary that it demands.",
    ),
    CallerActions(
        command="preflight",
        actions=("iam:CreateServiceLinkedRole",),
        resources=tuple(
            f"iam:{ACCOUNT}:role/aws-service-role/{name}/*"
            for name in sorted(LINKED_ROLES.values())
        ),
        equal=(("iam:AWSServiceName", tuple(sorted(LINKED_ROLES.values()))),),
        why="`launch` makes the service-linked roles that the account lacks.",
    ),
    CallerActions(
        command="image",
        actions=("codebuild:BatchGetBuilds", "codebuild:StartBuild"),
        resources=(f"codebuild:{HERE}:project/*",),
        like=((f"aws:ResourceTag/{STACK_NAME_TAG}", ("<stack>*",)),),
        why="The build in the stack airflow-ENV-image, which an administrator creates "
        "with the first `image`.",
    ),
    CallerActions(
        command="image",
        actions=("ecr:DescribeImages",),
        resources=(f"ecr:{HERE}:repository/<stack>*",),
        why="Whether an image was built from this source, and its digest.",
    ),
    CallerActions(
        command="verify",
        actions=(
            "application-autoscaling:DescribeScalableTargets",
            "application-autoscaling:DescribeScalingActivities",
            "application-autoscaling:DescribeScalingPolicies",
            "backup:DescribeRegionSettings",
            "backup:ListBackupJobs",
            "cloudwatch:DescribeAlarmHistory",
            "cloudwatch:GetMetricData",
            "ec2:DescribeSecurityGroupRules",
            "ecs:DescribeClusters",
            "ecs:ListServices",
            "elasticache:DescribeReplicationGroups",
            "elasticloadbalancing:DescribeListeners",
            "elasticloadbalancing:DescribeLoadBalancerAttributes",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTargetHealth",
            "kms:DescribeKey",
            "kms:GetKeyRotationStatus",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "rds:DescribeDBClusterParameters",
            "rds:DescribeDBClusters",
            "rds:DescribeDBInstances",
            "rds:DescribeEventSubscriptions",
            "secretsmanager:DescribeSecret",
            "sns:GetTopicAttributes",
            "wafv2:GetLoggingConfiguration",
            "wafv2:GetWebACLForResource",
        ),
        resources=ANY,
        why="Reads what was promised; no content.",
        roles=(VERIFIER,),
    ),
    CallerActions(
        command="verify",
        actions=(
            "s3:GetBucketPolicy",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetEncryptionConfiguration",
            "s3:ListBucket",
            "s3:ListBucketVersions",
        ),
        resources=("s3:::<lower>*",),
        why="Protection of the buckets, and what the check left in them.",
        roles=(VERIFIER,),
    ),
    CallerActions(
        command="verify",
        actions=(
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:GetObject",
            "s3:PutObject",
        ),
        resources=(
            "s3:::<lower>*/airflow-verify/*",
            "s3:::<lower>*/verification/*",
            "s3:::<lower>*/logs/dag_id=check_*",
        ),
        why="DAGs of the check, their logs, and messages of the relay.",
        roles=(VERIFIER,),
    ),
    CallerActions(
        command="verify",
        actions=("kms:Decrypt", "kms:GenerateDataKey"),
        resources=ANY,
        like=(
            (f"aws:ResourceTag/{STACK_TAG}", ("<stack>*",)),
            ("kms:ViaService", ("s3.*", "secretsmanager.*")),
        ),
        why="The stack's key, through S3 and Secrets Manager alone.",
        roles=(VERIFIER,),
    ),
    CallerActions(
        command="verify",
        actions=("secretsmanager:GetSecretValue",),
        resources=(f"secretsmanager:{HERE}:secret:*",),
        equal=((f"aws:ResourceTag/{LOGICAL_ID_TAG}", ("Admin",)),),
        like=((f"aws:ResourceTag/{STACK_NAME_TAG}", ("<stack>*",)),),
        why="Login of the first administrator, who starts the DAGs of the check.",
        roles=(VERIFIER,),
    ),
    CallerActions(
        command="verify",
        actions=("ecs:RunTask", "ecs:StopTask"),
        resources=(
            f"ecs:{HERE}:task-definition/<stack>*Verification*",
            f"ecs:{HERE}:task/<stack>*",
        ),
        why="The relay, where the load balancer is not reached from outside.",
        roles=(VERIFIER,),
    ),
    CallerActions(
        command="verify",
        actions=("ecs:TagResource",),
        resources=(f"ecs:{HERE}:task/<stack>*",),
        equal=(("ecs:CreateAction", ("RunTask",)),),
        why="The relay gets the tags of its definition.",
        roles=(VERIFIER,),
    ),
    CallerActions(
        command="verify",
        actions=("iam:PassRole",),
        resources=(f"iam:{ACCOUNT}:role/<stack>*-Verification*",),
        equal=(("iam:PassedToService", ("ecs-tasks.amazonaws.com",)),),
        why="The two roles of the relay, and no other of the stack.",
        roles=(VERIFIER,),
    ),
)
"""Rows in the order of ``docs/permissions.md``."""
