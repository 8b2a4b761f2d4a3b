"""Controls 38 to 57: secrets, the key, buckets, the topic and logs of production."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compliance.environments import Estate, Estates, as_list, condition_keys
from tests.resolver import PSEUDO

KEY = "<Encryption.Key.Arn>"
ACCOUNT = PSEUDO["AWS::AccountId"]
ACCESS_LOGS = "Storage.AccessLogs"


@pytest.mark.control(38)
def test_every_secret_lies_under_our_key(estates: Estates) -> None:
    for estate in estates.each:
        for place, secret in estate.of("SecretsManager::Secret").items():
            assert secret["KmsKeyId"] == KEY, place


@pytest.mark.control(39, 40)
def test_every_secret_is_generated_and_safe_in_a_url(estates: Estates) -> None:
    # Some of # / ? [ ] @ % break one of three URL parsers.
    for place, secret in estates.usual.of("SecretsManager::Secret").items():
        assert secret["GenerateSecretString"]["ExcludePunctuation"] is True, place
        assert not secret["GenerateSecretString"].get("IncludeSpace"), place
        assert "SecretString" not in secret, place


@pytest.mark.control(41, 44)
def test_the_key_rotates_and_a_deletion_can_be_taken_back_for_a_month(
    estates: Estates,
) -> None:
    key = estates.usual.one("KMS::Key")
    assert key["EnableKeyRotation"] is True
    assert key["PendingWindowInDays"] == 30


def key_statements(estate: Estate) -> list[dict[str, Any]]:
    statements: list[dict[str, Any]] = estate.one("KMS::Key")["KeyPolicy"]["Statement"]
    assert statements
    return statements


@pytest.mark.control(42)
def test_the_key_lets_nobody_in_by_a_wildcard(estates: Estates) -> None:
    allowing = [s for s in key_statements(estates.usual) if s["Effect"] == "Allow"]
    assert allowing
    for statement in allowing:
        assert isinstance(statement["Principal"], dict), statement["Sid"]
        for principals in statement["Principal"].values():
            assert not any("*" in each for each in as_list(principals))


@pytest.mark.control(43)
def test_a_service_uses_the_key_for_this_account_only(estates: Estates) -> None:
    served = 0
    for statement in key_statements(estates.usual):
        principal = statement["Principal"]
        if statement["Effect"] != "Allow" or "Service" not in as_list(principal)[0]:
            continue
        served += 1
        bonds = {
            "aws:SourceAccount",
            "kms:EncryptionContext:aws:logs:arn",
            "kms:EncryptionContext:aws:ecs:clusterAccount",
        }
        assert condition_keys(statement) & bonds, statement["Sid"]
        assert ACCOUNT in str(statement["Condition"]), statement["Sid"]
    assert served


@pytest.mark.control(45)
def test_no_bucket_can_become_public(estates: Estates) -> None:
    for place, bucket in estates.usual.of("S3::Bucket").items():
        blocks = bucket["PublicAccessBlockConfiguration"]
        assert blocks == {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        }, place


def bucket_policies(estate: Estate) -> dict[str, list[dict[str, Any]]]:
    """Return the statements of each bucket's policy, by the bucket."""
    found: dict[str, list[dict[str, Any]]] = {}
    for policy in estate.of("S3::BucketPolicy").values():
        bucket = policy["Bucket"].strip("<>")
        assert bucket not in found, "S3 keeps one policy a bucket"
        found[bucket] = policy["PolicyDocument"]["Statement"]
    assert found.keys() == estate.of("S3::Bucket").keys()
    return found


@pytest.mark.control(46)
def test_no_bucket_answers_without_tls(estates: Estates) -> None:
    for bucket, statements in bucket_policies(estates.usual).items():
        assert any(
            statement["Effect"] == "Deny"
            and statement["Principal"] == "*"
            and statement["Action"] == ["s3:*"]
            and statement["Resource"] == [f"<{bucket}.Arn>", f"<{bucket}.Arn>/*"]
            and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in statements
        ), bucket


@pytest.mark.control(47)
def test_a_replaced_file_can_be_brought_back(estates: Estates) -> None:
    for place, bucket in estates.usual.of("S3::Bucket").items():
        assert bucket["VersioningConfiguration"]["Status"] == "Enabled", place


@pytest.mark.control(48)
def test_nothing_unseen_is_paid_for_for_ever(estates: Estates) -> None:
    for place, bucket in estates.usual.of("S3::Bucket").items():
        rules = bucket["LifecycleConfiguration"]["Rules"]
        on = [rule for rule in rules if rule["Status"] == "Enabled"]
        assert any("NoncurrentVersionExpiration" in rule for rule in on), place
        assert any("AbortIncompleteMultipartUpload" in rule for rule in on), place


@pytest.mark.control(49)
def test_dags_and_task_logs_lie_under_our_key_with_few_calls_to_it(
    estates: Estates,
) -> None:
    buckets = estates.usual.of("S3::Bucket")
    assert len(buckets) > 1
    for place, bucket in buckets.items():
        encryption = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        (rule,) = encryption
        default = rule["ServerSideEncryptionByDefault"]
        if place == ACCESS_LOGS:
            # A load balancer cannot write under our key: decision 7.
            assert default == {"SSEAlgorithm": "AES256"}
            continue
        assert default == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}, place
        assert rule["BucketKeyEnabled"] is True, place


@pytest.mark.control(50)
def test_who_asked_for_what_is_recorded(estates: Estates) -> None:
    buckets = estates.usual.of("S3::Bucket")
    for place in buckets.keys() - {ACCESS_LOGS}:
        logging = buckets[place]["LoggingConfiguration"]
        assert logging["DestinationBucketName"] == f"<{ACCESS_LOGS}>", place
    assert "LoggingConfiguration" not in buckets[ACCESS_LOGS]


@pytest.mark.control(51)
def test_no_bucket_knows_access_lists(estates: Estates) -> None:
    for place, bucket in estates.usual.of("S3::Bucket").items():
        rules = bucket["OwnershipControls"]["Rules"]
        assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}], place
        assert "AccessControl" not in bucket, place


@pytest.mark.control(52)
def test_no_other_account_writes_our_access_logs(estates: Estates) -> None:
    written = 0
    for statements in bucket_policies(estates.usual).values():
        for statement in statements:
            if statement["Effect"] != "Allow":
                continue
            written += 1
            assert "aws:SourceAccount" in condition_keys(statement), statement["Sid"]
            if "StringEquals" not in statement["Condition"]:
                # Where the key may be missing, the path names the account.
                (path,) = statement["Resource"]
                assert path == f"<{ACCESS_LOGS}.Arn>/AWSLogs/{ACCOUNT}/*"
    assert written == 2


@pytest.mark.control(53)
def test_alarms_lie_under_a_key_that_cloudwatch_may_use(estates: Estates) -> None:
    # Under alias/aws/sns an alarm is lost without a sign.
    assert estates.usual.one("SNS::Topic")["KmsMasterKeyId"] == KEY
    services = {
        service
        for statement in key_statements(estates.usual)
        if "GenerateDataKey" in str(statement["Action"])
        for service in as_list(dict(statement["Principal"]).get("Service", []))
    }
    assert {"cloudwatch.amazonaws.com", "events.rds.amazonaws.com"} <= services


@pytest.mark.control(54)
def test_nobody_spoofs_an_alarm(estates: Estates) -> None:
    policy = estates.usual.one("SNS::TopicPolicy")["PolicyDocument"]
    allowing = [s for s in policy["Statement"] if s["Effect"] == "Allow"]
    assert allowing
    for statement in allowing:
        assert list(statement["Principal"]) == ["Service"]
        conditions = statement["Condition"]
        assert conditions["StringEquals"]["aws:SourceAccount"] == ACCOUNT
        assert f":{ACCOUNT}:" in conditions["ArnLike"]["aws:SourceArn"]


@pytest.mark.control(55, 57)
def test_every_log_expires_lies_under_our_key_and_outlives_the_stack(
    estates: Estates,
) -> None:
    for estate in estates.each:
        for place, group in estate.whole("Logs::LogGroup").items():
            assert group["Properties"]["RetentionInDays"], place
            assert group["Properties"]["KmsKeyId"] == KEY, place
            assert group["DeletionPolicy"] == "Retain", place
            assert group["UpdateReplacePolicy"] == "Retain", place


@pytest.mark.control(56)
def test_an_audit_can_look_back_a_year(estates: Estates) -> None:
    for estate in estates.each:
        for place, group in estate.of("Logs::LogGroup").items():
            assert int(group["RetentionInDays"]) >= 365, place
        expiring = 0
        for place, bucket in estate.of("S3::Bucket").items():
            for rule in bucket["LifecycleConfiguration"]["Rules"]:
                if "ExpirationInDays" in rule:
                    expiring += 1
                    assert int(rule["ExpirationInDays"]) >= 365, place
        assert expiring == 2
