"""Roles that services need are there before they are used."""

from __future__ import annotations

from typing import Any

import pytest

from cli.errors import Denied, Problem
from deploy.preflight.context import LaunchContext
from deploy.preflight.linked_roles import RoleWait, create
from tests.deploy.fakes import error
from tests.deploy.preflight.recorded import launch_context, linked_roles

TAKEN = error(
    "InvalidInput",
    "Service role name AWSServiceRoleForRDS has been taken in this account, please "
    "try a different suffix.",
)
DENIED = Denied(Problem(where="x", what="no"))
KNOWN = {"Role": {"RoleName": "AWSServiceRoleForRDS"}}
UNKNOWN = error("NoSuchEntity", "The role with that name cannot be found.")
ECS_ONLY = linked_roles("ecs.amazonaws.com")


def created(waits: list[float], **answers: Any) -> LaunchContext:
    context = launch_context(
        answers={
            "list_roles": ECS_ONLY,
            "create_service_linked_role": KNOWN,
            "get_role": KNOWN,
            **answers,
        }
    )
    create(context, RoleWait(sleep=waits.append))
    return context


def test_only_missing_roles_of_used_services_are_created() -> None:
    context = created([])
    requests = context.aws.parameters("create_service_linked_role")  # type: ignore[attr-defined] # of FakeAws
    assert requests == [{"AWSServiceName": "rds.amazonaws.com"}]


def test_new_role_is_waited_for_until_it_is_known_several_times() -> None:
    waits: list[float] = []
    created(waits, get_role=[KNOWN, UNKNOWN, KNOWN])
    assert waits == [3.0] * (2 + 5)


def test_wait_for_a_role_ends(capsys: pytest.CaptureFixture[str]) -> None:
    waits: list[float] = []
    created(waits, get_role=UNKNOWN)
    assert sum(waits) == 60
    assert "launch again" in capsys.readouterr().err


@pytest.mark.parametrize(
    "answers",
    [
        {"list_roles": linked_roles("ecs.amazonaws.com", "rds.amazonaws.com")},
        {"list_roles": DENIED, "create_service_linked_role": TAKEN},
    ],
)
def test_existing_role_is_no_error_and_not_waited_for(answers: dict[str, Any]) -> None:
    waits: list[float] = []
    created(waits, **answers)
    assert not waits


def test_launch_goes_on_without_the_right_to_create_a_role(
    capsys: pytest.CaptureFixture[str],
) -> None:
    waits: list[float] = []
    created(waits, create_service_linked_role=DENIED)
    assert not waits
    assert "iam:CreateServiceLinkedRole" in capsys.readouterr().err
