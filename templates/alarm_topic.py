"""The SNS topic of alarms and database events, with an optional e-mail subscription.

It sends no text messages and opens no tickets: subscribe your own pager to the topic.
ElastiCache cannot publish here, since it takes unencrypted topics only; the alarms of
the monitoring stack cover the broker instead.
"""

from __future__ import annotations

import awacs.sns
from awacs.aws import (
    Allow,
    ArnLike,
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
)
from troposphere import AccountId, Equals, Not, Ref, Sub, sns

from compiler.policy_conditions import all_of
from compiler.wiring import Interface, Template, about
from templates.types import Email, KeyArn, TopicArn

PUBLISHERS = (
    ("cloudwatch.amazonaws.com", "cloudwatch", "alarm:*"),
    ("events.rds.amazonaws.com", "rds", "*"),
)
"""Publishing services, and their resources in this account and region."""


class Inputs(Interface):
    """Encryption key, and the address of operators."""

    key_arn: KeyArn = about("KMS key of the topic.")
    email: Email = about("Address that alarms are sent to, or nothing.")


class Outputs(Interface):
    """The topic."""

    topic_arn: TopicArn = about("Topic of alarms and database events.")


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the topic, its policy and the subscription."""
    topic = t.add(
        sns.Topic("Topic", KmsMasterKeyId=inputs.key_arn),
        "Topic of alarms and database events.",
        why="A customer key: CloudWatch may not use the key alias/aws/sns, and its "
        "alarms would be lost unnoticed.",
    )
    t.add(
        sns.TopicPolicy(
            "Publishers", Topics=[Ref(topic)], PolicyDocument=_publishers(topic)
        ),
        "Allows only CloudWatch alarms and RDS of this account to publish, over TLS.",
    )

    has_email = t.condition("HasEmail", Not(Equals(inputs.email, "")))
    t.add(
        sns.SubscriptionResource(
            "EmailSubscription",
            Condition=has_email,
            TopicArn=Ref(topic),
            Protocol="email",
            Endpoint=inputs.email,
        ),
        "Sends every message to the operator's address.",
        why="AWS sends a confirmation first; nothing arrives until it is confirmed.",
    )

    return Outputs(topic_arn=TopicArn(Ref(topic)))


def _publishers(topic: sns.Topic) -> PolicyDocument:
    return PolicyDocument(
        Version="2012-10-17",
        Statement=[
            *(
                Statement(
                    Effect=Allow,
                    Principal=Principal("Service", principal),
                    Action=[awacs.sns.Publish],
                    Resource=[Ref(topic)],
                    Condition=all_of(
                        [
                            StringEquals(SourceAccount, AccountId),
                            ArnLike(
                                SourceArn,
                                Sub(
                                    f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}"
                                    f":${{AWS::AccountId}}:{resources}"
                                ),
                            ),
                        ]
                    ),
                )
                for principal, service, resources in PUBLISHERS
            ),
            Statement(
                Effect=Deny,
                Principal=Principal("*"),
                Action=[awacs.sns.Publish],
                Resource=[Ref(topic)],
                Condition=Condition(Bool(SecureTransport, "false")),
            ),
        ],
    )
