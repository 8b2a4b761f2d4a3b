"""The relay task: how it is started where the listener is not reached, and stopped."""

from __future__ import annotations

from typing import Any

import pytest

from acceptance.aws import temporary
from acceptance.aws.environment import AwsEnvironment
from acceptance.aws.temporary import Temporary
from acceptance.check import CheckFailed
from tests.acceptance.aws.recorded import CLUSTER, ECS, STACK, RecordedAws, environment

TASK = "arn:aws:ecs:eu-central-1:1:task/c/t"


class Bucket:
    """Keeps the keys of the objects that are written."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def put_object(self, *, Key: str, **_: Any) -> None:  # noqa: N803 - boto3's word
        self.written.append(Key)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    fake = Bucket()
    monkeypatch.setattr(AwsEnvironment, "client", lambda *_: fake)
    monkeypatch.setattr(AwsEnvironment, "admin", ("admin", "p/w"))
    monkeypatch.setattr(temporary, "is_reachable", lambda _: False)
    monkeypatch.setattr(temporary, "erase", lambda *_: 0)
    return fake


@pytest.fixture
def started(bucket: Bucket) -> tuple[Temporary, list[Any], list[dict[str, Any]]]:
    """Give what starts the relay, the requests to ECS, and the states of the task."""
    del bucket
    aws, requests, states = RecordedAws(), [], [{"lastStatus": "RUNNING"}]

    def run(query: Any) -> dict[str, Any]:
        requests.append(query)
        return {"tasks": [{"taskArn": TASK}], "failures": []}

    aws.answers |= {
        "ecs:run_task": run,
        "ecs:stop_task": lambda query: requests.append(query) or {},  # type: ignore[func-returns-value]
        "ecs:describe_tasks": lambda _: {"tasks": [states[-1]]},
    }
    checked = environment(aws)
    outputs = {**checked.stack.outputs, "LogBucketName": "logs"}
    object.__setattr__(checked.stack, "outputs", outputs)
    return Temporary(checked, lambda _: None), requests, states


Started = tuple[Temporary, list[Any], list[dict[str, Any]]]


def test_relay_runs_in_its_own_group_without_a_public_address(
    started: Started, bucket: Bucket
) -> None:
    used, requests, states = started

    assert used.reach(by_relay=False) == "https://a.example by the relay task t"

    (request,) = requests
    assert request["cluster"] == CLUSTER
    assert request["taskDefinition"] == f"{ECS}:task-definition/{STACK}-verification"
    assert request["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-1"],
        "securityGroups": ["sg-verification"],
        "assignPublicIp": "DISABLED",
    }
    (override,) = request["overrides"]["containerOverrides"]
    (variable,) = override["environment"]
    assert variable["name"] == "RELAY_RUN"
    # The password is in no argument of the task.
    assert "p/w" not in str(request)
    assert used.environment.relay

    states.append({"lastStatus": "STOPPED"})
    used.remove()
    assert bucket.written == [f"verification/{variable['value']}/requests/end"]
    assert not used.left
    assert used.environment.relay is None


def test_relay_that_ends_at_once_fails_with_its_reason(started: Started) -> None:
    used, _, states = started
    states.append(
        {
            "lastStatus": "STOPPED",
            "stoppedReason": "Task failed to start",
            "containers": [{"reason": "CannotPullContainerError"}],
        }
    )

    with pytest.raises(
        CheckFailed, match=r"Task failed to start \(CannotPullContainerError\)"
    ):
        used.reach(by_relay=False)


def test_relay_that_does_not_end_is_stopped(
    started: Started, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, requests, _ = started
    used.reach(by_relay=True)
    monkeypatch.setattr(temporary, "until", _never)

    used.remove()

    assert requests[-1]["task"] == TASK


def _never(*_: object, **__: object) -> None:
    raise CheckFailed("It runs.")


def test_capacity_that_is_not_there_fails(started: Started) -> None:
    used, _, _ = started
    aws: Any = used.environment.aws
    aws.answers["ecs:run_task"] = {"tasks": [], "failures": [{"reason": "CAPACITY"}]}

    with pytest.raises(CheckFailed, match="CAPACITY"):
        used.reach(by_relay=True)
