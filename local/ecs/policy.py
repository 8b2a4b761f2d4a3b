"""Whether a role's policies allow a call: the part of IAM that the templates use.

Identity policies and the permissions boundary, with Allow and Deny, Action and
NotAction, Resource and NotResource, and the condition operators below. An operator
that is not below raises: a policy must not pass because nobody could read it. There
are no resource policies and no service control policies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Statement = Mapping[str, Any]


class UnknownOperatorError(ValueError):
    """A condition operator that this evaluator does not know."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """What somebody wants to do."""

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition keys in lower case and their values."""

    def __str__(self) -> str:
        """Name action and resource, as AWS's refusals do."""
        return f"{self.action} on resource: {self.resource}"


@dataclass(frozen=True)
class Permissions:
    """The policies of one role."""

    identity: tuple[Statement, ...]
    boundary: tuple[Statement, ...] | None = None

    def allows(self, call: Call) -> bool:
        """Return whether the call is allowed and not denied."""
        layers = [self.identity]
        if self.boundary is not None:
            layers.append(self.boundary)
        return all(_allows(layer, call) for layer in layers)


def kms_way(service: str, region: str) -> dict[str, str]:
    """Return the condition key of a KMS call that a service makes for its caller."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return {"kms:viaservice": f"{service}.{region}.{suffix}"}


def statements(documents: Iterable[Mapping[str, Any]]) -> tuple[Statement, ...]:
    """Return all statements of some policy documents."""
    return tuple(
        statement
        for document in documents
        for statement in _several(document["Statement"])
    )


def _allows(layer: Sequence[Statement], call: Call) -> bool:
    effects = {one["Effect"] for one in layer if _applies(one, call)}
    return "Allow" in effects and "Deny" not in effects


def _applies(statement: Statement, call: Call) -> bool:
    return (
        _names(statement, "Action", call.action, flags=re.IGNORECASE)
        and _names(statement, "Resource", call.resource)
        and all(
            _holds(operator, key, expected, call.context)
            for operator, wanted in (statement.get("Condition") or {}).items()
            for key, expected in wanted.items()
        )
    )


def _names(statement: Statement, element: str, value: str, flags: int = 0) -> bool:
    if element in statement:
        return any(_like(value, one, flags) for one in _several(statement[element]))
    excluded = _several(statement.get(f"Not{element}", "*"))
    return not any(_like(value, one, flags) for one in excluded)


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


@lru_cache(maxsize=4096)
def _pattern(pattern: str, flags: int) -> re.Pattern[str]:
    parts = {"*": ".*", "?": "."}
    text = "".join(
        parts.get(character) or re.escape(character) for character in pattern
    )
    return re.compile(text, flags | re.DOTALL)


def _like(value: str, pattern: str, flags: int = 0) -> bool:
    return _pattern(pattern, flags).fullmatch(value) is not None


OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda found, wanted: found == wanted,
    "StringEqualsIgnoreCase": lambda found, wanted: found.lower() == wanted.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda found, wanted: found.lower() == wanted.lower(),
}
NEGATIONS = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _holds(operator: str, key: str, expected: Any, context: Mapping[str, str]) -> bool:
    found = context.get(key.lower())
    wanted = [str(one) for one in _several(expected)]
    if operator == "Null":
        return (found is None) == (wanted[0].lower() == "true")
    plain = operator.removesuffix("IfExists")
    if plain in NEGATIONS:
        matches = OPERATORS[NEGATIONS[plain]]
        return found is None or not any(matches(found, one) for one in wanted)
    if plain not in OPERATORS:
        raise UnknownOperatorError(
            f"the condition operator {operator} is not known here; teach it policy.py"
        )
    if found is None:
        return plain != operator
    return any(OPERATORS[plain](found, one) for one in wanted)
