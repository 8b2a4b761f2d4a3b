"""Check the statements of a stack policy.

Source: "Prevent updates to stack resources" in the CloudFormation user guide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from compiler.located_json import quoted

EFFECTS = ("Allow", "Deny")
ACTIONS = ("Update:Modify", "Update:Replace", "Update:Delete", "Update:*")
RESOURCE = re.compile(r"\*|LogicalResourceId/[A-Za-z0-9*?]+")
OPERATORS = ("StringEquals", "StringLike")
MEMBERS = (
    *("Effect", "Action", "NotAction", "Principal", "Resource", "NotResource"),
    *("Condition", "Sid"),
)

Fault = tuple[str, str]
"""What is wrong, and a remedy."""


def statement_faults(statement: Any) -> Iterator[Fault]:
    """Yield what CloudFormation would refuse in one statement."""
    if not isinstance(statement, dict):
        yield "A statement is an object.", 'Write {"Effect": ..., "Action": ...}.'
        return
    for name in statement:
        if name not in MEMBERS:
            yield (
                f"A statement has no {quoted(name)}.",
                f"Write one of {', '.join(MEMBERS)}.",
            )
    if statement.get("Effect") not in EFFECTS:
        yield "Its Effect is neither Allow nor Deny.", 'Write "Allow" or "Deny".'
    if statement.get("Principal") != "*":
        yield "Its Principal is not *.", 'Write "Principal": "*".'
    if "Condition" in statement and not _is_condition(statement["Condition"]):
        yield (
            "Its Condition cannot be used.",
            'Write {"StringEquals": {"ResourceType": ["AWS::..."]}}, or StringLike.',
        )
    yield from _choice(statement, "Action", _is_action, f"Write {', '.join(ACTIONS)}.")
    yield from _choice(
        statement,
        "Resource",
        RESOURCE.fullmatch,
        'Write "*" or "LogicalResourceId/...".',
    )


def _choice(statement: Any, name: str, accepts: Any, remedy: str) -> Iterator[Fault]:
    """Yield faults of Action or NotAction, and of Resource or NotResource."""
    names = [each for each in (name, f"Not{name}") if each in statement]
    if len(names) != 1:
        yield f"It has not one of {name} and Not{name}.", remedy
        return
    value = statement[names[0]]
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, str) and accepts(v) for v in values):
        yield f"Its {names[0]} cannot be used.", remedy


def _is_condition(condition: Any) -> bool:
    """Whether a condition is about the types of resources, the only key there is."""
    return isinstance(condition, dict) and all(
        operator in OPERATORS and isinstance(test, dict) and [*test] == ["ResourceType"]
        for operator, test in condition.items()
    )


def _is_action(text: str) -> bool:
    return text in ACTIONS
