"""Authorization by the policies of roles."""

from __future__ import annotations

from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from local.ecs.roles import AccessDeniedError, RoleAuthorizer
from local.iam.policy import ApiCall, RolePermissions

CALL = ApiCall(action="s3:GetObject", resource="arn:aws:s3:::dags/a")
UNREACHABLE = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
MISSING = ClientError({"Error": {"Code": "NoSuchEntity"}}, "GetRole")
BROKEN = ClientError({"Error": {"Code": "InternalError"}}, "GetRole")


def authorizer(error: Exception, record: Path) -> RoleAuthorizer:
    def permissions(_role_arn: str) -> RolePermissions:
        raise error

    return RoleAuthorizer(permissions, record)


def test_role_that_does_not_exist_has_no_rights(tmp_path: Path) -> None:
    with pytest.raises(AccessDeniedError):
        authorizer(MISSING, tmp_path / "record").check("role", CALL)


@pytest.mark.parametrize("error", [UNREACHABLE, BROKEN])
def test_error_of_the_emulator_is_no_refusal(error: Exception, tmp_path: Path) -> None:
    # A server answers it with status 500 and reports it.
    with pytest.raises(type(error)):
        authorizer(error, tmp_path / "record").check("role", CALL)
