"""Workers of the default queue, against an ECS with scripted answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from acceptance.check import CheckFailed
from acceptance.checks import workers
from local.environment import LocalEnvironment
from tests.acceptance.fakes import environment

NAMES = [*(f"service-{number}" for number in range(10)), "default", "spot"]


class FakeEcs:
    """Twelve services, of which the last two run workers, and two tasks of one."""

    def __init__(self, queue: str = "default") -> None:
        self.queue, self.updates, self.stopped = queue, [], ""  # type: ignore[var-annotated]

    def get_paginator(self, _: str) -> Any:
        return SimpleNamespace(paginate=lambda **_: [{"serviceArns": NAMES}])

    def describe_services(self, *, cluster: str, services: list[str]) -> Any:
        assert len(services) <= 10
        return {
            "services": [
                {
                    "serviceName": name,
                    "clusterArn": cluster,
                    "taskDefinition": name,
                    "desiredCount": 1,
                }
                for name in services
            ]
        }

    def describe_task_definition(self, *, taskDefinition: str) -> Any:  # noqa: N803 - boto3's word
        name = "worker" if taskDefinition in {"default", "spot"} else "api-server"
        queue = self.queue if taskDefinition == "default" else taskDefinition
        container = {"name": name, "command": ["start", queue]}
        return {"taskDefinition": {"containerDefinitions": [container]}}

    def update_service(self, **update: Any) -> None:
        self.updates.append(update)

    def list_tasks(self, *, cluster: str, serviceName: str) -> Any:  # noqa: N803 - as above
        assert (cluster, serviceName) == ("cluster", "default")
        return {"taskArns": ["a", "b"]}

    def describe_tasks(self, *, cluster: str, tasks: list[str]) -> Any:
        assert cluster == "cluster"
        return {
            "tasks": [
                {
                    "taskArn": arn,
                    "lastStatus": "STOPPED" if arn == self.stopped else "RUNNING",
                    "attachments": [
                        {
                            "details": [
                                {"name": "subnetId", "value": "s"},
                                {
                                    "name": "privateIPv4Address",
                                    "value": f"10.0.0.{arn}",
                                },
                            ]
                        }
                    ],
                }
                for arn in tasks
            ]
        }

    def stop_task(self, *, cluster: str, task: str, reason: str) -> None:
        assert cluster
        assert reason
        self.stopped = task


def details(arn: str) -> list[dict[str, str]]:
    return [
        {"name": "subnetId", "value": "s"},
        {"name": "privateIPv4Address", "value": f"10.0.0.{arn}"},
    ]


def fake(ecs: FakeEcs) -> LocalEnvironment:
    return environment(outputs={"ClusterName": "cluster"}, client=lambda _: ecs)


def test_two_workers_are_asked_for() -> None:
    ecs = FakeEcs()
    workers.ask_for_two(fake(ecs))

    assert ecs.updates == [
        {"cluster": "cluster", "service": "default", "desiredCount": 2}
    ]


def test_without_the_default_queue_it_fails() -> None:
    with pytest.raises(CheckFailed, match="No service runs workers"):
        workers.ask_for_two(fake(FakeEcs(queue="other")))


def test_worker_that_is_gone_already_is_taken() -> None:
    ecs = FakeEcs()

    assert workers.take_one_away(fake(ecs), ["10.0.0.a", "10.0.0.z"]) == "10.0.0.z"
    assert not ecs.stopped


def test_worker_is_stopped_where_all_run() -> None:
    ecs = FakeEcs()

    assert workers.take_one_away(fake(ecs), ["10.0.0.b"]) == "10.0.0.b"
    assert ecs.stopped == "b"
