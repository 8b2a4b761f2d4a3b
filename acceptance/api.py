"""Client of Airflow's REST API, through the public listener.

A login gives a token; every call carries it. A response that is no success is an
``ApiError`` with the words of the server.
"""

from __future__ import annotations

import ssl
import threading
import weakref
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests

from acceptance.check import CheckFailed, Pending, until
from acceptance.environment import Environment
from acceptance.relay import RelayAdapter

SECONDS = 60.0
"""For one response. The API server is busy while it starts and while tasks report."""

SHOWN_CHARACTERS = 300
"""Of the body of a response that is no success."""

OVER = frozenset({"success", "failed"})
"""States of a DAG run that do not change any more."""

Document = dict[str, Any]

T = TypeVar("T")


class ApiError(Exception):
    """The API refused; ``status`` is HTTP's."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


def session(environment: Environment) -> requests.Session:
    """Return a session that reaches an environment and uses no proxy."""
    new = requests.Session()
    # Neither a proxy nor a login kept in a file applies to this machine.
    new.trust_env = False
    new.verify = str(environment.ca_path)
    if relay := environment.relay:
        new.mount(environment.url, RelayAdapter(relay))
    return new


def status(environment: Environment, target: str) -> int:
    """Return the status of a request line that no client library has normalised."""
    if relay := environment.relay:
        return relay.send("GET", target, (), b"").status
    address = urlsplit(environment.url)
    host, port = str(address.hostname), address.port
    connection = HTTPConnection(host, port, timeout=SECONDS)
    if address.scheme == "https":
        context = ssl.create_default_context(cafile=environment.ca_path)
        connection = HTTPSConnection(host, port, timeout=SECONDS, context=context)
    try:
        connection.putrequest("GET", target)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


class Api:
    """One user's access to one environment. Safe to use from several threads."""

    def __init__(self, environment: Environment, user: str, password: str) -> None:
        """Make no call yet; the first one logs in."""
        self.url = environment.url
        self._environment = environment
        self._login = {"username": user, "password": password}
        self._token = ""
        self._lock = threading.Lock()

    def token(self) -> str:
        """Return a token; log in for it once."""
        with self._lock:
            if not self._token:
                response = self._request("POST", "/auth/token", json=self._login)
                self._token = str(response.json()["access_token"])
            return self._token

    def get(self, path: str, **query: Any) -> Document:
        """Return the document at a path below ``/api/v2``."""
        document: Document = self._call("GET", path, params=query).json()
        return document

    def ui(self, path: str) -> Document:
        """Return what the pages of the UI read at a path below ``/ui``."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        document: Document = self._request("GET", f"/ui{path}", headers=headers).json()
        return document

    def post(self, path: str, body: Mapping[str, Any]) -> Document:
        """Create something at a path below ``/api/v2`` and return it."""
        document: Document = self._call("POST", path, json=body).json()
        return document

    def delete(self, path: str) -> None:
        """Delete the resource at a path below ``/api/v2``."""
        self._call("DELETE", path)

    # DAGs and their runs.

    def dag(self, dag_id: str) -> Document:
        """Return a DAG. Raises ApiError with status 404 when there is none."""
        return self.get(f"/dags/{dag_id}")

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run now and return its id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        return str(self.post(f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> Document:
        """Return a run."""
        return self.get(f"/dags/{dag_id}/dagRuns/{run_id}")

    def runs(self, dag_id: str) -> list[Document]:
        """Return the newest hundred runs of a DAG, the newest first."""
        query = {"order_by": "-run_after", "limit": 100}
        runs: list[Document] = self.get(f"/dags/{dag_id}/dagRuns", **query)["dag_runs"]
        return runs

    def tasks(self, dag_id: str, run_id: str) -> list[Document]:
        """Return every task instance of a run, mapped ones each."""
        tasks: list[Document] = []
        while True:
            path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
            page = self.get(path, limit=100, offset=len(tasks))
            tasks += page["task_instances"]
            if len(tasks) >= page["total_entries"] or not page["task_instances"]:
                return tasks

    def count(self, dag_id: str, run_id: str, state: str) -> int:
        """Return how many task instances of a run are in a state.

        It costs the API server much less than ``tasks`` of a run with many.
        """
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return int(self.get(path, state=state, limit=1)["total_entries"])

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """Return what a task returned: its XCom."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        return self.get(f"{path}/xcomEntries/return_value")["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, *, map_index: int) -> str:
        """Return the log of the first try of a task, an event a line."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/1"
        events = self.get(path, map_index=map_index, full_content=True)["content"]
        return "\n".join(
            str(event["event"]) if isinstance(event, dict) else str(event)
            for event in events
        )

    def import_errors(self) -> list[Document]:
        """Return an entry for each file that could not be imported."""
        errors: list[Document] = self.get("/importErrors", limit=100)["import_errors"]
        return errors

    # Waiting.

    def wait_for_dag(self, dag_id: str, *, seconds: float, remedy: str) -> None:
        """Return when Airflow knows a DAG."""

        def look() -> bool | Pending:
            try:
                self.dag(dag_id)
            except ApiError as error:
                return Pending(str(error))
            return True

        until(f"the DAG {dag_id}", look, seconds=seconds, remedy=remedy)

    def wait_for_run(
        self, dag_id: str, run_id: str, *, seconds: float, remedy: str
    ) -> Document:
        """Return a run when it has succeeded; raise CheckFailed when it has not."""

        def look() -> Document | Pending:
            run = self.run(dag_id, run_id)
            if run["state"] in OVER:
                return run
            return Pending(lambda: f"{run['state']}, tasks {patiently(tasks)}")

        def tasks() -> str:
            return self._states(dag_id, run_id)

        what = f"run {run_id} of {dag_id} to end"
        # A fault check may have killed the API server.
        run = until(what, lambda: patiently(look), seconds=seconds, remedy=remedy)
        if run["state"] != "success":
            states = self._states(dag_id, run_id)
            raise CheckFailed(
                f"Run {run_id} of {dag_id} ended as {run['state']}, tasks {states}.",
                remedy,
            )
        return run

    def _states(self, dag_id: str, run_id: str) -> str:
        counts: dict[str, int] = {}
        for task in self.tasks(dag_id, run_id):
            state = str(task["state"] or "waiting")
            counts[state] = counts.get(state, 0) + 1
        return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token()}"}
        return self._request(method, f"/api/v2{path}", headers=headers, **options)

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        url = f"{self.url}{path}"
        with session(self._environment) as http:
            response = http.request(method, url, timeout=SECONDS, **options)
        if not response.ok:
            text = " ".join(response.text.split())[:SHOWN_CHARACTERS]
            raise ApiError(
                response.status_code,
                f"{method} {path} was answered {response.status_code}: {text}",
            )
        return response


def patiently(look: Callable[[], T | Pending]) -> T | Pending:
    """Look by way of an API server that may be away or broken for a moment."""
    try:
        return look()
    except (ApiError, requests.RequestException) as error:
        return Pending(f"the API: {error}")


_apis: weakref.WeakKeyDictionary[Environment, Api] = weakref.WeakKeyDictionary()


def api(environment: Environment) -> Api:
    """Return the first administrator's client, the same one every time."""
    known = _apis.get(environment)
    if known is None or known.url != environment.url:
        user, password = environment.admin
        known = Api(environment, user, password)
        _apis[environment] = known
    return known
