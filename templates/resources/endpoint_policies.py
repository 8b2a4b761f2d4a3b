"""What may pass an endpoint of the VPC: identities of this account, whatever they do.

The policy of an endpoint grants nothing. It bounds: credentials of another account that
find their way into a task carry no data out, while IAM decides what our own may do.
"""

from __future__ import annotations

import awacs.s3
from awacs.aws import Action, Allow, Condition, Principal, Statement, StringEquals
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
    """Return the statement that admits ECR's bucket, from which it serves layers."""
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
    )
