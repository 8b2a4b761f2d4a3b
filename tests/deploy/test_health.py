"""status says whether Airflow runs, and what it may not ask."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.errors import Denied, ExitCode, Problem
from deploy import health, status
from deploy.dist import Environment
from deploy.inventory import StackResource
from tests.deploy.fakes import BEGINNING, REGION, FakeAws, described

NAME = "airflow-dev"
CLUSTER = "airflow-dev-Cluster"


def account(**answers: Any) -> FakeAws:
    service = f"arn:aws:ecs:{REGION}:1:service/{CLUSTER}/airflow-dev-Api"
    rows = (
        ("ApiServer", "AWS::ECS::Service", service),
        ("Stalled", "AWS::CloudWatch::Alarm", "airflow-dev-Stalled"),
    )
    summaries = [
        {
            "LogicalResourceId": name,
            "ResourceType": kind,
            "PhysicalResourceId": physical_id,
            "ResourceStatus": "CREATE_COMPLETE",
        }
        for name, kind, physical_id in rows
    ]
    deployment = {
        "status": "PRIMARY",
        "rolloutState": "IN_PROGRESS",
        "updatedAt": BEGINNING,
    }
    ecs_service = {
        "serviceName": "airflow-dev-Api",
        "runningCount": 2,
        "desiredCount": 3,
        "deployments": [deployment],
    }
    alarm = {
        "AlarmName": "airflow-dev-Stalled",
        "StateValue": "ALARM",
        "StateReason": "No task runs.",
    }
    tasks = [
        {"group": "service:airflow-dev-Api", "healthStatus": health}
        for health in ("HEALTHY", "UNKNOWN")
    ]
    own: dict[str, Any] = {
        "describe_stacks": described(NAME, "CREATE_COMPLETE"),
        "get_template": {"TemplateBody": {}},
        "list_stack_resources": {"StackResourceSummaries": summaries},
        "describe_services": {"services": [ecs_service]},
        "list_tasks": {"taskArns": ["a", "b"]},
        "describe_tasks": {"tasks": tasks},
        "describe_alarms": {"MetricAlarms": [alarm]},
    }
    return FakeAws(**own | answers)


def shown(aws: FakeAws, capsys: pytest.CaptureFixture[str], *, as_json: bool) -> str:
    environment = Environment("dev", NAME)
    code = status.status(aws, environment, lists_all=False, as_json=as_json)
    assert code is ExitCode.OK
    return capsys.readouterr().out


def test_tasks_and_alarms_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(account(), capsys, as_json=False)
    (line,) = [line for line in text.splitlines() if line.startswith("ApiServer")]
    assert line.split()[1:5] == ["2", "3", "1", "IN_PROGRESS"]
    assert "Alarms: 1 ALARM." in text
    assert "Stalled  No task runs." in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines()[:3])


def test_what_may_not_be_asked_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    denied = Denied(Problem(where="ECS", what="ecs:DescribeServices is not allowed."))
    document = json.loads(
        shown(account(describe_services=denied), capsys, as_json=True)
    )
    assert document["Services"] == []
    assert "ecs:DescribeServices" in document["NotShown"][0]
    assert document["Alarms"][0]["State"] == "ALARM"


def test_worker_pools_are_named_by_their_stacks() -> None:
    """Both pools have a service called Worker."""

    def service(*path: str) -> StackResource:
        arn = f"arn:aws:ecs:{REGION}:1:service/{CLUSTER}/{path[-2]}-{path[-1]}"
        return StackResource(
            path[:-1], "", path[-1], arn, "AWS::ECS::Service", "CREATE_COMPLETE"
        )

    resources = [
        service("Services", "ApiServer"),
        service("Services", "Scheduler"),
        service("SpotWorkers", "Worker"),
    ]

    def describe(services: list[str], **_rest: Any) -> dict[str, Any]:
        rows = [
            {"serviceName": name, "runningCount": 1, "desiredCount": 1}
            for name in services
        ]
        return {"services": rows}

    services = health.services(account(describe_services=describe), resources)
    assert [s.name for s in services] == ["ApiServer", "Scheduler", "SpotWorkers"]
