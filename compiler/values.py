"""Values that cross between stacks: typed values, a choice of two, and assets.

A value's class says the type of the parameter that takes it, and the constraints that
the root's parameters of this class carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, NewType, TypeVar

from troposphere import AWSHelperFn, If, Join

CHILD_TYPES = ("String", "Number", "CommaDelimitedList")
"""Parameter types that accept the unresolved values of a nested change set."""

ASSET_BUCKET = "bucket-named-at-publish"
"""Placeholder in ``dist/`` for the bucket of an asset; publishing replaces it."""

ASSET_FOLDER = "assets/"
"""Prefix of the keys of all assets, in ``dist/`` and in the bucket."""


class WiringError(Exception):
    """Two templates are connected wrongly; the message says how to correct it."""

    def __init__(self, where: str, what: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}. {remedy}")
        self.where, self.what, self.remedy = where, what, remedy


@dataclass(frozen=True, kw_only=True)
class FileValue:
    """The content of a value in a check: a parameter's text in a parameter file.

    ``name`` is the parameter's, or says where a fixed value is written. A parameter
    has no ``text`` until a file is checked.
    """

    name: str
    text: str | None = None
    is_fixed: bool = False


class Value(AWSHelperFn):
    """A value that crosses between stacks; each subclass is one type of value.

    ``type`` is the parameter type, ``rules`` the constraints that the root's
    parameters of this kind carry (AllowedPattern, MinValue, ...).
    """

    type: ClassVar[str] = "String"
    rules: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, type: str = "", **rules: Any) -> None:
        cls.type, cls.rules = type or cls.type, rules
        if cls.type not in CHILD_TYPES:
            raise WiringError(
                f"{cls.__module__}.{cls.__name__}",
                f"{cls.type} is not a type that every stack can take",
                f"Write one of {', '.join(CHILD_TYPES)}",
            )

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

    @property
    def file_value(self) -> FileValue:
        """The parameter's name and text, in a check."""
        if not isinstance(self.data, FileValue):
            raise TypeError(f"{self.data!r} is not the value of a parameter file")
        return self.data

    @property
    def name(self) -> str:
        """The parameter's name, in a check."""
        return self.file_value.name

    @property
    def text(self) -> str:
        """The text of the file, or the default; in a check."""
        if self.file_value.text is None:
            raise TypeError(f"{self.name} has no value before a file is checked")
        return self.file_value.text


class Number(Value, type="Number"):
    """A number."""

    @property
    def number(self) -> Decimal:
        """The exact number of the file, or the default; in a check."""
        return Decimal(self.text)


V = TypeVar("V", bound=Value)
ConditionName = NewType("ConditionName", str)


def choose(condition: ConditionName, yes: V, no: V) -> V:
    """``yes`` where the condition holds, else ``no``; both of one type."""
    if type(yes) is not type(no):
        raise WiringError(
            f"choose({condition})",
            f"a {type(yes).__name__} and a {type(no).__name__} are different types",
            "Give two values of one type",
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
