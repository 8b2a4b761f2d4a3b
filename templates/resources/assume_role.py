"""Trust policies of roles that AWS services assume."""

from __future__ import annotations

import awacs.sts
from awacs.aws import (
    Allow,
    ArnLike,
    ConditionElement,
    PolicyDocument,
    Principal,
    SourceAccount,
    SourceArn,
    Statement,
    StringEquals,
)
from troposphere import AccountId, Sub

from compiler.policy_conditions import all_of


def trust(service: str, *, on_behalf_of: str = "") -> PolicyDocument:
    """Let ``service`` assume a role for this account only (the confused deputy).

    ``on_behalf_of`` narrows it to resources of the account and region: ``rds:*``
    is the part of their ARN that is not the same for all, service and resource.
    """
    conditions: list[ConditionElement] = [StringEquals(SourceAccount, AccountId)]
    if on_behalf_of:
        name, _, resource = on_behalf_of.partition(":")
        conditions.append(
            ArnLike(
                SourceArn,
                Sub(
                    f"arn:${{AWS::Partition}}:{name}:${{AWS::Region}}"
                    f":${{AWS::AccountId}}:{resource}"
                ),
            )
        )
    return PolicyDocument(
        Version="2012-10-17",
        Statement=[
            Statement(
                Effect=Allow,
                Principal=Principal("Service", service),
                Action=[awacs.sts.AssumeRole],
                Condition=all_of(conditions),
            )
        ],
    )
