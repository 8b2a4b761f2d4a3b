"""One Airflow command in an environment: a one-off task of the stack's own definition.

The task has the roles, secrets and log of the component ``command``, whose rights are
those of one command, and the network of the scheduler. Nothing is registered: neither
a task definition nor a role.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cli import console
from cli.errors import AwsError, Problem, Refused, Unable, UsageError
from deploy import ecs, stacks
from deploy.aws import Aws, is_missing

STACK, DEFINITION, SCHEDULER = "AirflowServices", "CommandDefinition", "Scheduler"
"""Nested stack with the task definition, and the service with the network."""

CONTAINER, ARGUMENTS = "command", "AIRFLOW_ARGUMENTS"
"""Container of the task definition, and the variable with the words after airflow."""

STARTED_BY = "build-airflow"

LONGEST_ARGUMENTS = 7000
"""Characters. ECS takes 8,192 of overrides, the JSON around them included."""

ENDLESS = frozenset(
    {
        *("api-server", "dag-processor", "scheduler", "standalone", "triggerer"),
        *("celery worker", "celery flower", "kerberos"),
    }
)
"""Commands that do not end: a second scheduler beside the services, for example."""

PAUSE_SECONDS = 1.0
LOG_SECONDS = 4.0
"""How long after the end of a task its last lines may come."""


@dataclass(frozen=True)
class Command:
    """A command that can be run: where, and from which definition."""

    cluster: str
    definition: str
    network: dict[str, Any]
    log_group: str
    log_prefix: str


def arguments(words: Sequence[str]) -> str:
    """Return the words after ``airflow`` as a shell reads them.

    Raises UsageError for what would not end, or what ECS does not take.
    """
    words = words[1:] if words[0] == "airflow" else words
    text = shlex.join(words)
    if not words:
        raise UsageError(
            Problem(
                where="airflow",
                what="There is no command to run.",
                remedy="Name one: build.py airflow ENV -- dags list.",
            )
        )
    for command in (words[0], " ".join(words[:2])):
        if command in ENDLESS and not {"-h", "--help"} & {*words}:
            raise UsageError(
                Problem(
                    where=f"airflow {text}",
                    what=f"airflow {command} does not end.",
                    why="The services of the environment run it.",
                    remedy="See them with build.py status ENV.",
                )
            )
    if len(text) > LONGEST_ARGUMENTS:
        raise UsageError(
            Problem(
                where="airflow",
                what=f"The command has {len(text):,} characters; ECS takes "
                f"{LONGEST_ARGUMENTS:,}.",
                remedy="Put long values into a file in S3, or run several commands.",
            )
        )
    return text


def find(aws: Aws, stack_name: str) -> Command:
    """Return what runs a command in a stack.

    Raises UsageError without such a stack, Refused where it is not complete.
    """
    stack = stacks.existing(aws, stack_name)
    parents = _ids(aws, stack.id)
    ids = _ids(aws, parents[STACK]) if STACK in parents else {}
    missing = [name for name in (DEFINITION, SCHEDULER) if name not in ids]
    if missing:
        raise Refused(
            Problem(
                where=f"Stack {stack.name}",
                what=f"It is {stack.status} and has no {STACK}/{missing[0]} yet.",
                remedy="Finish the launch first; build.py status ENV shows it.",
            )
        )
    cluster = ids[SCHEDULER].split("/")[1]
    service = next(ecs.services(aws, cluster, [ids[SCHEDULER].split("/")[2]]))
    log_group, prefix = ecs.log_of(aws, ids[DEFINITION], CONTAINER)
    return Command(
        cluster,
        ids[DEFINITION],
        {
            "awsvpcConfiguration": {
                **service["networkConfiguration"]["awsvpcConfiguration"],
                "assignPublicIp": "DISABLED",
            }
        },
        log_group,
        prefix,
    )


def _ids(aws: Aws, stack_id: str) -> dict[str, str]:
    """Return the physical IDs of the resources of one stack, by logical ID."""
    return {
        row["LogicalResourceId"]: row["PhysicalResourceId"]
        for row in stacks.resources(aws, stack_id)
        if row.get("PhysicalResourceId") and row["ResourceStatus"] != "DELETE_COMPLETE"
    }


def run(aws: Aws, command: Command, text: str, tell: Callable[[str], None]) -> int:
    """Run ``airflow`` with some arguments to its end; return its exit code.

    ``tell`` gets each line of its output. Ctrl-C stops the task.
    """
    arn = _start(aws, command, text)
    number = arn.rpartition("/")[2]
    console.message(f"Task {number} runs airflow {text}")
    log = _Log(aws, command, f"{command.log_prefix}/{CONTAINER}/{number}")
    try:
        with console.waiting_for("the task to end"):
            task = _end(aws, command, arn, log, tell)
    except BaseException as error:
        _stop(aws, command, arn, error)
        raise
    return _exit_code(task, number)


def _start(aws: Aws, command: Command, text: str) -> str:
    overrides = {
        "containerOverrides": [
            {"name": CONTAINER, "environment": [{"name": ARGUMENTS, "value": text}]}
        ]
    }
    answer = aws.call(
        "ecs",
        "run_task",
        command.definition,
        cluster=command.cluster,
        taskDefinition=command.definition,
        launchType="FARGATE",
        propagateTags="TASK_DEFINITION",
        startedBy=STARTED_BY,
        networkConfiguration=command.network,
        overrides=overrides,
    )
    if answer["tasks"]:
        return str(answer["tasks"][0]["taskArn"])
    reasons = [
        f"{failure.get('reason')} {failure.get('detail', '')}".strip()
        for failure in answer["failures"]
    ]
    raise Unable(
        Problem(
            where=command.definition,
            what="ECS starts no task.",
            why=", ".join(reasons),
            remedy="build.py preflight ENV shows the quotas of the account.",
        )
    )


def _end(
    aws: Aws, command: Command, arn: str, log: _Log, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Wait for the end of a task; return its description."""
    while True:
        answer = aws.call(
            "ecs", "describe_tasks", arn, cluster=command.cluster, tasks=[arn]
        )
        task: dict[str, Any] = answer["tasks"][0] if answer["tasks"] else {}
        for line in log.read():
            tell(line)
        if task.get("lastStatus") == "STOPPED":
            break
        time.sleep(PAUSE_SECONDS)
    deadline = time.monotonic() + LOG_SECONDS
    while time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
        for line in log.read():
            deadline = time.monotonic() + LOG_SECONDS
            tell(line)
    return task


@dataclass
class _Log:
    """The log of a task, read from where the last look ended."""

    aws: Aws
    command: Command
    stream: str
    _token: str = ""

    def read(self) -> Iterator[str]:
        """Yield new lines; none before the task has written one."""
        while True:
            place = {"nextToken": self._token} if self._token else {}
            try:
                answer = self.aws.call(
                    "logs",
                    "get_log_events",
                    self.command.log_group,
                    logGroupName=self.command.log_group,
                    logStreamName=self.stream,
                    startFromHead=True,
                    **place,
                )
            except AwsError as error:
                if is_missing(error):
                    return
                raise
            for event in answer["events"]:
                yield event["message"].rstrip("\n")
            # The same token again: there is no more.
            if answer["nextForwardToken"] == self._token or not answer["events"]:
                return
            self._token = answer["nextForwardToken"]


def _stop(aws: Aws, command: Command, arn: str, error: BaseException) -> None:
    """Stop a task whose end is not waited for; note what became of it."""
    number = arn.rpartition("/")[2]
    try:
        aws.call(
            "ecs",
            "stop_task",
            arn,
            cluster=command.cluster,
            task=arn,
            reason="build.py airflow was interrupted.",
        )
    except (AwsError, Unable) as reason:
        error.add_note(f"Task {number} may still run: {reason}")
    else:
        error.add_note(f"Task {number} is being stopped.")


def _exit_code(task: dict[str, Any], number: str) -> int:
    # A task may have other containers: GuardDuty adds its own.
    container: dict[str, Any] = next(
        (c for c in task["containers"] if c["name"] == CONTAINER), {}
    )
    code = container.get("exitCode")
    if code is not None:
        return int(code)
    reasons = (container.get("reason", ""), task.get("stoppedReason", ""))
    raise Unable(
        Problem(
            where=f"Task {number}",
            what="It ended before the command did.",
            why=" ".join(filter(None, reasons)),
            remedy="Correct what it names. build.py logs ENV command shows its log.",
        )
    )
