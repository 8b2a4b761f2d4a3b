"""Calls of tasks on their way to the emulator, as boto3 makes them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.ecs import EcsAgent
from local.ecs.metrics import Metric
from local.ecs.web import HttpRequest, HttpResponse, HttpServer
from local.iam.policy import RolePermissions
from tests.local.ecs.fakes import (
    CLUSTER,
    TASK_ROLE,
    FakeEmulator,
    app,
    settings,
    tasks,
    until,
)

pytestmark = pytest.mark.slow

DAGS = "arn:aws:s3:::dags"
KEY = "arn:aws:kms:eu-central-1:000000000000:key/1"
ONCE = Config(retries={"total_max_attempts": 1})


class Upstream:
    """A stub of the emulator that records requests."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.server = HttpServer(self._answer)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return HttpResponse(200, b"{}", (("Content-Type", "application/json"),))


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.server.close()


@pytest.fixture
def guarded(
    emulator: FakeEmulator, upstream: Upstream, tmp_path: Path
) -> Iterator[EcsAgent]:
    server = EcsAgent(
        settings(tmp_path, emulator_url=upstream.server.url), emulator=emulator
    )
    server.start()
    yield server
    server.stop(0.3)


def client(agent: EcsAgent, service: str, role: str = "", **changes: str) -> Any:
    """Return a client with the credentials of a role, or of a deployment."""
    credentials = {"aws_access_key_id": "0" * 12, "aws_secret_access_key": "local"}
    if role:
        credentials = as_boto3(agent.credentials.issue(role, "task").document())
    return boto3.client(
        service,
        endpoint_url=agent.url,
        region_name="eu-central-1",
        config=ONCE,
        **credentials | changes,
    )


def as_boto3(document: Mapping[str, str]) -> dict[str, str]:
    return {
        "aws_access_key_id": document["AccessKeyId"],
        "aws_secret_access_key": document["SecretAccessKey"],
        "aws_session_token": document["Token"],
    }


def allow(*pairs: tuple[str, str], **more: Any) -> RolePermissions:
    return RolePermissions(
        tuple(
            {"Effect": "Allow", "Action": action, "Resource": resource, **more}
            for action, resource in pairs
        )
    )


def test_allowed_call_arrives_in_the_emulators_account(
    guarded: EcsAgent, emulator: FakeEmulator, upstream: Upstream
) -> None:
    emulator.roles[TASK_ROLE] = allow(("s3:GetObject", f"{DAGS}/*"))
    s3 = client(guarded, "s3", TASK_ROLE)
    s3.get_object(Bucket="dags", Key="a b/c.py")
    (request,) = upstream.requests
    assert request.target == "/dags/a%20b/c.py"
    assert "Credential=000000000000/" in request.headers["Authorization"]


def test_denied_call_is_refused_and_recorded(
    guarded: EcsAgent, emulator: FakeEmulator, upstream: Upstream
) -> None:
    emulator.roles[TASK_ROLE] = allow(("s3:GetObject", f"{DAGS}/*"))
    s3 = client(guarded, "s3", TASK_ROLE)
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="dags", Key="c.py", Body=b"x")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    message = refused.value.response["Error"]["Message"]
    assert "s3:PutObject on resource: arn:aws:s3:::dags/c.py" in message
    assert upstream.requests == []
    assert guarded.roles.refused == [message]
    assert "REFUSED task s3:PutObject" in guarded.roles.record.read_text()


def test_encrypted_bucket_needs_the_right_to_its_key(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
    # A policy without kms:Decrypt reads fine from every emulator, and never on AWS.
    emulator.keys["dags"] = KEY
    emulator.roles[TASK_ROLE] = allow(("s3:GetObject", f"{DAGS}/*"))
    with pytest.raises(ClientError, match="kms:Decrypt"):
        client(guarded, "s3", TASK_ROLE).get_object(Bucket="dags", Key="c.py")


def test_listing_needs_its_own_right(guarded: EcsAgent, emulator: FakeEmulator) -> None:
    emulator.roles[TASK_ROLE] = allow(("s3:GetObject", f"{DAGS}/*"))
    with pytest.raises(
        ClientError, match="s3:ListBucket on resource: arn:aws:s3:::dags"
    ):
        client(guarded, "s3", TASK_ROLE).list_objects_v2(Bucket="dags")


ARN = "arn:aws:{}:eu-central-1:000000000000:{}".format
SECRET_ARN = ARN("secretsmanager", "secret:x")
TOPIC = ARN("sns", "t")
CALLS: tuple[tuple[str, str, dict[str, Any], str], ...] = (
    (
        *("cloudwatch", "put_metric_data"),
        {"Namespace": "A", "MetricData": [{"MetricName": "m", "Value": 1}]},
        "cloudwatch:PutMetricData on resource: *",
    ),
    (
        *("secretsmanager", "get_secret_value", {"SecretId": SECRET_ARN}),
        f"secretsmanager:GetSecretValue on resource: {SECRET_ARN}",
    ),
    (
        *("secretsmanager", "get_secret_value", {"SecretId": "x"}),
        f"secretsmanager:GetSecretValue on resource: {SECRET_ARN}",
    ),
    (
        *("logs", "get_log_events", {"logGroupName": "g", "logStreamName": "s"}),
        f"logs:GetLogEvents on resource: {ARN('logs', 'log-group:g:log-stream:s')}",
    ),
    (
        *("lambda", "invoke", {"FunctionName": "migration"}),
        f"lambda:InvokeFunction on resource: {ARN('lambda', 'function:migration')}",
    ),
    (
        *("sns", "publish", {"TopicArn": TOPIC, "Message": "m"}),
        f"sns:Publish on resource: {TOPIC}",
    ),
    (
        *("cloudformation", "describe_stacks", {"StackName": "s"}),
        f"DescribeStacks on resource: {ARN('cloudformation', 'stack/s/*')}",
    ),
    ("iam", "list_users", {}, "iam:ListUsers on resource: *"),
)


@pytest.mark.parametrize("case", CALLS, ids=lambda case: case[0])
def test_refusal_has_the_form_of_each_aws_protocol(
    guarded: EcsAgent,
    emulator: FakeEmulator,
    case: tuple[str, str, dict[str, Any], str],
) -> None:
    service, call, parameters, message = case
    emulator.roles[TASK_ROLE] = RolePermissions(())
    with pytest.raises(ClientError) as refused:
        getattr(client(guarded, service, TASK_ROLE), call)(**parameters)
    error = refused.value.response["Error"]
    assert error["Code"] in {"AccessDenied", "AccessDeniedException"}
    assert message in error["Message"]


def test_credentials_with_a_wrong_token_are_refused(
    guarded: EcsAgent, upstream: Upstream
) -> None:
    s3 = client(guarded, "s3", TASK_ROLE, aws_session_token="forged")  # noqa: S106 - it is refused
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        s3.get_object(Bucket="dags", Key="a")
    assert upstream.requests == []


def test_calls_without_role_credentials_are_not_checked(
    guarded: EcsAgent, upstream: Upstream
) -> None:
    client(guarded, "s3").get_object(Bucket="dags", Key="a")
    assert len(upstream.requests) == 1


def test_ecs_api_runs_stops_and_describes_tasks(
    guarded: EcsAgent, emulator: FakeEmulator, upstream: Upstream
) -> None:
    definition = emulator.define(1, app())
    ecs = client(guarded, "ecs")
    parameters = {
        "cluster": CLUSTER,
        "taskDefinition": definition,
        "clientToken": "once",
    }
    arn = ecs.run_task(**parameters)["tasks"][0]["taskArn"]
    # A repeated request returns the task of the first.
    assert ecs.run_task(**parameters)["tasks"][0]["taskArn"] == arn

    def described() -> dict[str, Any]:
        answer = ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"]
        assert isinstance(answer[0], dict)
        return answer[0]

    until(lambda: described()["lastStatus"] == "RUNNING")
    ecs.stop_task(cluster=CLUSTER, task=arn, reason="enough")
    until(lambda: described()["lastStatus"] == "STOPPED")
    answer = described()
    assert (answer["stopCode"], answer["stoppedReason"]) == ("UserInitiated", "enough")
    assert answer["containers"][0]["exitCode"] == 143
    assert answer["createdAt"] <= answer["startedAt"] <= answer["stoppedAt"]
    assert upstream.requests == []


def test_run_task_needs_the_right_to_pass_the_roles(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
    # As the migration function's policy: RunTask in one cluster, PassRole to ECS.
    definition = emulator.define(1, app(""))
    condition = {"ArnEquals": {"ecs:cluster": CLUSTER}}
    run = allow(("ecs:RunTask", definition), Condition=condition).identity
    emulator.roles["migration"] = RolePermissions(run)
    ecs = client(guarded, "ecs", "migration")
    with pytest.raises(ClientError, match="iam:PassRole"):
        ecs.run_task(cluster=CLUSTER, taskDefinition=definition)
    parameters = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    passing = allow(("iam:PassRole", TASK_ROLE), Condition=parameters).identity
    emulator.roles["other"] = RolePermissions((*run, *passing))
    ecs = client(guarded, "ecs", "other")
    assert ecs.run_task(cluster=CLUSTER, taskDefinition=definition)["tasks"]


def test_lambda_functions_get_the_credentials_of_their_role(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
    # So the policy of the migration function is checked, too.
    role = "arn:aws:iam::000000000000:role/migration"
    emulator.roles[role] = RolePermissions(())
    case = f"{guarded.url}/_local/credentials?role={quote(role, '')}"
    with urlopen(case, timeout=10) as answer:  # noqa: S310 - on the loopback
        issued = as_boto3(json.load(answer))
    ecs = client(guarded, "ecs", **issued)
    with pytest.raises(ClientError, match="ecs:DescribeTasks"):
        ecs.describe_tasks(cluster=CLUSTER, tasks=["x"])


def test_protection_by_the_ecs_api(guarded: EcsAgent, emulator: FakeEmulator) -> None:
    emulator.serve(emulator.define(1, app()))
    task = until(lambda: tasks(guarded))[0]
    ecs = client(guarded, "ecs")
    parameters = {"cluster": CLUSTER, "tasks": [task.arn]}
    ecs.update_task_protection(**parameters, protectionEnabled=True, expiresInMinutes=5)
    (answer,) = ecs.get_task_protection(**parameters)["protectedTasks"]
    assert answer["protectionEnabled"] is True
    assert task.protection.is_on(answer["expirationDate"].timestamp() - 1)


def test_protection_of_another_pools_task_is_refused(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
    # A DAG has its worker's role, and calls the API instead of the task's endpoint.
    own = {"StringEquals": {"aws:ResourceTag/Pool": "a"}}
    emulator.roles["dag"] = allow(("ecs:UpdateTaskProtection", "*"), Condition=own)
    ecs = client(guarded, "ecs", "dag")

    def unprotect(pool: str) -> None:
        emulator.serve(emulator.define(1, app()), name=pool, task_tags={"Pool": pool})
        (task,) = until(lambda: tasks(guarded, name=pool))
        ecs.update_task_protection(
            cluster=CLUSTER, tasks=[task.arn], protectionEnabled=False
        )

    unprotect("a")
    with pytest.raises(ClientError, match="AccessDenied"):
        unprotect("b")


SEEN = [
    {
        "MetricName": "Deficit",
        "Dimensions": [{"Name": "Pool", "Value": "default"}],
        "Value": 2.0,
        "StorageResolution": 1,
    }
]
DEFICIT = Metric.of(SEEN[0], "Own")


def publisher(agent: EcsAgent, emulator: FakeEmulator) -> Any:
    """Return a client whose role may publish into one namespace."""
    emulator.roles[TASK_ROLE] = allow(
        ("cloudwatch:PutMetricData", "*"),
        Condition={"StringEquals": {"cloudwatch:namespace": "Own"}},
    )
    return client(agent, "cloudwatch", TASK_ROLE)


def test_metrics_are_stored_and_forwarded(
    guarded: EcsAgent, emulator: FakeEmulator, upstream: Upstream
) -> None:
    publisher(guarded, emulator).put_metric_data(Namespace="Own", MetricData=SEEN)
    (datum,) = guarded.autoscaler.metrics.data(DEFICIT)
    assert (datum.most, datum.resolution) == (2.0, 1)
    assert abs(datum.at - time.time()) < 5
    (request,) = upstream.requests
    assert request.headers["X-Amz-Target"].endswith(".PutMetricData")


def test_compressed_metrics_are_stored(
    guarded: EcsAgent, emulator: FakeEmulator, upstream: Upstream
) -> None:
    cloudwatch = publisher(guarded, emulator)
    cloudwatch.put_metric_data(Namespace="Own", MetricData=SEEN * 500)
    assert upstream.requests[0].headers["Content-Encoding"] == "gzip"
    assert len(guarded.autoscaler.metrics.data(DEFICIT)) == 500


def test_metrics_of_another_namespace_are_refused(
    guarded: EcsAgent, emulator: FakeEmulator, upstream: Upstream
) -> None:
    cloudwatch = publisher(guarded, emulator)
    with pytest.raises(ClientError) as refused:
        cloudwatch.put_metric_data(Namespace="AWS/ECS", MetricData=SEEN)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "cloudwatch:PutMetricData" in refused.value.response["Error"]["Message"]
    assert upstream.requests == []
    other = Metric.of(SEEN[0], "AWS/ECS")
    assert guarded.autoscaler.metrics.data(other) == []


def test_metrics_need_the_right_to_publish(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
    emulator.roles[TASK_ROLE] = allow(("s3:GetObject", f"{DAGS}/*"))
    with pytest.raises(ClientError, match="PutMetricData"):
        client(guarded, "cloudwatch", TASK_ROLE).put_metric_data(
            Namespace="Own", MetricData=SEEN
        )
