"""Properties that all buckets of the storage stack have in common.

A helper of ``templates/storage.py``, not a stack.
"""

from __future__ import annotations

from typing import Any

from awacs.aws import (
    Action,
    Bool,
    Condition,
    Deny,
    Principal,
    SecureTransport,
    Statement,
)
from troposphere import GetAtt, Join, Sub, s3

from templates.types import Days

UNDELETE_DAYS = 7
"""How long an expired or deleted log can be restored: a week to notice."""

UPLOAD_DAYS = 7
"""A multipart upload that takes longer was abandoned, and still costs."""


def closed() -> dict[str, Any]:
    """Return the properties of every bucket: private, versioned, retained.

    RetainExceptOnCreate retains nothing of a first launch that fails.
    """
    return {
        "DeletionPolicy": "RetainExceptOnCreate",
        "UpdateReplacePolicy": "Retain",
        "OwnershipControls": s3.OwnershipControls(
            Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
        ),
        "PublicAccessBlockConfiguration": s3.PublicAccessBlockConfiguration(
            BlockPublicAcls=True,
            BlockPublicPolicy=True,
            IgnorePublicAcls=True,
            RestrictPublicBuckets=True,
        ),
        "VersioningConfiguration": s3.VersioningConfiguration(Status="Enabled"),
        # Free, and nothing receives them until the operator adds a rule.
        "NotificationConfiguration": s3.NotificationConfiguration(
            EventBridgeConfiguration=s3.EventBridgeConfiguration(
                EventBridgeEnabled=True
            )
        ),
    }


def encryption(
    default: s3.ServerSideEncryptionByDefault, *, has_bucket_key: bool
) -> s3.BucketEncryption:
    """Return the default encryption of objects."""
    return s3.BucketEncryption(
        ServerSideEncryptionConfiguration=[
            s3.ServerSideEncryptionRule(
                ServerSideEncryptionByDefault=default, BucketKeyEnabled=has_bucket_key
            )
        ]
    )


def expiring(days: Days) -> s3.LifecycleConfiguration:
    """Delete old objects, in two rules: S3 rejects days and markers in one."""
    return s3.LifecycleConfiguration(
        Rules=[
            s3.LifecycleRule(Id="Expire", Status="Enabled", ExpirationInDays=days),
            tidying(UNDELETE_DAYS),
        ]
    )


def tidying(days: int) -> s3.LifecycleRule:
    """Delete old versions, lone delete markers and abandoned uploads."""
    return s3.LifecycleRule(
        Id="Tidy",
        Status="Enabled",
        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(
            DaysAfterInitiation=UPLOAD_DAYS
        ),
        ExpiredObjectDeleteMarker=True,
        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=days),
    )


def tls_only(bucket: s3.Bucket) -> Statement:
    """Deny requests that do not use TLS, whatever else allows them."""
    return Statement(
        Sid="TlsOnly",
        Effect=Deny,
        Principal=Principal("*"),
        Action=[Action("s3", "*")],
        # Join, not Sub: some rule packs read no other form.
        Resource=[GetAtt(bucket, "Arn"), Join("", [GetAtt(bucket, "Arn"), "/*"])],
        Condition=Condition(Bool(SecureTransport, "false")),
    )


def objects(bucket: s3.Bucket, path: str) -> Sub:
    """Return the ARN of the objects at a path."""
    return Sub(f"${{Bucket}}/{path}", Bucket=GetAtt(bucket, "Arn"))
