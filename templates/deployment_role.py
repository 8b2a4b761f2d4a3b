"""Least-privilege roles that launch one environment: for CloudFormation and a pipeline.

CloudFormation uses the service role for every resource (``launch --role-arn``). Its
permissions are derived from the compiled templates, as those of the launch role in
Service Catalog are. The caller role is for a pipeline: it may publish, plan, launch,
recover and destroy the environment's stack, and pass the service role. The verifier
role is for ``build.py verify``, which alone may read the administrator's login.

The template is compiled for the name of a stack, by ``build.py role``. It does not
create the OIDC provider of GitHub.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import awacs.sts
from awacs.aws import (
    Action,
    Allow,
    Condition,
    ConditionElement,
    Null,
    Principal,
    Statement,
    StringEquals,
    StringLike,
)
from troposphere import (
    AWSHelperFn,
    Equals,
    GetAtt,
    If,
    Not,
    Ref,
    Sub,
    Tags,
    iam,
)

from compiler.constraints import elements
from compiler.launch_permissions import StackScope, check_size
from compiler.policy_conditions import all_of
from compiler.wiring import Define, Interface, Record, Template, about
from templates.resources.caller_actions import (
    CALLER,
    CALLER_ACTIONS,
    VERIFIER,
    CallerActions,
)
from templates.resources.callers import Callers, Trust, trusted
from templates.resources.launch_role import PATH, add_launch_policies, policy_document
from templates.types import (
    NONE,
    HostedZoneId,
    OptionalBucketName,
    PolicyArn,
    PolicyArns,
    RoleArn,
    RoleArns,
)

BOUNDARY_TAG = "airflow:boundary"
"""Tag of the service role: the boundary of roles that it creates."""


class Inputs(Callers):
    """Who may use the roles, and what a launch may use."""

    bucket: OptionalBucketName = about(
        "Bucket that the environment is published in. Empty for the default one of "
        "this account and region.",
        group="Service role",
        label="Bucket",
        Default="",
    )
    role_boundary_arn: PolicyArn = about(
        "Permissions boundary of the roles in the stack, instead of the one that is "
        "created here.",
        group="Service role",
        label="Boundary of launched roles",
        Default="",
    )


class EnvironmentValues(Record):
    """Parameters of the environment that the service role depends on."""

    hosted_zone_id: HostedZoneId = about(
        "Route 53 zone in which the stack may create records. Empty for none.",
        label="Hosted zone",
        Default="",
    )
    extra_policy_arns: PolicyArns = about(
        "Managed policies that the stack may attach to the roles of its tasks; they "
        "need a boundary that allows as much. Empty for none.",
        label="Attachable policies",
        Default="",
    )
    assumable_role_arns: RoleArns = about(
        "Roles that tasks of the stack may assume: what the boundary made here allows. "
        "Empty for none.",
        label="Assumable roles",
        Default="",
    )


class Outputs(Interface):
    """What ``launch`` and a pipeline need."""

    service_role_arn: RoleArn = about("For launch --role-arn.")
    caller_role_arn: RoleArn = about("Role that a pipeline assumes; empty for none.")
    verifier_role_arn: RoleArn = about("Role of build.py verify; empty for none.")
    role_boundary_arn: PolicyArn = about("Boundary of the roles in the stack.")


def define_for(
    parent: Template, stack_name: str, parameters: Mapping[str, str]
) -> Define[Inputs, Outputs]:
    """Return the roles that launch a compiled parent as the stack of an environment."""

    def define(t: Template, inputs: Inputs) -> Outputs:
        has_bucket = t.condition("HasBucket", Not(Equals(inputs.bucket, "")))
        bucket = If(
            has_bucket,
            inputs.bucket,
            Sub("airflow-on-fargate-${AWS::AccountId}-${AWS::Region}"),
        )
        values = t.settings(
            EnvironmentValues,
            prefix="",
            group="Service role",
            where="the environment",
            defaults={
                "hosted_zone_id": parameters.get("HostedZoneId", ""),
                "extra_policy_arns": _union(parameters, "ExtraPolicyArns"),
                "assumable_role_arns": _union(parameters, "AssumableRoleArns"),
            },
            fixed={},
        )
        launching = add_launch_policies(
            t,
            parent,
            stack_prefix=f"{stack_name}-",
            bucket=bucket,
            role_boundary_arn=inputs.role_boundary_arn,
            extra_policy_arns=values.extra_policy_arns,
            assumable_role_arns=values.assumable_role_arns,
        )
        service = t.add(
            iam.Role(
                "ServiceRole",
                Path=PATH,
                Description=f"CloudFormation's role for the stack {stack_name}.",
                AssumeRolePolicyDocument=policy_document(
                    Statement(
                        Effect=Allow,
                        Principal=Principal("Service", "cloudformation.amazonaws.com"),
                        Action=[awacs.sts.AssumeRole],
                    )
                ),
                ManagedPolicyArns=launching.policies,
                Tags=Tags({BOUNDARY_TAG: launching.boundary_arn}),
            ),
            "Role with which CloudFormation creates the environment.",
            why="Who may pass it to CloudFormation, may launch the environment.",
        )
        trust = trusted(t, inputs)
        service_arn = GetAtt(service, "Arn")
        caller, verifier = (
            _add_command_role(
                t,
                role,
                stack_name,
                trust,
                caller_statements(role.name, f"{stack_name}-", bucket, service_arn),
            )
            for role in COMMAND_ROLES
        )
        return Outputs(
            service_role_arn=RoleArn(service_arn),
            caller_role_arn=RoleArn(If(trust.condition, GetAtt(caller, "Arn"), "")),
            verifier_role_arn=RoleArn(If(trust.condition, GetAtt(verifier, "Arn"), "")),
            role_boundary_arn=PolicyArn(launching.boundary_arn),
        )

    return define


@dataclass(frozen=True)
class CommandRole:
    """A role with which principals run commands of ``build.py``."""

    name: str
    """In the table of actions."""
    title: str
    purpose: str
    why: str


COMMAND_ROLES = (
    CommandRole(
        CALLER,
        "Caller",
        "Publishes, plans and launches",
        "Resources are created with the service role, which it may pass to "
        "CloudFormation alone.",
    ),
    CommandRole(
        VERIFIER,
        "Verifier",
        "Checks",
        "It creates nothing but DAGs, their runs and one task, and removes them.",
    ),
)


def _union(parameters: Mapping[str, str], name: str) -> str:
    """Return the entries of a list and of those that pools have instead of it."""
    texts = [text for key, text in parameters.items() if key.endswith(name)]
    entries = {entry: None for text in texts for entry in elements(text)}
    return ",".join(entry for entry in entries if entry not in ("", NONE))


def _add_command_role(
    t: Template,
    role: CommandRole,
    stack_name: str,
    trust: Trust,
    statements: list[Statement],
) -> iam.Role:
    """Add a role for commands, if any principal may assume it."""
    check_size(f"{role.title}Policy", statements)
    policy = t.add(
        iam.ManagedPolicy(
            f"{role.title}Policy",
            Condition=trust.condition,
            Path=PATH,
            PolicyDocument=policy_document(*statements),
        ),
        "What the commands of build.py call themselves.",
        why=role.why,
    )
    purpose = f"{role.purpose} the stack {stack_name}."
    return t.add(
        iam.Role(
            f"{role.title}Role",
            Condition=trust.condition,
            Path=PATH,
            Description=purpose,
            AssumeRolePolicyDocument={
                "Version": "2012-10-17",
                "Statement": trust.statements,
            },
            ManagedPolicyArns=[Ref(policy)],
        ),
        f"Role of commands. {purpose}",
    )


def caller_statements(
    role: str,
    stack_prefix: str,
    bucket: AWSHelperFn,
    service_role_arn: AWSHelperFn,
) -> list[Statement]:
    """Return the permissions of a role that runs commands."""
    scope = StackScope(stack_prefix)

    def resource(text: str) -> str | AWSHelperFn:
        if text == "*":
            return text
        if text == "${ServiceRole}":
            return service_role_arn
        if "${Bucket}" in text:
            return Sub("arn:${AWS::Partition}:" + text, Bucket=bucket)
        return scope.arns([text])[0]

    def conditions(row: CallerActions) -> dict[str, Condition]:
        tests: list[ConditionElement] = [
            *(StringEquals(key, list(values)) for key, values in row.equal),
            *(
                StringLike(key, [scope.value(each) for each in values])
                for key, values in row.like
            ),
            *(Null(key, "true") for key in row.absent),
        ]
        return {"Condition": all_of(tests)} if tests else {}

    merged: dict[CallerActions, set[str]] = {}
    for row in CALLER_ACTIONS:
        if role in row.roles:
            reach = replace(row, command="", actions=(), why="", roles=())
            merged.setdefault(reach, set()).update(row.actions)
    return [
        Statement(
            Effect=Allow,
            Action=[Action(*action.split(":")) for action in sorted(actions)],
            Resource=[resource(each) for each in reach.resources],
            **conditions(reach),
        )
        for reach, actions in merged.items()
    ]
