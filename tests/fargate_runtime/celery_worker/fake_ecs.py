"""One service of ECS, as its tasks see it: who they are, and their protection.

The rules are those of the local agent, which are ECS's.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from local.ecs.protection import ProtectionRefusedError, TaskProtection
from local.ecs.web import HttpRequest, HttpResponse, HttpServer

STARTED = "2026-11-23T20:00:00.123456789Z"


@dataclass
class FakeTask:
    """One task and its requests."""

    protection: TaskProtection = field(default_factory=TaskProtection)
    requests: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_protected(self) -> bool:
        return self.protection.is_on(time.time())


class FakeEcs:
    """Answers on a port of the loopback until closed."""

    def __init__(self) -> None:
        self.desired = 100
        self.tasks: dict[str, FakeTask] = {}
        self.is_broken = False
        self.holds_answers = Event()
        """Set, it takes requests and answers none."""
        self._server = HttpServer(self._answer)
        self.url = self._server.url

    def environment(self, task: str) -> dict[str, str]:
        """Add a task, and return what Fargate puts into its containers."""
        self.tasks[task] = FakeTask()
        return {
            "ECS_AGENT_URI": f"{self.url}/api/{task}",
            "ECS_CONTAINER_METADATA_URI_V4": f"{self.url}/v4/{task}",
        }

    def close(self) -> None:
        self.holds_answers.clear()
        self._server.close()

    def _answer(self, request: HttpRequest) -> HttpResponse:
        kind, name, what = request.target.strip("/").split("/", 2)
        while self.holds_answers.is_set():
            time.sleep(0.05)
        if self.is_broken:
            return _json(500, {"error": {"Code": "ServerException", "Message": "no"}})
        task = self.tasks[name]
        if (kind, what) == ("v4", "task"):
            return _json(
                200,
                {
                    "TaskARN": f"arn:aws:ecs:eu-west-1:123456789012:task/c/{name}",
                    "Family": "workers",
                    "Revision": "7",
                    "PullStartedAt": STARTED,
                    "Containers": [{"CreatedAt": "2026-11-23T20:00:30Z"}],
                },
            )
        assert (kind, what) == ("api", "task-protection/v1/state")
        assert request.method == "PUT"
        body = json.loads(request.body)
        task.requests.append(body)
        others = sum(
            other.is_protected
            for other_name, other in self.tasks.items()
            if other_name != name
        )
        try:
            task.protection.change(
                is_enabled=body["ProtectionEnabled"],
                minutes=body.get("ExpiresInMinutes"),
                now=time.time(),
                is_of_service=True,
                others=others,
                desired=self.desired,
            )
        except ProtectionRefusedError as error:
            failure = {"Arn": name, "Reason": error.reason, "Detail": str(error)}
            return _json(200, {"failure": failure})
        shown = {"ProtectionEnabled": task.is_protected, "TaskArn": name}
        return _json(200, {"protection": shown})


def _json(status: int, body: dict[str, Any]) -> HttpResponse:
    head = (("Content-Type", "application/json"),)
    return HttpResponse(status, json.dumps(body).encode(), head)
