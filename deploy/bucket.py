"""The bucket that templates and assets are published in.

The operator's bucket is checked and not changed. The default bucket, one per account
and region with a name that follows from both, is created: private, versioned,
encrypted, owned by the account, TLS only. Its policy is set last: a bucket that has the
policy has all other settings, and an interrupted creation is completed by the next run.
"""

from __future__ import annotations

import json
import re

from cli.errors import AwsError, Denied, Problem, Refused, UsageError
from deploy.aws import Aws, is_missing

PREFIX = "airflow-on-fargate"

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

TLS_ONLY = "TlsOnly"

ABANDONED_UPLOAD_DAYS = 7

TAKEN = frozenset({"BucketAlreadyExists"})
CREATED_MEANWHILE = frozenset({"BucketAlreadyOwnedByYou", "OperationAborted"})
"""Another run has just created the bucket, or is creating it."""


def default_name(aws: Aws) -> str:
    """Return the name of the default bucket in this account and region."""
    return f"{PREFIX}-{aws.account}-{aws.region}"


def check(aws: Aws, name: str) -> bool:
    """Return whether the bucket exists; refuse one of another account or region."""
    try:
        head = aws.call(
            "s3",
            "head_bucket",
            name,
            Bucket=name,
            ExpectedBucketOwner=aws.account,
        )
    except Denied as error:
        raise Refused(
            Problem(
                where=f"Bucket {name}",
                what=f"It is not a bucket of account {aws.account} that "
                f"{aws.principal} may list.",
                why="The owner of the bucket controls what the stack runs; only a "
                "bucket of the same account is used.",
                remedy="Pass another --bucket, or none to have one created; if it is "
                "yours, allow s3:ListBucket on it.",
            )
        ) from error
    except AwsError as error:
        if error.code in ("301", "PermanentRedirect", "400"):
            raise _elsewhere(name, "another region", aws.region) from error
        if is_missing(error):
            return False
        raise
    region = head.get("BucketRegion") or aws.region
    if region != aws.region:
        raise _elsewhere(name, region, aws.region)
    return True


def ensure(aws: Aws, requested: str | None) -> str:
    """Return the name of a bucket to publish in; create the default one."""
    if requested and not NAME.fullmatch(requested):
        raise UsageError(
            Problem(
                where=f"--bucket {requested}",
                what="S3 has no bucket of such a name.",
                why="A name has 3 to 63 small letters, digits, hyphens and dots.",
                remedy="Write the name alone, without s3:// and path.",
            )
        )
    name = requested or default_name(aws)
    if check(aws, name):
        if not requested:
            _finish(aws, name)
        return name
    if requested:
        raise UsageError(
            Problem(
                where=f"Bucket {requested}",
                what="The bucket does not exist.",
                remedy="Create it, or leave --bucket out: then one is created, "
                "private, versioned and encrypted.",
            )
        )
    _create(aws, name)
    _configure(aws, name)
    return name


def _create(aws: Aws, name: str) -> None:
    where = (
        {}
        # S3 accepts this region only without a constraint.
        if aws.region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
    )
    try:
        aws.call(
            "s3",
            "create_bucket",
            name,
            Bucket=name,
            ObjectOwnership="BucketOwnerEnforced",
            **where,
        )
    except AwsError as error:
        if error.code in TAKEN:
            raise Refused(
                Problem(
                    where=f"Bucket {name}",
                    what="Another account uses this name.",
                    why="Bucket names are global.",
                    remedy="Create a bucket with another name and pass it as --bucket.",
                )
            ) from error
        if error.code not in CREATED_MEANWHILE:
            raise


def _finish(aws: Aws, name: str) -> None:
    """Configure a default bucket whose creation was interrupted."""
    try:
        policy = aws.call(
            "s3",
            "get_bucket_policy",
            name,
            Bucket=name,
            ExpectedBucketOwner=aws.account,
        )["Policy"]
    except AwsError as error:
        if error.code != "NoSuchBucketPolicy":
            raise
        policy = ""
    except Denied:
        # A principal that only publishes need not read the bucket policy.
        return
    if TLS_ONLY not in policy:
        _configure(aws, name)


def _configure(aws: Aws, name: str) -> None:
    owned = {"Bucket": name, "ExpectedBucketOwner": aws.account}
    aws.call(
        "s3",
        "put_public_access_block",
        name,
        **owned,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    aws.call(
        "s3",
        "put_bucket_versioning",
        name,
        **owned,
        VersioningConfiguration={"Status": "Enabled"},
    )
    # S3's own key: with a KMS key, every launch would need permissions for it.
    aws.call(
        "s3",
        "put_bucket_encryption",
        name,
        **owned,
        ServerSideEncryptionConfiguration={
            "Rules": [
                {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            ]
        },
    )
    aws.call(
        "s3",
        "put_bucket_lifecycle_configuration",
        name,
        **owned,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "AbandonedUploads",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "AbortIncompleteMultipartUpload": {
                        "DaysAfterInitiation": ABANDONED_UPLOAD_DAYS
                    },
                }
            ]
        },
    )
    aws.call(
        "s3", "put_bucket_policy", name, **owned, Policy=json.dumps(policy(aws, name))
    )


def policy(aws: Aws, name: str) -> dict[str, object]:
    """Return the policy of the default bucket: TLS only."""
    arn = f"arn:{aws.partition}:s3:::{name}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": TLS_ONLY,
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def _elsewhere(name: str, region: str, requested: str) -> Refused:
    return Refused(
        Problem(
            where=f"Bucket {name}",
            what=f"It is in {region}, but the stack is in {requested}.",
            why="CloudFormation and Lambda read only from a bucket of their region.",
            remedy="Pass a --bucket of that region, or another --region.",
        )
    )
