"""What the launching roles cannot do: become administrators, or change what is foreign.

Each row is a call that a role must not make, and the most similar one that it needs.
Both are decided by the evaluator that the emulator enforces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from cli import product
from compiler.wiring import Build
from local.iam.policy import ApiCall, RolePermissions, statements
from templates import deployment_role, parent
from templates.airflow.pools import POOLS
from tests.resolver import deploy

HERE = "eu-central-1:123456789012"
IAM = "arn:aws:iam::123456789012"
OWN_BOUNDARY = f"{IAM}:policy/deployment/airflow-dev-role-RoleBoundary"
OTHER_BOUNDARY = f"{IAM}:policy/Other"
SERVICE_ROLE = f"{IAM}:role/deployment/airflow-dev-role-ServiceRole"

SYSTEM_TAG = "aws:resourcetag/aws:cloudformation:stack-name"
STACK_TAG = "aws:resourcetag/airflow:stack"
NEW_STACK_TAG = "aws:requesttag/airflow:stack"
BOUNDED = {"iam:permissionsboundary": OWN_BOUNDARY}
OWN = "airflow-dev-Cache-ABC"
FOREIGN = "payments-prod"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A call that is refused, and one like it that is allowed."""

    what: str
    action: str
    foreign: str = "*"
    foreign_context: Mapping[str, str] = field(default_factory=dict)
    own: str = ""
    """Empty where a role needs no such call at all."""
    own_context: Mapping[str, str] = field(default_factory=dict)


def by_tag(what: str, action: str, resource: str, tag: str = SYSTEM_TAG) -> Attempt:
    """Return a change of a resource that only its tag tells to be the stack's."""
    return Attempt(
        what=what,
        action=action,
        foreign=resource,
        foreign_context={tag: FOREIGN},
        own=resource,
        own_context={tag: OWN},
    )


def by_name(what: str, action: str, kind: str, own: str = "airflow-dev-") -> Attempt:
    """Return a change of a resource whose name begins with the stack's."""
    return Attempt(
        what=what, action=action, foreign=f"{kind}payments-prod", own=f"{kind}{own}X"
    )


ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
OWN_ROLE = f"{IAM}:role/airflow-dev-Workers-ABC-WorkerTaskRole"
OWN_POLICY = f"{IAM}:policy/airflow-dev-Workers-ABC-WorkerTaskPolicy"
FOREIGN_ROLE = f"{IAM}:role/Administrator"

SERVICE_ATTEMPTS = (
    Attempt(what="create a user", action="iam:CreateUser", foreign=f"{IAM}:user/me"),
    Attempt(
        what="create an access key",
        action="iam:CreateAccessKey",
        foreign=f"{IAM}:user/admin",
    ),
    Attempt(
        what="create a role without the boundary",
        action="iam:CreateRole",
        foreign=OWN_ROLE,
        own=OWN_ROLE,
        own_context=BOUNDED,
    ),
    Attempt(
        what="create a role with another boundary",
        action="iam:CreateRole",
        foreign=OWN_ROLE,
        foreign_context={"iam:permissionsboundary": OTHER_BOUNDARY},
    ),
    Attempt(
        what="create a role of another name",
        action="iam:CreateRole",
        foreign=f"{IAM}:role/Administrator2",
        foreign_context=BOUNDED,
    ),
    Attempt(
        what="attach AdministratorAccess to a role of the stack",
        action="iam:AttachRolePolicy",
        foreign=OWN_ROLE,
        foreign_context={**BOUNDED, "iam:policyarn": ADMINISTRATOR},
        own=OWN_ROLE,
        own_context={**BOUNDED, "iam:policyarn": OWN_POLICY},
    ),
    Attempt(
        what="attach a policy to a role of the stack without the boundary",
        action="iam:AttachRolePolicy",
        foreign=OWN_ROLE,
        foreign_context={"iam:policyarn": OWN_POLICY},
    ),
    Attempt(
        what="attach a policy to a foreign role",
        action="iam:AttachRolePolicy",
        foreign=FOREIGN_ROLE,
        foreign_context={**BOUNDED, "iam:policyarn": OWN_POLICY},
    ),
    Attempt(
        what="detach a policy from a foreign role",
        action="iam:DetachRolePolicy",
        foreign=FOREIGN_ROLE,
        foreign_context={**BOUNDED, "iam:policyarn": OWN_POLICY},
    ),
    Attempt(
        what="give a role an inline policy",
        action="iam:PutRolePolicy",
        foreign=OWN_ROLE,
        foreign_context=BOUNDED,
    ),
    Attempt(
        what="remove the boundary of a role",
        action="iam:DeleteRolePermissionsBoundary",
        foreign=OWN_ROLE,
        foreign_context=BOUNDED,
    ),
    Attempt(
        what="replace the boundary of a role",
        action="iam:PutRolePermissionsBoundary",
        foreign=OWN_ROLE,
        foreign_context={"iam:permissionsboundary": OTHER_BOUNDARY},
        own=OWN_ROLE,
        own_context=BOUNDED,
    ),
    Attempt(
        what="edit the boundary",
        action="iam:CreatePolicyVersion",
        foreign=OWN_BOUNDARY,
        own=OWN_POLICY,
    ),
    Attempt(
        what="delete the boundary",
        action="iam:DeletePolicy",
        foreign=OWN_BOUNDARY,
        own=OWN_POLICY,
    ),
    Attempt(
        what="choose another version of the boundary",
        action="iam:SetDefaultPolicyVersion",
        foreign=OWN_BOUNDARY,
    ),
    Attempt(
        what="edit a policy of the service role itself",
        action="iam:CreatePolicyVersion",
        foreign=f"{IAM}:policy/deployment/airflow-dev-role-StackPolicy",
        own=OWN_POLICY,
    ),
    Attempt(
        what="attach a policy to the service role itself",
        action="iam:AttachRolePolicy",
        foreign=SERVICE_ROLE,
        foreign_context={**BOUNDED, "iam:policyarn": OWN_POLICY},
    ),
    Attempt(
        what="change the trust of a foreign role",
        action="iam:UpdateAssumeRolePolicy",
        foreign=FOREIGN_ROLE,
        own=OWN_ROLE,
    ),
    Attempt(what="assume a role", action="sts:AssumeRole", foreign=FOREIGN_ROLE),
    Attempt(
        what="pass a foreign role",
        action="iam:PassRole",
        foreign=FOREIGN_ROLE,
        foreign_context={"iam:passedtoservice": "lambda.amazonaws.com"},
        own=OWN_ROLE,
        own_context={"iam:passedtoservice": "lambda.amazonaws.com"},
    ),
    Attempt(
        what="pass a role of the stack to EC2",
        action="iam:PassRole",
        foreign=OWN_ROLE,
        foreign_context={"iam:passedtoservice": "ec2.amazonaws.com"},
    ),
    Attempt(
        what="create the service-linked role of a service that is not used",
        action="iam:CreateServiceLinkedRole",
        foreign=f"{IAM}:role/aws-service-role/eks.amazonaws.com/X",
        foreign_context={"iam:awsservicename": "eks.amazonaws.com"},
        own=f"{IAM}:role/aws-service-role/ecs.amazonaws.com/X",
        own_context={"iam:awsservicename": "ecs.amazonaws.com"},
    ),
    by_tag(
        "delete a foreign KMS key",
        "kms:ScheduleKeyDeletion",
        f"arn:aws:kms:{HERE}:key/k",
        STACK_TAG,
    ),
    by_tag(
        "change the policy of a foreign KMS key",
        "kms:PutKeyPolicy",
        f"arn:aws:kms:{HERE}:key/k",
        STACK_TAG,
    ),
    by_tag(
        "disable a foreign KMS key",
        "kms:DisableKey",
        f"arn:aws:kms:{HERE}:key/k",
        STACK_TAG,
    ),
    Attempt(
        what="put the stack's tag on the key of another stack",
        action="kms:TagResource",
        foreign=f"arn:aws:kms:{HERE}:key/k",
        foreign_context={STACK_TAG: FOREIGN, NEW_STACK_TAG: OWN},
        own=f"arn:aws:kms:{HERE}:key/k",
        own_context={NEW_STACK_TAG: OWN},
    ),
    Attempt(
        what="decrypt with a key directly",
        action="kms:Decrypt",
        foreign=f"arn:aws:kms:{HERE}:key/k",
        own=f"arn:aws:kms:{HERE}:key/k",
        own_context={"kms:viaservice": "s3.eu-central-1.amazonaws.com"},
    ),
    Attempt(
        what="let a principal use a key by a grant",
        action="kms:CreateGrant",
        foreign=f"arn:aws:kms:{HERE}:key/k",
        foreign_context={"kms:viaservice": "rds.eu-central-1.amazonaws.com"},
        own=f"arn:aws:kms:{HERE}:key/k",
        own_context={
            "kms:viaservice": "rds.eu-central-1.amazonaws.com",
            "kms:grantisforawsresource": "true",
        },
    ),
    by_tag(
        "delete a foreign security group",
        "ec2:DeleteSecurityGroup",
        f"arn:aws:ec2:{HERE}:security-group/sg-1",
    ),
    by_tag(
        "open a foreign security group",
        "ec2:AuthorizeSecurityGroupIngress",
        f"arn:aws:ec2:{HERE}:security-group/sg-1",
    ),
    by_tag(
        "change a route of a foreign VPC",
        "ec2:ReplaceRoute",
        f"arn:aws:ec2:{HERE}:route-table/rtb-1",
    ),
    by_tag("delete a foreign VPC", "ec2:DeleteVpc", f"arn:aws:ec2:{HERE}:vpc/vpc-1"),
    by_tag(
        "create a subnet in a foreign VPC",
        "ec2:CreateSubnet",
        f"arn:aws:ec2:{HERE}:vpc/vpc-1",
    ),
    by_tag(
        "record the traffic of a foreign VPC",
        "ec2:CreateFlowLogs",
        f"arn:aws:ec2:{HERE}:vpc/vpc-1",
    ),
    by_tag(
        "release a foreign address",
        "ec2:ReleaseAddress",
        f"arn:aws:ec2:{HERE}:elastic-ip/eipalloc-1",
    ),
    Attempt(
        what="tag a resource of EC2 that exists",
        action="ec2:CreateTags",
        foreign=f"arn:aws:ec2:{HERE}:instance/i-1",
        own=f"arn:aws:ec2:{HERE}:subnet/subnet-1",
        own_context={"ec2:createaction": "CreateSubnet"},
    ),
    Attempt(
        what="start an instance",
        action="ec2:RunInstances",
        foreign=f"arn:aws:ec2:{HERE}:instance/*",
    ),
    by_tag(
        "delete a foreign cache",
        "elasticache:DeleteReplicationGroup",
        f"arn:aws:elasticache:{HERE}:replicationgroup:cache",
        STACK_TAG,
    ),
    by_tag(
        "change a foreign cache's user",
        "elasticache:ModifyUser",
        f"arn:aws:elasticache:{HERE}:user:admin",
        STACK_TAG,
    ),
    by_tag(
        "add a policy to a foreign vault",
        "backup:PutBackupVaultAccessPolicy",
        f"arn:aws:backup:{HERE}:backup-vault:airflow-other",
    ),
    by_tag(
        "delete a foreign vault",
        "backup:DeleteBackupVault",
        f"arn:aws:backup:{HERE}:backup-vault:airflow-other",
    ),
    by_tag(
        "delete a foreign backup plan",
        "backup:DeleteBackupPlan",
        f"arn:aws:backup:{HERE}:backup-plan:1",
    ),
    by_tag(
        "delete a foreign web ACL",
        "wafv2:DeleteWebACL",
        f"arn:aws:wafv2:{HERE}:regional/webacl/x/1",
    ),
    by_tag(
        "delete a foreign Cloud Map namespace",
        "servicediscovery:DeleteNamespace",
        f"arn:aws:servicediscovery:{HERE}:namespace/ns-1",
    ),
    by_tag(
        "stop the scaling of a foreign service",
        "application-autoscaling:DeregisterScalableTarget",
        f"arn:aws:application-autoscaling:{HERE}:scalable-target/1",
        STACK_TAG,
    ),
    by_tag(
        "read a foreign secret",
        "secretsmanager:GetSecretValue",
        f"arn:aws:secretsmanager:{HERE}:secret:x",
    ),
    by_name(
        "delete a foreign database",
        "rds:DeleteDBCluster",
        f"arn:aws:rds:{HERE}:cluster:",
    ),
    by_name(
        "delete a foreign event subscription",
        "rds:DeleteEventSubscription",
        f"arn:aws:rds:{HERE}:es:",
    ),
    Attempt(
        what="delete a snapshot",
        action="rds:DeleteDBClusterSnapshot",
        foreign=f"arn:aws:rds:{HERE}:cluster-snapshot:airflow-dev-x",
    ),
    by_name("change a foreign bucket", "s3:PutBucketPolicy", "arn:aws:s3:::"),
    by_name(
        "change a foreign function",
        "lambda:UpdateFunctionCode",
        f"arn:aws:lambda:{HERE}:function:",
    ),
    by_name(
        "delete a foreign service",
        "ecs:DeleteService",
        f"arn:aws:ecs:{HERE}:service/",
        "airflow-dev-Cluster-ABC/",
    ),
    by_name(
        "delete a foreign alarm",
        "cloudwatch:DeleteAlarms",
        f"arn:aws:cloudwatch:{HERE}:alarm:",
    ),
    by_name(
        "overwrite a foreign dashboard",
        "cloudwatch:PutDashboard",
        "arn:aws:cloudwatch::123456789012:dashboard/",
    ),
    by_name(
        "shorten the retention of a foreign log",
        "logs:PutRetentionPolicy",
        f"arn:aws:logs:{HERE}:log-group:",
    ),
    by_name(
        "shorten the retention of a foreign database's log",
        "logs:PutRetentionPolicy",
        f"arn:aws:logs:{HERE}:log-group:/aws/rds/cluster/",
        "airflow-dev-x/postgresql",
    ),
    by_name("delete a foreign topic", "sns:DeleteTopic", f"arn:aws:sns:{HERE}:"),
    by_name(
        "change a foreign stack",
        "cloudformation:UpdateStack",
        f"arn:aws:cloudformation:{HERE}:stack/",
    ),
    Attempt(
        what="change the stack of a longer name",
        action="cloudformation:UpdateStack",
        foreign=f"arn:aws:cloudformation:{HERE}:stack/airflow-dev2/x",
        own=f"arn:aws:cloudformation:{HERE}:stack/airflow-dev/x",
    ),
    Attempt(
        what="write to a foreign hosted zone",
        action="route53:ChangeResourceRecordSets",
        foreign="arn:aws:route53:::hostedzone/ZFOREIGN",
        own="arn:aws:route53:::hostedzone/ZOWN",
    ),
)

CALLER_ATTEMPTS = (
    Attempt(
        what="pass a foreign role to CloudFormation",
        action="iam:PassRole",
        foreign=FOREIGN_ROLE,
        foreign_context={"iam:passedtoservice": "cloudformation.amazonaws.com"},
        own=SERVICE_ROLE,
        own_context={"iam:passedtoservice": "cloudformation.amazonaws.com"},
    ),
    Attempt(
        what="pass the service role to a function",
        action="iam:PassRole",
        foreign=SERVICE_ROLE,
        foreign_context={"iam:passedtoservice": "lambda.amazonaws.com"},
    ),
    Attempt(
        what="import a foreign resource into the stack",
        action="cloudformation:CreateChangeSet",
        foreign=f"arn:aws:cloudformation:{HERE}:stack/airflow-dev/x",
        foreign_context={"cloudformation:importresourcetypes": "AWS::KMS::Key"},
        own=f"arn:aws:cloudformation:{HERE}:stack/airflow-dev/x",
    ),
    by_name(
        "change a foreign stack",
        "cloudformation:CreateChangeSet",
        f"arn:aws:cloudformation:{HERE}:stack/",
    ),
    Attempt(
        what="create a stack without a change set",
        action="cloudformation:CreateStack",
        foreign=f"arn:aws:cloudformation:{HERE}:stack/airflow-dev/x",
    ),
    Attempt(
        what="create a role",
        action="iam:CreateRole",
        foreign=OWN_ROLE,
        foreign_context=BOUNDED,
    ),
    Attempt(
        what="assume the service role", action="sts:AssumeRole", foreign=SERVICE_ROLE
    ),
    Attempt(
        what="read a secret",
        action="secretsmanager:GetSecretValue",
        foreign=f"arn:aws:secretsmanager:{HERE}:secret:x",
        foreign_context={SYSTEM_TAG: OWN},
    ),
    by_name(
        "unprotect a foreign database",
        "rds:ModifyDBCluster",
        f"arn:aws:rds:{HERE}:cluster:",
    ),
)

ADMIN_TAG = "aws:resourcetag/aws:cloudformation:logical-id"
TO_TASKS = {"iam:passedtoservice": "ecs-tasks.amazonaws.com"}
VERIFIER_ATTEMPTS = (
    Attempt(
        what="read another secret of the stack",
        action="secretsmanager:GetSecretValue",
        foreign=f"arn:aws:secretsmanager:{HERE}:secret:x",
        foreign_context={SYSTEM_TAG: OWN, ADMIN_TAG: "Jwt"},
        own=f"arn:aws:secretsmanager:{HERE}:secret:x",
        own_context={SYSTEM_TAG: OWN, ADMIN_TAG: "Admin"},
    ),
    Attempt(
        what="read the login of a foreign stack",
        action="secretsmanager:GetSecretValue",
        foreign=f"arn:aws:secretsmanager:{HERE}:secret:x",
        foreign_context={SYSTEM_TAG: "other", ADMIN_TAG: "Admin"},
    ),
    Attempt(
        what="run a task with the role of another component",
        action="iam:PassRole",
        foreign=OWN_ROLE,
        foreign_context=TO_TASKS,
        own=f"{IAM}:role/airflow-dev-AirflowServi-VerificationTaskRole-X",
        own_context=TO_TASKS,
    ),
    Attempt(
        what="run the migration job",
        action="ecs:RunTask",
        foreign=f"arn:aws:ecs:{HERE}:task-definition/airflow-dev-M-Definition-X:1",
        own=f"arn:aws:ecs:{HERE}:task-definition/airflow-dev-A-VerificationDef-X:1",
    ),
    Attempt(
        what="replace a DAG",
        action="s3:PutObject",
        foreign="arn:aws:s3:::airflow-dev-storage-dags/team.py",
        own="arn:aws:s3:::airflow-dev-storage-dags/airflow-verify/check.py",
    ),
    Attempt(
        what="decrypt without S3 or Secrets Manager",
        action="kms:Decrypt",
        foreign=f"arn:aws:kms:{HERE}:key/x",
        foreign_context={STACK_TAG: OWN},
        own=f"arn:aws:kms:{HERE}:key/x",
        own_context={STACK_TAG: OWN, "kms:viaservice": "s3.eu-central-1.amazonaws.com"},
    ),
    Attempt(what="pass the service role", action="iam:PassRole", foreign=SERVICE_ROLE),
)

BOUNDARY_ATTEMPTS = (
    Attempt(what="create a user", action="iam:CreateUser", foreign=f"{IAM}:user/me"),
    Attempt(what="assume a role", action="sts:AssumeRole", foreign=FOREIGN_ROLE),
    Attempt(
        what="pass a foreign role",
        action="iam:PassRole",
        foreign=FOREIGN_ROLE,
        foreign_context={"iam:passedtoservice": "ecs-tasks.amazonaws.com"},
        own=OWN_ROLE,
        own_context={"iam:passedtoservice": "ecs-tasks.amazonaws.com"},
    ),
    by_name("read a foreign bucket", "s3:GetObject", "arn:aws:s3:::"),
    by_tag(
        "read a foreign secret",
        "secretsmanager:GetSecretValue",
        f"arn:aws:secretsmanager:{HERE}:secret:x",
    ),
    by_name(
        "stop a foreign task",
        "ecs:StopTask",
        f"arn:aws:ecs:{HERE}:task/",
        "airflow-dev-Cluster-ABC/",
    ),
    Attempt(
        what="run a task in a foreign cluster",
        action="ecs:RunTask",
        foreign=f"arn:aws:ecs:{HERE}:task-definition/migration:1",
        foreign_context={"ecs:cluster": f"arn:aws:ecs:{HERE}:cluster/payments"},
        own=f"arn:aws:ecs:{HERE}:task-definition/migration:1",
        own_context={"ecs:cluster": f"arn:aws:ecs:{HERE}:cluster/airflow-dev-C"},
    ),
    by_name(
        "delete a foreign snapshot",
        "rds:DeleteDBClusterSnapshot",
        f"arn:aws:rds:{HERE}:cluster-snapshot:",
        "awsbackup:",
    ),
    Attempt(
        what="change CloudFormation stacks",
        action="cloudformation:UpdateStack",
        foreign=f"arn:aws:cloudformation:{HERE}:stack/airflow-dev-x/x",
    ),
)

Policies = Mapping[str, RolePermissions]


@pytest.fixture(scope="module")
def policies() -> Policies:
    """The roles that ``build.py role`` makes, and a role at its boundary."""
    build = Build(product.assets())
    launched = build.root(parent.define_with(POOLS[:1]))
    values = {"HostedZoneId": "ZOWN"}
    template = build.root(deployment_role.define_for(launched, "airflow-dev", values))
    callers = {"CallerArns": f"{IAM}:role/Pipeline"}
    stack = deploy(json.loads(template.text()), {}, callers, name="airflow-dev-role")
    policies = {
        name: resource["Properties"]["PolicyDocument"]
        for name, resource in stack.resources.items()
        if resource["Type"] == "AWS::IAM::ManagedPolicy"
    }
    text = json.dumps(policies).replace("<RoleBoundary>", OWN_BOUNDARY)
    documents = json.loads(text.replace("<ServiceRole.Arn>", SERVICE_ROLE))
    boundary = documents.pop("RoleBoundary")
    caller = documents.pop("CallerPolicy")
    verifier = documents.pop("VerifierPolicy")
    anything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    return {
        "service": RolePermissions(statements(documents.values())),
        "caller": RolePermissions(statements([caller])),
        "verifier": RolePermissions(statements([verifier])),
        "bounded": RolePermissions((anything,), statements([boundary])),
    }


def attempts(role: str, rows: tuple[Attempt, ...]) -> Any:
    return [pytest.param(role, row, id=f"{role}: {row.what}") for row in rows]


@pytest.mark.parametrize(
    ("role", "attempt"),
    [
        *attempts("service", SERVICE_ATTEMPTS),
        *attempts("caller", CALLER_ATTEMPTS),
        *attempts("verifier", VERIFIER_ATTEMPTS),
        *attempts("bounded", BOUNDARY_ATTEMPTS),
    ],
)
def test_escalation_is_refused(policies: Policies, role: str, attempt: Attempt) -> None:
    foreign = ApiCall(
        action=attempt.action, resource=attempt.foreign, context=attempt.foreign_context
    )
    assert not policies[role].allows(foreign)
    if attempt.own:
        own = ApiCall(
            action=attempt.action, resource=attempt.own, context=attempt.own_context
        )
        assert policies[role].allows(own)
