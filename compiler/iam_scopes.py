"""On what a launch may act: the tables behind the launch role.

CloudFormation names most resources after their stack, so whoever launches stacks
called ``SC-...`` needs nothing else of that kind. Where a service chooses a name by
itself, a row says so, and what bounds its actions instead.

``aws:CalledVia`` is not demanded anywhere. Service Catalog alone can assume the launch
role and does nothing with it but call CloudFormation, so the condition would keep
nobody out; and for a CloudFormation service role, the other use of these statements,
the key is absent and would deny everything.
"""

from __future__ import annotations

from dataclasses import dataclass

HERE = "${AWS::Region}:${AWS::AccountId}"
ACCOUNT = ":${AWS::AccountId}"
"""Where the resources of a service without regions lie."""


@dataclass(frozen=True, kw_only=True)
class NamedResource:
    """A property by which a template names a resource itself."""

    type: str
    property: str
    resource: str
    """What comes before the name: an ARN without its partition. More may follow it,
    as the revision of a task definition does."""


@dataclass(frozen=True, kw_only=True)
class ServiceScope:
    """How far the actions of one service reach.

    Resources are ARNs without ``arn:partition:``. ``<stack>`` is what the stacks'
    names begin with, ``<lower>`` the same in lower case, ``<short>`` what is left of
    it in the shortest names. A call that only looks is checked against every
    resource it might show, so ``reads`` is the whole service unless a row says less.
    """

    prefix: str
    policy_group: str
    """The managed policy it belongs to."""
    changes: tuple[str, ...]
    why: str
    reads: tuple[str, ...] = ()
    named: tuple[NamedResource, ...] = ()
    before_tags: frozenset[str] = frozenset()
    """Where tags bound the changes, the actions that come before there are any."""

    def readable(self) -> tuple[str, ...]:
        """Return the resources of the actions that only look."""
        return self.reads or (f"{self.prefix}:{HERE}:*",)


POLICY_GROUPS = {
    "Network": "Launches make the VPC, its ways out and the security groups.",
    "Web": "Launches make the load balancer and its firewall.",
    "Database": "Launches make Aurora and Valkey.",
    "Storage": "Launches make buckets and backups.",
    "Secret": "Launches make secrets and keys, and services use keys for them.",
    "Compute": "Launches make the cluster, its services and functions.",
    "Monitoring": "Launches make log groups, alarms and topics.",
    "Stack": "Launches make stacks and roles, and read what was published.",
}
"""The managed policies, and what each is for; a role takes ten, with two others."""

SERVICES = (
    ServiceScope(
        prefix="ec2",
        policy_group="Network",
        changes=("ec2:${AWS::Region}:*:*",),
        reads=("ec2:${AWS::Region}:*:*",),
        why="EC2 chooses its own IDs, and a shared subnet belongs to another account.",
    ),
    ServiceScope(
        prefix="elasticloadbalancing",
        policy_group="Web",
        changes=(
            f"elasticloadbalancing:{HERE}:loadbalancer/app/<short>*",
            f"elasticloadbalancing:{HERE}:listener/app/<short>*",
            f"elasticloadbalancing:{HERE}:listener-rule/app/<short>*",
            f"elasticloadbalancing:{HERE}:targetgroup/<short>*",
        ),
        why="A name of 32 characters keeps only the beginning of its stack's.",
    ),
    ServiceScope(
        prefix="wafv2",
        policy_group="Web",
        changes=(
            f"wafv2:{HERE}:regional/*",
            f"elasticloadbalancing:{HERE}:loadbalancer/app/<short>*",
        ),
        reads=(
            f"wafv2:{HERE}:regional/*",
            f"elasticloadbalancing:{HERE}:loadbalancer/app/*",
        ),
        why="A web ACL's generated name does not carry its stack's.",
    ),
    ServiceScope(
        prefix="route53",
        policy_group="Network",
        changes=("route53:::hostedzone/*",),
        reads=("route53:::hostedzone/*", "route53:::change/*"),
        why="The zone is the operator's; its ID is a parameter of the product.",
    ),
    ServiceScope(
        prefix="rds",
        policy_group="Database",
        changes=(
            f"rds:{HERE}:cluster:<lower>*",
            f"rds:{HERE}:db:<lower>*",
            f"rds:{HERE}:cluster-pg:<lower>*",
            f"rds:{HERE}:pg:<lower>*",
            f"rds:{HERE}:pg:default*",
            f"rds:{HERE}:og:default*",
            f"rds:{HERE}:subgrp:<lower>*",
            f"rds:{HERE}:es:*",
            "rds:${AWS::Region}:*:cluster-snapshot:*",
        ),
        reads=(f"rds:{HERE}:*", f"rds:{ACCOUNT}:global-cluster:*"),
        why="A cluster is restored from a snapshot of any name, shared ones too; an "
        "event subscription holds no data.",
    ),
    ServiceScope(
        prefix="elasticache",
        policy_group="Database",
        changes=(f"elasticache:{HERE}:*",),
        why="A replication group's generated name does not carry its stack's.",
    ),
    ServiceScope(
        prefix="secretsmanager",
        policy_group="Secret",
        changes=(f"secretsmanager:{HERE}:secret:*",),
        before_tags=frozenset(
            {"secretsmanager:CreateSecret", "secretsmanager:TagResource"}
        ),
        why="A secret's generated name does not carry its stack's, but its tags do.",
    ),
    ServiceScope(
        prefix="kms",
        policy_group="Secret",
        changes=(f"kms:{HERE}:key/*",),
        why="KMS chooses its own IDs.",
    ),
    ServiceScope(
        prefix="s3",
        policy_group="Storage",
        changes=("s3:::<lower>*",),
        reads=("s3:::<lower>*",),
        why="Buckets and what lies in them, by the stack's name.",
    ),
    ServiceScope(
        prefix="backup",
        policy_group="Storage",
        changes=(f"backup:{HERE}:backup-plan:*",),
        named=(
            NamedResource(
                type="AWS::Backup::BackupVault",
                property="BackupVaultName",
                resource=f"backup:{HERE}:backup-vault:",
            ),
        ),
        why="AWS Backup chooses the IDs of plans; a vault's name is the template's.",
    ),
    ServiceScope(
        prefix="ecs",
        policy_group="Compute",
        changes=(
            f"ecs:{HERE}:cluster/<stack>*",
            f"ecs:{HERE}:service/<stack>*",
            f"ecs:{HERE}:service-deployment/<stack>*",
            f"ecs:{HERE}:task-definition/<stack>*",
        ),
        named=(
            NamedResource(
                type="AWS::ECS::TaskDefinition",
                property="Family",
                resource=f"ecs:{HERE}:task-definition/",
            ),
        ),
        why="Services carry the name of their cluster, hence of its stack.",
    ),
    ServiceScope(
        prefix="lambda",
        policy_group="Compute",
        changes=(f"lambda:{HERE}:function:<stack>*",),
        why="Functions by the stack's name.",
    ),
    ServiceScope(
        prefix="servicediscovery",
        policy_group="Compute",
        changes=(f"servicediscovery:{HERE}:namespace/*",),
        why="Cloud Map chooses its own IDs.",
    ),
    ServiceScope(
        prefix="application-autoscaling",
        policy_group="Compute",
        changes=(f"application-autoscaling:{HERE}:scalable-target/*",),
        why="Application Auto Scaling chooses its own IDs.",
    ),
    ServiceScope(
        prefix="logs",
        policy_group="Monitoring",
        changes=(f"logs:{HERE}:log-group:<stack>*",),
        named=(
            NamedResource(
                type="AWS::Logs::LogGroup",
                property="LogGroupName",
                resource=f"logs:{HERE}:log-group:",
            ),
        ),
        why="Log groups by the stack's name, or by the name that a service prescribes.",
    ),
    ServiceScope(
        prefix="cloudwatch",
        policy_group="Monitoring",
        changes=(
            f"cloudwatch:{HERE}:alarm:<stack>*",
            f"cloudwatch:{ACCOUNT}:dashboard/*",
        ),
        reads=(f"cloudwatch:{HERE}:*", f"cloudwatch:{ACCOUNT}:dashboard/*"),
        why="Alarms by the stack's name; a dashboard holds no data.",
    ),
    ServiceScope(
        prefix="sns",
        policy_group="Monitoring",
        changes=(f"sns:{HERE}:<stack>*",),
        why="Topics by the stack's name.",
    ),
    ServiceScope(
        prefix="iam",
        policy_group="Stack",
        changes=(f"iam:{ACCOUNT}:role/<stack>*", f"iam:{ACCOUNT}:policy/<stack>*"),
        reads=(
            f"iam:{ACCOUNT}:role/<stack>*",
            f"iam:{ACCOUNT}:role/aws-service-role/*",
            f"iam:{ACCOUNT}:policy/<stack>*",
        ),
        why="Roles and policies by the stack's name; a service looks for its own role "
        "before it makes one.",
    ),
    ServiceScope(
        prefix="cloudformation",
        policy_group="Stack",
        changes=(
            f"cloudformation:{HERE}:stack/<stack>*",
            f"cloudformation:{HERE}:changeSet/*",
        ),
        reads=(f"cloudformation:{HERE}:stack/<stack>*",),
        why="The launched stack, the stacks nested in it and their change sets.",
    ),
)
"""Every service that the templates use, in the order of the policies."""

ON_BEHALF_OF = {"backup-storage": "backup"}
"""Services with no resource type, and the service that calls them."""

WITHOUT_RESOURCE = {
    "cloudformation:GetTemplateSummary": "It is asked about a URL, before there is a "
    "stack.",
    "backup-storage:MountCapsule": "Creating a vault mounts storage without an ARN.",
    "ecs:DeregisterTaskDefinition": "ECS checks it against no resource.",
    "elasticloadbalancing:SetWebACL": "It is checked against no resource.",
    "kms:CreateKey": "A key that is yet to be made has no ARN.",
    "logs:CreateLogDelivery": "A delivery of another service's logs has no ARN.",
    "logs:DeleteLogDelivery": "A delivery of another service's logs has no ARN.",
    "logs:PutResourcePolicy": "The policy belongs to the account.",
    "logs:UpdateLogDelivery": "A delivery of another service's logs has no ARN.",
    "servicediscovery:CreateHttpNamespace": "A namespace yet to be made has no ARN.",
    "servicediscovery:TagResource": "Cloud Map checks it against no resource.",
    "servicediscovery:UntagResource": "Cloud Map checks it against no resource.",
}
"""Why an action that changes something is allowed on ``*``: IAM takes nothing else."""

NEVER_CALLED = {
    "ec2:AcceptAddressTransfer": "No address comes from another account.",
    "ec2:AssociateVerifiedAccessInstanceWebAcl": "The web ACL guards a load balancer.",
    "ec2:DisassociateVerifiedAccessInstanceWebAcl": "As above.",
    "ecs:PutAccountSetting": "The account's settings are not a product's business.",
    "ecs:PutAccountSettingDefault": "As above.",
    "iam:AttachGroupPolicy": "Policies are attached to roles only.",
    "iam:AttachUserPolicy": "As above.",
    "iam:DeleteRolePermissionsBoundary": "Who set a boundary takes it off.",
    "iam:DetachGroupPolicy": "Policies are attached to roles only.",
    "iam:DetachUserPolicy": "As above.",
    "iam:PutRolePolicy": "No role has an inline policy.",
    "lambda:PassCapacityProvider": "No function runs on instances of one's own.",
    "logs:DeleteIndexPolicy": "No log group has an index policy.",
    "logs:DeleteResourcePolicy": "It could end the log deliveries of other stacks.",
    "logs:PutIndexPolicy": "No log group has an index policy.",
    "wafv2:PutPermissionPolicy": "No rule group is shared with another account.",
}
"""What schemas list for properties that the templates do not have."""


@dataclass(frozen=True, kw_only=True)
class UnlistedPermission:
    """Permissions that no schema lists, and what in a template calls for them."""

    marker: str
    actions: tuple[str, ...]
    why: str
    via: str = ""
    """The service that uses a key in the launcher's name, for actions of KMS."""


NEEDS = (
    UnlistedPermission(
        marker='"AWS::CloudFormation::Stack"',
        actions=(
            "cloudformation:CreateChangeSet",
            "cloudformation:DeleteChangeSet",
            "cloudformation:DescribeChangeSet",
            "cloudformation:DescribeStackEvents",
            "cloudformation:DescribeStackResources",
            "cloudformation:ExecuteChangeSet",
            "cloudformation:GetTemplateSummary",
            "cloudformation:ListChangeSets",
            "cloudformation:ListStackResources",
            "cloudformation:TagResource",
            "cloudformation:UntagResource",
            "cloudformation:ValidateTemplate",
        ),
        why="Service Catalog plans, launches and follows the stack as its launcher.",
    ),
    UnlistedPermission(
        marker='"AWS::CloudFormation::Stack"',
        actions=("kms:Decrypt",),
        via="s3",
        why="The published files may lie in a bucket under a KMS key.",
    ),
    UnlistedPermission(
        marker='"Fn::GetAZs"',
        actions=(
            "ec2:DescribeAccountAttributes",
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeSubnets",
        ),
        why="CloudFormation asks for the zones as the launcher.",
    ),
    UnlistedPermission(
        marker="{{resolve:secretsmanager:",
        actions=("secretsmanager:GetSecretValue", "kms:Decrypt"),
        via="secretsmanager",
        why="CloudFormation resolves a dynamic reference as the launcher.",
    ),
    UnlistedPermission(
        marker='"Custom::',
        actions=("lambda:InvokeFunction",),
        why="CloudFormation calls a custom resource's function as the launcher.",
    ),
    UnlistedPermission(
        marker='"AWS::SecretsManager::Secret"',
        actions=("kms:Decrypt", "kms:GenerateDataKey"),
        via="secretsmanager",
        why="Secrets Manager uses our key in the launcher's name.",
    ),
    UnlistedPermission(
        marker='"AWS::RDS::DBCluster"',
        actions=("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey"),
        via="rds",
        why="Aurora, and the master secret it keeps, use our key in the launcher's "
        "name.",
    ),
)

LINKED_ROLES = {
    "application-autoscaling": "ecs.application-autoscaling.amazonaws.com",
    "backup": "backup.amazonaws.com",
    "ecs": "ecs.amazonaws.com",
    "elasticache": "elasticache.amazonaws.com",
    "elasticloadbalancing": "elasticloadbalancing.amazonaws.com",
    "logs": "delivery.logs.amazonaws.com",
    "rds": "rds.amazonaws.com",
    "wafv2": "wafv2.amazonaws.com",
}
"""Services that need a role of their own at first use, and the name it is made for."""

IAM_PREFIXES = {
    "ApplicationAutoScaling": "application-autoscaling",
    "ElasticLoadBalancingV2": "elasticloadbalancing",
}
"""Namespaces of resource types that are not simply their service's prefix."""


def further_actions() -> set[str]:
    """Return the actions that no schema lists."""
    return {action for need in NEEDS for action in need.actions}
