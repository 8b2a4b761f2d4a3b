"""The buckets: private, versioned, kept, and writable by whom they should be."""

from __future__ import annotations

from typing import Any

import pytest

from compiler.wiring import Build
from templates import storage
from tests.resolver import PSEUDO, Stack, deploy

ACCOUNT = PSEUDO["AWS::AccountId"]
KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/1"
BUCKETS = ("AccessLogs", "Dags", "TaskLogs")


@pytest.fixture(scope="module")
def stack() -> Stack:
    document = Build().page(storage.define).document
    given = {"KeyArn": KEY, "LogExpiryDays": "400", "AccessLogExpiryDays": "365"}
    return deploy(document, {}, given)


@pytest.fixture(scope="module")
def buckets(stack: Stack) -> dict[str, dict[str, Any]]:
    found = {
        name: resource
        for name, resource in stack.resources.items()
        if resource["Type"] == "AWS::S3::Bucket"
    }
    assert sorted(found) == sorted(BUCKETS)
    return found


def policy(stack: Stack, bucket: str) -> dict[str, dict[str, Any]]:
    """The statements of a bucket's policy by Sid."""
    (document,) = [
        resource["Properties"]["PolicyDocument"]
        for resource in stack.resources.values()
        if resource["Type"] == "AWS::S3::BucketPolicy"
        and resource["Properties"]["Bucket"] == f"<{bucket}>"
    ]
    return {statement["Sid"]: statement for statement in document["Statement"]}


@pytest.mark.parametrize("name", BUCKETS)
def test_no_bucket_can_become_public(
    buckets: dict[str, dict[str, Any]], name: str
) -> None:
    # Controls 45 and 51.
    properties = buckets[name]["Properties"]
    assert properties["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    (rule,) = properties["OwnershipControls"]["Rules"]
    assert rule == {"ObjectOwnership": "BucketOwnerEnforced"}


@pytest.mark.parametrize("name", BUCKETS)
def test_no_bucket_answers_without_tls(stack: Stack, name: str) -> None:
    # Control 46. Boolean false is a condition that some rule packs misread, and one
    # resource alone leaves either the bucket or its objects open.
    assert policy(stack, name)["TlsOnly"] == {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:*"],
        "Resource": [f"<{name}.Arn>", f"<{name}.Arn>/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


@pytest.mark.parametrize("name", BUCKETS)
def test_a_bucket_outlives_its_stack_and_every_overwriting(
    buckets: dict[str, dict[str, Any]], name: str
) -> None:
    # Control 47: a DAG released by mistake is rolled back from its old version.
    bucket = buckets[name]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    versions = bucket["Properties"]["VersioningConfiguration"]
    assert versions == {"Status": "Enabled"}


@pytest.mark.parametrize("name", BUCKETS)
def test_nothing_unseen_is_paid_for_for_ever(
    buckets: dict[str, dict[str, Any]], name: str
) -> None:
    # Control 48. S3 refuses a rule that has both days and delete markers.
    rules = buckets[name]["Properties"]["LifecycleConfiguration"]["Rules"]
    (tidy,) = [rule for rule in rules if rule["Id"] == "Tidy"]
    assert tidy["NoncurrentVersionExpiration"]["NoncurrentDays"] > 0
    assert tidy["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] > 0
    assert tidy["ExpiredObjectDeleteMarker"] is True
    assert all(rule["Status"] == "Enabled" for rule in rules)
    for rule in rules:
        assert not {"ExpirationInDays", "ExpiredObjectDeleteMarker"} <= rule.keys()


def test_logs_expire_when_the_operator_says_and_dags_never(
    buckets: dict[str, dict[str, Any]],
) -> None:
    def expiry(name: str) -> list[str]:
        rules = buckets[name]["Properties"]["LifecycleConfiguration"]["Rules"]
        return [r["ExpirationInDays"] for r in rules if "ExpirationInDays" in r]

    assert expiry("TaskLogs") == ["400"]
    assert expiry("AccessLogs") == ["365"]
    assert expiry("Dags") == []


@pytest.mark.parametrize("name", ["Dags", "TaskLogs"])
def test_dags_and_task_logs_lie_under_our_key(
    buckets: dict[str, dict[str, Any]], name: str
) -> None:
    # Control 49.
    encryption = buckets[name]["Properties"]["BucketEncryption"]
    (rule,) = encryption["ServerSideEncryptionConfiguration"]
    assert rule["BucketKeyEnabled"] is True
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": KEY,
    }


def test_a_load_balancer_can_write_where_it_logs(
    buckets: dict[str, dict[str, Any]],
) -> None:
    # With a KMS key its creation fails: access denied for bucket (aws-cdk #21947).
    encryption = buckets["AccessLogs"]["Properties"]["BucketEncryption"]
    (rule,) = encryption["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_access_is_logged_everywhere_but_in_the_log_itself(
    stack: Stack, buckets: dict[str, dict[str, Any]]
) -> None:
    # Control 50. A bucket that logs to itself grows by its own logs for ever.
    assert "LoggingConfiguration" not in buckets["AccessLogs"]["Properties"]
    (permitted,) = policy(stack, "AccessLogs")["BucketLogs"]["Resource"]
    for name in ("Dags", "TaskLogs"):
        logging = buckets[name]["Properties"]["LoggingConfiguration"]
        assert logging["DestinationBucketName"] == "<AccessLogs>"
        key = f"<AccessLogs.Arn>/{logging['LogFilePrefix']}2026-01-01"
        assert key.startswith(permitted.removesuffix("*"))


def test_only_our_buckets_and_our_load_balancers_write_access_logs(
    stack: Stack,
) -> None:
    # Control 52: other accounts cannot fill the log or forge an entry.
    statements = policy(stack, "AccessLogs")
    allowed = {s["Sid"]: s for s in statements.values() if s["Effect"] == "Allow"}
    assert allowed.keys() == {"BucketLogs", "LoadBalancerLogs"}
    for statement in allowed.values():
        assert statement["Action"] == ["s3:PutObject"]

    buckets, balancers = allowed["BucketLogs"], allowed["LoadBalancerLogs"]
    assert buckets["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert buckets["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnEquals": {"aws:SourceArn": ["<Dags.Arn>", "<TaskLogs.Arn>"]},
    }
    # A load balancer writes under its own account's number: the documented bond.
    assert balancers["Principal"] == {
        "Service": "logdelivery.elasticloadbalancing.amazonaws.com"
    }
    assert balancers["Resource"] == [f"<AccessLogs.Arn>/AWSLogs/{ACCOUNT}/*"]
    assert balancers["Condition"] == {
        "StringEqualsIfExists": {"aws:SourceAccount": ACCOUNT}
    }


def test_outputs_name_the_buckets_by_what_they_hold(stack: Stack) -> None:
    assert stack.outputs == {
        "BucketsDagBucketName": "<Dags>",
        "BucketsLogBucketName": "<TaskLogs>",
        "AccessLogBucketName": "<AccessLogs>",
    }
