"""What a task is served from inside: metadata, credentials, protection."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from local.ecs import EcsAgent
from local.ecs.model import ContainerDefinition
from local.ecs.policy import RolePermissions
from local.ecs.task import EcsTask
from tests.local.ecs.fakes import (
    FOREVER,
    TASK_ROLE,
    FakeEmulator,
    run_once,
    script,
    tasks,
    until,
)

pytestmark = pytest.mark.slow

STEADY = ContainerDefinition(name="app", command=script(FOREVER))


def ask(url: str, method: str = "GET", body: object = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def protection(agent: EcsAgent, task: EcsTask, body: object = None) -> tuple[int, Any]:
    url = f"{agent.host.metadata_url}/api/{task.token}/task-protection/v1/state"
    return ask(url, "GET" if body is None else "PUT", body)


def of_service(
    agent: EcsAgent, emulator: FakeEmulator, count: int = 1
) -> list[EcsTask]:
    emulator.serve(emulator.define(1, STEADY), count)
    until(lambda: len(tasks(agent)) == count)
    return tasks(agent)


def test_a_container_reads_its_own_metadata(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    told = script(
        "import json, os, urllib.request as web\n"
        "at = os.environ['ECS_CONTAINER_METADATA_URI_V4']\n"
        "print(json.dumps([json.load(web.urlopen(at + end))"
        " for end in ('', '/task')]))"
    )
    task = run_once(
        agent, emulator.define(1, ContainerDefinition(name="app", command=told))
    )
    until(lambda: task.is_over)
    one, whole = json.loads(task.containers[0].stream.path.read_text())
    assert one["Name"] == "app"
    assert one["Networks"][0]["IPv4Addresses"] == [task.sandbox.address]
    assert whole["TaskARN"] == task.arn
    assert (whole["Family"], whole["Revision"]) == ("toy", "1")


def test_credentials_are_those_of_the_task_role(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    told = script(
        "import os, urllib.request as web\n"
        "at = os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI']\n"
        "print(web.urlopen(at).read().decode())"
    )
    definition = emulator.define(
        1, ContainerDefinition(name="app", command=told), roles=True
    )
    task = run_once(agent, definition)
    until(lambda: task.is_over)
    found = json.loads(task.containers[0].stream.path.read_text())
    assert found["RoleArn"] == TASK_ROLE
    session = agent.credentials.of_key(found["AccessKeyId"], found["Token"])
    assert session is not None
    assert session.role_arn == TASK_ROLE


def test_a_task_protects_itself_and_lets_go(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    (task,) = of_service(agent, emulator)
    status, found = protection(agent, task, {"ProtectionEnabled": True})
    assert status == 200
    assert found["protection"]["ProtectionEnabled"] is True
    assert found["protection"]["TaskArn"] == task.arn
    assert found["protection"]["ExpirationDate"].endswith("Z")
    assert protection(agent, task) == (status, found)
    _, found = protection(agent, task, {"ProtectionEnabled": False})
    assert found == {"protection": {"ProtectionEnabled": False, "TaskArn": task.arn}}


def test_a_task_of_no_service_is_told_that_it_is_not_valid(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    task = run_once(agent, emulator.define(1, STEADY))
    # ECS refuses, the agent of ECS understood: hence status 200.
    status, found = protection(agent, task, {"ProtectionEnabled": True})
    assert (status, found["failure"]["Reason"]) == (200, "TASK_NOT_VALID")


def test_too_many_protected_tasks_block_the_deployment(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    both = of_service(agent, emulator, 2)
    for task in both:
        protection(agent, task, {"ProtectionEnabled": True})
    emulator.scale(1)
    kept = next(iter(agent.registry.services.values()))
    until(lambda: kept.service.desired == 1)
    for body in ({"ProtectionEnabled": True}, {"ProtectionEnabled": False}):
        _, found = protection(agent, both[0], body)
        assert found["failure"]["Reason"] == "DEPLOYMENT_BLOCKED"
    assert tasks(agent) == both


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ProtectionEnabled": "yes"},
        {"ProtectionEnabled": True, "ExpiresInMinutes": 2881},
        {"ProtectionEnabled": True, "ExpiresInMinutes": "5"},
        [1],
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(
    agent: EcsAgent, emulator: FakeEmulator, body: object
) -> None:
    (task,) = of_service(agent, emulator)
    status, found = protection(agent, task, body)
    assert (status, found["error"]["Code"]) == (400, "InvalidParameterException")


def test_a_role_without_the_right_cannot_protect(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    emulator.roles[TASK_ROLE] = RolePermissions(())
    (task,) = of_service(agent, emulator)
    status, found = protection(agent, task, {"ProtectionEnabled": True})
    assert (status, found["error"]["Code"]) == (400, "AccessDeniedException")
    assert "ecs:UpdateTaskProtection" in agent.roles.refused[0]


def test_another_tasks_token_is_needed_to_speak_for_it(agent: EcsAgent) -> None:
    url = agent.host.metadata_url
    assert ask(f"{url}/v2/credentials/guessed")[0] == 404
    assert ask(f"{url}/api/guessed/task-protection/v1/state")[0] == 404
    assert ask(f"{url}/v4/guessed")[0] == 404
