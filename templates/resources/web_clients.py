"""Ingress rules of the load balancer for the operator's ranges, lists and groups.

An entry of ``WebClients`` is a range, a prefix list or a security group; its first
letters say which. There are ``WEB_CLIENT_SLOTS``, as CloudFormation cannot loop over a
list without a macro.
"""

from __future__ import annotations

from typing import Any

from troposphere import AWSHelperFn, Equals, If, Join, Not, NoValue, Select, Split, ec2

from compiler.wiring import ConditionName, Template
from templates.resources.connections import Connection
from templates.resources.security_groups import Rules, protocol
from templates.types import WEB_CLIENT_SLOTS, Slots


def web_client_conditions(t: Template, entries: Slots) -> None:
    """Add the conditions of every slot: whether it has an entry, and of which kind."""
    for slot in range(WEB_CLIENT_SLOTS + 1):
        entry = entries.entry(slot)
        kind = Select(0, Split("-", entry))
        t.condition(_has(slot), Not(Equals(entry, "")))
        if slot < WEB_CLIENT_SLOTS:
            t.condition(_is_list(slot), Equals(kind, "pl"))
            t.condition(_is_group(slot), Equals(kind, "sg"))


def web_client_rules(connection: Connection, entries: Slots) -> Rules:
    """Return the rules of a connection from web clients, to write inside a group.

    An entry beyond the last slot becomes a rule that EC2 refuses with the entry's text.
    """
    rules: Rules = []
    for slot in range(WEB_CLIENT_SLOTS + 1):
        entry: AWSHelperFn = entries.entry(slot)

        def rule(**source: Any) -> ec2.SecurityGroupRule:
            return ec2.SecurityGroupRule(**source, **protocol(connection))

        if slot == WEB_CLIENT_SLOTS:
            too_many = Join(" ", [f"more than {WEB_CLIENT_SLOTS} WebClients:", entry])
            rules.append(If(_has(slot), rule(CidrIp=too_many), NoValue))
            continue
        by_group_or_range = If(
            _is_group(slot), rule(SourceSecurityGroupId=entry), rule(CidrIp=entry)
        )
        by_any = If(_is_list(slot), rule(SourcePrefixListId=entry), by_group_or_range)
        rules.append(If(_has(slot), by_any, NoValue))
    return rules


def _has(slot: int) -> ConditionName:
    return ConditionName(f"HasWebClient{slot + 1}")


def _is_list(slot: int) -> ConditionName:
    return ConditionName(f"IsPrefixList{slot + 1}")


def _is_group(slot: int) -> ConditionName:
    return ConditionName(f"IsSecurityGroup{slot + 1}")
