"""Policies of VPC endpoints: they admit identities of this account only.

The policy of an endpoint grants nothing. It restricts: credentials of another account
in a task cannot export data, while IAM decides what identities of this account may do.
"""

from __future__ import annotations

import awacs.s3
from awacs.aws import (
    Action,
    Allow,
    Bool,
    Condition,
    Principal,
    SecureTransport,
    Statement,
    StringEquals,
)
from troposphere import AccountId, Sub


def ours_only(service: str) -> Statement:
    """Return the statement that admits this account to a service."""
    return Statement(
        Sid="IdentitiesOfThisAccount",
        Effect=Allow,
        Principal=Principal("*"),
        Action=[Action(service, "*")],
        Resource=["*"],
        Condition=Condition(StringEquals("aws:PrincipalAccount", AccountId)),
    )


def image_layers() -> Statement:
    """Return the statement that admits ECR's bucket, from which it serves layers.

    ECR signs these requests with identities of its own, by HTTPS alone.
    """
    return Statement(
        Sid="ImageLayers",
        Effect=Allow,
        Principal=Principal("*"),
        Action=[awacs.s3.GetObject],
        Resource=[
            Sub(
                "arn:${AWS::Partition}:s3:::prod-${AWS::Region}-starport-layer-bucket/*"
            )
        ],
        Condition=Condition(Bool(SecureTransport, "true")),
    )
