"""The task metadata server: metadata, credentials, protection."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from local.ecs import EcsAgent
from local.ecs.task import EcsTask
from local.iam.policy import RolePermissions
from tests.local.ecs.fakes import (
    EVERYTHING,
    TASK_ROLE,
    FakeEmulator,
    app,
    ended,
    log_of,
    run,
    run_again,
    tasks,
    until,
)

pytestmark = pytest.mark.slow

STEADY = app()


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


def test_metadata_describes_container_and_task(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    command = (
        "import json, os, urllib.request as web\n"
        "at = os.environ['ECS_CONTAINER_METADATA_URI_V4']\n"
        "print(json.dumps([json.load(web.urlopen(at + end))"
        " for end in ('', '/task')]))"
    )
    task = run(agent, emulator, app(command))
    ended(task)
    container, task_document = json.loads(log_of(task))
    assert container["Name"] == "app"
    assert container["Networks"][0]["IPv4Addresses"] == [task.sandbox.address]
    assert task_document["TaskARN"] == task.arn
    assert (task_document["Family"], task_document["Revision"]) == ("demo", "1")


def test_credentials_are_those_of_the_task_role(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    command = (
        "import os, urllib.request as web\n"
        "at = os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI']\n"
        "print(web.urlopen(at).read().decode())"
    )
    definition = emulator.define(1, app(command), roles=True)
    task = run_again(agent, definition)
    ended(task)
    answer = json.loads(log_of(task))
    assert answer["RoleArn"] == TASK_ROLE
    session = agent.credentials.of_key(answer["AccessKeyId"], answer["Token"])
    assert session is not None
    assert session.role_arn == TASK_ROLE


def test_protection_is_set_and_ended(agent: EcsAgent, emulator: FakeEmulator) -> None:
    (task,) = of_service(agent, emulator)
    status, answer = protection(agent, task, {"ProtectionEnabled": True})
    assert status == 200
    assert answer["protection"]["ProtectionEnabled"] is True
    assert answer["protection"]["TaskArn"] == task.arn
    assert answer["protection"]["ExpirationDate"].endswith("Z")
    assert protection(agent, task) == (status, answer)
    _, answer = protection(agent, task, {"ProtectionEnabled": False})
    assert answer == {"protection": {"ProtectionEnabled": False, "TaskArn": task.arn}}


def test_protection_needs_a_task_of_a_service(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    task = run(agent, emulator, STEADY)
    # Status 200: the agent understood the request, ECS refuses it.
    status, answer = protection(agent, task, {"ProtectionEnabled": True})
    assert (status, answer["failure"]["Reason"]) == (200, "TASK_NOT_VALID")


def test_protection_is_blocked_above_the_desired_count(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    both = of_service(agent, emulator, 2)
    for task in both:
        protection(agent, task, {"ProtectionEnabled": True})
    emulator.scale(1)
    state = next(iter(agent.registry.services.values()))
    until(lambda: state.service.desired == 1)
    for body in ({"ProtectionEnabled": True}, {"ProtectionEnabled": False}):
        _, answer = protection(agent, both[0], body)
        assert answer["failure"]["Reason"] == "DEPLOYMENT_BLOCKED"
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
    status, answer = protection(agent, task, body)
    assert (status, answer["error"]["Code"]) == (400, "InvalidParameterException")


def test_a_role_without_the_right_cannot_protect(
    agent: EcsAgent, emulator: FakeEmulator
) -> None:
    emulator.roles[TASK_ROLE] = RolePermissions(())
    (task,) = of_service(agent, emulator)
    status, answer = protection(agent, task, {"ProtectionEnabled": True})
    assert (status, answer["error"]["Code"]) == (400, "AccessDeniedException")
    assert "ecs:UpdateTaskProtection" in agent.roles.refused[0]


@pytest.mark.parametrize(("pool", "status"), [("a", 200), ("b", 400)])
def test_a_role_protects_tasks_of_its_pool_only(
    agent: EcsAgent, emulator: FakeEmulator, pool: str, status: int
) -> None:
    emulator.roles[TASK_ROLE] = RolePermissions(
        (EVERYTHING | {"Condition": {"StringEquals": {"aws:ResourceTag/Pool": "a"}}},)
    )
    emulator.serve(emulator.define(1, STEADY), 1, task_tags={"Pool": pool})
    (task,) = until(lambda: tasks(agent))
    assert protection(agent, task, {"ProtectionEnabled": True})[0] == status


def test_another_tasks_token_is_needed_to_speak_for_it(agent: EcsAgent) -> None:
    url = agent.host.metadata_url
    assert ask(f"{url}/v2/credentials/guessed")[0] == 404
    assert ask(f"{url}/api/guessed/task-protection/v1/state")[0] == 404
    assert ask(f"{url}/v4/guessed")[0] == 404
