"""Stand-ins: types that no service is behind, with the references of a real one.

A stand-in keeps nothing and does nothing. It takes the properties that its schema
allows, and answers Ref and GetAtt with values of the right form; ``status --local``
names every one.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from typing import Any

from local.emulator.patches.schemas import Schema

Where = Callable[[], tuple[str, str, str]]
"""Gives the partition, the region and the account of the running operation."""

MARK = "stand-in"
"""An attribute that every stand-in has and no template can ask for."""

PORT = 5432
"""A port somebody could listen on; nobody does."""


class StandIn:
    """The handlers of one type that has nothing behind it."""

    def __init__(self, schema: Schema, where: Where) -> None:
        self._schema = schema
        self._where = where

    def create(
        self, logical_id: str, properties: dict[str, Any], _stack: str
    ) -> tuple[str, dict[str, Any]]:
        """Return a physical ID and attributes, as of something new."""
        seed = f"{logical_id}-{uuid.uuid4().hex[:12]}"
        physical_id = "|".join(
            str(properties.get(name) or self._value(name, seed))
            for name in self._schema.identifier
        )
        physical_id = physical_id or seed
        return physical_id, self._attributes(physical_id, properties)

    def update(
        self, physical_id: str, _old: Any, new: dict[str, Any], _stack: str
    ) -> tuple[str, dict[str, Any]]:
        """Return the same physical ID and attributes: nothing has changed."""
        return physical_id, self._attributes(physical_id, new)

    def delete(self, physical_id: str, properties: Any) -> None:
        """Let it go; nothing was there."""

    def _attributes(
        self, physical_id: str, properties: dict[str, Any]
    ) -> dict[str, Any]:
        """Return attributes that follow from the physical ID, so that they stay."""
        parts = physical_id.split("|")
        known = (
            dict(zip(self._schema.identifier, parts, strict=True))
            if len(parts) == len(self._schema.identifier)
            else {}
        )
        return {MARK: True} | {
            name: known.get(name)
            or properties.get(name)
            or self._value(name, physical_id)
            for name in self._schema.attributes
        }

    def _value(self, name: str, seed: str) -> Any:
        """Return a value of the form that an attribute of this name has."""
        schema = self._schema.member(name)
        digest = hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
        types = schema.get("type", "string")
        if types in ("integer", "number") or name.endswith("Port"):
            return str(PORT) if types == "string" else PORT
        if types == "boolean":
            return False
        if types == "array":
            return []
        _, service, resource = self._schema.type.lower().split("::")
        if name.lower().endswith("arn"):
            partition, region, account = self._where()
            return (
                f"arn:{partition}:{service}:{region}:{account}:{resource}/"
                f"stand-in-{digest[:12]}"
            )
        if any(word in name.lower() for word in ("address", "dnsname", "endpoint")):
            return f"stand-in-{digest[:12]}.{service}.internal"
        return f"{resource}-{digest[:17]}"


def standing_in_where(
    unsupported: Callable[[dict[str, Any]], bool],
    native: dict[str, Any],
    behind: Callable[[], StandIn],
) -> dict[str, Any]:
    """Return handlers that stand in for the resources MiniStack cannot make."""

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        make = behind().create if unsupported(properties) else native["create"]
        return make(logical_id, properties, stack)

    def update(
        physical_id: str, old: Any, new: dict[str, Any], stack: str, *more: Any
    ) -> Any:
        if unsupported(new):
            return behind().update(physical_id, old, new, stack)
        if unsupported(old):
            return native["create"](more[0] if more else physical_id, new, stack)
        return native["update"](physical_id, old, new, stack, *more)

    return {**native, "create": create, "update": update}
