"""The buckets: expiry, access log prefixes and outputs."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.wiring import Build
from templates import storage
from tests.resolver import PSEUDO, Stack, deploy

ACCOUNT = PSEUDO["AWS::AccountId"]
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1"
BUCKETS = ("AccessLogs", "Dags", "Releases", "TaskLogs")


@pytest.fixture(scope="module")
def stack() -> Stack:
    document = Build().template(storage.define).document
    parameters = {"KeyArn": KEY, "LogExpiryDays": "400", "AccessLogExpiryDays": "365"}
    return deploy(document, {}, parameters)


@pytest.fixture(scope="module")
def buckets(stack: Stack) -> dict[str, dict[str, Any]]:
    buckets = {
        name: resource
        for name, resource in stack.resources.items()
        if resource["Type"] == "AWS::S3::Bucket"
    }
    assert sorted(buckets) == sorted(BUCKETS)
    return buckets


def test_buckets_send_events(buckets: dict[str, dict[str, Any]]) -> None:
    for name, bucket in buckets.items():
        events = bucket["Properties"]["NotificationConfiguration"]
        assert events == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}, (
            name
        )


def policy(stack: Stack, bucket: str) -> dict[str, dict[str, Any]]:
    """Return the statements of a bucket's policy by Sid."""
    (document,) = [
        resource["Properties"]["PolicyDocument"]
        for resource in stack.resources.values()
        if resource["Type"] == "AWS::S3::BucketPolicy"
        and resource["Properties"]["Bucket"] == f"<{bucket}>"
    ]
    return {statement["Sid"]: statement for statement in document["Statement"]}


@pytest.mark.parametrize("name", BUCKETS)
def test_delete_markers_expire_by_a_rule_without_days(
    buckets: dict[str, dict[str, Any]], name: str
) -> None:
    rules = buckets[name]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert any(rule.get("ExpiredObjectDeleteMarker") is True for rule in rules)
    for rule in rules:
        # S3 refuses a rule that has both.
        assert not {"ExpirationInDays", "ExpiredObjectDeleteMarker"} <= rule.keys()


def test_logs_expire_by_parameter_and_dags_never(
    buckets: dict[str, dict[str, Any]],
) -> None:
    def expiry(name: str) -> list[str]:
        rules = buckets[name]["Properties"]["LifecycleConfiguration"]["Rules"]
        return [r["ExpirationInDays"] for r in rules if "ExpirationInDays" in r]

    assert expiry("TaskLogs") == ["400"]
    assert expiry("AccessLogs") == ["365"]
    assert expiry("Dags") == expiry("Releases") == []


def test_access_log_prefixes_are_permitted(
    stack: Stack, buckets: dict[str, dict[str, Any]]
) -> None:
    (permitted,) = policy(stack, "AccessLogs")["BucketLogs"]["Resource"]
    for name in ("Dags", "Releases", "TaskLogs"):
        logging = buckets[name]["Properties"]["LoggingConfiguration"]
        key = f"<AccessLogs.Arn>/{logging['LogFilePrefix']}2026-01-01"
        assert key.startswith(permitted.removesuffix("*"))


def test_outputs_name_their_buckets(stack: Stack) -> None:
    assert stack.outputs == {
        "DagBucketName": "<Dags>",
        "ReleaseBucketName": "<Releases>",
        "LogBucketName": "<TaskLogs>",
        "AccessLogBucketName": "<AccessLogs>",
    }
