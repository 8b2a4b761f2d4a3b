"""The buckets: DAGs, task logs, and the record of who asked for what.

No bucket is locked or copied to another region: versions and retention guard against
mistakes, and replication is the operator's. The bucket of access records does not
record access to itself, since each record would cause another.
"""

from __future__ import annotations

from typing import Any

import awacs.s3
from awacs.aws import (
    Action,
    Allow,
    ArnEquals,
    Bool,
    Condition,
    Deny,
    PolicyDocument,
    Principal,
    SecureTransport,
    SourceAccount,
    SourceArn,
    Statement,
    StringEquals,
    StringEqualsIfExists,
)
from troposphere import AccountId, GetAtt, Join, Ref, s3

from compiler.wiring import Interface, Page, about
from templates.kinds import BucketName, Days, KeyArn, Storage

DAG_ROLLBACK_DAYS = 90
"""How long a replaced DAG file can be brought back: a quarter's work."""

UNDELETE_DAYS = 7
"""How long an expired or deleted log can be brought back: a week to notice."""

UPLOAD_DAYS = 7
"""An upload of parts that takes longer has been given up, but is still paid for."""


BUCKET_LOGS = "s3"
"""Where in the bucket of access logs those of S3 lie; load balancers use AWSLogs."""


class Inputs(Interface):
    """The key, and how long logs are kept."""

    key_arn: KeyArn = about("Key of the DAGs and the task logs.")
    log_expiry_days: Days = about("Days to keep task logs.")
    access_log_expiry_days: Days = about("Days to keep access logs.")


class Outputs(Interface):
    """The buckets by name."""

    buckets: Storage = about("Where DAGs come from and task logs go to.")
    access_log_bucket_name: BucketName = about("Where the load balancer logs to.")


def define(t: Page, given: Inputs) -> Outputs:
    """Define the buckets, then what each refuses and whom it lets write."""
    access_logs = t.add(
        s3.Bucket(
            "AccessLogs",
            BucketEncryption=_encryption(
                s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256"),
                has_bucket_key=False,
            ),
            LifecycleConfiguration=_expiring(given.access_log_expiry_days),
            **_closed(),
        ),
        "Keeps the access logs of the load balancer and of the other buckets.",
        why="Encrypted by S3's own key: a load balancer cannot write under ours.",
    )
    our_key = s3.ServerSideEncryptionByDefault(
        SSEAlgorithm="aws:kms", KMSMasterKeyID=given.key_arn
    )
    dags = t.add(
        s3.Bucket(
            "Dags",
            BucketEncryption=_encryption(our_key, has_bucket_key=True),
            LifecycleConfiguration=s3.LifecycleConfiguration(
                Rules=[_tidying(DAG_ROLLBACK_DAYS)]
            ),
            LoggingConfiguration=_logged_to(access_logs, "dags"),
            **_closed(),
        ),
        "Holds the DAG files, at its root, with every version of them.",
        why="A bucket key spares a call to KMS for each object that a worker reads.",
    )
    task_logs = t.add(
        s3.Bucket(
            "TaskLogs",
            BucketEncryption=_encryption(our_key, has_bucket_key=True),
            LifecycleConfiguration=_expiring(given.log_expiry_days),
            LoggingConfiguration=_logged_to(access_logs, "task-logs"),
            **_closed(),
        ),
        "Keeps the log of every task after its worker is gone.",
    )

    for bucket in (dags, task_logs):
        t.add(
            s3.BucketPolicy(
                f"{bucket.title}Policy",
                Bucket=Ref(bucket),
                PolicyDocument=PolicyDocument(
                    Version="2012-10-17", Statement=[_tls_only(bucket)]
                ),
            ),
            "Refuses whoever does not come by TLS.",
        )
    t.add(
        s3.BucketPolicy(
            "AccessLogsPolicy",
            Bucket=Ref(access_logs),
            PolicyDocument=PolicyDocument(
                Version="2012-10-17",
                Statement=[
                    _tls_only(access_logs),
                    _bucket_logs(access_logs, dags, task_logs),
                    _load_balancer_logs(access_logs),
                ],
            ),
        ),
        "Refuses whoever does not come by TLS, and lets S3 and load balancers log.",
    )
    return Outputs(
        buckets=Storage(
            dag_bucket_name=BucketName(Ref(dags)),
            log_bucket_name=BucketName(Ref(task_logs)),
        ),
        access_log_bucket_name=BucketName(Ref(access_logs)),
    )


def _closed() -> dict[str, Any]:
    """Return what every bucket here is: private, versioned, kept."""
    return {
        "DeletionPolicy": "Retain",
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
    }


def _encryption(
    default: s3.ServerSideEncryptionByDefault, *, has_bucket_key: bool
) -> s3.BucketEncryption:
    return s3.BucketEncryption(
        ServerSideEncryptionConfiguration=[
            s3.ServerSideEncryptionRule(
                ServerSideEncryptionByDefault=default, BucketKeyEnabled=has_bucket_key
            )
        ]
    )


def _logged_to(access_logs: s3.Bucket, name: str) -> s3.LoggingConfiguration:
    return s3.LoggingConfiguration(
        DestinationBucketName=Ref(access_logs), LogFilePrefix=f"{BUCKET_LOGS}/{name}/"
    )


def _expiring(days: Days) -> s3.LifecycleConfiguration:
    """Delete what is old, in two rules: S3 refuses days and markers in one."""
    return s3.LifecycleConfiguration(
        Rules=[
            s3.LifecycleRule(Id="Expire", Status="Enabled", ExpirationInDays=days),
            _tidying(UNDELETE_DAYS),
        ]
    )


def _tidying(days: int) -> s3.LifecycleRule:
    """Delete what nobody sees: old versions, lone markers, abandoned uploads."""
    return s3.LifecycleRule(
        Id="Tidy",
        Status="Enabled",
        AbortIncompleteMultipartUpload=s3.AbortIncompleteMultipartUpload(
            DaysAfterInitiation=UPLOAD_DAYS
        ),
        ExpiredObjectDeleteMarker=True,
        NoncurrentVersionExpiration=s3.NoncurrentVersionExpiration(NoncurrentDays=days),
    )


def _tls_only(bucket: s3.Bucket) -> Statement:
    return Statement(
        Sid="TlsOnly",
        Effect=Deny,
        Principal=Principal("*"),
        Action=[Action("s3", "*")],
        Resource=[GetAtt(bucket, "Arn"), _objects(bucket, "/*")],
        Condition=Condition(Bool(SecureTransport, "false")),
    )


def _bucket_logs(access_logs: s3.Bucket, *sources: s3.Bucket) -> Statement:
    """Let S3 write the access logs of our buckets, and of no other."""
    return Statement(
        Sid="BucketLogs",
        Effect=Allow,
        Principal=Principal("Service", "logging.s3.amazonaws.com"),
        Action=[awacs.s3.PutObject],
        Resource=[_objects(access_logs, f"/{BUCKET_LOGS}/*")],
        Condition=Condition(
            [
                StringEquals(SourceAccount, AccountId),
                ArnEquals(SourceArn, [GetAtt(source, "Arn") for source in sources]),
            ]
        ),
    )


def _load_balancer_logs(access_logs: s3.Bucket) -> Statement:
    """Let load balancers of this account write, in every region by one principal.

    AWS once had an account for each region, which older regions still accept; regions
    since August 2022 know this principal only. A load balancer writes under the number
    of its own account, so the path is the bond that AWS documents. Whether it
    also sends ``aws:SourceAccount`` is not documented: the condition holds where it
    does, and where it does not, must not stop the load balancer from being made.
    """
    return Statement(
        Sid="LoadBalancerLogs",
        Effect=Allow,
        Principal=Principal(
            "Service", "logdelivery.elasticloadbalancing.amazonaws.com"
        ),
        Action=[awacs.s3.PutObject],
        Resource=[_objects(access_logs, "/AWSLogs/", AccountId, "/*")],
        Condition=Condition(StringEqualsIfExists(SourceAccount, AccountId)),
    )


def _objects(bucket: s3.Bucket, *path: object) -> Join:
    """Return the ARN of objects; Join, for rule packs read it where they miss a Sub."""
    return Join("", [GetAtt(bucket, "Arn"), *path])
