"""What may pass an endpoint of the VPC: identities of this account, whatever they do.

The policy of an endpoint grants nothing. It bounds: credentials of another account that
find their way into a task carry no data out, while IAM decides what our own may do.
"""

from __future__ import annotations

from awacs.aws import Action, Allow, Condition, Principal, Statement, StringEquals
from troposphere import AccountId


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
