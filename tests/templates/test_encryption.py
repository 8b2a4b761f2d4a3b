"""The KMS key: its users and its grants."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.wiring import Build
from templates import encryption
from tests.resolver import PSEUDO, deploy

ACCOUNT = PSEUDO["AWS::AccountId"]


@pytest.fixture(scope="module")
def statements() -> list[dict[str, Any]]:
    document = Build().template(encryption.define).document
    key = deploy(document, {}, {}).resources["Key"]["Properties"]
    return list(key["KeyPolicy"]["Statement"])


def test_key_is_used_by_this_account_and_named_services(
    statements: list[dict[str, Any]],
) -> None:
    allowed = [s["Principal"] for s in statements if s["Effect"] == "Allow"]
    assert allowed[0] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert sorted({principal["Service"] for principal in allowed[1:]}) == [
        "cloudwatch.amazonaws.com",
        "events.rds.amazonaws.com",
        "fargate.amazonaws.com",
        "logs.eu-central-1.amazonaws.com",
    ]


def test_fargate_grants_decrypt_only(statements: list[dict[str, Any]]) -> None:
    (grant,) = [s for s in statements if s["Sid"] == "EphemeralStorageGrants"]
    assert grant["Action"] == ["kms:CreateGrant"]
    assert grant["Condition"]["ForAllValues:StringEquals"] == {
        "kms:GrantOperations": ["Decrypt"]
    }


def test_users_cannot_create_grants(statements: list[dict[str, Any]]) -> None:
    # A grant is access that no policy shows. Both keys must be false at once: a service
    # that acts for a user has the first true, a service by itself the second.
    (deny,) = [s for s in statements if s["Effect"] == "Deny"]
    assert deny["Action"] == ["kms:CreateGrant"]
    assert deny["Principal"] == "*"
    assert deny["Condition"] == {
        "BoolIfExists": {
            "kms:GrantIsForAWSResource": "false",
            "aws:PrincipalIsAWSService": "false",
        }
    }
