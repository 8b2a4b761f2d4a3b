"""Template URLs in every style and partition."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from local.emulator import control_client
from local.emulator.patches.template_urls import (
    TemplateLocation,
    UnreadableTemplateError,
    location,
)
from tests.local.emulator.cloud import Cloud

TEMPLATE = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}


@pytest.mark.parametrize(
    "url",
    [
        "https://my-bucket.s3.eu-central-1.amazonaws.com/a/b.json",
        "https://my-bucket.s3.amazonaws.com/a/b.json",
        "https://my-bucket.s3-eu-west-1.amazonaws.com/a/b.json",
        "https://my-bucket.s3.cn-north-1.amazonaws.com.cn/a/b.json",
        "https://my-bucket.s3.us-gov-west-1.amazonaws.com/a/b.json",
        "https://s3.eu-central-1.amazonaws.com/my-bucket/a/b.json",
        "https://s3.amazonaws.com/my-bucket/a/b.json",
        "http://127.0.0.1:4566/my-bucket/a/b.json",
    ],
)
def test_every_style_names_the_same_object(url: str) -> None:
    assert location(url) == TemplateLocation(bucket="my-bucket", key="a/b.json")


def test_url_may_name_a_version() -> None:
    address = location("https://my.bucket.s3.eu-central-1.amazonaws.com/a?versionId=7")
    assert address == TemplateLocation(bucket="my.bucket", key="a", version="7")


@pytest.mark.parametrize(
    "url",
    [
        "network.template.json",
        "https://example.com/my-bucket/a.json",
        "http://my-bucket.s3.amazonaws.com/a.json",
        "https://my-bucket.s3.amazonaws.com/",
        "https://s3.amazonaws.com.evil.example/my-bucket/a.json",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UnreadableTemplateError, match="must be a supported URL"):
        location(url)


def test_named_version_is_read(cloud: Cloud) -> None:
    cloud.s3.put_bucket_versioning(
        Bucket=cloud.bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    url = cloud.publish(TEMPLATE, "v.json")
    (version,) = cloud.s3.list_object_versions(Bucket=cloud.bucket)["Versions"]
    cloud.publish({"Resources": {}}, "v.json")
    summary = cloud.cloudformation.get_template_summary(
        TemplateURL=f"{url}?versionId={version['VersionId']}"
    )
    assert summary["ResourceTypes"] == ["AWS::SNS::Topic"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://{bucket}.s3.us-east-1.amazonaws.com/none.json", "key does not exist"),
        ("https://missing.s3.us-east-1.amazonaws.com/a.json", "bucket does not exist"),
        ("https://example.com/a.json", "TemplateURL must be a supported URL."),
    ],
)
def test_unreadable_template_is_refused(url: str, words: str, cloud: Cloud) -> None:
    with pytest.raises(ClientError, match=words):
        cloud.cloudformation.create_stack(
            StackName="unread", TemplateURL=url.format(bucket=cloud.bucket)
        )


def test_child_without_access_is_reported_as_by_aws(cloud: Cloud) -> None:
    url = cloud.publish(TEMPLATE, "secret.json")
    control_client.inject_faults(
        cloud.emulator.endpoint_url, unreadable=("secret.json",)
    )
    child = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}
    stack = cloud.create({"Resources": {"Child": child}})
    assert cloud.failures(stack.id)["Child"].startswith("S3 error: Access Denied")


def test_template_above_one_megabyte_is_refused(cloud: Cloud) -> None:
    url = cloud.publish({**TEMPLATE, "Metadata": {"Filler": "x" * 1_000_001}})
    with pytest.raises(ClientError, match="may not exceed 1000000 bytes"):
        cloud.cloudformation.create_stack(StackName="large", TemplateURL=url)
