"""The key: who may use it, and that it outlives every mistake."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.wiring import Build
from templates import encryption
from tests.resolver import PSEUDO, deploy

ACCOUNT = PSEUDO["AWS::AccountId"]


@pytest.fixture(scope="module")
def key() -> dict[str, Any]:
    document = Build().page(encryption.define).document
    return deploy(document, {}, {}).resources["Key"]


@pytest.fixture(scope="module")
def statements(key: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = key["Properties"]["KeyPolicy"]["Statement"]
    return found


def test_the_key_outlives_its_stack_and_a_hasty_delete(key: dict[str, Any]) -> None:
    # Control 44 and section Further controls: without the key, retained data is noise.
    assert key["DeletionPolicy"] == key["UpdateReplacePolicy"] == "Retain"
    assert key["Properties"]["PendingWindowInDays"] == 30


def test_the_key_rotates(key: dict[str, Any]) -> None:
    # Control 41.
    assert key["Properties"]["EnableKeyRotation"] is True


def test_nobody_but_this_account_and_named_services_may_use_the_key(
    statements: list[dict[str, Any]],
) -> None:
    # Control 42: a wildcard principal opens the key to every account there is.
    allowed = [s["Principal"] for s in statements if s["Effect"] == "Allow"]
    assert allowed[0] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert sorted({principal["Service"] for principal in allowed[1:]}) == [
        "cloudwatch.amazonaws.com",
        "events.rds.amazonaws.com",
        "fargate.amazonaws.com",
        "logs.eu-central-1.amazonaws.com",
    ]


def test_no_service_can_be_talked_into_using_the_key_for_another_account(
    statements: list[dict[str, Any]],
) -> None:
    # Control 43: each service statement names this account in some condition that the
    # service fills in itself.
    keys = {
        "kms:EncryptionContext:aws:logs:arn",
        "kms:EncryptionContext:aws:ecs:clusterAccount",
        "aws:SourceAccount",
    }
    for statement in statements:
        if "Service" in statement["Principal"]:
            bound = {
                key: value
                for test in statement["Condition"].values()
                for key, value in test.items()
                if key in keys
            }
            assert bound, statement["Sid"]
            assert all(ACCOUNT in value for value in bound.values()), statement["Sid"]


def test_fargate_grants_only_reading(statements: list[dict[str, Any]]) -> None:
    (grant,) = [s for s in statements if s["Sid"] == "ScratchDiskGrants"]
    assert grant["Action"] == ["kms:CreateGrant"]
    assert grant["Condition"]["ForAllValues:StringEquals"] == {
        "kms:GrantOperations": ["Decrypt"]
    }


def test_people_cannot_make_grants(statements: list[dict[str, Any]]) -> None:
    # A grant is access no policy shows. Both keys must be false at once: a service that
    # acts for a person has the first true, a service by itself the second.
    (deny,) = [s for s in statements if s["Effect"] == "Deny"]
    assert deny["Action"] == ["kms:CreateGrant"]
    assert deny["Principal"] == "*"
    assert deny["Condition"] == {
        "BoolIfExists": {
            "kms:GrantIsForAWSResource": "false",
            "aws:PrincipalIsAWSService": "false",
        }
    }
