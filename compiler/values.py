"""What crosses between stacks: values by kind, the choice of one, and assets.

A kind of value says the type of the parameter that takes it, and the constraints
that the root's parameters of that kind carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NewType, TypeVar

from troposphere import AWSHelperFn, If, Join

CHILD_TYPES = ("String", "Number", "CommaDelimitedList")
"""Parameter types that accept the unresolved values of a nested change set."""

ASSET_BUCKET = "bucket-named-at-publish"
"""Stands in ``dist/`` for the bucket of an asset; publishing replaces it."""


class WiringError(Exception):
    """A wire between two templates is wrong; the message says how to mend it."""

    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.where, self.what, self.remedy = where, what, remedy


class Value(AWSHelperFn):
    """A value that crosses between stacks; each subclass is one kind of value.

    ``type`` is the parameter type, ``rules`` the constraints that the root's
    parameters of this kind carry (AllowedPattern, MinValue, ...).
    """

    type: ClassVar[str] = "String"
    rules: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, type: str = "String", **rules: Any) -> None:
        if type not in CHILD_TYPES:
            raise WiringError(
                f"{cls.__module__}.{cls.__name__}",
                f"{type} is not a type that every stack can take",
                f"Write one of {', '.join(CHILD_TYPES)}",
            )
        cls.type, cls.rules = type, rules

    def __init__(self, expression: object, *, crossing: object = None) -> None:
        self.data = expression
        self._crossing = crossing

    @classmethod
    def is_list(cls) -> bool:
        """Whether values of this kind are lists, which cross as one string."""
        return cls.type == "CommaDelimitedList"

    def crossing(self) -> Any:
        """Return the form that crosses a stack boundary, always one string."""
        if self._crossing is not None:
            return self._crossing
        if self.is_list():
            return Join(",", self.data)
        if isinstance(self.data, bool):
            return "true" if self.data else "false"
        return str(self.data) if isinstance(self.data, int | float) else self.data


V = TypeVar("V", bound=Value)
ConditionName = NewType("ConditionName", str)


def choose(condition: ConditionName, yes: V, no: V) -> V:
    """``yes`` where the condition holds, else ``no``; both of one kind."""
    if type(yes) is not type(no):
        raise WiringError(
            f"choose({condition})",
            f"a {type(yes).__name__} and a {type(no).__name__} are different kinds",
            "Give two values of one kind",
        )
    return type(yes)(
        If(condition, yes.data, no.data),
        crossing=If(condition, yes.crossing(), no.crossing()),
    )


class AssetBucket(Value):
    """The bucket an asset was published to."""


class AssetKey(Value):
    """The object key of an asset; in ``dist/``, its relative path."""


class AssetDigest(Value):
    """SHA-256 of an asset, 64 hexadecimal digits."""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A published file, as three values a template can pass on."""

    bucket: AssetBucket
    key: AssetKey
    sha256: AssetDigest


@dataclass(frozen=True, kw_only=True)
class AssetFile:
    """A file to publish beside the templates; ``path`` is relative to ``dist/``."""

    path: str
    content: bytes
    sha256: str
