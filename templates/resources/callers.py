"""Principals and workflows that may assume the roles of commands.

An account has one OIDC provider of GitHub, which no template here creates.
"""

from __future__ import annotations

from dataclasses import dataclass

import awacs.sts
from awacs.aws import Allow, AWSPrincipal, Condition, Principal, Statement, StringEquals
from troposphere import Equals, If, Not, NoValue, Or, Sub

from compiler.wiring import Interface, Template, about
from templates.types import PrincipalArns, Text

GITHUB = "token.actions.githubusercontent.com"


class Callers(Interface):
    """Parameters that name them."""

    caller_arns: PrincipalArns = about(
        "Roles or users that may assume the role. Empty for none.",
        group="Callers",
        label="Principals",
        Default="",
    )
    git_hub_repository: Text = about(
        "Repository whose GitHub Actions may assume the role, as owner/name. "
        "The account needs GitHub's OIDC provider. Empty for none.",
        group="Callers",
        label="GitHub repository",
        Default="",
        AllowedPattern=r"^([A-Za-z0-9._-]+/[A-Za-z0-9._-]+)?$",
        ConstraintDescription="A repository as owner/name, or nothing.",
    )
    git_hub_branch: Text = about(
        "Branch of the repository whose workflows may assume the role.",
        group="Callers",
        label="GitHub branch",
        Default="main",
        AllowedPattern=r"^[A-Za-z0-9._/-]+$",
        ConstraintDescription="The name of one branch.",
    )


@dataclass(frozen=True)
class Trust:
    """Who may assume the roles of commands, and the condition that there is any."""

    condition: str
    statements: list[If]


def trusted(t: Template, callers: Callers) -> Trust:
    """Return who may assume roles; adds the conditions."""
    has_callers = Not(Equals(callers.caller_arns.crossing(), ""))
    has_repository = Not(Equals(callers.git_hub_repository, ""))
    has_principals = t.condition("HasPrincipals", has_callers)
    has_git_hub = t.condition("HasGitHub", has_repository)
    return Trust(
        t.condition("HasCaller", Or(has_callers, has_repository)),
        [
            If(has_principals, _principals(callers), NoValue),
            If(has_git_hub, _git_hub(callers), NoValue),
        ],
    )


def _principals(callers: Callers) -> Statement:
    return Statement(
        Effect=Allow,
        Principal=AWSPrincipal(callers.caller_arns),
        Action=[awacs.sts.AssumeRole],
    )


def _git_hub(callers: Callers) -> Statement:
    """Trust workflows of one branch of one repository."""
    subject = Sub(
        "repo:${Repository}:ref:refs/heads/${Branch}",
        Repository=callers.git_hub_repository,
        Branch=callers.git_hub_branch,
    )
    provider = f"oidc-provider/{GITHUB}"
    return Statement(
        Effect=Allow,
        Principal=Principal(
            "Federated",
            Sub(f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{provider}"),
        ),
        Action=[awacs.sts.AssumeRoleWithWebIdentity],
        Condition=Condition(
            StringEquals(
                {f"{GITHUB}:aud": "sts.amazonaws.com", f"{GITHUB}:sub": subject}
            )
        ),
    )
