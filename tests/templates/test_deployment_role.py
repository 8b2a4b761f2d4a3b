"""The roles of an environment: who assumes them, and what bounds its tasks."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli import product
from compiler.wiring import Build, Template
from templates import deployment_role, parent
from templates.airflow.pools import POOLS
from templates.resources.role_boundary import BOUNDARY
from tests.resolver import deploy

POLICY = "arn:aws:iam::123456789012:policy/"
ROLE = "arn:aws:iam::111122223333:role/Lake"
PIPELINE = "arn:aws:iam::123456789012:role/Pipeline"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"


@pytest.fixture(scope="module")
def launched() -> Template:
    return Build(product.assets()).root(parent.define_with(POOLS[:1]))


@pytest.fixture(scope="module")
def document(launched: Template) -> dict[str, Any]:
    values = {
        "ExtraPolicyArns": f"{POLICY}Lake",
        "DefaultWorkersExtraPolicyArns": f"{POLICY}Sales, {POLICY}Lake",
        "SpotWorkersExtraPolicyArns": "none",
        "SpotWorkersAssumableRoleArns": ROLE,
    }
    define = deployment_role.define_for(launched, "airflow-dev", values)
    return Build(product.assets()).root(define).document


def trust(document: dict[str, Any], **parameters: str) -> list[dict[str, Any]]:
    resources = deploy(document, {}, parameters, name="airflow-dev-role").resources
    if "CallerRole" not in resources:
        return []
    policy = resources["CallerRole"]["Properties"]["AssumeRolePolicyDocument"]
    statements: list[dict[str, Any]] = policy["Statement"]
    return statements


def test_caller_role_needs_a_principal(document: dict[str, Any]) -> None:
    assert not trust(document)


def test_named_principals_assume_the_caller_role(document: dict[str, Any]) -> None:
    (statement,) = trust(document, CallerArns=PIPELINE)
    assert statement["Principal"] == {"AWS": [PIPELINE]}


def test_workflows_of_one_branch_assume_the_caller_role(
    document: dict[str, Any],
) -> None:
    (statement,) = trust(
        document, GitHubRepository="example/airflow", GitHubBranch="release"
    )
    assert statement["Principal"] == {"Federated": PROVIDER}
    assert statement["Action"] == ["sts:AssumeRoleWithWebIdentity"]
    assert statement["Condition"]["StringEquals"] == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": (
            "repo:example/airflow:ref:refs/heads/release"
        ),
    }


def test_service_role_is_assumed_by_cloudformation_only(
    document: dict[str, Any],
) -> None:
    role = document["Resources"]["ServiceRole"]["Properties"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "cloudformation.amazonaws.com"}


def test_roles_have_the_values_of_the_environment(document: dict[str, Any]) -> None:
    parameters = document["Parameters"]
    attachable = parameters["ExtraPolicyArns"]["Default"]
    assert attachable == f"{POLICY}Lake,{POLICY}Sales"
    assert parameters["AssumableRoleArns"]["Default"] == ROLE


@pytest.mark.parametrize("roles", ["", ROLE])
def test_boundary_lets_tasks_assume_named_roles_only(
    document: dict[str, Any], roles: str
) -> None:
    parameters = {"AssumableRoleArns": roles}
    resources = deploy(document, {}, parameters, name="airflow-dev-role").resources
    policy = resources["RoleBoundary"]["Properties"]["PolicyDocument"]
    assumed = [
        resource
        for statement in policy["Statement"]
        if "sts:AssumeRole" in statement["Action"]
        for resource in statement["Resource"]
    ]
    assert assumed == ([roles] if roles else [])


def test_boundary_has_every_action_of_the_roles_in_the_templates(
    launched: Template,
) -> None:
    # An action that a task needs and the boundary lacks is refused at run time.
    bounded = {action for row in BOUNDARY for action in row.actions}
    # It names the operator's roles, each by its ARN.
    bounded.add("sts:AssumeRole")
    policies = [
        resource["Properties"]["PolicyDocument"]
        for template in launched.walk()
        for resource in template.document["Resources"].values()
        if resource["Type"] == "AWS::IAM::ManagedPolicy"
    ]
    actions = {
        action
        for policy in policies
        for statement in policy["Statement"]
        for action in statement["Action"]
    }
    assert actions
    assert actions <= bounded


@pytest.mark.slow
def test_roles_pass_the_linter(document: dict[str, Any]) -> None:
    from cfnlint.api import lint_all  # noqa: PLC0415 - importing it takes a second

    findings = lint_all(json.dumps(document))
    assert not [each for each in findings if not each.rule.id.startswith("I")]


def test_verifier_uses_the_keys_of_the_stack_only(document: dict[str, Any]) -> None:
    policy = document["Resources"]["VerifierPolicy"]["Properties"]["PolicyDocument"]
    (statement,) = (
        each for each in policy["Statement"] if "kms:Decrypt" in each["Action"]
    )
    assert statement["Condition"]["StringLike"] == {
        "aws:ResourceTag/airflow:stack": ["airflow-dev-*"],
        "kms:ViaService": ["s3.*", "secretsmanager.*"],
    }
