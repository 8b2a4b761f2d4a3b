"""The buckets of DAGs, DAG releases, task logs and access logs.

No bucket is locked or copied to another region: versions and retention protect against
mistakes, and replication is the operator's decision. The bucket of access logs does not
log access to itself, since each record would cause another.
"""

from __future__ import annotations

import awacs.s3
from awacs.aws import (
    Allow,
    ArnEquals,
    Condition,
    PolicyDocument,
    Principal,
    SourceAccount,
    SourceArn,
    Statement,
    StringEquals,
    StringEqualsIfExists,
)
from troposphere import AccountId, GetAtt, Ref, s3

from compiler.policy_conditions import all_of
from compiler.wiring import Interface, Template, about
from templates.resources.buckets import (
    closed,
    encryption,
    expiring,
    objects,
    tidying,
    tls_only,
)
from templates.types import BucketName, Buckets, Days, KeyArn

DAG_ROLLBACK_DAYS = 90
"""How long a replaced DAG file can be restored: a quarter."""

BUCKET_LOGS = "s3"
"""Prefix of S3's access logs; load balancers use AWSLogs."""


class Inputs(Interface):
    """Encryption key, and the retention of logs."""

    key_arn: KeyArn = about("Key of the DAGs and the task logs.")
    log_expiry_days: Days = about("Days to keep task logs.")
    access_log_expiry_days: Days = about("Days to keep access logs.")


class Outputs(Interface):
    """The buckets by name."""

    buckets: Buckets = about("Buckets of DAGs and task logs.", flat=True)
    access_log_bucket_name: BucketName = about("Bucket of access logs.")


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the buckets, then their policies."""
    access_logs = t.add(
        s3.Bucket(
            "AccessLogs",
            BucketEncryption=encryption(
                s3.ServerSideEncryptionByDefault(SSEAlgorithm="AES256"),
                has_bucket_key=False,
            ),
            LifecycleConfiguration=expiring(inputs.access_log_expiry_days),
            **closed() | {"DeletionPolicy": "Retain"},
        ),
        "Access logs of the load balancer and of the other buckets.",
        why="Encrypted with S3's own key: load balancers cannot use a customer key. "
        "Retained also when the first launch fails: the load balancer writes a test "
        "file as soon as it exists, and S3 deletes no bucket that holds an object, so "
        "the rollback would fail. build.py recover offers to delete it.",
    )
    our_key = s3.ServerSideEncryptionByDefault(
        SSEAlgorithm="aws:kms", KMSMasterKeyID=inputs.key_arn
    )
    dags = t.add(
        s3.Bucket(
            "Dags",
            BucketEncryption=encryption(our_key, has_bucket_key=True),
            LifecycleConfiguration=s3.LifecycleConfiguration(
                Rules=[tidying(DAG_ROLLBACK_DAYS)]
            ),
            LoggingConfiguration=_logged_to(access_logs, "dags"),
            **closed(),
        ),
        "DAG files, at its root, with every version of them.",
        why="A bucket key saves a call to KMS for each object that a worker reads.",
    )
    releases = t.add(
        s3.Bucket(
            "Releases",
            BucketEncryption=encryption(our_key, has_bucket_key=True),
            LifecycleConfiguration=s3.LifecycleConfiguration(
                Rules=[tidying(DAG_ROLLBACK_DAYS)]
            ),
            LoggingConfiguration=_logged_to(access_logs, "releases"),
            **closed(),
        ),
        "Releases of DAGs: archives under their SHA-256, and a pointer to one of them.",
        why="Apart from the DAG files: `aws s3 sync --delete` into their bucket would "
        "delete the releases, and workers would copy all archives with them. An "
        "archive never expires, because a run may still need it.",
    )
    task_logs = t.add(
        s3.Bucket(
            "TaskLogs",
            BucketEncryption=encryption(our_key, has_bucket_key=True),
            LifecycleConfiguration=expiring(inputs.log_expiry_days),
            LoggingConfiguration=_logged_to(access_logs, "task-logs"),
            **closed(),
        ),
        "Logs of tasks, after their workers are gone.",
    )

    for bucket in (dags, releases, task_logs):
        t.add(
            s3.BucketPolicy(
                f"{bucket.title}Policy",
                Bucket=Ref(bucket),
                PolicyDocument=PolicyDocument(
                    Version="2012-10-17", Statement=[tls_only(bucket)]
                ),
            ),
            "Denies requests that do not use TLS.",
        )
    t.add(
        s3.BucketPolicy(
            "AccessLogsPolicy",
            Bucket=Ref(access_logs),
            PolicyDocument=PolicyDocument(
                Version="2012-10-17",
                Statement=[
                    tls_only(access_logs),
                    _bucket_logs(access_logs, dags, releases, task_logs),
                    _load_balancer_logs(access_logs),
                ],
            ),
        ),
        "Denies requests that do not use TLS; allows S3 and load balancers to log.",
    )
    return Outputs(
        buckets=Buckets(
            dag_bucket_name=BucketName(Ref(dags)),
            release_bucket_name=BucketName(Ref(releases)),
            log_bucket_name=BucketName(Ref(task_logs)),
        ),
        access_log_bucket_name=BucketName(Ref(access_logs)),
    )


def _logged_to(access_logs: s3.Bucket, name: str) -> s3.LoggingConfiguration:
    return s3.LoggingConfiguration(
        DestinationBucketName=Ref(access_logs), LogFilePrefix=f"{BUCKET_LOGS}/{name}/"
    )


def _bucket_logs(access_logs: s3.Bucket, *sources: s3.Bucket) -> Statement:
    """Allow S3 to write the access logs of our buckets, and of no other."""
    return Statement(
        Sid="BucketLogs",
        Effect=Allow,
        Principal=Principal("Service", "logging.s3.amazonaws.com"),
        Action=[awacs.s3.PutObject],
        Resource=[objects(access_logs, f"{BUCKET_LOGS}/*")],
        Condition=all_of(
            [
                StringEquals(SourceAccount, AccountId),
                ArnEquals(SourceArn, [GetAtt(source, "Arn") for source in sources]),
            ]
        ),
    )


def _load_balancer_logs(access_logs: s3.Bucket) -> Statement:
    """Allow load balancers of this account to write, by one principal in all regions.

    AWS once had an account for each region, which older regions still accept; regions
    since August 2022 know this principal only. A load balancer writes under the number
    of its own account, so the path is the restriction that AWS documents. Whether it
    also sends ``aws:SourceAccount`` is not documented: the condition applies where it
    does, and must not prevent the load balancer from being created where it does not.
    """
    return Statement(
        Sid="LoadBalancerLogs",
        Effect=Allow,
        Principal=Principal(
            "Service", "logdelivery.elasticloadbalancing.amazonaws.com"
        ),
        Action=[awacs.s3.PutObject],
        Resource=[objects(access_logs, "AWSLogs/${AWS::AccountId}/*")],
        Condition=Condition(StringEqualsIfExists(SourceAccount, AccountId)),
    )
