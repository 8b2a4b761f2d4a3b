"""Check a parameter's value against its definition, as CloudFormation does.

CloudFormation reads AllowedPattern as a Java expression that must match the whole
value, and of a list each element. Python reads nearly the same language; a pattern
that the two would read differently is refused rather than half checked.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from compiler.located_json import quoted
from compiler.suggestions import nearest

MAX_VALUE_BYTES = 4096
"""A quota of the CloudFormation API."""

CONSTRAINTS = {
    "String": ("AllowedValues", "AllowedPattern", "MinLength", "MaxLength"),
    "Number": ("AllowedValues", "MinValue", "MaxValue"),
    "CommaDelimitedList": ("AllowedValues", "AllowedPattern"),
}
"""The parameter types that are checked here, and what CloudFormation checks of each."""

DESCRIBING = ("Type", "Default", "Description", "ConstraintDescription", "NoEcho")

NUMBER = re.compile(r"(?!-0\Z)-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?")
"""Numbers in one notation: Rules compare text, for which 01 is not 1."""

MOST_DIGITS = 15
"""No parameter is a longer number; messages do not print one."""

LONGEST_SHOWN_PATTERN = 80
"""A longer pattern would hide the description of what is allowed."""

NOT_JAVA = ("(?P", "&&", "[[", "{,", r"\Z", r"\z", r"\h", r"\R", r"\p", r"\P", r"\Q")
"""Tokens that Python and Java read differently, or only one of them."""


@dataclass(frozen=True, kw_only=True)
class ConstraintViolation:
    """A problem of a value or a definition."""

    what: str
    why: str = ""
    remedy: str


def elements(value: str) -> tuple[str, ...]:
    """Return the members of a CommaDelimitedList, which CloudFormation trims."""
    return tuple(element.strip() for element in value.split(","))


def definition_faults(definition: Mapping[str, Any]) -> Iterator[ConstraintViolation]:
    """Yield what this module cannot check, so that nothing is silently skipped."""
    kind = definition.get("Type")
    if kind not in CONSTRAINTS:
        yield ConstraintViolation(
            what=f"Parameter files are not checked for the type {kind}.",
            remedy=f"Use one of {', '.join(CONSTRAINTS)}.",
        )
        return
    for name in definition:
        if name not in CONSTRAINTS[kind] and name not in DESCRIBING:
            yield ConstraintViolation(
                what=f"CloudFormation does not check {name} of a {kind}.",
                remedy=f"Use {', '.join(CONSTRAINTS[kind])}.",
            )
    pattern = definition.get("AllowedPattern", "")
    if _compiled(pattern) is None:
        yield ConstraintViolation(
            what=f"Java and Python read the pattern {pattern} differently.",
            why="Then no file could be checked before launch.",
            remedy=f"Do without {' '.join(NOT_JAVA)}.",
        )


def value_faults(
    definition: Mapping[str, Any], value: str
) -> Iterator[ConstraintViolation]:
    """Yield why CloudFormation refuses ``value``; the definition has no problems."""
    size = len(value.encode())
    if size > MAX_VALUE_BYTES:
        yield ConstraintViolation(
            what=f"Its value has {size:,} bytes.",
            why=f"CloudFormation takes {MAX_VALUE_BYTES:,}.",
            remedy="Shorten it.",
        )
    elif definition["Type"] == "Number":
        yield from _number_faults(definition, value)
    elif definition["Type"] == "CommaDelimitedList" and value and not value.strip():
        yield ConstraintViolation(
            what="The list is blank.", remedy='Write "" for an empty one.'
        )
    elif definition["Type"] == "CommaDelimitedList":
        for element in elements(value):
            yield from _text_faults(definition, element)
    else:
        yield from _text_faults(definition, value)
        yield from _length_faults(definition, value)


def _number_faults(
    definition: Mapping[str, Any], value: str
) -> Iterator[ConstraintViolation]:
    if not NUMBER.fullmatch(value):
        yield ConstraintViolation(
            what=f"{quoted(value)} is not a plain number.",
            why=_why(definition, "The parameter is a Number."),
            remedy=f"Write {_plain(value)}.",
        )
        return
    number = Decimal(value)
    if "MinValue" in definition and number < Decimal(str(definition["MinValue"])):
        yield ConstraintViolation(
            what=f"{value} is too small.",
            why=_why(definition),
            remedy=f"Write {definition['MinValue']} or more.",
        )
    if "MaxValue" in definition and number > Decimal(str(definition["MaxValue"])):
        yield ConstraintViolation(
            what=f"{value} is too large.",
            why=_why(definition),
            remedy=f"Write {definition['MaxValue']} or less.",
        )
    yield from _choice_faults(definition, value)


def _plain(value: str) -> str:
    """Return the plain notation of a number, or examples of it."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        return "digits, such as 12 or 0.5"
    return f"{number.normalize() + 0:f}"


def _text_faults(
    definition: Mapping[str, Any], value: str
) -> Iterator[ConstraintViolation]:
    yield from _choice_faults(definition, value)
    pattern = definition.get("AllowedPattern", "")
    compiled = _compiled(pattern) if "AllowedPattern" in definition else None
    if compiled and not compiled.fullmatch(value):
        explained = "ConstraintDescription" in definition
        is_readable = len(pattern) <= LONGEST_SHOWN_PATTERN or not explained
        yield ConstraintViolation(
            what=f"{quoted(value)} does not match {pattern}"
            if is_readable
            else f"{quoted(value)} has another form.",
            why=_why(definition, "CloudFormation matches the whole value."),
            remedy="Write such a value." if explained else "Write one that matches.",
        )


def _length_faults(
    definition: Mapping[str, Any], value: str
) -> Iterator[ConstraintViolation]:
    least, most = definition.get("MinLength"), definition.get("MaxLength")
    length = _java_length(value)
    if least is not None and length < int(least):
        yield ConstraintViolation(
            what=f"{quoted(value)} has {length} characters.",
            why=_why(definition),
            remedy=f"Write {least} or more.",
        )
    if most is not None and length > int(most):
        yield ConstraintViolation(
            what=f"{quoted(value)} has {length} characters.",
            why=_why(definition),
            remedy=f"Write {most} or fewer.",
        )


def _choice_faults(
    definition: Mapping[str, Any], value: str
) -> Iterator[ConstraintViolation]:
    if "AllowedValues" not in definition:
        return
    allowed = [_as_text(choice) for choice in definition["AllowedValues"]]
    if value not in allowed:
        hint = nearest(value, allowed)
        yield ConstraintViolation(
            what=f"{quoted(value)} is not allowed here.",
            why=_why(definition),
            remedy=f"Write one of {', '.join(map(_shown, allowed))}. {hint}".strip(),
        )


def _why(definition: Mapping[str, Any], otherwise: str = "") -> str:
    return str(definition.get("ConstraintDescription", otherwise))


def _java_length(value: str) -> int:
    """Count as Java does, for whom a character beyond U+FFFF is two."""
    return len(value.encode("utf-16-le")) // 2


def _as_text(choice: object) -> str:
    return str(choice).lower() if isinstance(choice, bool) else str(choice)


def _shown(choice: str) -> str:
    return choice or '""'


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    if any(token in pattern for token in NOT_JAVA):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of sets that a later Python reads otherwise
        try:
            # Java's \d, \w and \s are ASCII only.
            return re.compile(pattern, re.ASCII)
        except (re.error, Warning, RecursionError, OverflowError):
            return None
