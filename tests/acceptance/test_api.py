"""The client of Airflow's API, against a server that plays Airflow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance.api import Api, ApiError
from acceptance.check import CheckFailed
from local.datastores import Authority
from local.ecs.web import HttpRequest, HttpResponse, HttpServer

PASSWORD = "a:b/c?"  # noqa: S105 - of a server of our own


class Airflow:
    """Answers as told; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.answers: dict[str, list[Any]] = {}

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request; the last of several answers stays."""
        body = json.loads(request.body) if request.body else None
        self.asked.append((request.method, request.target, body))
        path = request.target.partition("?")[0]
        if path == "/auth/token":
            if body != {"username": "admin", "password": PASSWORD}:
                return HttpResponse(401, b"{}")
            return _json(201, {"access_token": "t"})
        if request.headers["Authorization"] != "Bearer t":
            return HttpResponse(401, b"{}")
        answers = self.answers.get(path)
        if answers is None:
            return _json(404, {"detail": "no such thing"})
        return _json(200, answers.pop(0) if len(answers) > 1 else answers[0])


def _json(status: int, document: object) -> HttpResponse:
    return HttpResponse(status, json.dumps(document).encode())


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def url(airflow: Airflow, authority: Authority) -> Iterator[str]:
    issued = authority.issue("door")
    server = HttpServer(
        airflow.handle, certificate=(issued.certificate_path, issued.key_path)
    )
    yield server.url
    server.close()


@pytest.fixture
def api(url: str, authority: Authority) -> Api:
    return Api(url, "admin", PASSWORD, ca_path=authority.ca_path)


def test_one_login_serves_many_calls(api: Api, airflow: Airflow) -> None:
    airflow.answers["/api/v2/dags/a"] = [{"dag_id": "a"}]

    assert api.dag("a") == api.dag("a") == {"dag_id": "a"}

    logins = [target for _, target, _ in airflow.asked if target == "/auth/token"]
    assert len(logins) == 1


def test_a_wrong_password_is_refused(url: str, authority: Authority) -> None:
    with pytest.raises(ApiError, match="/auth/token was answered 401") as refused:
        Api(url, "admin", "other", ca_path=authority.ca_path).dag("a")

    assert refused.value.status == 401


def test_a_server_that_nobody_vouches_for_is_not_asked(
    url: str, tmp_path: Path, airflow: Airflow
) -> None:
    stranger = Authority(tmp_path)

    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        Api(url, "admin", PASSWORD, ca_path=stranger.ca_path).dag("a")

    assert not airflow.asked


def test_what_is_not_there_is_told_with_the_words_of_the_server(api: Api) -> None:
    with pytest.raises(ApiError, match=r"404: .*no such thing") as missing:
        api.dag("a")

    assert missing.value.status == 404


def test_a_run_begins_now_and_is_named(api: Api, airflow: Airflow) -> None:
    airflow.answers["/api/v2/dags/a/dagRuns"] = [{"dag_run_id": "manual__1"}]

    assert api.trigger("a", {"x": 1}) == "manual__1"
    assert airflow.asked[-1][2] == {"logical_date": None, "conf": {"x": 1}}


def test_task_instances_come_from_every_page(api: Api, airflow: Airflow) -> None:
    path = "/api/v2/dags/a/dagRuns/r/taskInstances"
    airflow.answers[path] = [
        {"task_instances": [{"map_index": 0}], "total_entries": 2},
        {"task_instances": [{"map_index": 1}], "total_entries": 2},
    ]

    assert [task["map_index"] for task in api.tasks("a", "r")] == [0, 1]
    assert airflow.asked[-1][1].endswith("limit=100&offset=1")


def test_a_log_is_a_line_an_event(api: Api, airflow: Airflow) -> None:
    airflow.answers["/api/v2/dags/a/dagRuns/r/taskInstances/t/logs/1"] = [
        {"content": [{"event": "begun", "level": "info"}, "a plain line"]}
    ]

    assert api.log("a", "r", "t") == "begun\na plain line"


def test_a_run_is_waited_for(api: Api, airflow: Airflow) -> None:
    airflow.answers |= {
        "/api/v2/dags/a/dagRuns/r": [{"state": "queued"}, {"state": "success"}],
        "/api/v2/dags/a/dagRuns/r/taskInstances": [
            {"task_instances": [], "total_entries": 0}
        ],
    }

    assert api.wait_for_run("a", "r", seconds=5, remedy="")["state"] == "success"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("failed", "ended as failed, tasks 1 failed, 1 waiting"),
        ("running", "last seen: running, tasks 1 failed, 1 waiting"),
    ],
)
def test_a_run_without_success_is_no_proof(
    api: Api, airflow: Airflow, state: str, words: str
) -> None:
    tasks = [{"state": "failed"}, {"state": None}]
    airflow.answers |= {
        "/api/v2/dags/a/dagRuns/r": [{"state": state}],
        "/api/v2/dags/a/dagRuns/r/taskInstances": [
            {"task_instances": tasks, "total_entries": 2}
        ],
    }

    with pytest.raises(CheckFailed, match=rf"{words}.* Read worker\.log\."):
        api.wait_for_run("a", "r", seconds=0.1, remedy="Read worker.log.")


def test_a_dag_is_waited_for_and_missed(api: Api, airflow: Airflow) -> None:
    with pytest.raises(CheckFailed, match=r"Waited 0 s for the DAG a; .*404"):
        api.wait_for_dag("a", seconds=0.05, remedy="")

    airflow.answers["/api/v2/dags/a"] = [{"dag_id": "a"}]
    api.wait_for_dag("a", seconds=5, remedy="")
