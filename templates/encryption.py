"""The customer-managed KMS key for all stored data.

One key for the whole stack: database, broker, secrets, buckets, logs, alarms and
ephemeral storage. Without permission for the key none of them can be read.

It has no alias: an alias is a physical name, and every user of the key has its ARN.

RDS, ElastiCache, Secrets Manager, S3, Lambda and ECS Exec have no statement here. They
call KMS with the identity of their caller (forward access sessions), to which IAM
policies of this account apply. Only a service with an identity of its own needs a
statement. EventBridge is not among them: the key could not restrict it to this account,
so no rule of EventBridge may publish to the topic.
"""

from __future__ import annotations

from dataclasses import dataclass

import awacs.kms
from awacs.aws import (
    Action,
    Allow,
    ArnLike,
    BoolIfExists,
    Condition,
    Deny,
    ForAllValuesStringEquals,
    PolicyDocument,
    Principal,
    Statement,
    StringEquals,
)
from troposphere import AccountId, GetAtt, Sub, kms

from compiler.policy_conditions import all_of
from compiler.wiring import Interface, Template, about
from templates.resources.stack_tag import stack_tag
from templates.types import KeyArn

PENDING_DAYS = 30
"""KMS's longest wait: a deleted key makes all data unreadable."""

ANY_RESOURCE = ["*"]
"""In a key policy this is the key itself, and no other form is allowed."""


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """A service that sends messages to the encrypted alarm topic."""

    sid: str
    service: str
    source: str


PUBLISHERS = (
    Publisher(
        sid="CloudWatchAlarms",
        service="cloudwatch.amazonaws.com",
        source="arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:*",
    ),
    Publisher(
        sid="DatabaseEvents",
        service="events.rds.amazonaws.com",
        source="arn:${AWS::Partition}:rds:${AWS::Region}:${AWS::AccountId}:*",
    ),
)


class Inputs(Interface):
    """No inputs."""


class Outputs(Interface):
    """The key."""

    key_arn: KeyArn = about("Key that encrypts everything this stack stores.")


def define(t: Template, inputs: Inputs) -> Outputs:  # noqa: ARG001 - there are no inputs
    """Add the key and its policy."""
    key = t.add(
        kms.Key(
            "Key",
            DeletionPolicy="RetainExceptOnCreate",
            UpdateReplacePolicy="Retain",
            Description=Sub("Everything that ${AWS::StackName} stores."),
            EnableKeyRotation=True,
            Tags=stack_tag(),
            PendingWindowInDays=PENDING_DAYS,
            KeyPolicy=PolicyDocument(
                Version="2012-10-17",
                Statement=[
                    _account(),
                    _log_groups(),
                    *(_publisher(each) for each in PUBLISHERS),
                    *_ephemeral_storage(),
                    _no_grants_by_users(),
                ],
            ),
        ),
        "Key that encrypts everything this stack stores.",
        why="Retained: snapshots, buckets and logs that outlive the stack are "
        "unreadable without it.",
    )
    return Outputs(key_arn=KeyArn(GetAtt(key, "Arn")))


def _account() -> Statement:
    """Let IAM policies of this account apply; without it a key can be orphaned."""
    return Statement(
        Sid="AccountAdministration",
        Effect=Allow,
        Principal=Principal(
            "AWS", Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")
        ),
        Action=[Action("kms", "*")],
        Resource=ANY_RESOURCE,
    )


def _log_groups() -> Statement:
    """Let CloudWatch Logs of this region encrypt log groups of this account."""
    return Statement(
        Sid="LogGroups",
        Effect=Allow,
        Principal=Principal("Service", Sub("logs.${AWS::Region}.${AWS::URLSuffix}")),
        Action=[
            awacs.kms.Decrypt,
            awacs.kms.DescribeKey,
            awacs.kms.Encrypt,
            awacs.kms.GenerateDataKey,
            awacs.kms.GenerateDataKeyWithoutPlaintext,
            awacs.kms.ReEncryptFrom,
            awacs.kms.ReEncryptTo,
        ],
        Resource=ANY_RESOURCE,
        Condition=Condition(
            ArnLike(
                "kms:EncryptionContext:aws:logs:arn",
                Sub(
                    "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:*"
                ),
            )
        ),
    )


def _publisher(publisher: Publisher) -> Statement:
    """Let a service publish to the encrypted topic, which takes a data key."""
    return Statement(
        Sid=publisher.sid,
        Effect=Allow,
        Principal=Principal("Service", publisher.service),
        Action=[
            awacs.kms.Decrypt,
            awacs.kms.GenerateDataKey,
            awacs.kms.GenerateDataKeyWithoutPlaintext,
        ],
        Resource=ANY_RESOURCE,
        Condition=all_of(
            [
                StringEquals("aws:SourceAccount", AccountId),
                ArnLike("aws:SourceArn", Sub(publisher.source)),
            ]
        ),
    )


def _ephemeral_storage() -> tuple[Statement, Statement]:
    """Let Fargate create a data key for each task's storage, and a grant to read it.

    AWS's example also names the cluster. The cluster takes this key's ARN, so its
    name, which CloudFormation generates, is not known here.
    """
    our_clusters = StringEquals(
        "kms:EncryptionContext:aws:ecs:clusterAccount", AccountId
    )
    fargate = Principal("Service", "fargate.amazonaws.com")
    return (
        Statement(
            Sid="EphemeralStorageKeys",
            Effect=Allow,
            Principal=fargate,
            Action=[awacs.kms.GenerateDataKeyWithoutPlaintext],
            Resource=ANY_RESOURCE,
            Condition=Condition(our_clusters),
        ),
        Statement(
            Sid="EphemeralStorageGrants",
            Effect=Allow,
            Principal=fargate,
            Action=[awacs.kms.CreateGrant],
            Resource=ANY_RESOURCE,
            Condition=all_of(
                [
                    our_clusters,
                    ForAllValuesStringEquals("kms:GrantOperations", ["Decrypt"]),
                ]
            ),
        ),
    )


def _no_grants_by_users() -> Statement:
    """Reserve grants, an access that no policy shows, for services."""
    return Statement(
        Sid="GrantsByServicesOnly",
        Effect=Deny,
        Principal=Principal("*"),
        Action=[awacs.kms.CreateGrant],
        Resource=ANY_RESOURCE,
        Condition=Condition(
            BoolIfExists(
                {
                    "kms:GrantIsForAWSResource": "false",
                    "aws:PrincipalIsAWSService": "false",
                }
            )
        ),
    )
