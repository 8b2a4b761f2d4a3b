"""A bucket encrypts with the key of its template.

MiniStack answered AES256 for every bucket, so that the right to a key was never needed.
"""

from __future__ import annotations

from typing import Any

from tests.local.emulator.cloud import Cloud

KEY = "arn:aws:kms:eu-central-1:123456789012:key/k"


def test_default_encryption_is_that_of_the_template(cloud: Cloud) -> None:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
    rule = {"ServerSideEncryptionByDefault": default, "BucketKeyEnabled": "true"}
    properties: dict[str, Any] = {
        "BucketEncryption": {"ServerSideEncryptionConfiguration": [rule]}
    }
    stack = cloud.create(
        {
            "Resources": {
                "Logs": {"Type": "AWS::S3::Bucket", "Properties": properties}
            },
            "Outputs": {"Name": {"Value": {"Ref": "Logs"}}},
        }
    )

    answer = cloud.s3.get_bucket_encryption(Bucket=stack.outputs["Name"])

    assert answer["ServerSideEncryptionConfiguration"]["Rules"] == [
        {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}
    ]
