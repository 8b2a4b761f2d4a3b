"""Policies of a role that launches the product, and the boundary of what it creates.

The policies are derived from the compiled templates; see ``launch_scopes.py`` and
``compiler/launch_permissions.py``. The role of Service Catalog and the service role of
CloudFormation have the same ones, for other names of stacks.

Roles and policies here have a path of their own: a launch may change roles and policies
by the names of its stacks, and no such name has a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import awacs.iam
import awacs.sts
from awacs.aws import (
    Allow,
    ArnEquals,
    PolicyDocument,
    Statement,
    StringEquals,
)
from troposphere import AWSHelperFn, Equals, If, Not, NoValue, Ref, Sub, iam

from compiler.launch_permissions import (
    check_count,
    check_size,
    explanation,
    permissions_by_policy_group,
)
from compiler.policy_conditions import all_of
from compiler.wiring import Template
from templates.resources.launch_scopes import LAUNCH_SCOPES
from templates.resources.role_boundary import boundary_statements
from templates.types import PolicyArn, PolicyArns, RoleArns

PATH = "/deployment/"
"""Path of roles and policies that a launch must not change."""

VERSION = "2012-10-17"


@dataclass(frozen=True, kw_only=True)
class LaunchPolicies:
    """Policies of a launching role, and the boundary that it demands of roles."""

    policies: list[AWSHelperFn]
    boundary_arn: AWSHelperFn


def add_launch_policies(
    t: Template,
    launches: Template,
    *,
    stack_prefix: str,
    bucket: str | AWSHelperFn,
    role_boundary_arn: PolicyArn,
    extra_policy_arns: PolicyArns,
    assumable_role_arns: RoleArns,
    further: Sequence[Statement] = (),
) -> LaunchPolicies:
    """Add the policies to launch a compiled parent as stacks of one prefix.

    Without ``role_boundary_arn`` the roles of a launch get a boundary made here.
    """
    has_boundary = t.condition("HasRoleBoundary", Not(Equals(role_boundary_arn, "")))
    boundary = _boundary(t, stack_prefix, bucket, assumable_role_arns)
    boundary_arn = If(has_boundary, role_boundary_arn, Ref(boundary))
    groups = permissions_by_policy_group(
        launches.walk(), LAUNCH_SCOPES, boundary_arn, bucket, stack_prefix
    )
    groups[LAUNCH_SCOPES.any_resource_group] += further
    policies = [
        *(_group_policy(t, group, statements) for group, statements in groups.items()),
        _extra_policy(t, extra_policy_arns, boundary_arn, stack_prefix),
    ]
    check_count(len(policies))
    return LaunchPolicies(policies=policies, boundary_arn=boundary_arn)


def policy_document(*statements: Statement) -> PolicyDocument:
    """Return a policy of these statements."""
    return PolicyDocument(Version=VERSION, Statement=list(statements))


def _group_policy(t: Template, group: str, statements: Sequence[Statement]) -> Ref:
    check_size(group, statements)
    return Ref(
        t.add(
            iam.ManagedPolicy(
                f"{group}Policy",
                Path=PATH,
                PolicyDocument=policy_document(*statements),
            ),
            LAUNCH_SCOPES.policy_groups[group],
            why=explanation(group, statements, LAUNCH_SCOPES),
        )
    )


def _boundary(
    t: Template,
    stack_prefix: str,
    bucket: str | AWSHelperFn,
    assumable_role_arns: RoleArns,
) -> iam.ManagedPolicy:
    """Bound the roles of a launch where the administrator has no boundary of his own.

    It is created in any case: roles may still carry it when another one is chosen.
    """
    statements = boundary_statements(stack_prefix, bucket)
    check_size("RoleBoundary", statements)
    return t.add(
        iam.ManagedPolicy(
            "RoleBoundary",
            Path=PATH,
            # awacs takes no condition for a statement.
            PolicyDocument={
                "Version": VERSION,
                "Statement": [*statements, _assumes(t, assumable_role_arns)],
            },
        ),
        "Permissions boundary of the roles that a launch creates.",
        why="A launch writes the policies of its roles: only a boundary limits them. "
        "It allows what the roles of the templates need, on resources of the stack.",
    )


def _assumes(t: Template, role_arns: RoleArns) -> If:
    """Let tasks assume exactly the roles that the administrator names, or none.

    A role that trusts the whole account would otherwise be open to what a launch names.
    """
    has_roles = t.condition("HasAssumableRoles", Not(Equals(role_arns.crossing(), "")))
    return If(
        has_roles,
        Statement(Effect=Allow, Action=[awacs.sts.AssumeRole], Resource=role_arns),
        NoValue,
    )


def _extra_policy(
    t: Template,
    policy_arns: PolicyArns,
    boundary_arn: AWSHelperFn,
    stack_prefix: str,
) -> If:
    """Allow a launch to attach the policies that the administrator names."""
    has_extra = t.condition("HasExtraPolicies", Not(Equals(policy_arns.crossing(), "")))
    policy = t.add(
        iam.ManagedPolicy(
            "ExtraPolicy",
            Condition=has_extra,
            Path=PATH,
            PolicyDocument=policy_document(
                Statement(
                    Sid="AttachNamedPolicies",
                    Effect=Allow,
                    Action=[awacs.iam.AttachRolePolicy, awacs.iam.DetachRolePolicy],
                    Resource=[
                        Sub(
                            "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/"
                            f"{stack_prefix}*"
                        )
                    ],
                    Condition=all_of(
                        [
                            ArnEquals("iam:PolicyARN", policy_arns),
                            StringEquals("iam:PermissionsBoundary", boundary_arn),
                        ]
                    ),
                )
            ),
        ),
        "Allows launches to attach the administrator's policies.",
        why="Only what the boundary allows as well takes effect.",
    )
    return If(has_extra, Ref(policy), NoValue)
