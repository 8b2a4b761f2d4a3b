"""The actions of the ECS API that concern tasks, answered from the task registry.

The emulator holds the desired state and answers the rest of ECS. It runs no task: there
a task is RUNNING the moment it is requested.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from local.ecs.container_host import ContainerHost
from local.ecs.emulator_client import AWS_ERRORS
from local.ecs.model import TaskDefinition, security_groups
from local.ecs.protection import InvalidExpiryError, ProtectionRefusedError
from local.ecs.task import EcsTask, TaskContainer
from local.ecs.task_registry import ServiceState, TaskRegistry

TASKS_AT_ONCE = 10
"""What UpdateTaskProtection takes."""

Body = Mapping[str, Any]


class EcsApiError(Exception):
    """An error in the words of ECS."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    def body(self) -> dict[str, str]:
        """Return the answer's body."""
        return {"__type": self.code, "message": str(self)}


class EcsApi:
    """Answers from the task registry."""

    def __init__(self, registry: TaskRegistry, host: ContainerHost) -> None:
        self._registry = registry
        self._host = host
        self._requests: dict[str, tuple[str, list[str]]] = {}
        """Client token -> digest of its request and the tasks that it started."""
        self._actions: Mapping[str, Callable[[Body], dict[str, Any]]] = {
            "RunTask": self._run_task,
            "StopTask": self._stop_task,
            "DescribeTasks": self._describe_tasks,
            "ListTasks": self._list_tasks,
            "UpdateTaskProtection": self._update_protection,
            "GetTaskProtection": self._get_protection,
        }

    def definition(self, reference: str) -> TaskDefinition:
        """Return a task definition by ARN, family:revision or family."""
        return self._host.definition(reference)

    def task_tags(self, arn: str) -> Mapping[str, str]:
        """Return the tags of a task, none if there is no such task."""
        task = self._registry.find(arn)
        return task.tags if task else {}

    def knows(self, action: str) -> bool:
        """Return whether the action is answered here."""
        return action in self._actions

    def answer(self, action: str, body: Body) -> dict[str, Any]:
        """Return the answer. Raises EcsApiError."""
        with self._registry.lock:
            return self._actions[action](body)

    def overlay(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return the emulator's DescribeServices with the tasks that really run."""
        with self._registry.lock:
            for service in answer.get("services", []):
                state = self._registry.services.get(service["serviceArn"])
                service.update(
                    self._actual(state, service)
                    if state
                    else {"runningCount": 0, "pendingCount": 0}
                )
        return answer

    def _run_task(self, body: Body) -> dict[str, Any]:
        cluster = self._cluster(body)
        try:
            definition = self.definition(body["taskDefinition"])
        except AWS_ERRORS as error:
            raise EcsApiError("ClientException", "TaskDefinition not found.") from error
        token = str(body.get("clientToken") or "")
        digest = hashlib.sha256(
            json.dumps(body, sort_keys=True, default=str).encode()
        ).hexdigest()
        if token in self._requests:
            earlier, arns = self._requests[token]
            if earlier != digest:
                raise EcsApiError(
                    "ConflictException", "The clientToken was used for another request."
                )
            return {"tasks": [self._task(arn) for arn in arns], "failures": []}
        tasks = [
            self._host.run(
                cluster,
                definition,
                overrides=body.get("overrides") or {},
                group=body.get("group") or f"family:{definition.family}",
                started_by=body.get("startedBy") or "",
                security_groups=security_groups(body),
            )
            for _ in range(int(body.get("count") or 1))
        ]
        if token:
            self._requests[token] = (digest, [task.arn for task in tasks])
        return {"tasks": [described(task) for task in tasks], "failures": []}

    def _stop_task(self, body: Body) -> dict[str, Any]:
        task = self._registry.find(str(body.get("task", "")))
        if task is None:
            raise EcsApiError(
                "InvalidParameterException", "The referenced task was not found."
            )
        task.stop(body.get("reason") or "Task stopped by user", "UserInitiated")
        return {"task": described(task)}

    def _describe_tasks(self, body: Body) -> dict[str, Any]:
        self._cluster(body)
        tasks: list[dict[str, Any]] = []
        failures: list[dict[str, str]] = []
        for reference in body.get("tasks") or ():
            task = self._registry.find(reference)
            if task:
                tasks.append(described(task))
            else:
                failures.append({"arn": reference, "reason": "MISSING"})
        return {"tasks": tasks, "failures": failures}

    def _list_tasks(self, body: Body) -> dict[str, Any]:
        cluster = self._cluster(body)
        status = body.get("desiredStatus") or "RUNNING"
        service = str(body.get("serviceName") or "").rpartition("/")[2]
        arns = [
            task.arn
            for task in self._registry.tasks.values()
            if task.cluster_arn == cluster
            and (status == "RUNNING") == task.should_run
            and (not service or task.service_name == service)
            and body.get("family") in {None, "", task.definition.family}
            and body.get("startedBy") in {None, "", task.started_by}
        ]
        return {"taskArns": arns}

    def _update_protection(self, body: Body) -> dict[str, Any]:
        self._cluster(body)
        references = list(body.get("tasks") or ())
        if not 1 <= len(references) <= TASKS_AT_ONCE:
            raise EcsApiError(
                "InvalidParameterException", f"Name 1 to {TASKS_AT_ONCE} tasks."
            )
        tasks: list[dict[str, Any]] = []
        failures: list[dict[str, str]] = []
        for reference in references:
            task = self._registry.find(reference)
            if task is None or not task.should_run:
                failures.append({"arn": reference, "reason": "TASK_NOT_FOUND"})
                continue
            try:
                self._registry.protect(
                    task,
                    is_enabled=bool(body["protectionEnabled"]),
                    minutes=body.get("expiresInMinutes"),
                )
            except ProtectionRefusedError as error:
                failures.append(
                    {"arn": task.arn, "reason": error.reason, "detail": str(error)}
                )
            except InvalidExpiryError as error:
                raise EcsApiError("InvalidParameterException", str(error)) from error
            else:
                tasks.append(self._registry.protection_of(task))
        return {"protectedTasks": tasks, "failures": failures}

    def _get_protection(self, body: Body) -> dict[str, Any]:
        self._cluster(body)
        references = body.get("tasks") or list(self._registry.tasks)
        tasks: list[dict[str, Any]] = []
        failures: list[dict[str, str]] = []
        for reference in references:
            task = self._registry.find(reference)
            if task is None:
                failures.append({"arn": reference, "reason": "TASK_NOT_FOUND"})
                continue
            try:
                tasks.append(self._registry.protection_of(task))
            except ProtectionRefusedError as error:
                failures.append({"arn": task.arn, "reason": error.reason})
        return {"protectedTasks": tasks, "failures": failures}

    def _cluster(self, body: Body) -> str:
        arn = self._host.cluster_arn(str(body.get("cluster") or "default"))
        if not arn:
            raise EcsApiError("ClusterNotFoundException", "Cluster not found.")
        return arn

    def _task(self, arn: str) -> dict[str, Any]:
        task = self._registry.find(arn)
        return described(task) if task else {"taskArn": arn, "lastStatus": "STOPPED"}

    def _actual(
        self, state: ServiceState, description: Mapping[str, Any]
    ) -> dict[str, Any]:
        own = self._registry.tasks_of(state.service)
        template = (description.get("deployments") or [{}])[0]
        deployments = []
        for deployment in state.deployments:
            tasks = [task for task in own if task.deployment_id == deployment.id]
            is_primary = deployment is state.primary
            deployments.append(
                {
                    **template,
                    "id": deployment.id,
                    "status": "PRIMARY" if is_primary else "ACTIVE",
                    "taskDefinition": deployment.definition_arn,
                    "desiredCount": state.service.desired if is_primary else 0,
                    **_counts(tasks),
                    "failedTasks": deployment.failures,
                    "createdAt": deployment.created,
                    "updatedAt": deployment.created,
                    "rolloutState": deployment.rollout.value,
                    "rolloutStateReason": deployment.reason
                    or f"ECS deployment {deployment.id} in progress.",
                }
            )
        return {
            **_counts(own),
            "deployments": deployments,
            "events": [
                {"id": f"{at:.6f}-{number}", "createdAt": at, "message": text}
                for number, (at, text) in enumerate(state.events)
            ],
        }


def _counts(tasks: list[EcsTask]) -> dict[str, int]:
    return {
        "runningCount": sum(task.status == "RUNNING" for task in tasks),
        "pendingCount": sum(
            task.status in {"PROVISIONING", "PENDING"} for task in tasks
        ),
    }


def described(task: EcsTask) -> dict[str, Any]:
    """Return a task as DescribeTasks shows it."""
    times = {
        "createdAt": task.created,
        "startedAt": task.started,
        "stoppingAt": task.stopping,
        "stoppedAt": task.stopped,
        "executionStoppedAt": task.stopped,
    }
    reasons = {"stopCode": task.stop_code, "stoppedReason": task.stopped_reason}
    return {
        "taskArn": task.arn,
        "clusterArn": task.cluster_arn,
        "taskDefinitionArn": task.definition.arn,
        "containers": [_container(task, container) for container in task.containers],
        "lastStatus": task.status,
        "desiredStatus": "RUNNING" if task.should_run else "STOPPED",
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
        "tags": [{"key": key, "value": value} for key, value in task.tags.items()],
        "attachments": [
            {
                "id": task.id,
                "type": "ElasticNetworkInterface",
                "status": "DELETED" if task.is_over else "ATTACHED",
                "details": [
                    {"name": "privateIPv4Address", "value": task.sandbox.address}
                ],
            }
        ],
        **{name: at for name, at in times.items() if at},
        **{name: text for name, text in reasons.items() if text},
    }


def _container(task: EcsTask, container: TaskContainer) -> dict[str, Any]:
    description: dict[str, Any] = {
        "containerArn": task.container_arn(container),
        "taskArn": task.arn,
        "name": container.definition.name,
        "image": container.definition.image,
        "runtimeId": f"{task.id}-{container.token[:10]}",
        "lastStatus": container.status,
        "healthStatus": container.health.value,
        "networkInterfaces": [{"privateIpv4Address": task.sandbox.address}],
    }
    if container.exit_code is not None:
        description["exitCode"] = container.exit_code
    if container.reason:
        description["reason"] = container.reason
    return description
