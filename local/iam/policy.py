"""Whether a role's policies allow a call: the part of IAM that the templates use.

Identity policies and the permissions boundary, with Allow and Deny, Action and
NotAction, Resource and NotResource, and the condition operators below. Any other
operator raises: a policy that cannot be evaluated must not allow anything. There are no
resource policies and no service control policies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Statement = Mapping[str, Any]


class UnknownOperatorError(ValueError):
    """A condition operator that is not supported."""


@dataclass(frozen=True, kw_only=True)
class ApiCall:
    """A call to check: action, resource and condition keys."""

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)
    """Condition keys in lower case and their values."""

    def __str__(self) -> str:
        """Name action and resource, as AWS's refusals do."""
        return f"{self.action} on resource: {self.resource}"


@dataclass(frozen=True)
class RolePermissions:
    """The policies of one role."""

    identity: tuple[Statement, ...]
    boundary: tuple[Statement, ...] | None = None

    def allows(self, call: ApiCall) -> bool:
        """Return whether the call is allowed and not denied."""
        layers = [self.identity]
        if self.boundary is not None:
            layers.append(self.boundary)
        return all(_allows(layer, call) for layer in layers)


def kms_context(service: str, region: str) -> dict[str, str]:
    """Return the ``kms:ViaService`` key of a KMS call that a service makes."""
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return {"kms:viaservice": f"{service}.{region}.{suffix}"}


def tag_context(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the ``aws:ResourceTag`` keys of a resource with these tags."""
    return {f"aws:resourcetag/{key.lower()}": value for key, value in tags.items()}


def statements(documents: Iterable[Mapping[str, Any]]) -> tuple[Statement, ...]:
    """Return all statements of some policy documents."""
    return tuple(
        statement
        for document in documents
        for statement in _several(document["Statement"])
    )


def _allows(layer: Sequence[Statement], call: ApiCall) -> bool:
    effects = {statement["Effect"] for statement in layer if _applies(statement, call)}
    return "Allow" in effects and "Deny" not in effects


def _applies(statement: Statement, call: ApiCall) -> bool:
    return (
        _names(statement, "Action", call.action, flags=re.IGNORECASE)
        and _names(statement, "Resource", call.resource)
        and all(
            _holds(operator, key, expected, call.context)
            for operator, keys in (statement.get("Condition") or {}).items()
            for key, expected in keys.items()
        )
    )


def _names(statement: Statement, element: str, value: str, flags: int = 0) -> bool:
    if element in statement:
        return any(
            _like(value, pattern, flags) for pattern in _several(statement[element])
        )
    excluded = _several(statement.get(f"Not{element}", "*"))
    return not any(_like(value, pattern, flags) for pattern in excluded)


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
    "StringEquals": lambda value, expected: value == expected,
    "StringEqualsIgnoreCase": lambda value, expected: value.lower() == expected.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda value, expected: value.lower() == expected.lower(),
}
NEGATIONS = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _holds(operator: str, key: str, expected: Any, context: Mapping[str, str]) -> bool:
    value = context.get(key.lower())
    patterns = [str(pattern) for pattern in _several(expected)]
    if operator == "Null":
        return (value is None) == (patterns[0].lower() == "true")
    plain = operator.removesuffix("IfExists")
    if plain in NEGATIONS:
        matches = OPERATORS[NEGATIONS[plain]]
        return value is None or not any(matches(value, pattern) for pattern in patterns)
    if plain not in OPERATORS:
        raise UnknownOperatorError(
            f"the condition operator {operator} is unknown; add it to policy.py"
        )
    if value is None:
        return plain != operator
    return any(OPERATORS[plain](value, pattern) for pattern in patterns)
