"""What the public listener is asked, against one that answers as told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from acceptance.check import Skipped, CheckFailed
from acceptance.checks import connections
from local.datastores import Authority
from local.ecs.web import Answer, Request, Server
from local.environment import LocalEnvironment
from tests.acceptance.fakes import environment


class Listener:
    """Answers 200 on what is open and 404 on the rest; keeps what it was asked."""

    def __init__(self) -> None:
        self.open = {connections.OPEN}
        self.asked: list[str] = []

    def handle(self, request: HttpRequest) -> HttpResponse:
        self.asked.append(request.target)
        return HttpResponse(200 if request.target in self.open else 404)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def served(listener: Listener, tmp_path: Path) -> Iterator[LocalEnvironment]:
    issued = Authority(tmp_path / "ca").issue("door")
    server = HttpServer(
        listener.handle, certificate=(issued.certificate_path, issued.key_path)
    )
    environ = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{server.url}/inside/"}
    worker = SimpleNamespace(environ=environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "first", lambda *_: worker)
        patch.setattr(connections, "logs", lambda *_: "")
        yield environment(url=server.url, folder=tmp_path)
    server.close()


def test_every_spelling_is_asked_as_it_is_written(
    served: LocalEnvironment, listener: Listener
) -> None:
    listener.open.add("/inside/health")

    assert connections.execution_api(served).startswith("7 spellings refused")
    assert [path for path in listener.asked if path in connections.CLOSED] == [
        *connections.CLOSED
    ]


@pytest.mark.parametrize("path", connections.CLOSED)
def test_one_spelling_that_gets_through_is_enough(
    served: LocalEnvironment, listener: Listener, path: str
) -> None:
    listener.open |= {path, "/inside/health"}

    with pytest.raises(CheckFailed, match="templates/airflow/routes"):
        connections.execution_api(served)


def test_a_listener_that_refuses_everything_proves_nothing(
    served: LocalEnvironment, listener: Listener
) -> None:
    listener.open.clear()

    with pytest.raises(CheckFailed, match="a refusal says nothing"):
        connections.execution_api(served)


def test_workers_must_reach_it(served: LocalEnvironment) -> None:
    with pytest.raises(CheckFailed, match="is answered 404"):
        connections.execution_api(served)


def test_without_flower_its_line_is_left_out() -> None:
    with pytest.raises(Skipped, match="EnableFlower is false in dev"):
        connections.flower(
            environment(parameters={"EnableFlower": "false"}, environment="dev")
        )
