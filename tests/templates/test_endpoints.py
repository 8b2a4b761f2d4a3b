"""Interface endpoints: subnets, policies and names in China."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.wiring import Build
from templates import endpoints
from templates.endpoint_services import DAG_SERVICES
from tests.resolver import PSEUDO, deploy

GIVEN = {
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-00000001,subnet-00000002",
    "GroupId": "sg-00000001",
    "EnableExecuteCommand": "true",
    "Services": ",,",
}


def deployed(**changes: str) -> dict[str, dict[str, Any]]:
    document = Build().template(endpoints.define).document
    stack = deploy(document, {}, {**GIVEN, **changes})
    return {name: each["Properties"] for name, each in stack.resources.items()}


def test_sessions_have_an_endpoint_only_with_ecs_exec() -> None:
    without = deployed(EnableExecuteCommand="false")
    assert deployed().keys() - without.keys() == {"ExecSessions"}


@pytest.mark.parametrize(
    ("services", "added"),
    [
        ("glue", {"com.amazonaws.eu-central-1.glue"}),
        (
            "redshift-data,sqs",
            {
                "com.amazonaws.eu-central-1.redshift-data",
                "com.amazonaws.eu-central-1.sqs",
            },
        ),
        # Neither redshift nor rds.
        ("rds-data", {"com.amazonaws.eu-central-1.rds-data"}),
    ],
)
def test_services_of_dags_have_endpoints_where_they_are_listed(
    services: str, added: set[str]
) -> None:
    with_them, without = deployed(Services=f",{services},"), deployed()
    new = with_them.keys() - without.keys()
    assert {with_them[name]["ServiceName"] for name in new} == added


def test_every_service_of_dags_can_be_listed() -> None:
    every = deployed(Services=f",{','.join(DAG_SERVICES)},")
    assert len(every) == len(deployed()) + len(DAG_SERVICES)


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
