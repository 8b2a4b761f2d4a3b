"""Conditions of IAM policies that must hold together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from awacs.aws import Condition, ConditionElement


def all_of(tests: Iterable[ConditionElement]) -> Condition:
    """Return a condition that holds where each of the tests does.

    In JSON an operator is a key of the condition, and awacs keeps only the last element
    of an operator: a statement would allow more than its source says. Here elements of
    one operator become one. Raises ValueError if an operator has a condition key twice.
    """
    merged: dict[type[ConditionElement], dict[str, Any]] = {}
    for test in tests:
        keys = merged.setdefault(type(test), {})
        for key, value in test.get_dict().items():
            if key in keys:
                raise ValueError(f"{test.condition} has the condition key {key} twice.")
            keys[key] = value
    return Condition([operator(keys) for operator, keys in merged.items()])
