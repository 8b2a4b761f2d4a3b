"""Workers of the default queue, against an ECS with scripted answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from acceptance.check import CheckFailed
from acceptance.checks import workers
from tests.acceptance.fakes import environment

COMMANDS = {f"api-{number}": "api" for number in range(10)} | {"w": "default"}
"""Service -> the last word of its command; more than one call describes."""


def ecs(commands: dict[str, str] = COMMANDS) -> Mock:
    """Return an ECS with these services and two running tasks."""

    def service(name: str) -> dict[str, Any]:
        known = {"serviceName": name, "taskDefinition": name, "desiredCount": 1}
        return {"clusterArn": "cluster", **known}

    def definition(name: str) -> dict[str, Any]:
        component = "worker" if name == "w" else "api-server"
        container = {"name": component, "command": ["start", commands[name]]}
        return {"taskDefinition": {"containerDefinitions": [container]}}

    def task(arn: str, status: str) -> dict[str, Any]:
        details = [{"name": "privateIPv4Address", "value": f"10.0.0.{arn}"}]
        attachments = [{"details": [{"name": "subnetId", "value": "s"}, *details]}]
        return {"taskArn": arn, "lastStatus": status, "attachments": attachments}

    client = Mock()
    pages = [{"serviceArns": list(commands)}]
    client.get_paginator.return_value = SimpleNamespace(paginate=lambda **_: pages)
    client.describe_services.side_effect = lambda cluster, services: {  # noqa: ARG005
        "services": [service(name) for name in services]
    }
    client.describe_task_definition.side_effect = lambda **named: definition(
        *named.values()
    )
    client.list_tasks.return_value = {"taskArns": ["1", "2"]}
    client.describe_tasks.side_effect = lambda cluster, tasks: {  # noqa: ARG005
        "tasks": [
            task(arn, "STOPPED" if client.stop_task.called else "RUNNING")
            for arn in tasks
        ]
    }
    return client


def local(client: Mock) -> Any:
    return environment(outputs={"ClusterName": "cluster"}, client=lambda _: client)


def test_two_workers_are_requested() -> None:
    client = ecs()
    workers.ask_for_two(local(client))

    client.update_service.assert_called_once_with(
        cluster="cluster", service="w", desiredCount=2
    )


def test_without_the_default_queue_it_fails() -> None:
    with pytest.raises(CheckFailed, match="No service runs workers"):
        workers.ask_for_two(local(ecs({"w": "other"})))


def test_worker_that_is_gone_already_is_taken() -> None:
    client = ecs()

    assert workers.take_one_away(local(client), ["10.0.0.2", "10.0.0.9"]) == "10.0.0.9"
    client.stop_task.assert_not_called()


def test_worker_is_stopped_where_all_run() -> None:
    client = ecs()

    assert workers.take_one_away(local(client), ["10.0.0.2"]) == "10.0.0.2"
    assert client.stop_task.call_args.kwargs["task"] == "2"
