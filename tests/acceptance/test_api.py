"""The client of Airflow's API, against a server with scripted responses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from acceptance.api import Api, ApiError
from acceptance.api import api as api_of
from acceptance.check import CheckFailed
from acceptance.environment import Environment
from local.datastores import Authority
from local.ecs.web import HttpRequest, HttpResponse, HttpServer
from tests.acceptance.fakes import environment

PASSWORD = "a:b/c?"  # noqa: S105 - of this test's own server


class FakeAirflow:
    """Answers as scripted; keeps the requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.answers: dict[str, list[Any]] = {}

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request; the last of several answers stays."""
        body = json.loads(request.body) if request.body else None
        self.requests.append((request.method, request.target, body))
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
def airflow() -> FakeAirflow:
    return FakeAirflow()


@pytest.fixture
def url(airflow: FakeAirflow, serve: Callable[..., HttpServer]) -> str:
    return serve(airflow.handle).url


def served(url: str, authority: Authority) -> Environment:
    return environment(url=url, ca_path=authority.ca_path, relay=None)


@pytest.fixture
def api(url: str, authority: Authority) -> Api:
    return Api(served(url, authority), "admin", PASSWORD)


def test_one_login_serves_many_calls(api: Api, airflow: FakeAirflow) -> None:
    airflow.answers["/api/v2/dags/a"] = [{"dag_id": "a"}]

    assert api.dag("a") == api.dag("a") == {"dag_id": "a"}

    targets = [target for _, target, _ in airflow.requests]
    assert targets.count("/auth/token") == 1


def test_environment_has_one_client(url: str, authority: Authority) -> None:
    admin = ("admin", PASSWORD)
    local = environment(url=url, admin=admin, ca_path=authority.ca_path, relay=None)

    assert api_of(local) is api_of(local)
    assert api_of(local).token() == "t"


def test_wrong_password_is_refused(url: str, authority: Authority) -> None:
    with pytest.raises(ApiError, match="/auth/token was answered 401") as refused:
        Api(served(url, authority), "admin", "other").dag("a")

    assert refused.value.status == 401


def test_server_of_another_authority_is_not_called(
    url: str, other_authority: Authority, airflow: FakeAirflow
) -> None:
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        Api(served(url, other_authority), "admin", PASSWORD).dag("a")

    assert not airflow.requests


def test_error_has_status_and_words_of_the_server(api: Api) -> None:
    with pytest.raises(ApiError, match=r"404: .*no such thing") as missing:
        api.dag("a")

    assert missing.value.status == 404


def test_trigger_starts_a_run_now_and_returns_its_id(
    api: Api, airflow: FakeAirflow
) -> None:
    airflow.answers["/api/v2/dags/a/dagRuns"] = [{"dag_run_id": "manual__1"}]

    assert api.trigger("a", {"x": 1}) == "manual__1"
    assert airflow.requests[-1][2] == {"logical_date": None, "conf": {"x": 1}}


def test_task_instances_come_from_every_page(api: Api, airflow: FakeAirflow) -> None:
    path = "/api/v2/dags/a/dagRuns/r/taskInstances"
    airflow.answers[path] = [
        {"task_instances": [{"map_index": 0}], "total_entries": 2},
        {"task_instances": [{"map_index": 1}], "total_entries": 2},
    ]

    assert [task["map_index"] for task in api.tasks("a", "r")] == [0, 1]
    assert airflow.requests[-1][1].endswith("limit=100&offset=1")


def test_log_has_a_line_for_each_event(api: Api, airflow: FakeAirflow) -> None:
    airflow.answers["/api/v2/dags/a/dagRuns/r/taskInstances/t/logs/1"] = [
        {"content": [{"event": "started", "level": "info"}, "a plain line"]}
    ]

    assert api.log("a", "r", "t", map_index=-1) == "started\na plain line"


def test_wait_for_run_returns_it_after_success(
    api: Api, airflow: FakeAirflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acceptance.check.time.sleep", lambda _: None)
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
        ("running", "last state: running, tasks 1 failed, 1 waiting"),
    ],
)
def test_wait_for_run_fails_without_success(
    api: Api, airflow: FakeAirflow, state: str, words: str
) -> None:
    tasks = [{"state": "failed"}, {"state": None}]
    airflow.answers |= {
        "/api/v2/dags/a/dagRuns/r": [{"state": state}],
        "/api/v2/dags/a/dagRuns/r/taskInstances": [
            {"task_instances": tasks, "total_entries": 2}
        ],
    }

    with pytest.raises(CheckFailed, match=rf"{words}.* Read worker\.log\."):
        api.wait_for_run("a", "r", seconds=-1, remedy="Read worker.log.")


def test_wait_for_dag_fails_until_airflow_knows_it(
    api: Api, airflow: FakeAirflow
) -> None:
    with pytest.raises(CheckFailed, match=r"Waited -1 s for the DAG a; .*404"):
        api.wait_for_dag("a", seconds=-1, remedy="")

    airflow.answers["/api/v2/dags/a"] = [{"dag_id": "a"}]
    api.wait_for_dag("a", seconds=5, remedy="")
