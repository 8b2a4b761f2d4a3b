"""Paths of the public listener, against a server that answers as scripted."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from acceptance.check import CheckFailed, Skipped
from acceptance.checks import listener as listener_check
from acceptance.local_checks import connections
from local.datastores import Authority
from local.ecs.web import HttpRequest, HttpResponse, HttpServer
from local.environment import LocalEnvironment
from tests.acceptance.fakes import environment

INSIDE = "/inside/health"


class Listener:
    """Answers 200 on open paths and 404 on the rest; keeps the requests."""

    def __init__(self) -> None:
        self.open = {listener_check.OPEN, INSIDE}
        self.targets: list[str] = []

    def handle(self, request: HttpRequest) -> HttpResponse:
        self.targets.append(request.target)
        return HttpResponse(200 if request.target in self.open else 404)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def served(
    listener: Listener,
    authority: Authority,
    serve: Callable[..., HttpServer],
    monkeypatch: pytest.MonkeyPatch,
) -> LocalEnvironment:
    server = serve(listener.handle)
    environ = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{server.url}/inside/"}
    worker = SimpleNamespace(environ=environ)
    monkeypatch.setattr(connections, "first_container", lambda *_: worker)
    return environment(url=server.url, ca_path=authority.ca_path, relay=None)


def test_every_spelling_is_requested_as_it_is_written(
    served: LocalEnvironment, listener: Listener
) -> None:
    assert connections.execution_api(served).startswith("7 spellings refused")
    assert [path for path in listener.targets if path in listener_check.CLOSED] == [
        *listener_check.CLOSED
    ]


@pytest.mark.parametrize("path", listener_check.CLOSED)
def test_one_spelling_that_is_answered_fails(
    served: LocalEnvironment, listener: Listener, path: str
) -> None:
    listener.open.add(path)

    with pytest.raises(CheckFailed, match="templates/airflow/routes"):
        connections.execution_api(served)


def test_listener_that_refuses_everything_fails(
    served: LocalEnvironment, listener: Listener
) -> None:
    listener.open.clear()

    with pytest.raises(CheckFailed, match="a refusal says nothing"):
        connections.execution_api(served)


def test_workers_must_reach_the_execution_api(
    served: LocalEnvironment, listener: Listener
) -> None:
    listener.open.remove(INSIDE)

    with pytest.raises(CheckFailed, match="is answered 404"):
        connections.execution_api(served)


def test_without_flower_its_check_is_skipped() -> None:
    with pytest.raises(Skipped, match="EnableFlower is false in dev"):
        connections.flower(
            environment(parameters={"EnableFlower": "false"}, name="dev")
        )
