"""Lambda function of the custom resource that runs the migration job.

For each request of CloudFormation the function starts the migration job as an ECS
task, follows it and responds. A failure of the task becomes the reason of the stack
event.

* A repeated delivery finds the task of the first one, by RunTask's client token.
* A task that outlives one invocation is followed by the next one: the function
  invokes itself with the task's ARN. After ``MIGRATION_LIMIT_SECONDS`` the task is
  stopped.
* A rollback runs nothing: the older Airflow cannot migrate tables back, and a failure
  then would leave the stack in UPDATE_ROLLBACK_FAILED.
* Delete does nothing: the databases outlive the stack, or go with their cluster.

Properties: Cluster, TaskDefinition, Container, Subnets (a list), SecurityGroup,
LogGroup, LogStreamPrefix, Version. A change of any of them runs the task again.
Attribute: Version, known once the task has succeeded.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Protocol
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from fargate_runtime.contract import (
    MIGRATION_FAILED,
    MIGRATION_JOB_FAILED,
    MIGRATION_LIMIT_SECONDS,
)

POLL_SECONDS = 5
UNKNOWN_POLLS = 6
"""How often in a row ECS may not know a task: it shows a new one with a delay."""

HANDOVER_SECONDS = 60
"""The least remaining time of an invocation in which to follow the task."""

START_PAUSES = (5, 10, 20, 40)
"""Seconds between attempts to start: a new role propagates with a delay, and Fargate
may be short of capacity for a moment."""

LOG_PAUSES = (2, 3, 5, 0)
"""Seconds between reads of the last line, which may arrive after the task's end."""

RESPONSE_PAUSES = (1, 2, 4, 8, 16, 0)
"""Seconds between attempts to respond; without a response the stack hangs an hour."""

REASON_BYTES = 1500
"""Of 4096 that a response may have."""

RETRIES = Config(
    retries={"mode": "standard", "total_max_attempts": 8},
    connect_timeout=10,
    read_timeout=30,
)


class MigrationFailedError(Exception):
    """The migration failed; the message becomes the reason of the stack event."""


class LambdaContext(Protocol):
    """Lambda's context of an invocation."""

    @property
    def invoked_function_arn(self) -> str:
        """ARN of this function."""

    def get_remaining_time_in_millis(self) -> int:
        """Return the remaining time of this invocation."""


@dataclass(frozen=True)
class AwsClients:
    """Clients of the AWS services that the function calls."""

    ecs: Any
    logs: Any
    functions: Any
    stacks: Any

    @classmethod
    def make(cls) -> AwsClients:
        """Return clients of this region."""
        return cls(
            *(
                boto3.client(name, config=RETRIES)
                for name in ("ecs", "logs", "lambda", "cloudformation")
            )
        )


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle one request of CloudFormation, or continue to follow its task."""
    request = event.get("Request", event)
    try:
        if not is_finished(request, event.get("Task", ""), context, AwsClients.make()):
            return
    except MigrationFailedError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - without a response the stack hangs
        reason = f"migration function failed: {type(error).__name__}: {error}"
    else:
        reason = ""
    respond(request, reason)


def is_finished(
    request: dict[str, Any], task: str, context: LambdaContext, clients: AwsClients
) -> bool:
    """Return True when the task succeeded, False when the next invocation follows it.

    Raises MigrationFailedError with the reason.
    """
    kind = request["RequestType"]
    if kind == "Delete":
        return True
    properties = request["ResourceProperties"]
    if not task:
        if kind == "Update" and rolls_back(request, clients):
            say("The stack is rolling back: nothing to run.")
            return True
        task = start(request, properties, clients)
        say(f"{kind}: following {task}")
    unknown_polls = 0
    while True:
        state = describe_task(task, properties, clients)
        unknown_polls = 0 if state else unknown_polls + 1
        if unknown_polls > UNKNOWN_POLLS:
            raise MigrationFailedError(
                f"ECS does not know the task. {log_location(task, properties)}"
            )
        if state.get("lastStatus") == "STOPPED":
            check_result(state, properties, clients)
            return True
        if state and age_seconds(state) > MIGRATION_LIMIT_SECONDS:
            limit = (
                f"migration job ran longer than {MIGRATION_LIMIT_SECONDS // 60} minutes"
            )
            clients.ecs.stop_task(
                cluster=properties["Cluster"], task=task, reason=limit
            )
            raise MigrationFailedError(
                f"{limit} and was stopped. {log_location(task, properties)}"
            )
        if context.get_remaining_time_in_millis() < HANDOVER_SECONDS * 1000:
            clients.functions.invoke(
                FunctionName=context.invoked_function_arn,
                InvocationType="Event",
                Payload=json.dumps({"Request": request, "Task": task}).encode(),
            )
            return False
        time.sleep(POLL_SECONDS)


def rolls_back(request: dict[str, Any], clients: AwsClients) -> bool:
    """Return whether the stack is rolling back."""
    try:
        stacks = clients.stacks.describe_stacks(StackName=request["StackId"])
    except ClientError as error:
        say(f"Cannot read the stack status, continuing: {error}")
        return False
    return any("ROLLBACK" in stack["StackStatus"] for stack in stacks["Stacks"])


def start(
    request: dict[str, Any], properties: dict[str, Any], clients: AwsClients
) -> str:
    """Start the task, once for each request however often it arrives.

    A repeated token makes ECS repeat its answer, perhaps one without a task too: each
    answer that told failures only changes the token.
    """
    request_key = "".join(
        request[name] for name in ("StackId", "LogicalResourceId", "RequestId")
    )
    failures = 0
    for pause in (*START_PAUSES, 0):
        token = f"{request_key}{failures or ''}"
        try:
            response = clients.ecs.run_task(
                cluster=properties["Cluster"],
                taskDefinition=properties["TaskDefinition"],
                launchType="FARGATE",
                clientToken=hashlib.sha256(token.encode()).hexdigest(),
                startedBy="airflow-migration",
                networkConfiguration={
                    "awsvpcConfiguration": {
                        "subnets": properties["Subnets"],
                        "securityGroups": [properties["SecurityGroup"]],
                        "assignPublicIp": "DISABLED",
                    }
                },
            )
        except ClientError as error:
            if not (pause and may_be_propagation_delay(error)):
                raise MigrationFailedError(
                    f"cannot start migration job: {error}"
                ) from error
            problem = str(error)
        else:
            if response["tasks"]:
                return str(response["tasks"][0]["taskArn"])
            failures += 1
            problem = ", ".join(
                f"{failure.get('reason')} {failure.get('detail', '')}".strip()
                for failure in response["failures"]
            )
            if not pause:
                break
        say(f"Retrying in {pause} s: {problem}")
        time.sleep(pause)
    raise MigrationFailedError(f"cannot start migration job: {problem}")


def may_be_propagation_delay(error: ClientError) -> bool:
    """Return whether a refusal may come from a new role or policy.

    Each update creates a revision of the task definition, and the policy that allows
    to run it, just before this resource; IAM takes seconds to propagate it.
    """
    is_denied = error.response.get("Error", {}).get("Code") == "AccessDeniedException"
    return is_denied or "assume the role" in str(error)


def describe_task(
    task: str, properties: dict[str, Any], clients: AwsClients
) -> dict[str, Any]:
    """Return the description of the task, empty while ECS does not know it."""
    response = clients.ecs.describe_tasks(cluster=properties["Cluster"], tasks=[task])
    tasks: list[dict[str, Any]] = response["tasks"]
    return tasks[0] if tasks else {}


def age_seconds(state: dict[str, Any]) -> float:
    """Return the seconds since the task was created."""
    created: datetime = state["createdAt"]
    return (datetime.now(UTC) - created).total_seconds()


def check_result(
    state: dict[str, Any], properties: dict[str, Any], clients: AwsClients
) -> None:
    """Raise MigrationFailedError unless the stopped task succeeded."""
    # The task may have other containers: GuardDuty adds its own.
    container: dict[str, Any] = next(
        (c for c in state["containers"] if c["name"] == properties["Container"]), {}
    )
    status = container.get("exitCode")
    if status == 0:
        return
    task = state["taskArn"]
    lines = last_lines(task, properties, clients) if status is not None else []
    reason = next((line for line in reversed(lines) if MIGRATION_FAILED in line), "")
    facts = [
        reason.partition(MIGRATION_FAILED)[2],
        container.get("reason", ""),
        "" if reason else state.get("stoppedReason", ""),
        "" if status is None else f"exit code {status}",
        "" if reason else " | ".join(lines[-3:]),
    ]
    details = "; ".join(fact for fact in facts if fact)
    raise MigrationFailedError(
        f"{MIGRATION_JOB_FAILED}: {details}. {log_location(task, properties)}"
    )


def last_lines(task: str, properties: dict[str, Any], clients: AwsClients) -> list[str]:
    """Return the last lines of the task's log, waiting briefly for the reason."""
    lines: list[str] = []
    for pause in LOG_PAUSES:
        try:
            response = clients.logs.get_log_events(
                logGroupName=properties["LogGroup"],
                logStreamName=log_stream(task, properties),
                limit=50,
                startFromHead=False,
            )
        except ClientError as error:
            say(f"Cannot read the log: {error}")
        else:
            lines = [event["message"].strip() for event in response["events"]]
        if any(MIGRATION_FAILED in line for line in lines):
            break
        time.sleep(pause)
    return [line for line in lines if line]


def log_stream(task: str, properties: dict[str, Any]) -> str:
    """Return the name of the container's log stream, as awslogs makes it."""
    number = task.rpartition("/")[2]
    return f"{properties['LogStreamPrefix']}/{properties['Container']}/{number}"


def log_location(task: str, properties: dict[str, Any]) -> str:
    """Return where the whole log is."""
    return f"Log: {properties['LogGroup']} {log_stream(task, properties)}"


def respond(request: dict[str, Any], reason: str) -> None:
    """Respond to CloudFormation: success without a reason, failure with one."""
    resource = f"{request['StackId']}/{request['LogicalResourceId']}"
    body = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason.encode()[:REASON_BYTES].decode(errors="ignore"),
        # It never changes: another one would be a replacement.
        "PhysicalResourceId": request.get("PhysicalResourceId")
        or f"migration-{hashlib.sha256(resource.encode()).hexdigest()[:16]}",
        **{n: request[n] for n in ("StackId", "RequestId", "LogicalResourceId")},
        "Data": {"Version": request.get("ResourceProperties", {}).get("Version", "")},
    }
    say(f"Response: {body['Status']} {body['Reason']}")
    for pause in RESPONSE_PAUSES:
        try:
            status = put(request["ResponseURL"], json.dumps(body).encode())
        except (OSError, HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            if status < 300:  # noqa: PLR2004 - 2xx is success
                return
            problem = f"HTTP {status}"
        say(f"CloudFormation did not accept the response: {problem}")
        time.sleep(pause)
    # Lambda delivers the event again; the task is then found, not started.
    raise MigrationFailedError("CloudFormation did not accept the response")


def put(url: str, body: bytes) -> int:
    """Send ``body`` to the pre-signed ``url``, which itself is a secret."""
    address = urlsplit(url)
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    connection = kind(address.netloc, timeout=10)
    try:
        # The signature covers an empty content type.
        connection.request(
            "PUT",
            f"{address.path}?{address.query}",
            body=body,
            headers={"Content-Type": ""},
        )
        return connection.getresponse().status
    finally:
        connection.close()


def say(text: str) -> None:
    """Write a line to the function's log."""
    print(" ".join(text.split()), flush=True)  # noqa: T201 - it is Lambda's log
