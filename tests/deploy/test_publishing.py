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

OURS = f"airflow-on-fargate-123456789012-{REGION}"


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
    keys = [one["Key"] for one in listed.get("Versions", ())]
    return {key: keys.count(key) for key in keys}


def test_every_file_is_there_once_under_its_digest(aws: Aws, their_bucket: str) -> None:
    done = publish(aws, dist(), their_bucket)
    assert objects(their_bucket) == {file.key: 1 for file in done.publication.files}


def test_an_unchanged_file_is_not_uploaded_again(aws: Aws, their_bucket: str) -> None:
    publish(aws, dist(), their_bucket)
    again = publish(aws, dist(), their_bucket)
    assert again.uploaded == ()
    assert aws.calls["s3:put_object"] == len(again.publication.files)


def test_a_changed_child_brings_only_itself_and_its_parents(
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


def test_the_parent_goes_last() -> None:
    """A launch by somebody else never finds a parent without its children."""
    heads: dict[str, int] = {}

    def head(Key: str, **_rest: Any) -> Any:  # noqa: N803 - AWS's word
        heads[Key] = heads.get(Key, 0) + 1
        return error("404", "Not Found") if heads[Key] == 1 else {}

    aws = FakeAws(head_bucket={"BucketRegion": REGION}, head_object=head, put_object={})
    done = publish(aws, dist(), "b")
    order = [given["Key"] for given in aws.parameters("put_object")]
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
    publish(aws, dist(), "b")
    for given in aws.parameters("put_object") + aws.parameters("head_object"):
        assert given["ExpectedBucketOwner"] == "111122223333"
    assert {g["ChecksumAlgorithm"] for g in aws.parameters("put_object")} == {"SHA256"}


def test_who_cannot_read_what_is_said() -> None:
    aws = FakeAws(
        head_bucket={"BucketRegion": REGION},
        head_object=Denied(Problem(where="x", what="no")),
    )
    with pytest.raises(Unable, match=r"assumed-role/Operator/me cannot read") as caught:
        publish(aws, dist(), "b")
    assert "network/" in str(caught.value)


def test_our_bucket_is_private_versioned_encrypted_and_tls_only(aws: Aws) -> None:
    assert bucket.ensure(aws, None) == OURS
    s3 = boto3.client("s3", region_name=REGION)
    block = s3.get_public_access_block(Bucket=OURS)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    assert s3.get_bucket_versioning(Bucket=OURS)["Status"] == "Enabled"
    rules = s3.get_bucket_encryption(Bucket=OURS)["ServerSideEncryptionConfiguration"]
    assert rules["Rules"][0]["ApplyServerSideEncryptionByDefault"]
    ownership = s3.get_bucket_ownership_controls(Bucket=OURS)["OwnershipControls"]
    assert ownership["Rules"][0]["ObjectOwnership"] == "BucketOwnerEnforced"
    statement = json.loads(s3.get_bucket_policy(Bucket=OURS)["Policy"])["Statement"][0]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [f"arn:aws:s3:::{OURS}", f"arn:aws:s3:::{OURS}/*"]


def test_a_bucket_whose_making_was_interrupted_is_finished(aws: Aws) -> None:
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(
        Bucket=OURS, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    bucket.ensure(aws, None)
    assert s3.get_bucket_versioning(Bucket=OURS)["Status"] == "Enabled"
    assert "TlsOnly" in s3.get_bucket_policy(Bucket=OURS)["Policy"]


def test_our_finished_bucket_is_left_alone(aws: Aws) -> None:
    bucket.ensure(aws, None)
    before = aws.calls.copy()
    bucket.ensure(aws, None)
    assert dict(aws.calls - before) == {"s3:head_bucket": 1, "s3:get_bucket_policy": 1}


def test_the_first_region_is_not_named_when_a_bucket_is_made() -> None:
    """S3 refuses us-east-1 as a location constraint."""
    with mock_aws():
        assert bucket.ensure(Aws(region="us-east-1"), None).endswith("us-east-1")


def test_the_operators_bucket_is_not_changed(aws: Aws, their_bucket: str) -> None:
    before = aws.calls.copy()
    bucket.ensure(aws, their_bucket)
    assert set(aws.calls - before) <= {"s3:head_bucket", "sts:get_caller_identity"}


def test_a_bucket_that_is_not_there_is_wrong_use(aws: Aws) -> None:
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


def test_a_name_that_another_account_has_taken_is_said() -> None:
    aws = FakeAws(
        head_bucket=error("404", "Not Found"),
        create_bucket=error("BucketAlreadyExists", "taken"),
    )
    with pytest.raises(Refused, match="Another account uses this name"):
        bucket.ensure(aws, None)


def test_two_who_make_the_bucket_at_once_both_get_it() -> None:
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


def test_nothing_is_linked_to_that_is_not_published(
    aws: Aws, their_bucket: str
) -> None:
    with pytest.raises(Refused, match="publish first"):
        existing_publication(aws, dist(), their_bucket)
    publish(aws, dist(), their_bucket)
    assert existing_publication(aws, dist(), their_bucket).root_url


def test_a_changed_file_of_dist_is_not_delivered(tmp_path: Path) -> None:
    """What is delivered is what was linted."""
    folder = write(tmp_path / "dist")
    (folder / "network.template.json").write_text("{}")
    with pytest.raises(Unable, match="not as the build wrote it"):
        Dist.read(folder)


def test_a_missing_file_of_dist_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "dist")
    (folder / "assets" / "runtime.zip").unlink()
    with pytest.raises(Unable, match=r"runtime\.zip is missing"):
        Dist.read(folder)


def test_without_a_build_there_is_nothing_to_deliver(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="make templates"):
        Dist.read(tmp_path)


def test_an_unknown_environment_lists_those_that_are_known() -> None:
    with pytest.raises(UsageError, match="dev, prod"):
        dist().environment("test")


@pytest.mark.parametrize("name", ["1x", "a" * 129, "under_score", ""])
def test_a_stack_name_that_cloudformation_refuses_is_wrong_use(name: str) -> None:
    if name:
        with pytest.raises(UsageError):
            dist().environment("dev", name)
    else:
        assert dist().environment("dev", name).stack_name == "airflow-dev"


def test_a_stack_name_of_128_characters_is_taken() -> None:
    assert dist().environment("dev", "a" * 128).stack_name == "a" * 128


def test_protection_follows_the_environments_own_choice() -> None:
    """Staging says nothing about it and is protected by the default."""
    assert not dist().environment("dev").is_protected
    assert dist().environment("prod").is_protected
