"""A pool of workers in the real emulator: protected tasks are never ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from deploy import running_tasks
from deploy.aws import Aws, EmulatorEndpoint
from fargate_runtime.autoscaler.services import PoolServices
from fargate_runtime.contract import POOL_TAG
from local.ecs import AgentSettings, ContainerImage, EcsAgent
from local.ecs.metrics import Metric
from local.ecs.task import EcsTask
from local.emulator.process import EmulatorProcess
from tests.local.ecs.fakes import until
from tests.local.emulator.cloud import Cloud, Stack

pytestmark = pytest.mark.slow

WORKER = """
import json, os, time, urllib.request
def protect(is_on):
    request = urllib.request.Request(
        os.environ["ECS_AGENT_URI"] + "/task-protection/v1/state",
        json.dumps({"ProtectionEnabled": is_on, "ExpiresInMinutes": 60}).encode(),
        {"Content-Type": "application/json"},
        method="PUT",
    )
    with urllib.request.urlopen(request) as answer:
        found = json.load(answer)
    if "failure" in found:
        print(found["failure"]["Reason"], flush=True)
    return "protection" in found
while not protect(True):
    time.sleep(0.1)
print("protected", flush=True)
while not os.path.exists("/tmp/idle"):
    time.sleep(0.05)
while not protect(False):
    time.sleep(0.1)
print("released", flush=True)
time.sleep(600)
"""
IN_CLUSTER = {"ArnEquals": {"ecs:cluster": {"Fn::GetAtt": ["Cluster", "Arn"]}}}
OF_POOL = {"StringEquals": {f"aws:ResourceTag/{POOL_TAG}": "default"}}


def template(release: str, nonce: str = "1") -> dict[str, Any]:
    """Return a pool as the templates define it: no desired count, a tag, protection."""
    allowed = [
        {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition}
        for action, condition in (
            ("ecs:ListServices", IN_CLUSTER),
            ("ecs:DescribeServices", IN_CLUSTER),
            ("ecs:DescribeTasks", IN_CLUSTER),
            ("ecs:UpdateTaskProtection", IN_CLUSTER | OF_POOL),
            ("ecs:GetTaskProtection", IN_CLUSTER),
        )
    ]
    publishing = {
        "Effect": "Allow",
        "Action": "cloudwatch:PutMetricData",
        "Resource": "*",
        "Condition": {"StringEquals": {"cloudwatch:namespace": "Own"}},
    }
    role = {
        "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
        "Policies": [
            {
                "PolicyName": "own",
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [*allowed, publishing],
                },
            }
        ],
    }
    container = {
        "Name": "worker",
        "Image": "worker",
        "Command": ["python3", "-c", WORKER],
        "Environment": [{"Name": "RELEASE", "Value": release}],
        "RestartPolicy": {"Enabled": True, "RestartAttemptPeriod": 60},
    }
    kinds = {
        "Cluster": ("ECS::Cluster", {}),
        "Role": ("IAM::Role", role),
        "Definition": (
            "ECS::TaskDefinition",
            {
                "Family": "workers",
                "TaskRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "ContainerDefinitions": [container],
            },
        ),
        "Pool": (
            "ECS::Service",
            {
                "Cluster": {"Ref": "Cluster"},
                "TaskDefinition": {"Ref": "Definition"},
                "Tags": [{"Key": POOL_TAG, "Value": "default"}],
                "PropagateTags": "SERVICE",
                "ForceNewDeployment": {
                    "EnableForceNewDeployment": True,
                    "ForceNewDeploymentNonce": nonce,
                },
                "DeploymentConfiguration": {
                    "MinimumHealthyPercent": 100,
                    "MaximumPercent": 200,
                },
            },
        ),
    }
    return {
        "Resources": {
            name: {"Type": f"AWS::{kind}", "Properties": properties}
            for name, (kind, properties) in kinds.items()
        },
        "Outputs": {
            "Cluster": {"Value": {"Ref": "Cluster"}},
            "Pool": {"Value": {"Fn::GetAtt": ["Pool", "Name"]}},
            "Role": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}},
        },
    }


class WorkerPool:
    """The running pool, and ECS as the autoscaler sees it."""

    def __init__(self, cloud: Cloud, agent: EcsAgent) -> None:
        self.cloud, self.agent = cloud, agent
        self.stack: Stack = cloud.create(template("first"))
        assert self.stack.status == "CREATE_COMPLETE", cloud.failures(self.stack.id)
        self.cluster = self.stack.outputs["Cluster"]
        self.ecs = self.client("ecs")

    def client(self, service: str) -> Any:
        """Return a client as a task of the role has it."""
        issued = self.agent.credentials.issue(self.stack.outputs["Role"], "autoscaler")
        return boto3.client(
            service,
            endpoint_url=self.agent.url,
            region_name=self.cloud.emulator.region,
            aws_access_key_id=issued.access_key,
            aws_secret_access_key=issued.secret_key,
            aws_session_token=issued.token,
        )

    def scale(self, desired: int) -> None:
        """Set the desired count, as Application Auto Scaling would."""
        self.cloud.client("ecs").update_service(
            cluster=self.cluster,
            service=self.stack.outputs["Pool"],
            desiredCount=desired,
        )

    def release(self, name: str = "second", nonce: str = "1") -> None:
        """Deploy a task definition, which may be the same with another nonce."""
        updated = self.cloud.update(self.stack, template(name, nonce))
        assert updated.status == "UPDATE_COMPLETE", self.cloud.failures(self.stack.id)

    def of(
        self, release: str, log_line: str = "", status: str = "RUNNING"
    ) -> list[EcsTask]:
        """Return the tasks of a release whose log ends with a line."""
        with self.agent.lock:
            return [
                task
                for task in self.agent.tasks.values()
                if task.definition.containers[0].environment["RELEASE"] == release
                and task.status == status
                and (not log_line or last_line(task) == log_line)
            ]

    def described(self) -> dict[str, Any]:
        """Return DescribeServices of the pool, as the autoscaler gets it."""
        arns = self.ecs.list_services(cluster=self.cluster)["serviceArns"]
        (service,) = self.ecs.describe_services(
            cluster=self.cluster, services=arns, include=["TAGS"]
        )["services"]
        document: dict[str, Any] = service
        return document


def last_line(task: EcsTask) -> str:
    path = task.containers[0].stream.path
    return path.read_text().strip().rpartition("\n")[2] if path.exists() else ""


@pytest.fixture
def pool(own_emulator: EmulatorProcess, tmp_path: Path) -> Iterator[WorkerPool]:
    own_emulator.start()
    settings = AgentSettings(
        emulator_url=own_emulator.endpoint_url,
        folder=tmp_path / "a",
        image=ContainerImage(),
        region=own_emulator.region,
        account=own_emulator.account,
        tick_seconds=0.03,
        read_seconds=0.1,
        settled_seconds=0.3,
    )
    with EcsAgent(settings) as agent:
        yield WorkerPool(Cloud(own_emulator), agent)
    assert agent.problems == []


def count(pool: WorkerPool, *expected: tuple[str, str, int]) -> Callable[[], bool]:
    return lambda: all(
        len(pool.of(r, log_line)) == number for r, log_line, number in expected
    )


def make_idle(tasks: list[EcsTask]) -> None:
    for task in tasks:
        task.sandbox.folders.outside("/tmp/idle").touch()  # noqa: S108 - in the container


def test_describe_services_shows_the_tasks_that_run(pool: WorkerPool) -> None:
    until(count(pool, ("first", "protected", 1)))
    service = pool.described()
    assert {tag["key"]: tag["value"] for tag in service["tags"]}[POOL_TAG] == "default"
    assert (
        service["desiredCount"],
        service["runningCount"],
        service["pendingCount"],
    ) == (*(1, 1, 0),)
    pool.scale(3)
    until(lambda: pool.described()["runningCount"] == 3)
    assert pool.described()["desiredCount"] == 3


def test_deployment_waits_for_protected_tasks_and_ends_with_them(
    pool: WorkerPool,
) -> None:
    pool.scale(2)
    until(count(pool, ("first", "protected", 2)))
    old = pool.of("first")
    pool.release()

    # New tasks run beside the old ones; their protection is refused.
    until(count(pool, ("first", "protected", 2), ("second", "DEPLOYMENT_BLOCKED", 2)))
    service = pool.described()
    assert service["desiredCount"] == 2  # unchanged by the update of the stack
    shown = {
        deployment["status"]: (
            deployment["taskDefinition"].rpartition("/")[2],
            deployment["runningCount"],
        )
        for deployment in service["deployments"]
    }
    assert shown == {"PRIMARY": ("workers:2", 2), "ACTIVE": ("workers:1", 2)}
    assert all(task.should_run for task in old)

    # What the autoscaler does about it: room for the protection of new ones.
    pool.scale(4)
    until(count(pool, ("second", "protected", 2), ("second", "DEPLOYMENT_BLOCKED", 2)))
    assert all(task.should_run for task in old)
    make_idle(old[:1])
    until(lambda: len(pool.of("first", "released", "STOPPED")) == 1)
    until(count(pool, ("first", "protected", 1), ("second", "protected", 3)))
    make_idle(old)
    until(count(pool, ("first", "", 0), ("second", "protected", 4)))
    until(lambda: len(pool.of("first", "released", "STOPPED")) == 2)
    until(lambda: len(pool.described()["deployments"]) == 1)
    assert pool.described()["deployments"][0]["rolloutState"] == "COMPLETED"


def test_scale_in_stops_released_workers_only(pool: WorkerPool) -> None:
    pool.scale(3)
    until(count(pool, ("first", "protected", 3)))
    make_idle(pool.of("first")[:1])
    until(count(pool, ("first", "released", 1)))
    pool.scale(2)
    until(lambda: len(pool.of("first", "released", "STOPPED")) == 1)
    assert len(pool.of("first", "protected")) == 2


def test_metrics_are_stored_if_the_role_may_publish_them(pool: WorkerPool) -> None:
    datum = {"MetricName": "WorkerDeficit", "Value": 2.0, "StorageResolution": 1}
    cloudwatch = pool.client("cloudwatch")
    cloudwatch.put_metric_data(Namespace="Own", MetricData=[datum])
    # So many that the client compresses them.
    cloudwatch.put_metric_data(Namespace="Own", MetricData=[datum] * 500)
    with pytest.raises(ClientError, match="PutMetricData"):
        cloudwatch.put_metric_data(Namespace="AWS/ECS", MetricData=[datum])
    metrics = pool.agent.autoscaler.metrics
    assert len(metrics.data(Metric("Own", "WorkerDeficit", frozenset()))) == 501
    assert metrics.data(Metric("AWS/ECS", "WorkerDeficit", frozenset())) == []


def test_the_restart_policy_survives_the_launch(pool: WorkerPool) -> None:
    until(count(pool, ("first", "protected", 1)))
    (task,) = pool.of("first")
    restart = task.definition.containers[0].restart
    assert restart is not None
    assert restart.least_seconds == 60


def test_deployment_of_the_same_revision_is_told_by_its_id(pool: WorkerPool) -> None:
    until(count(pool, ("first", "protected", 1)))
    (old,) = pool.of("first")
    pool.release("first", nonce="2")
    until(count(pool, ("first", "protected", 1), ("first", "DEPLOYMENT_BLOCKED", 1)))
    (new,) = pool.of("first", "DEPLOYMENT_BLOCKED")
    assert new.definition == old.definition
    services = PoolServices(pool.ecs, pool.cluster)
    service = services.pools(["default"])[0]["default"]
    assert services.deployments([old.id, new.id]) == {
        old.id: old.deployment_id,
        new.id: service.deployment,
    }
    make_idle([old])
    until(count(pool, ("first", "protected", 1)))
    until(lambda: len(pool.described()["deployments"]) == 1)
    assert not old.should_run


def test_destroy_ends_protected_workers_and_one_off_tasks(pool: WorkerPool) -> None:
    until(count(pool, ("first", "protected", 1)))
    (worker,) = pool.of("first")
    arn = pool.cloud.client("ecs", endpoint_url=pool.agent.url).run_task(
        cluster=pool.cluster,
        taskDefinition="workers",
        overrides={
            "containerOverrides": [{"name": "worker", "command": ["sleep", "600"]}]
        },
    )["tasks"][0]["taskArn"]
    command = pool.agent.registry.find(arn)
    assert command
    until(lambda: command.status == "RUNNING")
    endpoint = EmulatorEndpoint(
        endpoint=pool.agent.url,
        region=pool.cloud.emulator.region,
        access_key_id=pool.cloud.emulator.account,
        secret_access_key="local",  # noqa: S106 - the emulator checks none
    )
    running_tasks.end(Aws(emulator=endpoint), pool.cluster)
    until(lambda: worker.is_over and command.is_over)
    assert command.stopped_reason == running_tasks.REASON
    assert pool.cloud.delete(pool.stack).status == "DELETE_COMPLETE"
