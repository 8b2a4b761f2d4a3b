"""What the public listener is asked, against one that answers as told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from local.agent.web import Answer, Request, Server
from local.engines import Authority
from local.rehearsal.proof import LeftOut, NotProven
from local.rehearsal.proofs import edges
from local.rehearsal.stage import Stage
from tests.local_rehearsal_proofs.fakes import stage


class Listener:
    """Answers 200 on what is open and 404 on the rest; keeps what it was asked."""

    def __init__(self) -> None:
        self.open = {edges.OPEN}
        self.asked: list[str] = []

    def handle(self, request: Request) -> Answer:
        self.asked.append(request.target)
        return Answer(200 if request.target in self.open else 404)


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def served(listener: Listener, tmp_path: Path) -> Iterator[Stage]:
    issued = Authority(tmp_path / "ca").issue("door")
    server = Server(
        listener.handle, certificate=(issued.certificate_path, issued.key_path)
    )
    environ = {"AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{server.url}/inside/"}
    worker = SimpleNamespace(environment=environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edges, "first", lambda *_: worker)
        patch.setattr(edges, "logs", lambda *_: "")
        yield stage(url=server.url, folder=tmp_path)
    server.close()


def test_every_spelling_is_asked_as_it_is_written(
    served: Stage, listener: Listener
) -> None:
    listener.open.add("/inside/health")

    assert edges.execution_api(served).startswith("7 spellings refused")
    assert [path for path in listener.asked if path in edges.CLOSED] == [*edges.CLOSED]


@pytest.mark.parametrize("path", edges.CLOSED)
def test_one_spelling_that_gets_through_is_enough(
    served: Stage, listener: Listener, path: str
) -> None:
    listener.open |= {path, "/inside/health"}

    with pytest.raises(NotProven, match="templates/routes"):
        edges.execution_api(served)


def test_a_listener_that_refuses_everything_proves_nothing(
    served: Stage, listener: Listener
) -> None:
    listener.open.clear()

    with pytest.raises(NotProven, match="a refusal says nothing"):
        edges.execution_api(served)


def test_workers_must_reach_it(served: Stage) -> None:
    with pytest.raises(NotProven, match="is answered 404"):
        edges.execution_api(served)


def test_without_flower_its_line_is_left_out() -> None:
    with pytest.raises(LeftOut, match="HasFlower is false in dev"):
        edges.flower(stage(parameters={"HasFlower": "false"}, environment="dev"))
