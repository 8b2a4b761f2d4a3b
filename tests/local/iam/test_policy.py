"""What a role's policies allow."""

from __future__ import annotations

from typing import Any

import pytest

from local.iam.policy import (
    ApiCall,
    RolePermissions,
    UnknownOperatorError,
    kms_context,
    statements,
)

BUCKET = "arn:aws:s3:::dags"


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def permissions(*allowed: dict[str, Any]) -> RolePermissions:
    return RolePermissions(
        statements([{"Version": "2012-10-17", "Statement": [*allowed]}])
    )


def test_calls_are_denied_by_default() -> None:
    role = permissions(allow("s3:GetObject", f"{BUCKET}/*"))
    assert role.allows(ApiCall(action="s3:GetObject", resource=f"{BUCKET}/a/b.py"))
    assert not role.allows(ApiCall(action="s3:PutObject", resource=f"{BUCKET}/a/b.py"))
    assert not role.allows(
        ApiCall(action="s3:GetObject", resource="arn:aws:s3:::logs/a")
    )
    assert not role.allows(ApiCall(action="s3:GetObject", resource=BUCKET))


def test_case_matters_in_resources_and_not_in_actions() -> None:
    role = permissions(allow("S3:getobject", f"{BUCKET}/a"))
    assert role.allows(ApiCall(action="s3:GetObject", resource=f"{BUCKET}/a"))
    assert not role.allows(ApiCall(action="s3:GetObject", resource=f"{BUCKET}/A"))


def test_deny_overrides_allow() -> None:
    deny = {"Effect": "Deny", "Action": "s3:*", "Resource": f"{BUCKET}/secret/*"}
    role = permissions(allow("s3:*", "*"), deny)
    assert role.allows(ApiCall(action="s3:GetObject", resource=f"{BUCKET}/a"))
    assert not role.allows(
        ApiCall(action="s3:GetObject", resource=f"{BUCKET}/secret/a")
    )


def test_permissions_boundary_limits_the_policies() -> None:
    role = RolePermissions(
        (allow("*", "*"),), boundary=(allow("s3:*", "*"), allow("ecs:*", "*"))
    )
    assert role.allows(ApiCall(action="s3:GetObject"))
    assert not role.allows(ApiCall(action="iam:CreateUser"))


def test_via_service_condition_limits_the_use_of_a_key() -> None:
    # The condition of the compiled policies: S3 may decrypt for the task, the task
    # itself may not.
    condition = {"StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}}
    role = permissions(allow("kms:Decrypt", "key", Condition=condition))

    def may(context: dict[str, str]) -> bool:
        return role.allows(
            ApiCall(action="kms:Decrypt", resource="key", context=context)
        )

    assert may(kms_context("s3", "eu-central-1"))
    assert not may(kms_context("secretsmanager", "eu-central-1"))
    assert not may({})


@pytest.mark.parametrize(
    ("condition", "context", "is_met"),
    [
        ({"StringLike": {"k": "a*"}}, {"k": "abc"}, True),
        ({"StringLike": {"k": ["x", "a?c"]}}, {"k": "abc"}, True),
        ({"StringNotEquals": {"k": "a"}}, {"k": "b"}, True),
        ({"StringNotEquals": {"k": "a"}}, {}, True),
        ({"StringNotLike": {"k": "a*"}}, {"k": "abc"}, False),
        ({"StringEqualsIfExists": {"k": "a"}}, {}, True),
        ({"StringEqualsIfExists": {"k": "a"}}, {"k": "b"}, False),
        ({"ArnEquals": {"k": "arn:*:x"}}, {"k": "arn:aws:x"}, True),
        ({"Bool": {"k": "false"}}, {"k": "False"}, True),
        ({"Null": {"k": "true"}}, {}, True),
        ({"Null": {"k": "true"}}, {"k": "a"}, False),
        ({"StringEquals": {"k": "a"}, "Bool": {"b": "true"}}, {"k": "a"}, False),
    ],
)
def test_conditions(
    condition: dict[str, Any], context: dict[str, str], *, is_met: bool
) -> None:
    role = permissions(allow("a:b", "*", Condition=condition))
    assert role.allows(ApiCall(action="a:b", context=context)) is is_met


def test_unknown_condition_operator_is_an_error() -> None:
    condition = {"NumericLessThan": {"k": "3"}}
    role = permissions(allow("a:b", "*", Condition=condition))
    with pytest.raises(UnknownOperatorError, match="NumericLessThan"):
        role.allows(ApiCall(action="a:b", context={"k": "1"}))


def test_not_action_allows_all_other_actions() -> None:
    role = permissions({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"})
    assert role.allows(ApiCall(action="s3:GetObject"))
    assert not role.allows(ApiCall(action="iam:PassRole"))
