"""The function behind the migration job: a custom resource that runs one task.

CloudFormation asks, the function starts the migration job of ECS, follows it and
answers. A failure of the task becomes the reason of the stack's event.

* A repeated delivery finds the task of the first one, by RunTask's client token.
* A task that outlives one invocation is followed by the next one: the function
  invokes itself with the task's ARN. After ``LIMIT_SECONDS`` the task is stopped.
* A rollback runs nothing: the older Airflow cannot migrate tables back, and a gate
  that fails then would leave the stack in UPDATE_ROLLBACK_FAILED.
* Delete has no work: the databases outlive the stack, or go with their cluster.

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

LIMIT_SECONDS = 50 * 60
"""How long a task may take. CloudFormation gives up on a custom resource after an
hour, and then nobody learns the reason."""

POLL_SECONDS = 5
UNSEEN_POLLS = 6
"""How often in a row ECS may not know a task: it shows a new one with a delay."""

HANDOVER_SECONDS = 60
"""What must be left of an invocation to go on following in it."""

START_PAUSES = (5, 10, 20, 40)
"""Seconds between attempts to start: a new role is not known everywhere at once,
and Fargate may be short of capacity for a moment."""

LOG_PAUSES = (2, 3, 5, 0)
"""Seconds between looks for the last line, which may arrive after the task's end."""

ANSWER_PAUSES = (1, 2, 4, 8, 16, 0)
"""Seconds between attempts to answer; without an answer the stack hangs an hour."""

FAILED_LINE = "MIGRATION FAILED: "
"""Begins the last line of a set-up that failed."""

REASON_BYTES = 1500
"""Of 4096 that an answer may have."""

RETRIES = Config(
    retries={"mode": "standard", "total_max_attempts": 8},
    connect_timeout=10,
    read_timeout=30,
)


class GateError(Exception):
    """The gate stays shut; the message becomes the reason of the stack's event."""


class Context(Protocol):
    """What Lambda tells a function of its invocation."""

    @property
    def invoked_function_arn(self) -> str:
        """ARN of this function."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long this invocation may still take."""


@dataclass(frozen=True)
class Clients:
    """The services that the gate uses."""

    ecs: Any
    logs: Any
    functions: Any
    stacks: Any

    @classmethod
    def make(cls) -> Clients:
        """Return clients of this region."""
        return cls(
            *(
                boto3.client(name, config=RETRIES)
                for name in ("ecs", "logs", "lambda", "cloudformation")
            )
        )


def handler(event: dict[str, Any], context: Context) -> None:
    """Answer one request of CloudFormation, or go on following its task."""
    request = event.get("Request", event)
    try:
        if not passed(request, event.get("Task", ""), context, Clients.make()):
            return
    except GateError as error:
        reason = str(error)
    except Exception as error:  # noqa: BLE001 - without an answer the stack hangs
        reason = f"the gate itself failed: {type(error).__name__}: {error}"
    else:
        reason = ""
    answer(request, reason)


def passed(
    request: dict[str, Any], task: str, context: Context, clients: Clients
) -> bool:
    """Return whether the gate is open; False while another invocation goes on.

    Raises GateError, with the reason, when it stays shut.
    """
    kind = request["RequestType"]
    if kind == "Delete":
        return True
    wanted = request["ResourceProperties"]
    if not task:
        if kind == "Update" and rolls_back(request, clients):
            say("the stack rolls back: nothing to run")
            return True
        task = start(request, wanted, clients)
        say(f"{kind}: follows {task}")
    unseen = 0
    while True:
        state = describe(task, wanted, clients)
        unseen = 0 if state else unseen + 1
        if unseen > UNSEEN_POLLS:
            raise GateError(f"ECS does not know the task. {place(task, wanted)}")
        if state.get("lastStatus") == "STOPPED":
            judge(state, wanted, clients)
            return True
        if state and age_of(state) > LIMIT_SECONDS:
            limit = f"set-up took longer than {LIMIT_SECONDS // 60} minutes"
            clients.ecs.stop_task(cluster=wanted["Cluster"], task=task, reason=limit)
            raise GateError(f"{limit} and was stopped. {place(task, wanted)}")
        if context.get_remaining_time_in_millis() < HANDOVER_SECONDS * 1000:
            clients.functions.invoke(
                FunctionName=context.invoked_function_arn,
                InvocationType="Event",
                Payload=json.dumps({"Request": request, "Task": task}).encode(),
            )
            return False
        time.sleep(POLL_SECONDS)


def rolls_back(request: dict[str, Any], clients: Clients) -> bool:
    """Return whether the stack is on its way back to what it was."""
    try:
        stacks = clients.stacks.describe_stacks(StackName=request["StackId"])
    except ClientError as error:
        say(f"cannot see the state of the stack, goes on: {error}")
        return False
    return any("ROLLBACK" in stack["StackStatus"] for stack in stacks["Stacks"])


def start(request: dict[str, Any], wanted: dict[str, Any], clients: Clients) -> str:
    """Start the task, once for each request however often it arrives."""
    once = "".join(
        request[name] for name in ("StackId", "LogicalResourceId", "RequestId")
    )
    for pause in (*START_PAUSES, 0):
        try:
            answered = clients.ecs.run_task(
                cluster=wanted["Cluster"],
                taskDefinition=wanted["TaskDefinition"],
                launchType="FARGATE",
                clientToken=hashlib.sha256(once.encode()).hexdigest(),
                startedBy="setup-gate",
                networkConfiguration={
                    "awsvpcConfiguration": {
                        "subnets": wanted["Subnets"],
                        "securityGroups": [wanted["SecurityGroup"]],
                        "assignPublicIp": "DISABLED",
                    }
                },
            )
        except ClientError as error:
            if not (pause and is_young(error)):
                raise GateError(f"set-up cannot start: {error}") from error
            problem = str(error)
        else:
            if answered["tasks"]:
                return str(answered["tasks"][0]["taskArn"])
            problem = ", ".join(
                f"{failure.get('reason')} {failure.get('detail', '')}".strip()
                for failure in answered["failures"]
            )
            if not pause:
                break
        say(f"tries again in {pause} s: {problem}")
        time.sleep(pause)
    raise GateError(f"set-up cannot start: {problem}")


def is_young(error: ClientError) -> bool:
    """Return whether a refusal may come of a role or a policy a moment old.

    Each update brings a new revision of the task definition, and the policy that
    allows to run it, just before the gate; IAM needs seconds to tell everybody.
    """
    is_denied = error.response.get("Error", {}).get("Code") == "AccessDeniedException"
    return is_denied or "assume the role" in str(error)


def describe(task: str, wanted: dict[str, Any], clients: Clients) -> dict[str, Any]:
    """Return what ECS knows of the task, which may be nothing."""
    found = clients.ecs.describe_tasks(cluster=wanted["Cluster"], tasks=[task])
    known: list[dict[str, Any]] = found["tasks"]
    return known[0] if known else {}


def age_of(state: dict[str, Any]) -> float:
    """Return the seconds since the task was asked for."""
    created: datetime = state["createdAt"]
    return (datetime.now(UTC) - created).total_seconds()


def judge(state: dict[str, Any], wanted: dict[str, Any], clients: Clients) -> None:
    """Raise GateError unless the stopped task did its work."""
    # Others may be in the task: GuardDuty adds a container of its own.
    container: dict[str, Any] = next(
        (c for c in state["containers"] if c["name"] == wanted["Container"]), {}
    )
    status = container.get("exitCode")
    if status == 0:
        return
    task = state["taskArn"]
    lines = last_lines(task, wanted, clients) if status is not None else []
    told = next((line for line in reversed(lines) if FAILED_LINE in line), "")
    facts = [
        told.partition(FAILED_LINE)[2],
        container.get("reason", ""),
        "" if told else state.get("stoppedReason", ""),
        "" if status is None else f"exit code {status}",
        "" if told else " | ".join(lines[-3:]),
    ]
    said = "; ".join(fact for fact in facts if fact)
    raise GateError(f"set-up failed: {said}. {place(task, wanted)}")


def last_lines(task: str, wanted: dict[str, Any], clients: Clients) -> list[str]:
    """Return the end of the task's log, waiting a little for the reason."""
    lines: list[str] = []
    for pause in LOG_PAUSES:
        try:
            found = clients.logs.get_log_events(
                logGroupName=wanted["LogGroup"],
                logStreamName=stream(task, wanted),
                limit=50,
                startFromHead=False,
            )
        except ClientError as error:
            say(f"cannot read the log: {error}")
        else:
            lines = [event["message"].strip() for event in found["events"]]
        if any(FAILED_LINE in line for line in lines):
            break
        time.sleep(pause)
    return [line for line in lines if line]


def stream(task: str, wanted: dict[str, Any]) -> str:
    """Return the log stream that awslogs gives the container."""
    number = task.rpartition("/")[2]
    return f"{wanted['LogStreamPrefix']}/{wanted['Container']}/{number}"


def place(task: str, wanted: dict[str, Any]) -> str:
    """Return where the whole log is."""
    return f"Log: {wanted['LogGroup']} {stream(task, wanted)}"


def answer(request: dict[str, Any], reason: str) -> None:
    """Tell CloudFormation: success without a reason, failure with one."""
    own = f"{request['StackId']}/{request['LogicalResourceId']}"
    body = {
        "Status": "FAILED" if reason else "SUCCESS",
        "Reason": reason.encode()[:REASON_BYTES].decode(errors="ignore"),
        # It stays the same for ever: another one would be a replacement.
        "PhysicalResourceId": request.get("PhysicalResourceId")
        or f"setup-{hashlib.sha256(own.encode()).hexdigest()[:16]}",
        **{n: request[n] for n in ("StackId", "RequestId", "LogicalResourceId")},
        "Data": {"Version": request.get("ResourceProperties", {}).get("Version", "")},
    }
    say(f"answers {body['Status']} {body['Reason']}")
    for pause in ANSWER_PAUSES:
        try:
            status = put(request["ResponseURL"], json.dumps(body).encode())
        except (OSError, HTTPException) as error:
            problem = f"{type(error).__name__}: {error}"
        else:
            if status < 300:  # noqa: PLR2004 - 2xx is success
                return
            problem = f"HTTP {status}"
        say(f"CloudFormation did not take the answer: {problem}")
        time.sleep(pause)
    # Lambda delivers the event again; the task is then found, not started.
    raise GateError("CloudFormation did not take the answer")


def put(url: str, body: bytes) -> int:
    """Send ``body`` to the pre-signed ``url``, which itself is a secret."""
    at = urlsplit(url)
    kind = HTTPSConnection if at.scheme == "https" else HTTPConnection
    link = kind(at.netloc, timeout=10)
    try:
        # The signature covers an empty content type.
        link.request(
            "PUT", f"{at.path}?{at.query}", body=body, headers={"Content-Type": ""}
        )
        return link.getresponse().status
    finally:
        link.close()


def say(text: str) -> None:
    """Write a line to the function's log."""
    print(" ".join(text.split()), flush=True)  # noqa: T201 - it is Lambda's log
