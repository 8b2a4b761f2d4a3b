"""Conditions as CloudFormation's own booleans."""

from __future__ import annotations

from troposphere import If

from compiler.wiring import ConditionName


def boolean(condition: ConditionName) -> If:
    """Return true where the condition holds, for a property that takes no string."""
    yes, no = True, False
    return If(condition, yes, no)
