"""The function behind the setup custom_resource, between CloudFormation and ECS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from fargate_runtime.migration import custom_resource
from local.ecs.web import HttpRequest, HttpResponse, HttpServer

TASK = "arn:aws:ecs:eu-west-1:123456789012:task/airflow/0123456789abcdef"
FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:migration"
LOG = "Log: /airflow/migration migration/migration/0123456789abcdef"
STACK = "arn:aws:cloudformation:eu-west-1:123456789012:stack/airflow-Migration/1"
PROPERTIES = {
    "Cluster": "airflow",
    "TaskDefinition": "arn:aws:ecs:eu-west-1:123456789012:task-definition/migration:7",
    "Container": "migration",
    "Subnets": ["subnet-1", "subnet-2"],
    "SecurityGroup": "sg-1",
    "LogGroup": "/airflow/migration",
    "LogStreamPrefix": "migration",
    "Version": "v7",
}


def client_error(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Call")


@dataclass
class FakeEcs:
    """Runs one task for each client token, and stops it after some looks."""

    ends: dict[str, Any] = field(default_factory=lambda: {"exitCode": 0})
    stopped_reason: str = "Essential container in task exited"
    looks_until_stopped: int = 2
    looks_until_seen: int = 0
    age: timedelta = timedelta(0)
    refusals: list[Any] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    failed_tokens: list[str] = field(default_factory=list)
    """Tokens of answers without a task, which ECS may repeat for the same token."""
    stopped: list[str] = field(default_factory=list)
    looks: int = 0

    def run_task(self, **request: Any) -> dict[str, Any]:
        if self.refusals:
            refusal = self.refusals.pop(0)
            if isinstance(refusal, ClientError):
                raise refusal
            assert request["clientToken"] not in self.failed_tokens
            self.failed_tokens.append(request["clientToken"])
            return {"tasks": [], "failures": [{"reason": refusal}]}
        assert request["clientToken"] not in self.failed_tokens
        self.tokens.append(request["clientToken"])
        return {"tasks": [{"taskArn": TASK}], "failures": []}

    def describe_tasks(self, cluster: str, tasks: list[str]) -> dict[str, Any]:
        assert (cluster, tasks) == ("airflow", [TASK])
        self.looks += 1
        if self.looks <= self.looks_until_seen:
            return {"tasks": [], "failures": [{"reason": "MISSING"}]}
        is_stopped = self.looks > self.looks_until_stopped
        task = {
            "taskArn": TASK,
            "lastStatus": "STOPPED" if is_stopped else "RUNNING",
            "stoppedReason": self.stopped_reason if is_stopped else "",
            "createdAt": datetime.now(UTC) - self.age,
            "containers": [
                {"name": "aws-guardduty-agent", "exitCode": 137},
                {"name": "migration"} | (self.ends if is_stopped else {}),
            ],
        }
        return {"tasks": [task], "failures": []}

    def stop_task(self, cluster: str, task: str, reason: str) -> None:
        assert (cluster, task) == ("airflow", TASK)
        self.stopped.append(reason)


@dataclass
class FakeLogs:
    """The set-up's log, whose lines may arrive late."""

    lines: list[str] = field(default_factory=list)
    late: int = 0

    def get_log_events(self, **request: Any) -> dict[str, Any]:
        assert request["logGroupName"] == "/airflow/migration"
        assert request["logStreamName"] == "migration/migration/0123456789abcdef"
        if self.late:
            self.late -= 1
            raise client_error("ResourceNotFoundException", "no stream")
        return {"events": [{"message": f"{line}\n"} for line in self.lines]}


@dataclass
class FakeLambda:
    """Lambda, which is asked to go on."""

    invoked: list[dict[str, Any]] = field(default_factory=list)

    def invoke(self, **request: Any) -> None:
        assert request["FunctionName"] == FUNCTION
        assert request["InvocationType"] == "Event"
        self.invoked.append(json.loads(request["Payload"]))


@dataclass
class FakeCloudFormation:
    """CloudFormation, asked for the state of the stack."""

    status: str | ClientError = "UPDATE_IN_PROGRESS"

    def describe_stacks(self, StackName: str) -> dict[str, Any]:  # noqa: N803 - AWS's word
        assert StackName == STACK
        if isinstance(self.status, ClientError):
            raise self.status
        return {"Stacks": [{"StackStatus": self.status}]}


@dataclass
class Invocation:
    """An invocation with some time left."""

    seconds: float = 900
    invoked_function_arn: str = FUNCTION

    def get_remaining_time_in_millis(self) -> int:
        self.seconds -= custom_resource.POLL_SECONDS
        return int(self.seconds * 1000)


@dataclass
class Bench:
    """All that the migration custom resource calls."""

    ecs: FakeEcs = field(default_factory=FakeEcs)
    logs: FakeLogs = field(default_factory=FakeLogs)
    functions: FakeLambda = field(default_factory=FakeLambda)
    stacks: FakeCloudFormation = field(default_factory=FakeCloudFormation)
    pauses: list[float] = field(default_factory=list)
    received: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    url: str = ""

    def request(self, kind: str = "Create", **more: Any) -> dict[str, Any]:
        known = {} if kind == "Create" else {"PhysicalResourceId": "migration-known"}
        return {
            "RequestType": kind,
            "RequestId": "request-1",
            "StackId": STACK,
            "LogicalResourceId": "Migration",
            "ResponseURL": f"{self.url}/answer?signature=s3cr3t&x=1",
            "ResourceProperties": {"ServiceToken": FUNCTION, **PROPERTIES},
            **known,
            **more,
        }

    def deliver(self, event: dict[str, Any], seconds: float = 900) -> None:
        custom_resource.handler(json.loads(json.dumps(event)), Invocation(seconds))

    def receive(self, request: HttpRequest) -> HttpResponse:
        """Accept a response as the bucket that CloudFormation waits at."""
        assert request.method == "PUT"
        status = self.refusals.pop(0) if self.refusals else 200
        if status == 200:
            assert len(request.body) <= 4096
            kind = request.headers["Content-Type"]
            self.received.append((request.target, kind, json.loads(request.body)))
        return HttpResponse(status)

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [body for _, _, body in self.received]

    @property
    def reason(self) -> str:
        (only,) = self.answers
        assert only["Status"] == "FAILED"
        return str(only["Reason"])


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench()
    clients = custom_resource.AwsClients(
        bench.ecs, bench.logs, bench.functions, bench.stacks
    )
    monkeypatch.setattr(custom_resource.AwsClients, "make", lambda: clients)
    monkeypatch.setattr(
        "fargate_runtime.migration.custom_resource.time.sleep", bench.pauses.append
    )
    server = HttpServer(bench.receive)
    bench.url = server.url
    yield bench
    server.close()


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_resource_succeeds_when_the_task_has_succeeded(bench: Bench, kind: str) -> None:
    request = bench.request(kind)
    bench.deliver(request)
    ((path, content_type, body),) = bench.received
    assert path == "/answer?signature=s3cr3t&x=1"
    assert content_type == ""
    assert body["Status"] == "SUCCESS"
    assert body["Data"] == {"Version": "v7"}
    for name in ("StackId", "RequestId", "LogicalResourceId"):
        assert body[name] == request[name]
    assert bench.ecs.looks == 3


def test_same_resource_keeps_its_id(bench: Bench) -> None:
    # Another one would be a replacement, with a Delete of the old.
    bench.deliver(bench.request())
    bench.deliver(bench.request(RequestId="request-2"))
    bench.deliver(bench.request("Update"))
    bench.deliver(bench.request(LogicalResourceId="Other"))
    first, again, updated, other = (a["PhysicalResourceId"] for a in bench.answers)
    assert first == again != other
    assert updated == "migration-known"


def test_repeated_delivery_starts_no_second_task(bench: Bench) -> None:
    # Lambda delivers an event again after an error; ECS knows the token.
    bench.deliver(bench.request())
    bench.deliver(bench.request())
    bench.deliver(bench.request(RequestId="request-2"))
    first, again, other = bench.ecs.tokens
    assert first == again != other
    assert len(first) <= 64


def test_delete_runs_nothing(bench: Bench) -> None:
    bench.deliver(bench.request("Delete"))
    assert bench.answers[0]["Status"] == "SUCCESS"
    assert bench.ecs.tokens == []


@pytest.mark.parametrize(
    "status", ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED"]
)
def test_rollback_runs_nothing(bench: Bench, status: str) -> None:
    # The older Airflow refuses the newer tables; the stack would be stuck.
    bench.stacks.status = status
    bench.deliver(bench.request("Update"))
    assert bench.answers[0]["Status"] == "SUCCESS"
    assert bench.ecs.tokens == []


def test_unknown_state_of_the_stack_runs_the_task(bench: Bench) -> None:
    bench.stacks.status = client_error("AccessDenied", "no")
    bench.deliver(bench.request("Update"))
    assert bench.answers[0]["Status"] == "SUCCESS"
    assert len(bench.ecs.tokens) == 1


def test_failed_job_fails_the_resource_with_its_reason(bench: Bench) -> None:
    bench.ecs.ends = {"exitCode": 1}
    bench.logs.lines = [
        "waiting",
        "MIGRATION FAILED: no connection as master at db",
        "",
    ]
    bench.logs.late = 2
    bench.deliver(bench.request())
    assert bench.reason == (
        f"migration job failed: no connection as master at db; exit code 1. {LOG}"
    )


def test_task_killed_for_memory_says_so(bench: Bench) -> None:
    bench.ecs.ends = {
        "exitCode": 137,
        "reason": "OutOfMemoryError: Container killed due to memory usage",
    }
    bench.logs.lines = ["one", "two", "three", "migrating"]
    bench.deliver(bench.request())
    assert "OutOfMemoryError" in bench.reason
    assert "exit code 137" in bench.reason
    assert "two | three | migrating" in bench.reason


def test_tasks_that_never_start_give_the_reason_of_ecs(bench: Bench) -> None:
    # A missing secret or image: there is no container, and no log to wait for.
    bench.ecs.ends = {}
    bench.ecs.stopped_reason = "ResourceInitializationError: unable to pull secrets"
    bench.deliver(bench.request())
    assert "ResourceInitializationError: unable to pull secrets" in bench.reason
    assert LOG in bench.reason
    assert set(bench.pauses) == {custom_resource.POLL_SECONDS}


def test_long_task_is_followed_by_the_next_invocation(bench: Bench) -> None:
    bench.ecs.looks_until_stopped = 30
    event = bench.request()
    deliveries = 0
    while event:
        deliveries += 1
        bench.deliver(event, seconds=custom_resource.HANDOVER_SECONDS + 50)
        event = bench.functions.invoked.pop() if bench.functions.invoked else {}
    assert deliveries == 3
    assert len(bench.ecs.tokens) == 1
    assert [body["Status"] for body in bench.answers] == ["SUCCESS"]


def test_endless_tasks_are_stopped_and_reported(bench: Bench) -> None:
    bench.ecs.looks_until_stopped = 10**6
    bench.ecs.age = timedelta(minutes=51)
    bench.deliver({"Request": bench.request(), "Task": TASK})
    assert bench.ecs.stopped == ["migration job ran longer than 50 minutes"]
    assert bench.reason.startswith(
        "migration job ran longer than 50 minutes and was stopped"
    )


def test_new_tasks_may_be_unknown_for_a_while(bench: Bench) -> None:
    bench.ecs.looks_until_seen = custom_resource.UNKNOWN_POLLS
    bench.deliver(bench.request())
    assert bench.answers[0]["Status"] == "SUCCESS"


def test_unknown_tasks_end_the_wait(bench: Bench) -> None:
    bench.ecs.looks_until_seen = 10**6
    bench.deliver(bench.request())
    assert "ECS does not know the task" in bench.reason


def test_transient_start_errors_are_retried(bench: Bench) -> None:
    bench.ecs.refusals = [
        client_error("ClientException", "ECS was unable to assume the role 'r'"),
        "Capacity is unavailable at this time",
        # The policy names the revision that this very update has bench.
        client_error("AccessDeniedException", "not authorized to perform: ecs:RunTask"),
    ]
    bench.deliver(bench.request())
    assert bench.answers[0]["Status"] == "SUCCESS"
    assert bench.pauses[:3] == [5, 10, 20]


@pytest.mark.parametrize(
    ("refusals", "words", "paused"),
    [
        ([client_error("ClientException", "no such subnet")], "no such subnet", 0),
        ([client_error("AccessDeniedException", "no right")] * 9, "no right", 75),
        (["Capacity is unavailable"] * 9, "Capacity is unavailable", 75),
    ],
)
def test_permanent_start_errors_are_reported(
    bench: Bench, refusals: list[Any], words: str, paused: int
) -> None:
    bench.ecs.refusals = refusals
    bench.deliver(bench.request())
    assert bench.reason.startswith("cannot start migration job: ")
    assert words in bench.reason
    assert sum(bench.pauses) == paused


def test_unexpected_errors_are_responded_to(bench: Bench) -> None:
    # Without an answer the stack would hang for an hour.
    request = bench.request()
    del request["ResourceProperties"]["Subnets"]
    bench.deliver(request)
    assert bench.reason == "migration function failed: KeyError: 'Subnets'"


def test_rejected_responses_are_retried(bench: Bench) -> None:
    bench.refusals = [503, 500]
    bench.deliver(bench.request())
    assert len(bench.answers) == 1
    bench.refusals = [503] * 9
    with pytest.raises(
        custom_resource.MigrationFailedError, match="did not accept the response"
    ):
        bench.deliver(bench.request())


def test_long_reason_fits_the_answer(bench: Bench) -> None:
    bench.ecs.ends = {"exitCode": 1}
    bench.logs.lines = ["MIGRATION FAILED: " + "€" * 5000]
    bench.deliver(bench.request())
    assert len(bench.reason.encode()) <= custom_resource.REASON_BYTES
    assert bench.reason.startswith("migration job failed: €€€")


def test_presigned_url_is_never_logged(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.refusals = [503]
    bench.ecs.looks_until_stopped = 3
    bench.deliver(bench.request())
    assert "s3cr3t" not in capsys.readouterr().out


def test_calls_are_those_of_the_real_services() -> None:
    # The stubbed clients check every parameter against AWS's own model.
    clients = custom_resource.AwsClients(
        *(
            boto3.client(
                name,
                region_name="eu-west-1",
                aws_access_key_id="a",
                aws_secret_access_key="b",  # noqa: S106 - a stubbed client's
            )
            for name in ("ecs", "logs", "lambda", "cloudformation")
        )
    )
    stubs = [
        Stubber(client)
        for client in (clients.ecs, clients.logs, clients.functions, clients.stacks)
    ]
    ecs, logs, functions, stacks = stubs
    request = Bench().request("Update")
    started = {"tasks": [{"taskArn": TASK}], "failures": []}
    running = {
        "taskArn": TASK,
        "lastStatus": "RUNNING",
        "createdAt": datetime.now(UTC),
        "containers": [{"name": "migration", "exitCode": 1}],
    }
    stacks.add_response(
        "describe_stacks",
        {
            "Stacks": [
                {
                    "StackName": "airflow",
                    "StackStatus": "UPDATE_IN_PROGRESS",
                    "CreationTime": datetime.now(UTC),
                }
            ]
        },
    )
    ecs.add_response("run_task", started)
    ecs.add_response("describe_tasks", {"tasks": [running], "failures": []})
    functions.add_response("invoke", {"StatusCode": 202})
    old = running | {"createdAt": datetime.now(UTC) - timedelta(hours=1)}
    ecs.add_response("describe_tasks", {"tasks": [old], "failures": []})
    ecs.add_response("stop_task", {})
    ended = running | {"lastStatus": "STOPPED"}
    ecs.add_response("describe_tasks", {"tasks": [ended], "failures": []})
    line = {"timestamp": 1, "message": "MIGRATION FAILED: x", "ingestionTime": 1}
    logs.add_response("get_log_events", {"events": [line]})
    for stub in stubs:
        stub.activate()

    assert not custom_resource.is_finished(request, "", Invocation(0), clients)
    for words in ("longer than", "migration job failed: x"):
        with pytest.raises(custom_resource.MigrationFailedError, match=words):
            custom_resource.is_finished(request, TASK, Invocation(900), clients)

    for stub in stubs:
        stub.assert_no_pending_responses()
