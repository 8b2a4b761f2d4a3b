"""The actions of the ECS API that concern tasks, answered from the agent's own state.

The emulator knows what was asked for and answers the rest of ECS. Of these actions it
could only say what it imagines: a task there runs the moment it is asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from local.ecs.emulator_client import EmulatorError
from local.ecs.protection import ProtectionRefusedError
from local.ecs.services import Kept
from local.ecs.task import Running, Task

if TYPE_CHECKING:
    from local.ecs.agent import Agent

TASKS_AT_ONCE = 10
"""What UpdateTaskProtection takes."""

Body = Mapping[str, Any]


class ApiError(Exception):
    """An error in the words of ECS."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def body(self) -> dict[str, str]:
        """Return the answer's body."""
        return {"__type": self.code, "message": str(self)}


class EcsApi:
    """Answers for the agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._by_token: dict[str, tuple[str, list[str]]] = {}
        self._actions: Mapping[str, Callable[[Body], dict[str, Any]]] = {
            "RunTask": self._run_task,
            "StopTask": self._stop_task,
            "DescribeTasks": self._describe_tasks,
            "ListTasks": self._list_tasks,
            "UpdateTaskProtection": self._update_protection,
            "GetTaskProtection": self._get_protection,
        }

    def knows(self, action: str) -> bool:
        """Return whether the action is answered here."""
        return action in self._actions

    def answer(self, action: str, body: Body) -> dict[str, Any]:
        """Return the answer. Raises ApiError."""
        with self._agent.lock:
            return self._actions[action](body)

    def overlay(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the emulator's DescribeServices with what really runs."""
        with self._agent.lock:
            for one in answer.get("services", []):
                kept = self._agent.services.kept.get(one["serviceArn"])
                one.update(
                    self._standing(kept, one)
                    if kept
                    else {"runningCount": 0, "pendingCount": 0}
                )
        return answer

    def _run_task(self, body: Body) -> dict[str, Any]:
        cluster = self._cluster(body)
        try:
            definition = self._agent.definition(body["taskDefinition"])
        except EmulatorError as error:
            raise ApiError("ClientException", "TaskDefinition not found.") from error
        token = str(body.get("clientToken") or "")
        asked = hashlib.sha256(
            json.dumps(body, sort_keys=True, default=str).encode()
        ).hexdigest()
        if token in self._by_token:
            before, arns = self._by_token[token]
            if before != asked:
                raise ApiError(
                    "ConflictException", "The clientToken was used for another request."
                )
            return {"tasks": [self._task(arn) for arn in arns], "failures": []}
        made = [
            self._agent.run(
                cluster,
                definition,
                overrides=body.get("overrides") or {},
                group=body.get("group") or f"family:{definition.family}",
                started_by=body.get("startedBy") or "",
            )
            for _ in range(int(body.get("count") or 1))
        ]
        if token:
            self._by_token[token] = (asked, [task.arn for task in made])
        return {"tasks": [described(task) for task in made], "failures": []}

    def _stop_task(self, body: Body) -> dict[str, Any]:
        task = self._find(str(body.get("task", "")))
        if task is None:
            raise ApiError(
                "InvalidParameterException", "The referenced task was not found."
            )
        task.stop(body.get("reason") or "Task stopped by user", "UserInitiated")
        return {"task": described(task)}

    def _describe_tasks(self, body: Body) -> dict[str, Any]:
        self._cluster(body)
        found: list[dict[str, Any]] = []
        failures: list[dict[str, str]] = []
        for reference in body.get("tasks") or ():
            task = self._find(reference)
            if task:
                found.append(described(task))
            else:
                failures.append({"arn": reference, "reason": "MISSING"})
        return {"tasks": found, "failures": failures}

    def _list_tasks(self, body: Body) -> dict[str, Any]:
        cluster = self._cluster(body)
        wanted = body.get("desiredStatus") or "RUNNING"
        service = str(body.get("serviceName") or "").rpartition("/")[2]
        arns = [
            task.arn
            for task in self._agent.tasks.values()
            if task.cluster_arn == cluster
            and (wanted == "RUNNING") == task.is_wanted
            and (not service or task.service_name == service)
            and body.get("family") in {None, "", task.definition.family}
            and body.get("startedBy") in {None, "", task.started_by}
        ]
        return {"taskArns": arns}

    def _update_protection(self, body: Body) -> dict[str, Any]:
        self._cluster(body)
        references = list(body.get("tasks") or ())
        if not 1 <= len(references) <= TASKS_AT_ONCE:
            raise ApiError(
                "InvalidParameterException", f"Name 1 to {TASKS_AT_ONCE} tasks."
            )
        tasks: list[dict[str, Any]] = []
        failures: list[dict[str, str]] = []
        for reference in references:
            task = self._find(reference)
            if task is None or not task.is_wanted:
                failures.append({"arn": reference, "reason": "TASK_NOT_FOUND"})
                continue
            try:
                self._agent.protect(
                    task,
                    is_wanted=bool(body["protectionEnabled"]),
                    minutes=body.get("expiresInMinutes"),
                )
            except ProtectionRefusedError as error:
                failures.append(
                    {"arn": task.arn, "reason": error.reason, "detail": str(error)}
                )
            except ValueError as error:
                raise ApiError("InvalidParameterException", str(error)) from error
            else:
                tasks.append(self._agent.protection_of(task))
        return {"protectedTasks": tasks, "failures": failures}

    def _get_protection(self, body: Body) -> dict[str, Any]:
        self._cluster(body)
        references = body.get("tasks") or list(self._agent.tasks)
        tasks: list[dict[str, Any]] = []
        failures: list[dict[str, str]] = []
        for reference in references:
            task = self._find(reference)
            if task is None:
                failures.append({"arn": reference, "reason": "TASK_NOT_FOUND"})
                continue
            try:
                tasks.append(self._agent.protection_of(task))
            except ProtectionRefusedError as error:
                failures.append({"arn": task.arn, "reason": error.reason})
        return {"protectedTasks": tasks, "failures": failures}

    def _cluster(self, body: Body) -> str:
        arn = self._agent.cluster_arn(str(body.get("cluster") or "default"))
        if not arn:
            raise ApiError("ClusterNotFoundException", "Cluster not found.")
        return arn

    def _find(self, reference: str) -> Task | None:
        return self._agent.tasks.get(reference.rpartition("/")[2])

    def _task(self, arn: str) -> dict[str, Any]:
        task = self._find(arn)
        return described(task) if task else {"taskArn": arn, "lastStatus": "STOPPED"}

    def _standing(self, kept: Kept, found: Mapping[str, Any]) -> dict[str, Any]:
        own = [
            task
            for task in self._agent.tasks.values()
            if task.service_name == kept.service.name
            and task.cluster_arn == kept.service.cluster_arn
        ]
        template = (found.get("deployments") or [{}])[0]
        deployments = []
        for one in kept.deployments:
            some = [task for task in own if task.deployment_id == one.id]
            is_primary = one is kept.primary
            deployments.append(
                {
                    **template,
                    "id": one.id,
                    "status": "PRIMARY" if is_primary else "ACTIVE",
                    "taskDefinition": one.definition_arn,
                    "desiredCount": kept.service.desired if is_primary else 0,
                    **_counts(some),
                    "failedTasks": one.failures,
                    "createdAt": one.created,
                    "updatedAt": one.created,
                    "rolloutState": one.rollout.value,
                    "rolloutStateReason": one.reason
                    or f"ECS deployment {one.id} in progress.",
                }
            )
        return {
            **_counts(own),
            "deployments": deployments,
            "events": [
                {"id": f"{at:.6f}-{number}", "createdAt": at, "message": text}
                for number, (at, text) in enumerate(kept.events)
            ],
        }


def _counts(tasks: list[Task]) -> dict[str, int]:
    return {
        "runningCount": sum(task.status == "RUNNING" for task in tasks),
        "pendingCount": sum(
            task.status in {"PROVISIONING", "PENDING"} for task in tasks
        ),
    }


def described(task: Task) -> dict[str, Any]:
    """Return a task as DescribeTasks shows it."""
    times = {
        "createdAt": task.created,
        "startedAt": task.started,
        "stoppingAt": task.stopping,
        "stoppedAt": task.stopped,
        "executionStoppedAt": task.stopped,
    }
    ended = {"stopCode": task.stop_code, "stoppedReason": task.stopped_reason}
    return {
        "taskArn": task.arn,
        "clusterArn": task.cluster_arn,
        "taskDefinitionArn": task.definition.arn,
        "containers": [_container(task, one) for one in task.containers],
        "lastStatus": task.status,
        "desiredStatus": "RUNNING" if task.is_wanted else "STOPPED",
        "healthStatus": task.health.value,
        "group": task.group,
        "startedBy": task.started_by,
        "launchType": "FARGATE",
        "platformFamily": "Linux",
        "platformVersion": "1.4.0",
        "connectivity": "CONNECTED",
        "cpu": task.definition.cpu,
        "memory": task.definition.memory,
        "overrides": dict(task.overrides),
        "version": task.version,
        "tags": [],
        "attachments": [
            {
                "id": task.id,
                "type": "ElasticNetworkInterface",
                "status": "DELETED" if task.is_over else "ATTACHED",
                "details": [
                    {"name": "privateIPv4Address", "value": task.place.address}
                ],
            }
        ],
        **{name: at for name, at in times.items() if at},
        **{name: text for name, text in ended.items() if text},
    }


def _container(task: Task, one: Running) -> dict[str, Any]:
    found: dict[str, Any] = {
        "containerArn": f"{task.arn.replace(':task/', ':container/')}/{one.token}",
        "taskArn": task.arn,
        "name": one.definition.name,
        "image": one.definition.image,
        "runtimeId": f"{task.id}-{one.token[:10]}",
        "lastStatus": one.status,
        "healthStatus": one.health.value,
        "networkInterfaces": [{"privateIpv4Address": task.place.address}],
    }
    if one.exit_code is not None:
        found["exitCode"] = one.exit_code
    if one.reason:
        found["reason"] = one.reason
    return found
