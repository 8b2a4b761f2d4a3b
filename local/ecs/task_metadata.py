"""What Fargate serves at 169.254.170.2: metadata, credentials, task protection.

The credentials are the task role's, never the execution role's. Protection is asked
for with the task role, so a role that lacks ``ecs:UpdateTaskProtection`` is refused
here as on Fargate.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from local.ecs.policy import Call
from local.ecs.protection import ProtectionRefusedError
from local.ecs.roles import AccessDeniedError
from local.ecs.task import Running, Task
from local.ecs.web import Answer, Request, Server

if TYPE_CHECKING:
    from local.ecs.agent import Agent

PROTECTION = "task-protection/v1/state"


class BadRequestError(ValueError):
    """A request for protection that cannot be read."""


class Endpoint:
    """The HTTP server of all tasks; a token in the path names the task."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._server = Server(self._answer)
        self.url = self._server.url

    def close(self) -> None:
        """Stop serving."""
        self._server.close()

    def _answer(self, request: Request) -> Answer:
        path = request.target.partition("?")[0].strip("/")
        kind, _, rest = path.partition("/")
        if kind in {"v3", "v4"}:
            return self._metadata(rest)
        if kind == "v2" and rest.startswith("credentials/"):
            return self._credentials(rest.partition("/")[2])
        if kind == "api":
            token, _, what = rest.partition("/")
            if what == PROTECTION:
                return self._protection(token, request)
        return _json(404, {"message": "not found"})

    def _metadata(self, rest: str) -> Answer:
        token, _, what = rest.partition("/")
        found = next(
            (
                (task, one)
                for task in list(self._agent.tasks.values())
                for one in task.containers
                if one.token == token
            ),
            None,
        )
        if found is None:
            return _json(404, {"message": "no such container"})
        task, container = found
        shown: dict[str, dict[str, Any]] = {
            "": _container(task, container),
            "task": _task(task),
            "stats": {},
            "task/stats": {},
        }
        if what not in shown:
            return _json(404, {"message": "not found"})
        return _json(200, shown[what])

    def _credentials(self, token: str) -> Answer:
        task = self._task(token)
        if task is None or not task.definition.task_role_arn:
            return _json(404, {"code": "NoSuchTask", "message": "no credentials"})
        issued = self._agent.sessions.issue(task.definition.task_role_arn, task.id)
        return _json(200, issued.document())

    def _protection(self, token: str, request: Request) -> Answer:
        task = self._task(token)
        if task is None:
            return _json(404, {"message": "no such task"})
        is_update = request.method == "PUT"
        word = "UpdateTaskProtection" if is_update else "GetTaskProtection"
        call = Call(
            action=f"ecs:{word}",
            resource=task.arn,
            context={"ecs:cluster": task.cluster_arn},
        )
        try:
            self._agent.roles.check(task.definition.task_role_arn, call)
            if is_update:
                self._update(task, request)
            found = self._agent.protection_of(task)
        except (AccessDeniedError, ProtectionRefusedError, ValueError) as error:
            return _refused(task, error)
        shown = {
            "ProtectionEnabled": found["protectionEnabled"],
            "TaskArn": found["taskArn"],
        }
        if "expirationDate" in found:
            shown["ExpirationDate"] = _time(found["expirationDate"])
        return _json(200, {"protection": shown})

    def _update(self, task: Task, request: Request) -> None:
        asked = json.loads(request.body or b"{}")
        is_wanted = asked.get("ProtectionEnabled") if isinstance(asked, dict) else None
        if not isinstance(is_wanted, bool):
            raise BadRequestError("does not contain 'ProtectionEnabled' field")
        minutes = asked.get("ExpiresInMinutes")
        if minutes is not None and not isinstance(minutes, int):
            raise BadRequestError("'ExpiresInMinutes' is not a whole number")
        self._agent.protect(task, is_wanted=is_wanted, minutes=minutes)

    def _task(self, token: str) -> Task | None:
        return next(
            (one for one in list(self._agent.tasks.values()) if one.token == token),
            None,
        )


def _container(task: Task, one: Running) -> dict[str, Any]:
    return {
        "DockerId": f"{task.id}-{one.token[:10]}",
        "Name": one.definition.name,
        "DockerName": one.definition.name,
        "Image": one.definition.image,
        "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster_arn,
            "com.amazonaws.ecs.container-name": one.definition.name,
            "com.amazonaws.ecs.task-arn": task.arn,
            "com.amazonaws.ecs.task-definition-family": task.definition.family,
            "com.amazonaws.ecs.task-definition-version": task.definition.revision,
        },
        "DesiredStatus": "RUNNING" if task.is_wanted else "STOPPED",
        "KnownStatus": one.status,
        "Health": {"status": one.health.value},
        **({"RestartCount": one.restarts} if one.definition.restart else {}),
        "CreatedAt": _time(task.created),
        **({"StartedAt": _time(one.started)} if one.started else {}),
        **({} if one.exit_code is None else {"ExitCode": one.exit_code}),
        "Type": "NORMAL",
        "ContainerARN": f"{task.arn.replace(':task/', ':container/')}/{one.token}",
        "LogDriver": "awslogs",
        "LogOptions": {
            "awslogs-group": one.stream.group,
            "awslogs-stream": one.stream.name,
        },
        "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": [task.place.address]}],
    }


def _task(task: Task) -> dict[str, Any]:
    return {
        "Cluster": task.cluster_arn,
        "TaskARN": task.arn,
        "Family": task.definition.family,
        "Revision": task.definition.revision,
        "DesiredStatus": "RUNNING" if task.is_wanted else "STOPPED",
        "KnownStatus": task.status,
        "LaunchType": "FARGATE",
        "ServiceName": task.service_name,
        "Containers": [_container(task, one) for one in task.containers],
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refused(task: Task, error: Exception) -> Answer:
    """Answer as the ECS agent does: a failure, with status 200, when ECS refuses."""
    if isinstance(error, ProtectionRefusedError):
        failure = {"Arn": task.arn, "Reason": error.reason, "Detail": str(error)}
        return _json(200, {"failure": failure})
    is_denied = isinstance(error, AccessDeniedError)
    code = "AccessDeniedException" if is_denied else "InvalidParameterException"
    found = {"Arn": task.arn, "Code": code, "Message": str(error)}
    return _json(400, {"requestID": f"local-{time.time_ns()}", "error": found})


def _json(status: int, body: dict[str, Any]) -> Answer:
    text = json.dumps(body).encode()
    return Answer(status, text, (("Content-Type", "application/json"),))
