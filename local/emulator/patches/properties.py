"""Checks properties against their schema: coerces them as AWS does, or refuses them.

Parameters reach integer and boolean properties as strings. CloudFormation converts them
to the type in the schema, and refuses what it cannot convert; MiniStack does neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cloudformation.schemas import Schema

BRANCHES = ("allOf", "anyOf", "oneOf")

JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}

AWS_TYPE_NAMES: Mapping[type, str] = {
    bool: "Boolean",
    dict: "JSONObject",
    float: "Number",
    int: "Integer",
    list: "JSONArray",
    str: "String",
}
"""CloudFormation's names of types in messages."""


class PropertiesError(ValueError):
    """CloudFormation refuses the properties of a resource."""


def checked(schema: Schema, declared: Any) -> Any:
    """Return the coerced properties. Raises PropertiesError."""
    coerced = coerce(schema, schema.document, declared)
    problems = list(find_problems(schema, schema.document, coerced, "#"))
    if problems:
        raise PropertiesError(
            f"Properties validation failed for resource of type {schema.type} "
            "with message:\n" + "\n".join(problems)
        )
    return coerced


def coerce(schema: Schema, part: dict[str, Any], value: Any) -> Any:
    """Return ``value`` with each scalar in the type of its schema, if possible."""
    part = schema.resolved(part)
    if isinstance(value, dict):
        return {
            name: coerce(schema, inner, member)
            if (inner := _property(schema, part, name)) is not None
            else member
            for name, member in value.items()
        }
    if isinstance(value, list):
        items = _items(schema, part)
        return [coerce(schema, items, member) for member in value]
    return _scalar(_types(schema, part), value)


def find_problems(
    schema: Schema, part: dict[str, Any], value: Any, path: str
) -> Iterator[str]:
    """Yield CloudFormation's messages about ``value``."""
    part = schema.resolved(part)
    types = _types(schema, part)
    if types and not any(_is_of(value, name) for name in types):
        expected = ", ".join(sorted(types))
        yield f"{path}: expected type: {expected}, found: {AWS_TYPE_NAMES[type(value)]}"
        return
    allowed = part.get("enum")
    if allowed and isinstance(value, str | int) and value not in allowed:
        yield f"{path}: {value} is not a valid enum value"
    if isinstance(value, dict):
        yield from _object_problems(schema, part, value, path)
    elif isinstance(value, list):
        items = _items(schema, part)
        for index, member in enumerate(value):
            yield from find_problems(schema, items, member, f"{path}/{index}")


def _object_problems(
    schema: Schema, part: dict[str, Any], value: dict[str, Any], path: str
) -> Iterator[str]:
    for name in part.get("required", ()):
        if name not in value:
            yield f"{path}: required key [{name}] not found"
    for name, member in value.items():
        inner = _property(schema, part, name)
        if inner is not None:
            yield from find_problems(schema, inner, member, f"{path}/{name}")
        elif part.get("additionalProperties") is False and part.get("properties"):
            yield f"{path}: extraneous key [{name}] is not permitted"


def _property(schema: Schema, part: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Return the schema of a member from any branch."""
    part = schema.resolved(part)
    if name in part.get("properties", {}):
        schema_part: dict[str, Any] = part["properties"][name]
        return schema_part
    for pattern, inner in part.get("patternProperties", {}).items():
        if re.search(pattern, name):
            matched: dict[str, Any] = inner
            return matched
    for branch in _branches(part):
        inner = _property(schema, branch, name)
        if inner is not None:
            return inner
    return None


def _items(schema: Schema, part: dict[str, Any]) -> dict[str, Any]:
    for candidate in (part, *_branches(part)):
        items = schema.resolved(candidate).get("items")
        if isinstance(items, dict):
            return items
    return {}


def _types(schema: Schema, part: dict[str, Any]) -> frozenset[str]:
    """Return the types a value may have; empty if it may have any."""
    named = part.get("type")
    if named is None:
        union: set[str] = set()
        for branch in _branches(part):
            inner = _types(schema, schema.resolved(branch))
            if inner:
                union |= inner
        return frozenset(union)
    return frozenset([named] if isinstance(named, str) else named)


def _branches(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [branch for name in BRANCHES for branch in part.get(name, ())]


def _is_of(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, JSON_TYPES.get(name, (object,)))


def _scalar(types: frozenset[str], value: Any) -> Any:
    if isinstance(value, str):
        return value if "string" in types else _read(types, value)
    if types == {"string"} and isinstance(value, bool | int | float):
        return _text(value)
    return value


def _read(types: frozenset[str], text: str) -> Any:
    """Return the value of a text where the schema has no string."""
    if "boolean" in types and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if "integer" in types and re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    if "number" in types and re.fullmatch(r"[+-]?\d*\.?\d+", text):
        return float(text) if "." in text else int(text)
    return text


def _text(value: bool | float) -> str:  # noqa: FBT001 - the value itself
    return str(value).lower() if isinstance(value, bool) else str(value)
