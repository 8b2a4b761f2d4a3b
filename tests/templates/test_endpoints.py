"""Interface endpoints: subnets, policies and names in China."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.wiring import Build
from templates import endpoints
from tests.resolver import PSEUDO, deploy

GIVEN = {
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-00000001,subnet-00000002",
    "GroupId": "sg-00000001",
    "EnableExecuteCommand": "true",
}


def deployed(**changes: str) -> dict[str, dict[str, Any]]:
    document = Build().template(endpoints.define).document
    stack = deploy(document, {}, {**GIVEN, **changes})
    return {name: each["Properties"] for name, each in stack.resources.items()}


def test_sessions_have_an_endpoint_only_with_ecs_exec() -> None:
    without = deployed(EnableExecuteCommand="false")
    assert deployed().keys() - without.keys() == {"ExecSessions"}


def test_endpoints_have_every_subnet_and_the_group() -> None:
    for name, endpoint in deployed().items():
        assert endpoint["SubnetIds"] == ["subnet-00000001", "subnet-00000002"], name
        assert endpoint["SecurityGroupIds"] == ["sg-00000001"], name


def test_endpoints_admit_identities_of_this_account_only() -> None:
    # Foreign credentials in a task must not carry data out. Exec sessions alone are
    # opened by token, without an identity that a policy could name.
    unbounded = set()
    for name, endpoint in deployed().items():
        if "PolicyDocument" not in endpoint:
            unbounded.add(name)
            continue
        (statement,) = endpoint["PolicyDocument"]["Statement"]
        assert statement["Condition"] == {
            "StringEquals": {"aws:PrincipalAccount": PSEUDO["AWS::AccountId"]}
        }, name
    assert unbounded == {"ExecSessions"}


@pytest.mark.parametrize("name", ["EcrApi", "EcrDocker", "Monitoring", "Sts"])
def test_service_names_differ_in_china(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PSEUDO, "AWS::Partition", "aws-cn")
    monkeypatch.setitem(PSEUDO, "AWS::Region", "cn-north-1")
    resources = deployed()
    assert resources[name]["ServiceName"].startswith("cn.com.amazonaws.cn-north-1.")
    assert resources["Logs"]["ServiceName"] == "com.amazonaws.cn-north-1.logs"
