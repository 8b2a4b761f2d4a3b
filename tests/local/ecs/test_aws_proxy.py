"""Calls of tasks on their way to the emulator, as boto3 makes them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
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
from local.ecs.model import ContainerDefinition
from local.ecs.policy import RolePermissions
from local.ecs.web import HttpRequest, HttpResponse, HttpServer
from tests.local.ecs.fakes import (
    CLUSTER,
    FOREVER,
    TASK_ROLE,
    FakeEmulator,
    script,
    settings,
    tasks,
    until,
)

pytestmark = pytest.mark.slow

DAGS = "arn:aws:s3:::dags"
KEY = "arn:aws:kms:eu-central-1:000000000000:key/1"
ONCE = Config(retries={"total_max_attempts": 1})


class Upstream:
    """Stands where the emulator stands and writes down what arrives."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.server = HttpServer(self._answer)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        return HttpResponse(200, b"{}", (("Content-Type", "application/json"),))


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.server.close()


@pytest.fixture
def guarded(
    emulator: FakeEmulator, upstream: Upstream, tmp_path: Path
) -> Iterator[EcsAgent]:
    made = EcsAgent(
        settings(tmp_path, emulator_url=upstream.server.url), emulator=emulator
    )
    made.start()
    yield made
    made.stop(0.3)


def client(agent: EcsAgent, service: str, role: str = "") -> Any:
    issued = agent.credentials.issue(role, "task") if role else None
    return boto3.client(
        service,
        endpoint_url=agent.url,
        region_name="eu-central-1",
        aws_access_key_id=issued.access_key if issued else "000000000000",
        aws_secret_access_key=issued.secret_key if issued else "local",
        aws_session_token=issued.token if issued else None,
        config=ONCE,
    )


def allow(*pairs: tuple[str, str], **more: Any) -> RolePermissions:
    return RolePermissions(
        tuple(
            {"Effect": "Allow", "Action": action, "Resource": resource, **more}
            for action, resource in pairs
        )
    )


def test_a_call_that_the_role_allows_arrives_in_the_emulators_account(
    guarded: EcsAgent, emulator: FakeEmulator, upstream: Upstream
) -> None:
    emulator.roles[TASK_ROLE] = allow(("s3:GetObject", f"{DAGS}/*"))
    s3 = client(guarded, "s3", TASK_ROLE)
    s3.get_object(Bucket="dags", Key="a b/c.py")
    (request,) = upstream.requests
    assert request.target == "/dags/a%20b/c.py"
    assert "Credential=000000000000/" in request.headers["Authorization"]


def test_a_call_that_the_role_does_not_allow_is_refused_and_written_down(
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


def test_an_encrypted_bucket_takes_the_right_to_its_key(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
    # A policy without kms:Decrypt reads fine from every emulator, and never on AWS.
    emulator.keys["dags"] = KEY
    emulator.roles[TASK_ROLE] = allow(("s3:GetObject", f"{DAGS}/*"))
    with pytest.raises(ClientError, match="kms:Decrypt"):
        client(guarded, "s3", TASK_ROLE).get_object(Bucket="dags", Key="c.py")


def test_listing_is_a_right_of_its_own(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
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
        *("logs", "get_log_events", {"logGroupName": "g", "logStreamName": "s"}),
        f"logs:GetLogEvents on resource: {ARN('logs', 'log-group:g:log-stream:s')}",
    ),
    (
        *("lambda", "invoke", {"FunctionName": "gate"}),
        f"lambda:InvokeFunction on resource: {ARN('lambda', 'function:gate')}",
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


@pytest.mark.parametrize("asked", CALLS, ids=lambda asked: asked[0])
def test_every_protocol_of_aws_is_read_and_refused_in_its_own_form(
    guarded: EcsAgent,
    emulator: FakeEmulator,
    asked: tuple[str, str, dict[str, Any], str],
) -> None:
    service, call, given, wanted = asked
    emulator.roles[TASK_ROLE] = RolePermissions(())
    with pytest.raises(ClientError) as refused:
        getattr(client(guarded, service, TASK_ROLE), call)(**given)
    error = refused.value.response["Error"]
    assert error["Code"] in {"AccessDenied", "AccessDeniedException"}
    assert wanted in error["Message"]


def test_credentials_with_another_token_are_refused(
    guarded: EcsAgent, upstream: Upstream
) -> None:
    issued = guarded.credentials.issue(TASK_ROLE, "task")
    s3 = boto3.client(
        "s3",
        endpoint_url=guarded.url,
        region_name="eu-central-1",
        aws_access_key_id=issued.access_key,
        aws_secret_access_key=issued.secret_key,
        aws_session_token="forged",  # noqa: S106 - it is refused
        config=ONCE,
    )
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        s3.get_object(Bucket="dags", Key="a")
    assert upstream.requests == []


def test_the_person_who_deploys_is_not_checked(
    guarded: EcsAgent, upstream: Upstream
) -> None:
    client(guarded, "s3").get_object(Bucket="dags", Key="a")
    assert len(upstream.requests) == 1


def test_tasks_run_stop_and_are_described_over_the_ecs_api(
    guarded: EcsAgent, emulator: FakeEmulator, upstream: Upstream
) -> None:
    definition = emulator.define(
        1, ContainerDefinition(name="app", command=script(FOREVER))
    )
    ecs = client(guarded, "ecs")
    given = {"cluster": CLUSTER, "taskDefinition": definition, "clientToken": "once"}
    arn = ecs.run_task(**given)["tasks"][0]["taskArn"]
    # A second delivery of the same request finds the task of the first.
    assert ecs.run_task(**given)["tasks"][0]["taskArn"] == arn

    def described() -> dict[str, Any]:
        found = ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"]
        assert isinstance(found[0], dict)
        return found[0]

    until(lambda: described()["lastStatus"] == "RUNNING")
    ecs.stop_task(cluster=CLUSTER, task=arn, reason="enough")
    until(lambda: described()["lastStatus"] == "STOPPED")
    found = described()
    assert (found["stopCode"], found["stoppedReason"]) == ("UserInitiated", "enough")
    assert found["containers"][0]["exitCode"] == 143
    assert found["createdAt"] <= found["startedAt"] <= found["stoppedAt"]
    assert upstream.requests == []


def test_a_role_runs_only_the_task_it_may_and_passes_only_its_roles(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
    # The gate's own policy, as compiled: RunTask in one cluster, PassRole to ECS.
    definition = emulator.define(1, ContainerDefinition(name="app", command=script("")))
    condition = {"ArnEquals": {"ecs:cluster": CLUSTER}}
    run = allow(("ecs:RunTask", definition), Condition=condition).identity
    emulator.roles["gate"] = RolePermissions(run)
    ecs = client(guarded, "ecs", "gate")
    with pytest.raises(ClientError, match="iam:PassRole"):
        ecs.run_task(cluster=CLUSTER, taskDefinition=definition)
    given = {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    passing = allow(("iam:PassRole", TASK_ROLE), Condition=given).identity
    emulator.roles["other"] = RolePermissions((*run, *passing))
    ecs = client(guarded, "ecs", "other")
    assert ecs.run_task(cluster=CLUSTER, taskDefinition=definition)["tasks"]


def test_a_function_of_the_emulators_gets_the_credentials_of_its_role(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
    # The migration job is a function; unchecked, its policy would be proven by nothing.
    role = "arn:aws:iam::000000000000:role/gate"
    emulator.roles[role] = RolePermissions(())
    asked = f"{guarded.url}/_local/credentials?role={quote(role, '')}"
    with urlopen(asked, timeout=10) as answer:  # noqa: S310 - on the loopback
        issued = json.load(answer)
    ecs = boto3.client(
        "ecs",
        endpoint_url=guarded.url,
        region_name="eu-central-1",
        aws_access_key_id=issued["AccessKeyId"],
        aws_secret_access_key=issued["SecretAccessKey"],
        aws_session_token=issued["Token"],
        config=ONCE,
    )
    with pytest.raises(ClientError, match="ecs:DescribeTasks"):
        ecs.describe_tasks(cluster=CLUSTER, tasks=["x"])


def test_protection_works_over_the_ecs_api_too(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
    emulator.serve(
        emulator.define(1, ContainerDefinition(name="app", command=script(FOREVER)))
    )
    task = until(lambda: tasks(guarded))[0]
    ecs = client(guarded, "ecs")
    given = {"cluster": CLUSTER, "tasks": [task.arn]}
    ecs.update_task_protection(**given, protectionEnabled=True, expiresInMinutes=5)
    (found,) = ecs.get_task_protection(**given)["protectedTasks"]
    assert found["protectionEnabled"] is True
    assert task.protection.is_on(found["expirationDate"].timestamp() - 1)


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


def test_metrics_are_kept_on_their_way_to_the_emulator(
    guarded: EcsAgent, emulator: FakeEmulator, upstream: Upstream
) -> None:
    publisher(guarded, emulator).put_metric_data(Namespace="Own", MetricData=SEEN)
    (datum,) = guarded.autoscaler.metrics.data(DEFICIT)
    assert (datum.most, datum.resolution) == (2.0, 1)
    assert abs(datum.at - time.time()) < 5
    (request,) = upstream.requests
    assert request.headers["X-Amz-Target"].endswith(".PutMetricData")


def test_a_long_request_comes_compressed_and_is_read_all_the_same(
    guarded: EcsAgent, emulator: FakeEmulator, upstream: Upstream
) -> None:
    cloudwatch = publisher(guarded, emulator)
    cloudwatch.put_metric_data(Namespace="Own", MetricData=SEEN * 500)
    assert upstream.requests[0].headers["Content-Encoding"] == "gzip"
    assert len(guarded.autoscaler.metrics.data(DEFICIT)) == 500


def test_another_namespace_is_refused_and_not_kept(
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


def test_a_role_without_the_right_publishes_nothing(
    guarded: EcsAgent, emulator: FakeEmulator
) -> None:
    emulator.roles[TASK_ROLE] = allow(("s3:GetObject", f"{DAGS}/*"))
    with pytest.raises(ClientError, match="PutMetricData"):
        client(guarded, "cloudwatch", TASK_ROLE).put_metric_data(
            Namespace="Own", MetricData=SEEN
        )
