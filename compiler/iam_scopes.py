"""Tables behind the launch role: how far its permissions reach.

CloudFormation names most resources after their stack, so a role that launches stacks
called ``SC-...`` needs no other resources of these types. Where a service chooses the
name, a row of the product's table says so, and what limits the actions instead. Facts
about AWS that hold for every product are here.

No statement has the condition ``aws:CalledVia``. Service Catalog alone can assume the
launch role and only calls CloudFormation with it, so the condition would exclude no
caller; and for a CloudFormation service role, the other use of these statements, the
key is absent and would deny everything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = "${AWS::Region}:${AWS::AccountId}"
ACCOUNT = ":${AWS::AccountId}"
"""Region and account in the ARN of a service without regions."""


@dataclass(frozen=True, kw_only=True)
class HandlerPermissions:
    """Actions that the providers of resource types call."""

    source: Path
    """The file that they are from."""

    always: Mapping[str, frozenset[str]]
    """By type: to create, read, update and list, and maybe to delete."""
    only_to_delete: Mapping[str, frozenset[str]]
    """By type: only to delete."""
    without_resource: frozenset[str]
    """Actions that IAM can allow on ``*`` only, unlisted permissions included."""

    @classmethod
    def read(cls, file: Path) -> HandlerPermissions:
        """Return the content of a file."""
        data = json.loads(file.read_text())
        types = data["types"].items()
        return cls(
            source=file,
            always={name: frozenset(of["always"]) for name, of in types},
            only_to_delete={
                name: frozenset(of["only_to_delete"]) for name, of in types
            },
            without_resource=frozenset(data["without_resource"]),
        )


@dataclass(frozen=True, kw_only=True)
class NamedResource:
    """A property by which a template names a resource itself."""

    type: str
    property: str
    resource: str
    """What comes before the name: an ARN without its partition. More may follow it,
    as the revision of a task definition does."""
    unknown: str = "*"
    """What stands for parts of the name that are known only at launch."""


STACK_NAME_TAG = "aws:cloudformation:stack-name"
"""The tag that CloudFormation puts on the resources of a stack, for the types whose
schema says so (``cloudFormationSystemTags``). No request can set it."""


@dataclass(frozen=True, kw_only=True)
class Creation:
    """Actions on resources that do not have the tag yet, or need not have it."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    only_new: bool = False
    """Only while the resource has no tag; and where the templates set the tag, only
    when the request sets it."""
    with_actions: tuple[str, ...] = ()
    """For ``ec2:CreateTags``: only as part of these actions."""


@dataclass(frozen=True, kw_only=True)
class ServiceScope:
    """How far the actions of one service reach.

    Resources are ARNs without ``arn:partition:``. ``<stack>`` is the
    beginning of the stacks' names, ``<root>`` the same without a hyphen at its end,
    ``<lower>`` the beginning in lower case, ``<short>`` what
    the shortest names keep of it. A read action is checked against every
    resource it might show, so ``reads`` is the whole service unless a row says less.
    """

    prefix: str
    policy_group: str
    """The managed policy it belongs to."""
    why: str
    changes: tuple[str, ...] = ()
    """Resources that carry the stack's name."""
    reads: tuple[str, ...] = ()
    named: tuple[NamedResource, ...] = ()
    tagged: tuple[str, ...] = ()
    """Resources that do not: changed only with the stack's name in ``tag``."""
    tag: str = STACK_NAME_TAG
    creations: tuple[Creation, ...] = ()
    """For tagged resources."""

    def readable(self) -> tuple[str, ...]:
        """Return the resources of the read actions."""
        return self.reads or (f"{self.prefix}:{HERE}:*",)


@dataclass(frozen=True, kw_only=True)
class LaunchScopes:
    """What a product decides about the permissions of its launches."""

    policy_groups: Mapping[str, str]
    """The managed policies, and the purpose of each."""
    services: tuple[ServiceScope, ...]
    """Every service that the templates use, in the order of the policies."""
    key_group: str
    """Policy group of what services do with keys for the launcher."""
    role_group: str
    """Policy group of roles and of the published files."""
    any_resource_group: str
    """Policy group of the actions that can be allowed on every resource only."""
    without_resource: Mapping[str, str]
    """Why an action that changes something is allowed on ``*``: IAM has no other."""
    never_called: Mapping[str, str]
    """Actions that schemas list for properties which the templates do not use."""
    handlers: HandlerPermissions
    source: str
    """The file of these tables, for messages."""


ON_BEHALF_OF = {"backup-storage": "backup"}
"""Services with no resource type, and the service that calls them."""


@dataclass(frozen=True, kw_only=True)
class UnlistedPermission:
    """Permissions that no schema lists, and the text in a template that needs them."""

    marker: str
    actions: tuple[str, ...]
    why: str
    via: str = ""
    """The service that uses a key in the launcher's name, for actions of KMS."""
    is_of_catalog: bool = False
    """Whether only Service Catalog calls them, for the users of a product."""


UNLISTED_PERMISSIONS = (
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
        is_of_catalog=True,
    ),
    UnlistedPermission(
        marker='"AWS::CloudFormation::Stack"',
        actions=("kms:Decrypt",),
        via="s3",
        why="The published files may lie in a bucket under a KMS key.",
    ),
    UnlistedPermission(
        marker='"AWS::EC2::VPCEndpoint"',
        actions=("route53:AssociateVPCWithHostedZone",),
        why="Private DNS of an interface endpoint is a private zone: the service "
        "reference lists the action as dependent on ec2:CreateVpcEndpoint.",
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
        why="Secrets Manager uses the key in the launcher's name.",
    ),
    UnlistedPermission(
        marker='"AWS::RDS::DBCluster"',
        actions=("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey"),
        via="rds",
        why="Aurora, and the master secret it keeps, use the key in the launcher's "
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
    return {action for need in UNLISTED_PERMISSIONS for action in need.actions}
