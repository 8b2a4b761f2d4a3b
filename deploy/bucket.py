"""The bucket that templates and assets are published in.

The operator's own, which is checked and left as it is, or ours: one for each account
and region, under a name that follows from both, so that every machine finds the same
one. Ours is private, versioned, encrypted, owned by the account, and answers TLS only.
Its policy is put last: a bucket that has the policy has all the rest, and one whose
making was interrupted is finished by the next run.
"""

from __future__ import annotations

import json

from cli.errors import AwsError, Denied, Problem, Refused, UsageError
from deploy.aws import Aws, is_missing

PREFIX = "airflow-on-fargate"

TLS_ONLY = "TlsOnly"

ABANDONED_UPLOAD_DAYS = 7

TAKEN = frozenset({"BucketAlreadyExists"})
OURS_ALREADY = frozenset({"BucketAlreadyOwnedByYou", "OperationAborted"})
"""Made by another run of ours a moment ago, or being made right now."""


def own_name(aws: Aws) -> str:
    """Return the name of our bucket in this account and region."""
    return f"{PREFIX}-{aws.account}-{aws.region}"


def check(aws: Aws, name: str) -> bool:
    """Return whether the bucket is there; refuse one of another account or region."""
    try:
        found = aws.call(
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
                why="Whoever owns the bucket decides what the stack runs; only one of "
                "the same account is used.",
                remedy="Name another with --bucket, or leave --bucket out to have one "
                "made; if it is yours, allow s3:ListBucket on it.",
            )
        ) from error
    except AwsError as error:
        if error.code in ("301", "PermanentRedirect", "400"):
            raise _elsewhere(name, "another region", aws.region) from error
        if is_missing(error):
            return False
        raise
    region = found.get("BucketRegion") or aws.region
    if region != aws.region:
        raise _elsewhere(name, region, aws.region)
    return True


def ensure(aws: Aws, wanted: str | None) -> str:
    """Return the name of a bucket that can be published in."""
    name = wanted or own_name(aws)
    if check(aws, name):
        if not wanted:
            _finish(aws, name)
        return name
    if wanted:
        raise UsageError(
            Problem(
                where=f"Bucket {wanted}",
                what="There is no bucket of that name.",
                remedy="Make it, or leave --bucket out: then one is made, private, "
                "versioned and encrypted.",
            )
        )
    _create(aws, name)
    _configure(aws, name)
    return name


def _create(aws: Aws, name: str) -> None:
    where = (
        {}
        # The one region that S3 takes only when it is not named.
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
                    what="Another account has taken the name.",
                    why="Names of buckets are shared by all accounts.",
                    remedy="Make a bucket of your own and name it with --bucket.",
                )
            ) from error
        if error.code not in OURS_ALREADY:
            raise


def _finish(aws: Aws, name: str) -> None:
    """Configure a bucket of ours whose making was interrupted."""
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
        # Who may only publish need not be able to see how the bucket is made.
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
    # S3's own key: with a key of KMS, everybody who launches would need that too.
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
    """Return the policy of our bucket: nothing without TLS."""
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


def _elsewhere(name: str, region: str, wanted: str) -> Refused:
    return Refused(
        Problem(
            where=f"Bucket {name}",
            what=f"It is in {region}, and the stack is to be in {wanted}.",
            why="CloudFormation and Lambda read only from a bucket of their region.",
            remedy="Name a bucket of that region with --bucket, or another region with "
            "--region.",
        )
    )
