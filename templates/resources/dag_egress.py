"""Security-group rules of ``DagEgress``, the operator's list of ports and ranges.

CloudFormation cannot loop over a list without a macro, so every group has
``EGRESS_SLOTS`` rules, each behind a condition. An entry is ``ports range``, which
Fn::Split cuts.
"""

from __future__ import annotations

from troposphere import And, AWSHelperFn, Equals, Join, Not, Select, Split, ec2

from compiler.wiring import Template
from templates.resources.security_groups import Rules, optional
from templates.types import EGRESS_SLOTS, NONE, Slots


def dag_egress_rules(t: Template, entries: Slots) -> Rules:
    """Return the egress rules of the list, to write inside security groups.

    An entry beyond the last slot becomes a rule that EC2 refuses with the entry's text:
    it is not left out silently.
    """
    rules: Rules = []
    for slot in range(EGRESS_SLOTS + 1):
        entry = entries.entry(slot)
        is_given: AWSHelperFn = Not(Equals(entry, ""))
        if slot == 0:
            is_given = And(is_given, Not(Equals(entry, NONE)))
        is_beyond = slot == EGRESS_SLOTS
        first, last = ("0", "0") if is_beyond else _ports(entry)
        rule = ec2.SecurityGroupRule(
            IpProtocol="tcp",
            FromPort=first,
            ToPort=last,
            CidrIp=entry if is_beyond else Select(1, Split(" ", entry)),
            # The same text in every slot: another description is another rule.
            Description="DagEgress",
        )
        condition = t.condition(f"HasDagEgress{slot + 1}", is_given)
        rules.append(optional(condition, rule))
    return rules


def _ports(entry: Select) -> tuple[AWSHelperFn, AWSHelperFn]:
    """Return the first and the last port: of 22, which is cut from 22-22, the same."""
    ports = Select(0, Split(" ", entry))
    twice = Join("-", [ports, ports])
    return Select(0, Split("-", ports)), Select(1, Split("-", twice))
