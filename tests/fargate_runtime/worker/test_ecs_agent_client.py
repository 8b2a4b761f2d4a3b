"""What a worker asks the ECS agent, and every answer that may come."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fargate_runtime.worker import ecs_agent_client
from fargate_runtime.worker.ecs_agent_client import (
    EcsAgentError,
    ProtectionDeniedError,
    protect,
    task_identity,
    unprotect,
)
from local.ecs.web import HttpRequest, HttpResponse, HttpServer

METADATA = {
    "TaskARN": "arn:aws:ecs:eu-west-1:123456789012:task/cluster/0123abcd",
    "Family": "workers",
    "Revision": "12",
    "PullStartedAt": "2026-11-23T20:00:00.123456789Z",
    "Containers": [{"CreatedAt": "2026-11-23T20:00:30Z"}, {}],
}


class AgentStub:
    """HTTP stub of the ECS agent with listener response."""

    def __init__(self) -> None:
        self.status = 200
        self.answer: Any = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.server = HttpServer(self._respond)
        self.uri = f"{self.server.url}/api/token"

    def _respond(self, request: HttpRequest) -> HttpResponse:
        body = json.loads(request.body) if request.body else None
        self.requests.append((request.method, request.target, body))
        is_raw = isinstance(self.answer, bytes)
        return HttpResponse(
            self.status, self.answer if is_raw else json.dumps(self.answer).encode()
        )


@pytest.fixture
def agent() -> Iterator[AgentStub]:
    agent = AgentStub()
    yield agent
    agent.server.close()


def test_protection_is_requested_with_its_duration(agent: AgentStub) -> None:
    agent.answer = {"protection": {"ProtectionEnabled": True, "TaskArn": "arn"}}
    protect(agent.uri, minutes=730)
    assert agent.requests == [
        (
            "PUT",
            "/api/token/task-protection/v1/state",
            {"ProtectionEnabled": True, "ExpiresInMinutes": 730},
        )
    ]


def test_protection_is_removed(agent: AgentStub) -> None:
    agent.answer = {"protection": {"ProtectionEnabled": False, "TaskArn": "arn"}}
    unprotect(agent.uri)
    assert agent.requests[0][2] == {"ProtectionEnabled": False}


@pytest.mark.parametrize("status", [200, 400])
def test_refusals_name_their_reason(agent: AgentStub, status: int) -> None:
    agent.status = status
    agent.answer = {"failure": {"Arn": "a", "Reason": "DEPLOYMENT_BLOCKED"}}
    with pytest.raises(ProtectionDeniedError, match=r"^DEPLOYMENT_BLOCKED$"):
        protect(agent.uri, minutes=1)
    agent.answer["failure"]["Detail"] = "too many"
    with pytest.raises(ProtectionDeniedError, match=r"^DEPLOYMENT_BLOCKED: too many$"):
        unprotect(agent.uri)


@pytest.mark.parametrize(
    ("status", "answer", "words"),
    [
        (
            400,
            {"error": {"Code": "AccessDeniedException", "Message": "may not"}},
            "AccessDeniedException: may not",
        ),
        (500, b"<html>", "JSONDecodeError"),
        (200, b"\xff", "UnicodeDecodeError"),
        (200, [], "unexpected response"),
        (200, {}, "unexpected response"),
        (200, {"protection": None}, "unexpected response"),
        # It says that it is still off.
        (200, {"protection": {"ProtectionEnabled": False}}, "unexpected response"),
    ],
)
def test_unexpected_responses_are_an_error(
    agent: AgentStub, status: int, answer: Any, words: str
) -> None:
    agent.status, agent.answer = status, answer
    with pytest.raises(EcsAgentError, match=words):
        protect(agent.uri, minutes=1)


def test_missing_agents_are_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(EcsAgentError, match="ConnectionRefusedError"):
        protect(f"http://127.0.0.1:{port}/api/t", minutes=1)


def test_agent_requests_have_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ecs_agent_client.TIMEOUT_SECONDS == 14
    monkeypatch.setattr(ecs_agent_client, "TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        with pytest.raises(EcsAgentError, match=r"TimeoutError|timed out"):
            protect(f"http://127.0.0.1:{silent.getsockname()[1]}/api/t", minutes=1)
        assert 0.2 < time.monotonic() - begin < 0.9


def test_no_proxy_stands_between_a_task_and_its_agent(
    agent: AgentStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    agent.answer = {"protection": {"ProtectionEnabled": True}}
    protect(agent.uri, minutes=1)


def test_task_identity_comes_from_the_metadata(agent: AgentStub) -> None:
    agent.answer = METADATA
    identity = task_identity(agent.uri)
    assert agent.requests == [("GET", "/api/token/task", None)]
    assert identity.task == "0123abcd"
    assert identity.created == pytest.approx(1795464000.123, abs=0.001)


def test_metadata_may_lack_times(agent: AgentStub) -> None:
    agent.answer = {**METADATA, "PullStartedAt": None, "Containers": []}
    assert task_identity(agent.uri).created is None


@pytest.mark.parametrize(
    "change", [{"TaskARN": None}, {"PullStartedAt": "yesterday"}, {"Containers": 5}]
)
def test_invalid_metadata_raise(agent: AgentStub, change: dict[str, Any]) -> None:
    agent.answer = METADATA | change
    with pytest.raises(EcsAgentError, match="invalid task metadata"):
        task_identity(agent.uri)
