"""Airflow's REST API, asked as a person or a program outside would: by the listener.

A login gives a token; every call carries it. An answer that is no success is an
``ApiError`` with the words of the server.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from acceptance.check import NotProven, Pending, until
from local.environment import Stage

SECONDS = 60.0
"""For one answer. The API server is busy while it starts and while tasks report."""

SHOWN_CHARACTERS = 300
"""Of the body of an answer that is no success."""

OVER = frozenset({"success", "failed"})
"""States of a DAG run that do not change any more."""

Document = dict[str, Any]


class ApiError(Exception):
    """The API refused; ``status`` is HTTP's."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


def session(ca_path: Path) -> requests.Session:
    """Return a session that trusts the stage's authority, and no proxy."""
    one = requests.Session()
    # A proxy, or a login kept in a file, has no business with this machine.
    one.trust_env = False
    one.verify = str(ca_path)
    return one


class Api:
    """One user's way to one environment. Safe to use from several threads."""

    def __init__(self, url: str, user: str, password: str, *, ca_path: Path) -> None:
        """Describe the way; the first call logs in."""
        self.url = url
        self._login = {"username": user, "password": password}
        self._ca_path = ca_path
        self._token = ""
        self._lock = threading.Lock()

    def token(self) -> str:
        """Return a token; log in for it once."""
        with self._lock:
            if not self._token:
                answer = self._ask("POST", "/auth/token", json=self._login)
                self._token = str(answer.json()["access_token"])
            return self._token

    def get(self, path: str, **query: Any) -> Document:
        """Return what lies at a path below ``/api/v2``."""
        found: Document = self._call("GET", path, params=query).json()
        return found

    def post(self, path: str, body: Mapping[str, Any]) -> Document:
        """Create something at a path below ``/api/v2`` and return it."""
        made: Document = self._call("POST", path, json=body).json()
        return made

    def delete(self, path: str) -> None:
        """Delete what lies at a path below ``/api/v2``."""
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
        found: list[Document] = self.get(f"/dags/{dag_id}/dagRuns", **query)["dag_runs"]
        return found

    def tasks(self, dag_id: str, run_id: str) -> list[Document]:
        """Return every task instance of a run, mapped ones each."""
        found: list[Document] = []
        while True:
            path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
            answer = self.get(path, limit=100, offset=len(found))
            found += answer["task_instances"]
            if len(found) >= answer["total_entries"] or not answer["task_instances"]:
                return found

    def returned(
        self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1
    ) -> Any:
        """Return what a task returned: its XCom."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        found = self.get(f"{path}/xcomEntries/return_value", map_index=map_index)
        return found["value"]

    def log(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        *,
        attempt: int = 1,
        map_index: int = -1,
    ) -> str:
        """Return the log of one attempt of a task, an event a line."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        events = self.get(path, map_index=map_index, full_content=True)["content"]
        return "\n".join(
            str(event["event"]) if isinstance(event, dict) else str(event)
            for event in events
        )

    def import_errors(self) -> list[Document]:
        """Return what could not be imported, a file each."""
        found: list[Document] = self.get("/importErrors", limit=100)["import_errors"]
        return found

    def health(self) -> Document:
        """Return what Airflow says of its own parts."""
        return self.get("/monitor/health")

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
        """Return a run when it has succeeded; raise NotProven when it has not."""

        def look() -> Document | Pending:
            found = self.run(dag_id, run_id)
            if found["state"] in OVER:
                return found
            return Pending(f"{found['state']}, tasks {self._states(dag_id, run_id)}")

        what = f"run {run_id} of {dag_id} to end"
        found = until(what, look, seconds=seconds, remedy=remedy)
        if found["state"] != "success":
            states = self._states(dag_id, run_id)
            raise NotProven(
                f"Run {run_id} of {dag_id} ended as {found['state']}, tasks {states}.",
                remedy,
            )
        return found

    def _states(self, dag_id: str, run_id: str) -> str:
        counts: dict[str, int] = {}
        for task in self.tasks(dag_id, run_id):
            state = str(task["state"] or "waiting")
            counts[state] = counts.get(state, 0) + 1
        return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))

    def _call(self, method: str, path: str, **what: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token()}"}
        return self._ask(method, f"/api/v2{path}", headers=headers, **what)

    def _ask(self, method: str, path: str, **what: Any) -> requests.Response:
        with session(self._ca_path) as one:
            answer = one.request(method, f"{self.url}{path}", timeout=SECONDS, **what)
        if not answer.ok:
            said = " ".join(answer.text.split())[:SHOWN_CHARACTERS]
            raise ApiError(
                answer.status_code,
                f"{method} {path} was answered {answer.status_code}: {said}",
            )
        return answer


_known: weakref.WeakKeyDictionary[Stage, Api] = weakref.WeakKeyDictionary()


def api(stage: Stage) -> Api:
    """Return the first administrator's way to a stage, the same one every time."""
    known = _known.get(stage)
    if known is None or known.url != stage.url:
        user, password = stage.admin
        ca_path = stage.folder / "ca" / "ca.pem"
        known = _known[stage] = Api(stage.url, user, password, ca_path=ca_path)
    return known
