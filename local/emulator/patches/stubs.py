"""Stubs: resource types without a service behind them.

A stub does nothing and stores nothing. It accepts the properties that its schema
allows, and answers Ref and GetAtt with values of the right form; ``status --emulator``
lists every stub.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from typing import Any

from cloudformation.schemas import Schema

Scope = Callable[[], tuple[str, str, str]]
"""Returns partition, region and account of the running operation."""

MARK = "stub"
"""An attribute that every stub has and no template can read."""

PORT = 5432
"""The value of every port attribute."""


class Stub:
    """The handlers of one resource type without a service."""

    def __init__(self, schema: Schema, scope: Scope) -> None:
        self._schema = schema
        self._scope = scope

    def create(
        self, logical_id: str, properties: dict[str, Any], stack: str
    ) -> tuple[str, dict[str, Any]]:
        """Return a new physical ID and attributes."""
        seed = f"{logical_id}-{uuid.uuid4().hex[:12]}"
        generated = f"{stack}-{seed}"
        physical_id = "|".join(
            str(
                properties.get(name)
                or (generated if name.endswith("Name") else self._value(name, seed))
            )
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
        """Do nothing."""

    def _attributes(
        self, physical_id: str, properties: dict[str, Any]
    ) -> dict[str, Any]:
        """Return attributes derived from the physical ID, so that they are stable."""
        parts = physical_id.split("|")
        identifiers = (
            dict(zip(self._schema.identifier, parts, strict=True))
            if len(parts) == len(self._schema.identifier)
            else {}
        )
        return {MARK: True} | {
            name: identifiers.get(name)
            or properties.get(name)
            or self._value(name, physical_id)
            for name in self._schema.attributes
        }

    def _value(self, name: str, seed: str) -> Any:
        """Return a value in the form of an attribute of this name."""
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
            partition, region, account = self._scope()
            return (
                f"arn:{partition}:{service}:{region}:{account}:{resource}/"
                f"stub-{digest[:12]}"
            )
        if any(word in name.lower() for word in ("address", "dnsname", "endpoint")):
            return f"stub-{digest[:12]}.{service}.internal"
        return f"{resource}-{digest[:17]}"


def stub_where(
    unsupported: Callable[[dict[str, Any]], bool],
    native: dict[str, Any],
    make_stub: Callable[[], Stub],
) -> dict[str, Any]:
    """Return handlers that use a stub for resources that MiniStack cannot create."""

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        handler = make_stub().create if unsupported(properties) else native["create"]
        return handler(logical_id, properties, stack)

    def update(
        physical_id: str, old: Any, new: dict[str, Any], stack: str, *more: Any
    ) -> Any:
        if unsupported(new):
            return make_stub().update(physical_id, old, new, stack)
        if unsupported(old):
            return native["create"](more[0] if more else physical_id, new, stack)
        return native["update"](physical_id, old, new, stack, *more)

    return {**native, "create": create, "update": update}
