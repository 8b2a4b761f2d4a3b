"""Interface endpoints: all that a task needs, and used because names lead to them."""

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
}


def deployed() -> dict[str, dict[str, Any]]:
    document = Build().page(endpoints.define).document
    return {
        name: resource["Properties"]
        for name, resource in deploy(document, {}, GIVEN).resources.items()
    }


def test_every_service_a_task_needs_has_an_endpoint() -> None:
    # Control 63. A missing one shows as a task that hangs in PENDING for minutes.
    region = PSEUDO["AWS::Region"]
    assert sorted(endpoint["ServiceName"] for endpoint in deployed().values()) == [
        f"com.amazonaws.{region}.{name}"
        for name in (
            *("ecr.api", "ecr.dkr", "ecs", "kms", "logs", "monitoring"),
            *("secretsmanager", "ssmmessages", "sts"),
        )
    ]


def test_private_names_lead_to_every_endpoint() -> None:
    # Control 65: otherwise the endpoint is paid for and unused.
    for name, endpoint in deployed().items():
        assert endpoint["PrivateDnsEnabled"] is True, name
        assert endpoint["VpcEndpointType"] == "Interface", name


def test_every_endpoint_lies_in_each_subnet_behind_the_one_group() -> None:
    for name, endpoint in deployed().items():
        assert endpoint["SubnetIds"] == ["subnet-00000001", "subnet-00000002"], name
        assert endpoint["SecurityGroupIds"] == ["sg-00000001"], name


def test_endpoints_serve_identities_of_this_account_only() -> None:
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
def test_china_names_some_services_otherwise(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PSEUDO, "AWS::Partition", "aws-cn")
    monkeypatch.setitem(PSEUDO, "AWS::Region", "cn-north-1")
    resources = deployed()
    assert resources[name]["ServiceName"].startswith("cn.com.amazonaws.cn-north-1.")
    assert resources["Logs"]["ServiceName"] == "com.amazonaws.cn-north-1.logs"
