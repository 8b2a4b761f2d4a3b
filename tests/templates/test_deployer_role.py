"""The role that releases the DAGs of one bundle: what it may do, and what not."""

from __future__ import annotations

import pytest

from cli import product
from local.iam.policy import ApiCall, RolePermissions, kms_context, statements
from tests.resolver import Stack, deploy

BUCKET = "arn:aws:s3:::airflow-prod-releases"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
HERE = "eu-central-1:123456789012"
PARAMETERS = {
    "CallerArns": "arn:aws:iam::123456789012:role/TeamA",
    "ReleaseBucketName": "airflow-prod-releases",
    "KeyArn": KEY,
}
VIA_S3 = kms_context("s3", "eu-central-1")


def stack(**changes: str) -> Stack:
    document = product.deployer_role("airflow-prod", "team-a").document
    return deploy(document, {}, {**PARAMETERS, **changes}, name="airflow-prod-dags")


@pytest.fixture(scope="module")
def role() -> RolePermissions:
    policy = stack().resources["DeployerPolicy"]["Properties"]["PolicyDocument"]
    return RolePermissions(statements([policy]))


def call(action: str, resource: str, **context: str) -> ApiCall:
    return ApiCall(action=action, resource=resource, context=context)


LIST = {"s3:prefix": "team-a/current.json"}

CALLS = [
    call(
        "cloudformation:DescribeStacks",
        f"arn:aws:cloudformation:{HERE}:stack/airflow-prod/1",
    ),
    call("s3:ListBucket", BUCKET, **LIST),
    *(
        call(f"s3:{action}", f"{BUCKET}/team-a/{name}")
        for action in ("GetObject", "PutObject")
        for name in ("current.json", "archives/0123.tar.gz")
    ),
    call("kms:GenerateDataKey", KEY, **VIA_S3),
    call("kms:Decrypt", KEY, **VIA_S3),
]
"""What push, list, diff and rollback call."""

REFUSED = [
    call("s3:PutObject", f"{BUCKET}/team-b/current.json"),
    call("s3:GetObject", f"{BUCKET}/team-b/archives/0123.tar.gz"),
    call("s3:PutObject", f"{BUCKET}/team-a-2/current.json"),
    call("s3:PutObject", f"{BUCKET}/team-a/other.json"),
    call("s3:PutObject", "arn:aws:s3:::airflow-prod-dags/team-a/current.json"),
    call("s3:DeleteObject", f"{BUCKET}/team-a/archives/0123.tar.gz"),
    call("s3:ListBucket", BUCKET, **{"s3:prefix": "team-b/"}),
    call("s3:ListBucket", BUCKET),
    call("kms:Decrypt", KEY),
    call("kms:Decrypt", f"{KEY}2", **VIA_S3),
    call(
        "cloudformation:DescribeStacks",
        f"arn:aws:cloudformation:{HERE}:stack/airflow-dev/1",
    ),
    call(
        "cloudformation:UpdateStack",
        f"arn:aws:cloudformation:{HERE}:stack/airflow-prod/1",
    ),
]


@pytest.mark.parametrize("allowed", CALLS, ids=lambda c: f"{c.action} {c.resource}")
def test_deployer_may_release_its_bundle(
    role: RolePermissions, allowed: ApiCall
) -> None:
    assert role.allows(allowed)


@pytest.mark.parametrize("refused", REFUSED, ids=lambda c: f"{c.action} {c.resource}")
def test_deployer_may_do_nothing_else(role: RolePermissions, refused: ApiCall) -> None:
    assert not role.allows(refused)


def test_role_needs_a_principal() -> None:
    assert "DeployerRole" not in stack(CallerArns="").resources
    workflow = stack(CallerArns="", GitHubRepository="example/dags")
    document = workflow.resources["DeployerRole"]["Properties"][
        "AssumeRolePolicyDocument"
    ]
    (statement,) = document["Statement"]
    subject = "token.actions.githubusercontent.com:sub"
    assert statement["Condition"]["StringEquals"][subject] == (
        "repo:example/dags:ref:refs/heads/main"
    )
