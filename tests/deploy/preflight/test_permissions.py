"""What is simulated, and as whom."""

from __future__ import annotations

from typing import Any

from deploy.preflight.findings import Finding, Verdict
from deploy.preflight.permissions import permissions, required
from tests.deploy.fakes import ACCOUNT, REGION, error
from tests.deploy.preflight.recorded import ROLE, launch_context, simulated


def asked(**answers: Any) -> tuple[Finding, list[dict[str, Any]]]:
    context = launch_context(answers=answers)
    (finding,) = permissions(context)
    return finding, context.aws.parameters("simulate_principal_policy")  # type: ignore[attr-defined] # of FakeAws


def test_permissions_are_those_of_this_stack_and_its_services() -> None:
    needed = required(launch_context())
    resources = {name for permission in needed for name in permission.resources}
    cluster = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/airflow-dev-x"
    assert resources == {"*", cluster}
    actions = {name for permission in needed for name in permission.actions}
    assert "wafv2:CreateWebACL" not in actions  # no web ACL in this environment


def test_role_of_a_session_is_simulated_with_its_path() -> None:
    _, requests = asked()
    assert {request["PolicySourceArn"] for request in requests} == {ROLE}


def test_conditions_of_the_launch_role_are_met_in_the_simulation() -> None:
    _, requests = asked()
    (request,) = (
        r for r in requests if "iam:CreateServiceLinkedRole" in r["ActionNames"]
    )
    (entry,) = request["ContextEntries"]
    assert entry["ContextKeyName"] == "iam:AWSServiceName"
    assert entry["ContextKeyValues"] == ["ecs.amazonaws.com"]


def test_actions_that_iam_does_not_simulate_together_are_asked_apart() -> None:
    def answer(**request: Any) -> Any:
        if len(request["ActionNames"]) > 1:
            return error(
                "InvalidInput",
                "Invalid Input Actions: [ec2:CreateVpc] and [ec2:DeleteVpc] require "
                "different authorization information.",
            )
        return simulated("ec2:DeleteVpc")(**request)

    finding, _ = asked(simulate_principal_policy=answer)
    assert finding.verdict is Verdict.REFUSED
    assert "may not ec2:DeleteVpc:" in finding.text


def test_action_is_allowed_that_is_allowed_on_its_own_resource() -> None:
    """A statement names the resources of all its actions."""
    rows = [
        {"EvalResourceName": "a", "EvalResourceDecision": "implicitDeny"},
        {"EvalResourceName": "b", "EvalResourceDecision": "allowed"},
    ]
    finding, _ = asked(
        simulate_principal_policy=simulated(
            "ecs:CreateCluster", ResourceSpecificResults=rows
        )
    )
    assert finding.verdict is Verdict.OK


def test_root_user_is_not_simulated() -> None:
    context = launch_context()
    context.aws._identity = {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:root"}
    (finding,) = permissions(context)
    assert finding.verdict is Verdict.OK
    assert not context.aws.calls
