"""The bucket and what is put into it, against S3 and STS of moto."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from cli.errors import Denied, Failure, Problem, Refused, Unable, UsageError
from deploy import bucket
from deploy.aws import Aws
from deploy.dist import Dist
from deploy.publishing import existing_publication, publish
from tests.deploy.fakes import FILES, REGION, FakeAws, dist, error, write

DEFAULT_BUCKET = f"airflow-on-fargate-123456789012-{REGION}"


@pytest.fixture
def aws() -> Iterator[Aws]:
    with mock_aws():
        yield Aws(region=REGION)


@pytest.fixture
def their_bucket(aws: Aws) -> str:
    """A bucket of the operator's choice."""
    aws.call(
        "s3",
        "create_bucket",
        Bucket="our-templates",
        CreateBucketConfiguration={"LocationConstraint": REGION},
    )
    return "our-templates"


def objects(name: str) -> dict[str, int]:
    listed = boto3.client("s3", region_name=REGION).list_object_versions(Bucket=name)
    keys = [version["Key"] for version in listed.get("Versions", ())]
    return {key: keys.count(key) for key in keys}


def test_every_file_is_published_once_under_its_digest(
    aws: Aws, their_bucket: str
) -> None:
    done = publish(aws, dist(), their_bucket)
    assert objects(their_bucket) == {file.key: 1 for file in done.publication.files}


def test_an_unchanged_file_is_not_uploaded_again(aws: Aws, their_bucket: str) -> None:
    publish(aws, dist(), their_bucket)
    again = publish(aws, dist(), their_bucket)
    assert again.uploaded == ()
    assert aws.calls["s3:put_object"] == len(again.publication.files)


def test_changed_nested_template_uploads_itself_and_its_parents(
    aws: Aws, their_bucket: str
) -> None:
    publish(aws, dist(), their_bucket)
    changed = {**FILES, "network.template.json": {"Resources": {}, "Description": "x"}}
    again = publish(aws, dist(changed), their_bucket)
    assert set(again.uploaded) == {
        "network.template.json",
        "parent.template.json",
        "service-catalog.template.json",
    }


def test_parent_is_uploaded_last() -> None:
    """A concurrent launch never finds a parent without its nested templates."""
    heads: dict[str, int] = {}

    def head(Key: str, **_rest: Any) -> Any:  # noqa: N803 - AWS's word
        heads[Key] = heads.get(Key, 0) + 1
        return error("404", "Not Found") if heads[Key] == 1 else {}

    aws = FakeAws(head_bucket={"BucketRegion": REGION}, head_object=head, put_object={})
    done = publish(aws, dist(), "our-bucket")
    order = [request["Key"] for request in aws.parameters("put_object")]
    for parent, child in (
        ("parent.template.json", "network.template.json"),
        ("storage.template.json", "assets/runtime.zip"),
    ):
        keys = [done.publication[path].key for path in (child, parent)]
        assert order.index(keys[0]) < order.index(keys[1])


def test_every_upload_is_for_this_account_only_and_checked_on_arrival() -> None:
    heads: set[str] = set()

    def head(Key: str, **_rest: Any) -> Any:  # noqa: N803 - AWS's word
        is_first = Key not in heads
        heads.add(Key)
        return error("404", "Not Found") if is_first else {}

    aws = FakeAws(head_bucket={"BucketRegion": REGION}, head_object=head, put_object={})
    publish(aws, dist(), "our-bucket")
    for request in aws.parameters("put_object") + aws.parameters("head_object"):
        assert request["ExpectedBucketOwner"] == "111122223333"
    assert {g["ChecksumAlgorithm"] for g in aws.parameters("put_object")} == {"SHA256"}


def test_unreadable_file_and_principal_are_named() -> None:
    aws = FakeAws(
        head_bucket={"BucketRegion": REGION},
        head_object=Denied(Problem(where="x", what="no")),
    )
    with pytest.raises(Unable, match=r"assumed-role/Operator/me cannot read") as caught:
        publish(aws, dist(), "our-bucket")
    assert "network/" in str(caught.value)


def test_default_bucket_is_private_versioned_encrypted_and_tls_only(aws: Aws) -> None:
    assert bucket.ensure(aws, None) == DEFAULT_BUCKET
    s3 = boto3.client("s3", region_name=REGION)
    block = s3.get_public_access_block(Bucket=DEFAULT_BUCKET)[
        "PublicAccessBlockConfiguration"
    ]
    assert set(block.values()) == {True}
    assert s3.get_bucket_versioning(Bucket=DEFAULT_BUCKET)["Status"] == "Enabled"
    rules = s3.get_bucket_encryption(Bucket=DEFAULT_BUCKET)[
        "ServerSideEncryptionConfiguration"
    ]
    assert rules["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    ownership = s3.get_bucket_ownership_controls(Bucket=DEFAULT_BUCKET)[
        "OwnershipControls"
    ]
    assert ownership["Rules"][0]["ObjectOwnership"] == "BucketOwnerEnforced"
    statement = json.loads(s3.get_bucket_policy(Bucket=DEFAULT_BUCKET)["Policy"])[
        "Statement"
    ][0]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [
        f"arn:aws:s3:::{DEFAULT_BUCKET}",
        f"arn:aws:s3:::{DEFAULT_BUCKET}/*",
    ]


def test_interrupted_creation_of_the_bucket_is_completed(aws: Aws) -> None:
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(
        Bucket=DEFAULT_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    bucket.ensure(aws, None)
    assert s3.get_bucket_versioning(Bucket=DEFAULT_BUCKET)["Status"] == "Enabled"
    assert "TlsOnly" in s3.get_bucket_policy(Bucket=DEFAULT_BUCKET)["Policy"]


def test_configured_default_bucket_is_not_changed(aws: Aws) -> None:
    bucket.ensure(aws, None)
    before = aws.calls.copy()
    bucket.ensure(aws, None)
    assert dict(aws.calls - before) == {"s3:head_bucket": 1, "s3:get_bucket_policy": 1}


def test_us_east_1_has_no_location_constraint() -> None:
    """S3 refuses us-east-1 as a location constraint."""
    with mock_aws():
        assert bucket.ensure(Aws(region="us-east-1"), None).endswith("us-east-1")


def test_the_operators_bucket_is_not_changed(aws: Aws, their_bucket: str) -> None:
    before = aws.calls.copy()
    bucket.ensure(aws, their_bucket)
    assert set(aws.calls - before) <= {"s3:head_bucket", "sts:get_caller_identity"}


def test_missing_bucket_is_a_usage_error(aws: Aws) -> None:
    with pytest.raises(UsageError, match="The bucket does not exist"):
        bucket.ensure(aws, "nowhere")


def test_a_bucket_of_another_account_is_refused() -> None:
    aws = FakeAws(head_bucket=Denied(Problem(where="b", what="Forbidden")))
    with pytest.raises(Refused, match="not a bucket of account 111122223333"):
        bucket.ensure(aws, "theirs")
    assert aws.parameters("head_bucket")[0]["ExpectedBucketOwner"] == "111122223333"


@pytest.mark.parametrize(
    "answer", [{"BucketRegion": "us-east-1"}, error("301", "Moved Permanently")]
)
def test_a_bucket_in_another_region_is_refused(answer: Any) -> None:
    with pytest.raises(Refused, match="the stack is in eu-central-1"):
        bucket.ensure(FakeAws(head_bucket=answer), "elsewhere")


def test_bucket_name_of_another_account_is_refused() -> None:
    aws = FakeAws(
        head_bucket=error("404", "Not Found"),
        create_bucket=error("BucketAlreadyExists", "taken"),
    )
    with pytest.raises(Refused, match="Another account uses this name"):
        bucket.ensure(aws, None)


def test_concurrent_creation_of_the_bucket_succeeds() -> None:
    aws = FakeAws(
        head_bucket=error("404", "Not Found"),
        create_bucket=error("BucketAlreadyOwnedByYou", "yours"),
        put_public_access_block={},
        put_bucket_versioning={},
        put_bucket_encryption={},
        put_bucket_lifecycle_configuration={},
        put_bucket_policy={},
    )
    assert bucket.ensure(aws, None).startswith("airflow-on-fargate-111122223333")


def test_link_to_unpublished_files_is_refused(aws: Aws, their_bucket: str) -> None:
    with pytest.raises(Refused, match="publish first"):
        existing_publication(aws, dist(), their_bucket)
    publish(aws, dist(), their_bucket)
    assert existing_publication(aws, dist(), their_bucket).root_url


def test_changed_file_of_dist_is_not_deployed(tmp_path: Path) -> None:
    """Only linted files are deployed."""
    folder = write(tmp_path / "dist")
    (folder / "network.template.json").write_text("{}")
    with pytest.raises(Unable, match="not as the build wrote it"):
        Dist.read(folder)


def test_a_missing_file_of_dist_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "dist")
    (folder / "assets" / "runtime.zip").unlink()
    with pytest.raises(Unable, match=r"runtime\.zip is missing"):
        Dist.read(folder)


def test_missing_build_is_reported(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="make templates"):
        Dist.read(tmp_path)


def test_unknown_environment_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="dev, prod"):
        dist().environment("test")


@pytest.mark.parametrize("name", ["1x", "a" * 129, "under_score", ""])
def test_invalid_stack_name_is_a_usage_error(name: str) -> None:
    if name:
        with pytest.raises(UsageError):
            dist().environment("dev", name)
    else:
        assert dist().environment("dev", name).stack_name == "airflow-dev"


def test_stack_name_of_128_characters_is_valid() -> None:
    assert dist().environment("dev", "a" * 128).stack_name == "a" * 128


def test_protection_follows_the_parameter_of_the_environment() -> None:
    """Staging says nothing about it and is protected by the default."""
    assert not dist().environment("dev").is_protected
    assert dist().environment("prod").is_protected
