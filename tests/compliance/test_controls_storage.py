"""Controls 38 to 57: secrets, the KMS key, buckets, the alarm topic and logs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compliance.environments import Environments, ResolvedEnvironment, as_list
from tests.resolver import PSEUDO

KEY = "<Encryption.Key.Arn>"
ACCOUNT = PSEUDO["AWS::AccountId"]
ACCESS_LOGS = "Storage.AccessLogs"


@pytest.mark.control(38)
def test_secrets_use_a_customer_key(environments: Environments) -> None:
    for environment in environments.variants:
        for place, secret in environment.properties("SecretsManager::Secret").items():
            assert secret["KmsKeyId"] == KEY, place


@pytest.mark.control(39, 40)
def test_secrets_have_no_punctuation(environments: Environments) -> None:
    # Some of # / ? [ ] @ % break one of three URL parsers.
    for place, secret in environments.base.properties("SecretsManager::Secret").items():
        assert secret["GenerateSecretString"]["ExcludePunctuation"] is True, place
        assert not secret["GenerateSecretString"].get("IncludeSpace"), place
        assert "SecretString" not in secret, place


@pytest.mark.control(41, 44)
def test_key_rotates_and_waits_for_deletion(environments: Environments) -> None:
    key = environments.base.single("KMS::Key")
    assert key["EnableKeyRotation"] is True
    assert key["PendingWindowInDays"] == 30


def key_statements(environment: ResolvedEnvironment) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = environment.single("KMS::Key")["KeyPolicy"][
        "Statement"
    ]
    assert statements
    return statements


@pytest.mark.control(42)
def test_key_policy_allows_no_wildcard_principal(environments: Environments) -> None:
    allowing = [s for s in key_statements(environments.base) if s["Effect"] == "Allow"]
    assert allowing
    for statement in allowing:
        assert isinstance(statement["Principal"], dict), statement["Sid"]
        for principals in statement["Principal"].values():
            assert not any("*" in each for each in as_list(principals))


@pytest.mark.control(43)
def test_key_serves_this_account_only(environments: Environments) -> None:
    count = 0
    for statement in key_statements(environments.base):
        principal = statement["Principal"]
        if statement["Effect"] != "Allow" or "Service" not in as_list(principal)[0]:
            continue
        count += 1
        keys = {
            "aws:SourceAccount",
            "kms:EncryptionContext:aws:logs:arn",
            "kms:EncryptionContext:aws:ecs:clusterAccount",
        }
        values = [
            value
            for test in statement["Condition"].values()
            for key, value in test.items()
            if key in keys
        ]
        assert values, statement["Sid"]
        assert all(ACCOUNT in value for value in values), statement["Sid"]
    assert count


@pytest.mark.control(45)
def test_buckets_block_public_access(environments: Environments) -> None:
    for place, bucket in environments.base.properties("S3::Bucket").items():
        blocks = bucket["PublicAccessBlockConfiguration"]
        assert blocks == {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        }, place


def bucket_policies(
    environment: ResolvedEnvironment,
) -> dict[str, list[dict[str, Any]]]:
    """Return the statements of each bucket's policy, by the bucket."""
    by_bucket: dict[str, list[dict[str, Any]]] = {}
    for policy in environment.properties("S3::BucketPolicy").values():
        bucket = policy["Bucket"].strip("<>")
        assert bucket not in by_bucket, "S3 keeps one policy a bucket"
        by_bucket[bucket] = policy["PolicyDocument"]["Statement"]
    assert by_bucket.keys() == environment.properties("S3::Bucket").keys()
    return by_bucket


@pytest.mark.control(46)
def test_buckets_deny_requests_without_tls(environments: Environments) -> None:
    # One resource alone leaves either the bucket or its objects open.
    for bucket, statements in bucket_policies(environments.base).items():
        assert any(
            statement["Effect"] == "Deny"
            and statement["Principal"] == "*"
            and statement["Action"] == ["s3:*"]
            and statement["Resource"] == [f"<{bucket}.Arn>", f"<{bucket}.Arn>/*"]
            and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in statements
        ), bucket


@pytest.mark.control(47)
def test_buckets_keep_versions(environments: Environments) -> None:
    for place, bucket in environments.base.properties("S3::Bucket").items():
        assert bucket["VersioningConfiguration"]["Status"] == "Enabled", place


@pytest.mark.control(48)
def test_old_versions_and_incomplete_uploads_expire(environments: Environments) -> None:
    for place, bucket in environments.base.properties("S3::Bucket").items():
        rules = bucket["LifecycleConfiguration"]["Rules"]
        on = [rule for rule in rules if rule["Status"] == "Enabled"]
        assert any("NoncurrentVersionExpiration" in rule for rule in on), place
        assert any("AbortIncompleteMultipartUpload" in rule for rule in on), place


@pytest.mark.control(49)
def test_buckets_use_a_customer_and_bucket_key(environments: Environments) -> None:
    buckets = environments.base.properties("S3::Bucket")
    assert len(buckets) > 1
    for place, bucket in buckets.items():
        encryption = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        (rule,) = encryption
        default = rule["ServerSideEncryptionByDefault"]
        if place == ACCESS_LOGS:
            # A load balancer cannot write under a customer key: decision 7.
            assert default == {"SSEAlgorithm": "AES256"}
            continue
        assert default == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}, place
        assert rule["BucketKeyEnabled"] is True, place


@pytest.mark.control(50)
def test_bucket_access_is_logged(environments: Environments) -> None:
    buckets = environments.base.properties("S3::Bucket")
    for place in buckets.keys() - {ACCESS_LOGS}:
        logging = buckets[place]["LoggingConfiguration"]
        assert logging["DestinationBucketName"] == f"<{ACCESS_LOGS}>", place
    assert "LoggingConfiguration" not in buckets[ACCESS_LOGS]


@pytest.mark.control(51)
def test_buckets_have_no_access_lists(environments: Environments) -> None:
    for place, bucket in environments.base.properties("S3::Bucket").items():
        rules = bucket["OwnershipControls"]["Rules"]
        assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}], place
        assert "AccessControl" not in bucket, place


@pytest.mark.control(52)
def test_access_logs_are_written_for_this_account(environments: Environments) -> None:
    buckets, balancers = (
        statement
        for statements in bucket_policies(environments.base).values()
        for statement in statements
        if statement["Effect"] == "Allow"
    )
    assert buckets["Action"] == balancers["Action"] == ["s3:PutObject"]
    assert buckets["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    assert buckets["Condition"] == {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnEquals": {
            "aws:SourceArn": [
                *("<Storage.Dags.Arn>", "<Storage.Releases.Arn>"),
                "<Storage.TaskLogs.Arn>",
            ]
        },
    }
    assert balancers["Principal"] == {
        "Service": "logdelivery.elasticloadbalancing.amazonaws.com"
    }
    assert balancers["Condition"] == {
        "StringEqualsIfExists": {"aws:SourceAccount": ACCOUNT}
    }
    # Where the key may be missing, the path names the account.
    assert balancers["Resource"] == [f"<{ACCESS_LOGS}.Arn>/AWSLogs/{ACCOUNT}/*"]


@pytest.mark.control(53)
def test_alarm_topic_key_admits_its_publishers(environments: Environments) -> None:
    # Under alias/aws/sns an alarm is lost without an error.
    assert environments.base.single("SNS::Topic")["KmsMasterKeyId"] == KEY
    services = {
        service
        for statement in key_statements(environments.base)
        if "GenerateDataKey" in str(statement["Action"])
        for service in as_list(dict(statement["Principal"]).get("Service", []))
    }
    assert {"cloudwatch.amazonaws.com", "events.rds.amazonaws.com"} <= services


@pytest.mark.control(54)
def test_alarm_topic_publishers_are_named(environments: Environments) -> None:
    policy = environments.base.single("SNS::TopicPolicy")["PolicyDocument"]
    allowing = [s for s in policy["Statement"] if s["Effect"] == "Allow"]
    assert allowing
    for statement in allowing:
        assert list(statement["Principal"]) == ["Service"]
        assert statement["Action"] == ["sns:Publish"]
        conditions = statement["Condition"]
        assert conditions["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
        source = conditions["ArnLike"]["aws:SourceArn"]
        assert f":{ACCOUNT}:" in source
        service = statement["Principal"]["Service"].removeprefix("events.")
        assert source.split(":")[2] == service.partition(".")[0]
    assert {statement["Principal"]["Service"] for statement in allowing} == {
        "cloudwatch.amazonaws.com",
        "events.rds.amazonaws.com",
    }


@pytest.mark.control(55, 57)
def test_log_groups_expire_and_are_encrypted(environments: Environments) -> None:
    for environment in environments.variants:
        for place, group in environment.resources("Logs::LogGroup").items():
            assert group["Properties"]["RetentionInDays"], place
            assert group["Properties"]["KmsKeyId"] == KEY, place
            assert group["DeletionPolicy"] == "RetainExceptOnCreate", place
            assert group["UpdateReplacePolicy"] == "Retain", place


@pytest.mark.control(56)
def test_logs_are_kept_for_a_year(environments: Environments) -> None:
    for environment in environments.variants:
        for place, group in environment.properties("Logs::LogGroup").items():
            assert int(group["RetentionInDays"]) >= 365, place
        expiring = 0
        for place, bucket in environment.properties("S3::Bucket").items():
            for rule in bucket["LifecycleConfiguration"]["Rules"]:
                if "ExpirationInDays" in rule:
                    expiring += 1
                    assert int(rule["ExpirationInDays"]) >= 365, place
        assert expiring == 2
