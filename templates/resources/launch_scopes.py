"""On which resources a launch of these templates may act.

The tables behind the launch role; see ``compiler/iam_scopes.py``.
"""

from __future__ import annotations

from pathlib import Path

from compiler.iam_scopes import (
    ACCOUNT,
    HERE,
    HandlerPermissions,
    LaunchScopes,
    NamedResource,
    ServiceScope,
)

POLICY_GROUPS = {
    "Network": "Launches create the VPC, its gateways and the security groups.",
    "Web": "Launches create the load balancer and its firewall.",
    "Database": "Launches create Aurora and Valkey.",
    "Storage": "Launches create buckets and backups.",
    "Secret": "Launches create secrets and keys, and services use keys for them.",
    "Compute": "Launches create the cluster, its services and functions.",
    "Monitoring": "Launches create log groups, alarms and topics.",
    "Stack": "Launches create stacks and roles, and read what was published.",
}
"""The managed policies and their purposes; a role has at most ten, with two others."""

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
        why="Buckets and their objects, by the stack's name.",
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

WITHOUT_RESOURCE = {
    "cloudformation:GetTemplateSummary": "It reads a URL, before a stack exists.",
    "backup-storage:MountCapsule": "Creating a vault mounts storage without an ARN.",
    "ecs:DeregisterTaskDefinition": "ECS checks it against no resource.",
    "elasticloadbalancing:SetWebACL": "It is checked against no resource.",
    "kms:CreateKey": "A key has no ARN before its creation.",
    "logs:CreateLogDelivery": "A delivery of another service's logs has no ARN.",
    "logs:DeleteLogDelivery": "A delivery of another service's logs has no ARN.",
    "logs:PutResourcePolicy": "The policy belongs to the account.",
    "logs:UpdateLogDelivery": "A delivery of another service's logs has no ARN.",
    "servicediscovery:CreateHttpNamespace": "A namespace has no ARN before its "
    "creation.",
    "servicediscovery:TagResource": "Cloud Map checks it against no resource.",
    "servicediscovery:UntagResource": "Cloud Map checks it against no resource.",
}
"""Why an action that changes something is allowed on ``*``: IAM has no other."""

NEVER_CALLED = {
    "ec2:AcceptAddressTransfer": "No address comes from another account.",
    "ec2:AssociateVerifiedAccessInstanceWebAcl": "The web ACL guards a load balancer.",
    "ec2:DisassociateVerifiedAccessInstanceWebAcl": "As above.",
    "ecs:PutAccountSetting": "No template changes settings of the account.",
    "ecs:PutAccountSettingDefault": "As above.",
    "iam:AttachGroupPolicy": "Policies are attached to roles only.",
    "iam:AttachUserPolicy": "As above.",
    "iam:DeleteRolePermissionsBoundary": "The owner of a boundary removes it.",
    "iam:DetachGroupPolicy": "Policies are attached to roles only.",
    "iam:DetachUserPolicy": "As above.",
    "iam:PutRolePolicy": "No role has an inline policy.",
    "lambda:PassCapacityProvider": "No function runs on EC2 instances.",
    "logs:DeleteIndexPolicy": "No log group has an index policy.",
    "logs:DeleteResourcePolicy": "It could end the log deliveries of other stacks.",
    "logs:PutIndexPolicy": "No log group has an index policy.",
    "wafv2:PutPermissionPolicy": "No rule group is shared with another account.",
}
"""Actions that schemas list for properties which the templates do not use."""

LAUNCH_SCOPES = LaunchScopes(
    policy_groups=POLICY_GROUPS,
    services=SERVICES,
    key_group="Secret",
    role_group="Stack",
    without_resource=WITHOUT_RESOURCE,
    never_called=NEVER_CALLED,
    handlers=HandlerPermissions.read(
        Path(__file__).with_name("handler_permissions.json")
    ),
    source="templates/resources/launch_scopes.py",
)
