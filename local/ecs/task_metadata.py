"""What Fargate serves at 169.254.170.2: metadata, credentials, task protection.

The credentials are the task role's, never the execution role's. Protection is requested
with the task role, so a role that lacks ``ecs:UpdateTaskProtection`` is refused here as
on Fargate.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from local.ecs.credentials import RoleCredentials
from local.ecs.protection import InvalidExpiryError, ProtectionRefusedError
from local.ecs.roles import AccessDeniedError, RoleAuthorizer
from local.ecs.task import EcsTask, TaskContainer
from local.ecs.task_registry import TaskRegistry
from local.ecs.web import HttpRequest, HttpResponse, HttpServer
from local.iam.policy import ApiCall, tag_context

PROTECTION = "task-protection/v1/state"


class BadRequestError(ValueError):
    """A request for protection that cannot be read."""


class TaskMetadataServer:
    """The HTTP server of all tasks; a token in the path names the task."""

    def __init__(
        self,
        registry: TaskRegistry,
        credentials: RoleCredentials,
        roles: RoleAuthorizer,
        on_error: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._credentials = credentials
        self._roles = roles
        self._server = HttpServer(self._answer, on_error=on_error)
        self.url = self._server.url

    def close(self) -> None:
        """Stop serving."""
        self._server.close()

    def _answer(self, request: HttpRequest) -> HttpResponse:
        path = request.target.partition("?")[0].strip("/")
        kind, _, rest = path.partition("/")
        if kind in {"v3", "v4"}:
            return self._metadata(rest)
        if kind == "v2" and rest.startswith("credentials/"):
            return self._task_credentials(rest.partition("/")[2])
        if kind == "api":
            token, _, resource = rest.partition("/")
            if resource == PROTECTION:
                return self._protection(token, request)
        return _json(404, {"message": "not found"})

    def _metadata(self, rest: str) -> HttpResponse:
        token, _, resource = rest.partition("/")
        match = self._registry.container(token)
        if match is None:
            return _json(404, {"message": "no such container"})
        task, container = match
        documents: dict[str, dict[str, Any]] = {
            "": _container(task, container),
            "task": _task(task),
            "stats": {},
            "task/stats": {},
        }
        if resource not in documents:
            return _json(404, {"message": "not found"})
        return _json(200, documents[resource])

    def _task_credentials(self, token: str) -> HttpResponse:
        task = self._registry.with_token(token)
        if task is None or not task.definition.task_role_arn:
            return _json(404, {"code": "NoSuchTask", "message": "no credentials"})
        issued = self._credentials.issue(task.definition.task_role_arn, task.id)
        return _json(200, issued.document())

    def _protection(self, token: str, request: HttpRequest) -> HttpResponse:
        task = self._registry.with_token(token)
        if task is None:
            return _json(404, {"message": "no such task"})
        is_update = request.method == "PUT"
        action = "UpdateTaskProtection" if is_update else "GetTaskProtection"
        call = ApiCall(
            action=f"ecs:{action}",
            resource=task.arn,
            context={"ecs:cluster": task.cluster_arn, **tag_context(task.tags)},
        )
        try:
            self._roles.check(task.definition.task_role_arn, call)
            if is_update:
                self._update(task, request)
            state = self._registry.protection_of(task)
        except (
            AccessDeniedError,
            BadRequestError,
            InvalidExpiryError,
            ProtectionRefusedError,
        ) as error:
            return _refused(task, error)
        shown = {
            "ProtectionEnabled": state["protectionEnabled"],
            "TaskArn": state["taskArn"],
        }
        if "expirationDate" in state:
            shown["ExpirationDate"] = _time(state["expirationDate"])
        return _json(200, {"protection": shown})

    def _update(self, task: EcsTask, request: HttpRequest) -> None:
        try:
            body = json.loads(request.body or b"{}")
        except ValueError as error:
            raise BadRequestError(str(error)) from error
        is_enabled = body.get("ProtectionEnabled") if isinstance(body, dict) else None
        if not isinstance(is_enabled, bool):
            raise BadRequestError("does not contain 'ProtectionEnabled' field")
        minutes = body.get("ExpiresInMinutes")
        if minutes is not None and not isinstance(minutes, int):
            raise BadRequestError("'ExpiresInMinutes' is not a whole number")
        self._registry.protect(task, is_enabled=is_enabled, minutes=minutes)


def _container(task: EcsTask, container: TaskContainer) -> dict[str, Any]:
    return {
        "DockerId": f"{task.id}-{container.token[:10]}",
        "Name": container.definition.name,
        "DockerName": container.definition.name,
        "Image": container.definition.image,
        "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster_arn,
            "com.amazonaws.ecs.container-name": container.definition.name,
            "com.amazonaws.ecs.task-arn": task.arn,
            "com.amazonaws.ecs.task-definition-family": task.definition.family,
            "com.amazonaws.ecs.task-definition-version": task.definition.revision,
        },
        "DesiredStatus": "RUNNING" if task.should_run else "STOPPED",
        "KnownStatus": container.status,
        "Health": {"status": container.health.value},
        **(
            {"RestartCount": container.restarts} if container.definition.restart else {}
        ),
        "CreatedAt": _time(task.created),
        **({"StartedAt": _time(container.started)} if container.started else {}),
        **({} if container.exit_code is None else {"ExitCode": container.exit_code}),
        "Type": "NORMAL",
        "ContainerARN": task.container_arn(container),
        "LogDriver": "awslogs",
        "LogOptions": {
            "awslogs-group": container.stream.group,
            "awslogs-stream": container.stream.name,
        },
        "Networks": [
            {"NetworkMode": "awsvpc", "IPv4Addresses": [task.sandbox.address]}
        ],
    }


def _task(task: EcsTask) -> dict[str, Any]:
    return {
        "Cluster": task.cluster_arn,
        "TaskARN": task.arn,
        "Family": task.definition.family,
        "Revision": task.definition.revision,
        "DesiredStatus": "RUNNING" if task.should_run else "STOPPED",
        "KnownStatus": task.status,
        "LaunchType": "FARGATE",
        "ServiceName": task.service_name,
        "Containers": [_container(task, container) for container in task.containers],
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refused(task: EcsTask, error: Exception) -> HttpResponse:
    """Answer as the ECS agent does: a failure, with status 200, when ECS refuses."""
    if isinstance(error, ProtectionRefusedError):
        failure = {"Arn": task.arn, "Reason": error.reason, "Detail": str(error)}
        return _json(200, {"failure": failure})
    is_denied = isinstance(error, AccessDeniedError)
    code = "AccessDeniedException" if is_denied else "InvalidParameterException"
    failure = {"Arn": task.arn, "Code": code, "Message": str(error)}
    return _json(400, {"requestID": f"local-{time.time_ns()}", "error": failure})


def _json(status: int, body: dict[str, Any]) -> HttpResponse:
    text = json.dumps(body).encode()
    return HttpResponse(status, text, (("Content-Type", "application/json"),))
