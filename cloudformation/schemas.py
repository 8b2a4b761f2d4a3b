"""CloudFormation's resource schemas, read on first use.

The files are part of cfn-lint; importing cfn-lint itself takes a second, reading a
schema less than a millisecond.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

Recreation = Literal["Always", "Conditionally", "Never"]
"""Whether a change of a property replaces the resource, as change sets say it."""

HOME_REGION = "us-east-1"
"""The region that knows every type."""

IDENTITIES = ("ARN", "Arn", "ID", "Id", "Name")
"""How attributes end that stay the same until the resource is replaced."""

REF_ATTRIBUTES = {
    # The registry's identifier is the ARN and the dimension; Ref is the ARN.
    "AWS::ApplicationAutoScaling::ScalingPolicy": ("Arn",)
}
"""Types whose documented Ref is not the whole primary identifier."""


class Schema:
    """The schema of one resource type."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.type = str(document["typeName"])

    @cached_property
    def identifier(self) -> tuple[str, ...]:
        """Properties that Ref gives, joined by ``|``."""
        return REF_ATTRIBUTES.get(self.type) or tuple(
            _dotted(pointer) for pointer in self.document.get("primaryIdentifier", ())
        )

    @cached_property
    def attributes(self) -> Mapping[str, dict[str, Any]]:
        """The attributes of GetAtt: each read-only scalar, with its schema."""
        attributes: dict[str, dict[str, Any]] = {}
        for pointer in self.document.get("readOnlyProperties", ()):
            name = _dotted(pointer)
            if "*" not in name:
                attributes.update(self._scalars(name, self.member(name)))
        return attributes

    @cached_property
    def create_only(self) -> frozenset[str]:
        """Properties whose change replaces the resource."""
        return self._top_level("createOnlyProperties")

    @cached_property
    def conditionally_create_only(self) -> frozenset[str]:
        """Properties whose change may replace the resource."""
        return self._top_level("conditionalCreateOnlyProperties")

    def recreation(self, name: str, old: Any, new: Any) -> Recreation:
        """Return whether the change of a property from ``old`` replaces the resource.

        A schema may name a member of a property, ``DnsOptions/PrivateDnsPreference``:
        then only a change of that member does.
        """
        if self._differs("createOnlyProperties", name, old, new):
            return "Always"
        if self._differs("conditionalCreateOnlyProperties", name, old, new):
            return "Conditionally"
        return "Never"

    def identifies(self, attribute: str) -> bool:
        """Whether an attribute stays the same until the resource is replaced.

        The identifiers do, and what a service derives from them: ARN, ID and name.
        """
        return attribute in self.identifier or (
            "." not in attribute
            and attribute.endswith(("Arn", "ARN", "Id", "ID", "Name"))
        )

    def member(self, dotted: str) -> dict[str, Any]:
        """Return the schema of a property by its dotted name."""
        schema = self.document
        for part in dotted.split("."):
            schema = self.resolved(schema).get("properties", {}).get(part, {})
        return self.resolved(schema)

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Resolve ``$ref``."""
        while "$ref" in schema:
            target: Any = self.document
            for part in str(schema["$ref"]).removeprefix("#/").split("/"):
                target = target.get(part, {})
            schema = target
        return schema

    def _scalars(
        self, name: str, schema: dict[str, Any]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        members = schema.get("properties")
        if not members:
            yield name, schema
            return
        for member, inner in members.items():
            yield from self._scalars(f"{name}.{member}", self.resolved(inner))

    def _differs(self, section: str, name: str, old: Any, new: Any) -> bool:
        for pointer in self.document.get(section, ()):
            first, *rest = pointer.removeprefix("/properties/").split("/")
            if first == name and _at(old, rest) != _at(new, rest):
                return True
        return False

    def _top_level(self, section: str) -> frozenset[str]:
        return frozenset(
            _dotted(pointer).split(".")[0] for pointer in self.document.get(section, ())
        )


class SchemaRegistry:
    """The schemas of every type, in a folder laid out as cfn-lint's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def types(self) -> Mapping[str, str]:
        """Every resource type, and the digest that names its file."""
        index = self.folder / "providers" / f"{HOME_REGION}.json"
        index_entries: dict[str, str] = json.loads(index.read_text())
        return {name: digest for name, digest in index_entries.items() if "::" in name}

    @cache  # noqa: B019 - one registry lives as long as its process
    def find(self, resource_type: str) -> Schema | None:
        """Return the schema of a type, if CloudFormation knows it."""
        digest = self.types.get(resource_type)
        if digest is None:
            return None
        file = self.folder / "resources" / f"{digest}.json"
        return Schema(json.loads(file.read_text()))


def _dotted(pointer: str) -> str:
    return pointer.removeprefix("/properties/").replace("/", ".")


def _at(value: Any, path: list[str]) -> Any:
    """Return a member of a property; the whole where the path cannot be followed."""
    for part in path:
        if value is None:
            return None
        if not isinstance(value, Mapping) or part == "*":
            return value
        value = value.get(part)
    return value


def installed() -> SchemaRegistry | None:
    """Return the schemas of the installed cfn-lint, without importing it."""
    spec = find_spec("cfnlint")
    if spec is None or spec.origin is None:
        return None
    return SchemaRegistry(Path(spec.origin).parent / "data" / "schemas")
