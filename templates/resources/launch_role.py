"""The role with which Service Catalog launches the product.

Its policies are derived from the compiled templates; see ``launch_scopes.py`` and
``compiler/launch_permissions.py``. Two more follow from the administrator's parameters:
a boundary that launched roles must have, and further policies for them.
"""

from __future__ import annotations

from collections.abc import Sequence

import awacs.iam
import awacs.s3
import awacs.sts
from awacs.aws import (
    Allow,
    ArnEquals,
    Condition,
    Deny,
    PolicyDocument,
    Principal,
    Statement,
    StringEquals,
    StringEqualsIfExists,
    StringNotEquals,
)
from troposphere import AccountId, Equals, If, Not, NoValue, Ref, Sub, iam

from compiler.launch_permissions import (
    PROVISIONED,
    check_count,
    check_size,
    explanation,
    permissions_by_policy_group,
)
from compiler.wiring import Template
from templates.resources.launch_scopes import LAUNCH_SCOPES
from templates.types import PolicyArn, PolicyArns


def add_launch_role(
    t: Template,
    launches: Template,
    *,
    role_boundary_arn: PolicyArn,
    launch_role_boundary_arn: PolicyArn,
    extra_policy_arns: PolicyArns,
) -> iam.Role:
    """Add the role that launches a compiled parent, with its policies."""
    topics = permissions_by_policy_group(launches.walk(), LAUNCH_SCOPES)
    topics[LAUNCH_SCOPES.role_group].append(_copied_template())
    policies = [
        *(_topic_policy(t, topic, statements) for topic, statements in topics.items()),
        _boundary_policy(t, role_boundary_arn),
        _extra_policy(t, extra_policy_arns),
    ]
    check_count(len(policies))
    has_boundary = t.condition(
        "HasLaunchRoleBoundary", Not(Equals(launch_role_boundary_arn, ""))
    )
    return t.add(
        iam.Role(
            "LaunchRole",
            Description="Launches Apache Airflow for the users of Service Catalog.",
            AssumeRolePolicyDocument=_policy(_assumed_by_service_catalog()),
            ManagedPolicyArns=policies,
            PermissionsBoundary=If(has_boundary, launch_role_boundary_arn, NoValue),
        ),
        "Role with which Service Catalog launches the product.",
    )


def _topic_policy(t: Template, topic: str, statements: Sequence[Statement]) -> Ref:
    check_size(topic, statements)
    return Ref(
        t.add(
            iam.ManagedPolicy(f"{topic}Policy", PolicyDocument=_policy(*statements)),
            LAUNCH_SCOPES.policy_groups[topic],
            why=explanation(topic, statements, LAUNCH_SCOPES),
        )
    )


def _boundary_policy(t: Template, boundary_arn: PolicyArn) -> If:
    """Deny creating or attaching policies to roles without the permissions boundary."""
    has_boundary = t.condition("HasRoleBoundary", Not(Equals(boundary_arn, "")))
    policy = t.add(
        iam.ManagedPolicy(
            "BoundaryPolicy",
            Condition=has_boundary,
            PolicyDocument=_policy(
                Statement(
                    Sid="BoundedRolesOnly",
                    Effect=Deny,
                    Action=[
                        awacs.iam.AttachRolePolicy,
                        awacs.iam.CreateRole,
                        awacs.iam.PutRolePermissionsBoundary,
                    ],
                    Resource=["*"],
                    Condition=Condition(
                        StringNotEquals("iam:PermissionsBoundary", boundary_arn)
                    ),
                )
            ),
        ),
        "Denies roles without the permissions boundary.",
        why="A launch creates its own policies: only a boundary limits them.",
    )
    return If(has_boundary, Ref(policy), NoValue)


def _extra_policy(t: Template, policy_arns: PolicyArns) -> If:
    """Allow a launch to attach the policies that the administrator names."""
    has_extra = t.condition("HasExtraPolicies", Not(Equals(policy_arns.crossing(), "")))
    policy = t.add(
        iam.ManagedPolicy(
            "ExtraPolicy",
            Condition=has_extra,
            PolicyDocument=_policy(
                Statement(
                    Sid="AttachNamedPolicies",
                    Effect=Allow,
                    Action=[awacs.iam.AttachRolePolicy, awacs.iam.DetachRolePolicy],
                    Resource=[
                        Sub(
                            "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/"
                            f"{PROVISIONED}*"
                        )
                    ],
                    Condition=Condition(ArnEquals("iam:PolicyARN", policy_arns)),
                )
            ),
        ),
        "Allows launches to attach the administrator's policies.",
    )
    return If(has_extra, Ref(policy), NoValue)


def _assumed_by_service_catalog() -> Statement:
    """Trust Service Catalog for this account.

    AWS does not document whether Service Catalog sends the account it works for. The
    condition applies where it does, and does not deny access where it does not.
    """
    return Statement(
        Effect=Allow,
        Principal=Principal("Service", "servicecatalog.amazonaws.com"),
        Action=[awacs.sts.AssumeRole],
        Condition=Condition(StringEqualsIfExists("aws:SourceAccount", AccountId)),
    )


def _copied_template() -> Statement:
    """Read the copy of the parent that Service Catalog keeps in a bucket of its own."""
    return Statement(
        Sid="ReadCopiedTemplate",
        Effect=Allow,
        Action=[awacs.s3.GetObject],
        Resource=["*"],
        Condition=Condition(
            StringEquals("s3:ExistingObjectTag/servicecatalog:provisioning", "true")
        ),
    )


def _policy(*statements: Statement) -> PolicyDocument:
    return PolicyDocument(Version="2012-10-17", Statement=list(statements))
