"""The findings of the linters that these templates do not follow."""

from __future__ import annotations

from compiler.lint import LintException

EXCEPTIONS = tuple(
    LintException(rule=rule, reason="These templates show the compiler at work.")
    for rule in ("W3002", "I3011", "I4010", "I1022")
)
