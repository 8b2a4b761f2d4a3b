"""On which resources a launch of these templates may act.

The tables behind the launch role; see ``compiler/iam_scopes.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from compiler.iam_scopes import (
    ACCOUNT,
    HERE,
    Creation,
    HandlerPermissions,
    LaunchScopes,
    NamedResource,
    ServiceScope,
)
from templates.resources.stack_tag import STACK_TAG

POLICY_GROUPS = {
    "Network": "Launches create the VPC, its gateways and the security groups.",
    "Web": "Launches create the load balancer and its firewall.",
    "Database": "Launches create Aurora and Valkey.",
    "Storage": "Launches create buckets and backups.",
    "Secret": "Launches create secrets and keys, and services use keys for them.",
    "Compute": "Launches create the cluster, its services and functions.",
    "Monitoring": "Launches create log groups, alarms and topics.",
    "Stack": "Launches create stacks and roles, and read what was published.",
    "AnyResource": "Launches call what can be allowed on every resource only.",
}
"""The managed policies and their purposes; a role has at most ten, with one other."""

EC2_CREATIONS = {
    "AllocateAddress": "elastic-ip",
    "CreateFlowLogs": "vpc-flow-log",
    "CreateInternetGateway": "internet-gateway",
    "CreateNatGateway": "natgateway",
    "CreateRouteTable": "route-table",
    "CreateSecurityGroup": "security-group",
    "CreateSubnet": "subnet",
    "CreateVpc": "vpc",
    "CreateVpcEndpoint": "vpc-endpoint",
}
"""Actions of EC2, and the kind of resource that each creates."""

SERVICES = (
    ServiceScope(
        prefix="ec2",
        policy_group="Network",
        reads=("ec2:${AWS::Region}:*:*",),
        tagged=(f"ec2:{HERE}:*/*",),
        creations=(
            *(
                Creation(
                    actions=(f"ec2:{action}",), resources=(f"ec2:{HERE}:{kind}/*",)
                )
                for action, kind in EC2_CREATIONS.items()
            ),
            Creation(
                actions=("ec2:CreateSecurityGroup", "ec2:CreateVpcEndpoint"),
                resources=("ec2:${AWS::Region}:*:vpc/*",),
            ),
            Creation(
                actions=("ec2:CreateVpcEndpoint",),
                resources=("ec2:${AWS::Region}:*:subnet/*",),
            ),
            Creation(
                actions=(
                    "ec2:AuthorizeSecurityGroupEgress",
                    "ec2:AuthorizeSecurityGroupIngress",
                    "ec2:RevokeSecurityGroupEgress",
                    "ec2:RevokeSecurityGroupIngress",
                    "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
                    "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
                ),
                resources=(f"ec2:{HERE}:security-group-rule/*",),
            ),
            Creation(
                actions=("ec2:CreateTags",),
                resources=(f"ec2:{HERE}:*/*",),
                with_actions=tuple(EC2_CREATIONS),
            ),
        ),
        why="EC2 chooses its own IDs, so resources are the stack's by their tag. "
        "Groups and endpoints can be in an existing VPC, whose subnets may be shared; "
        "a rule is checked together with its group.",
    ),
    ServiceScope(
        prefix="elasticloadbalancing",
        policy_group="Web",
        changes=(
            f"elasticloadbalancing:{HERE}:loadbalancer/app/<short>*",
            f"elasticloadbalancing:{HERE}:listener/app/<short>*",
            f"elasticloadbalancing:{HERE}:listener-rule/app/<short>*",
        ),
        named=(
            NamedResource(
                type="AWS::ElasticLoadBalancingV2::TargetGroup",
                property="Name",
                resource=f"elasticloadbalancing:{HERE}:targetgroup/",
            ),
        ),
        why="A name of 32 characters keeps only the beginning of its stack's.",
    ),
    ServiceScope(
        prefix="wafv2",
        policy_group="Web",
        tagged=(f"wafv2:{HERE}:regional/webacl/*",),
        creations=(
            Creation(
                actions=("wafv2:AssociateWebACL", "wafv2:DisassociateWebACL"),
                resources=(f"elasticloadbalancing:{HERE}:loadbalancer/app/<short>*",),
            ),
            Creation(
                actions=("wafv2:CreateWebACL",),
                resources=(f"wafv2:{HERE}:regional/webacl/*",),
            ),
            Creation(
                actions=("wafv2:CreateWebACL", "wafv2:UpdateWebACL"),
                resources=(f"wafv2:{HERE}:regional/managedruleset/*",),
            ),
            Creation(
                actions=("wafv2:TagResource",),
                resources=(f"wafv2:{HERE}:regional/webacl/*",),
                only_new=True,
            ),
        ),
        reads=(
            f"wafv2:{HERE}:regional/*",
            f"elasticloadbalancing:{HERE}:loadbalancer/app/*",
        ),
        why="A web ACL's generated name does not carry its stack's, but its tags do.",
    ),
    ServiceScope(
        prefix="route53",
        policy_group="Network",
        changes=("route53:::hostedzone/${HostedZoneId}",),
        creations=(
            Creation(
                actions=("route53:AssociateVPCWithHostedZone",),
                resources=("route53:::hostedzone/*", "ec2:${AWS::Region}:*:vpc/*"),
            ),
        ),
        reads=("route53:::hostedzone/*", "route53:::change/*"),
        why="The zone is the operator's; its ID is a parameter. The private zone of an "
        "interface endpoint is AWS's.",
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
            f"rds:{HERE}:es:<stack>*",
            f"rds:{HERE}:es:<lower>*",
            f"rds:{HERE}:cluster-snapshot:<lower>*",
        ),
        creations=(
            Creation(
                actions=("rds:RestoreDBClusterFromSnapshot",),
                resources=("rds:${AWS::Region}:*:cluster-snapshot:*",),
            ),
        ),
        reads=(f"rds:{HERE}:*", f"rds:{ACCOUNT}:global-cluster:*"),
        why="A cluster is restored from a snapshot of any name, shared ones too.",
    ),
    ServiceScope(
        prefix="elasticache",
        policy_group="Database",
        tagged=(f"elasticache:{HERE}:*",),
        tag=STACK_TAG,
        creations=(
            Creation(
                actions=(
                    "elasticache:AddTagsToResource",
                    "elasticache:CreateCacheParameterGroup",
                    "elasticache:CreateCacheSubnetGroup",
                    "elasticache:CreateReplicationGroup",
                    "elasticache:CreateUser",
                    "elasticache:CreateUserGroup",
                ),
                resources=(f"elasticache:{HERE}:*",),
                only_new=True,
            ),
            Creation(
                actions=(
                    "elasticache:CreateSnapshot",
                    "elasticache:DeleteReplicationGroup",
                ),
                resources=(f"elasticache:{HERE}:snapshot:*",),
            ),
        ),
        why="Generated names do not carry the stack's, and CloudFormation does not set "
        "its tag: the templates set one. A deleted group leaves a snapshot.",
    ),
    ServiceScope(
        prefix="secretsmanager",
        policy_group="Secret",
        tagged=(f"secretsmanager:{HERE}:secret:*",),
        creations=(
            Creation(
                actions=("secretsmanager:CreateSecret", "secretsmanager:TagResource"),
                resources=(f"secretsmanager:{HERE}:secret:*",),
                only_new=True,
            ),
        ),
        why="A secret's generated name does not carry its stack's, but its tags do.",
    ),
    ServiceScope(
        prefix="kms",
        policy_group="Secret",
        tagged=(f"kms:{HERE}:key/*",),
        tag=STACK_TAG,
        creations=(
            Creation(
                actions=("kms:TagResource",),
                resources=(f"kms:{HERE}:key/*",),
                only_new=True,
            ),
        ),
        why="KMS chooses its own IDs, and CloudFormation does not set its tag: the "
        "template sets one.",
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
        tagged=(f"backup:{HERE}:backup-plan:*", f"backup:{HERE}:backup-vault:*"),
        creations=(
            Creation(
                actions=(
                    "backup:CreateBackupPlan",
                    "backup:CreateBackupVault",
                    "backup:TagResource",
                ),
                resources=(
                    f"backup:{HERE}:backup-plan:*",
                    f"backup:{HERE}:backup-vault:*",
                ),
                only_new=True,
            ),
        ),
        why="AWS Backup chooses the IDs of plans, and a vault's name holds its stack's "
        "ID; their tags have the stack's name.",
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
        tagged=(f"servicediscovery:{HERE}:namespace/*",),
        why="Cloud Map chooses its own IDs: a namespace is the stack's by its tag.",
    ),
    ServiceScope(
        prefix="application-autoscaling",
        policy_group="Compute",
        tagged=(f"application-autoscaling:{HERE}:scalable-target/*",),
        tag=STACK_TAG,
        creations=(
            Creation(
                actions=(
                    "application-autoscaling:RegisterScalableTarget",
                    "application-autoscaling:TagResource",
                ),
                resources=(f"application-autoscaling:{HERE}:scalable-target/*",),
                only_new=True,
            ),
        ),
        why="Application Auto Scaling chooses its own IDs, and CloudFormation does not "
        "set its tag: the templates set one.",
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
                unknown="<lower>*",
            ),
        ),
        why="Log groups by the stack's name, or by the name that a service prescribes.",
    ),
    ServiceScope(
        prefix="cloudwatch",
        policy_group="Monitoring",
        changes=(
            f"cloudwatch:{HERE}:alarm:<stack>*",
            f"cloudwatch:{ACCOUNT}:dashboard/<stack>*",
        ),
        reads=(f"cloudwatch:{HERE}:*", f"cloudwatch:{ACCOUNT}:dashboard/*"),
        why="Alarms and the dashboard by the stack's name.",
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
            f"cloudformation:{HERE}:stack/<root>/*",
            f"cloudformation:{HERE}:stack/<stack>*",
            f"cloudformation:{HERE}:changeSet/*",
        ),
        reads=(
            f"cloudformation:{HERE}:stack/<root>/*",
            f"cloudformation:{HERE}:stack/<stack>*",
        ),
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

NEVER_CALLED: Mapping[str, str] = json.loads(
    Path(__file__).with_name("never_called.json").read_text()
)
"""Actions that schemas list for properties which the templates do not use, and the
reason. The emulator reads the same file: it demands every other action."""

LAUNCH_SCOPES = LaunchScopes(
    policy_groups=POLICY_GROUPS,
    services=SERVICES,
    key_group="Secret",
    role_group="Stack",
    any_resource_group="AnyResource",
    without_resource=WITHOUT_RESOURCE,
    never_called=NEVER_CALLED,
    handlers=HandlerPermissions.read(
        Path(__file__).with_name("handler_permissions.json")
    ),
    source="templates/resources/launch_scopes.py",
)
