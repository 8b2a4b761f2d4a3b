"""The handlers of every resource type: MiniStack's, patched ones, and stubs.

Each is wrapped: properties are coerced and checked by schema before a handler sees
them, injected faults apply, and attributes that follow from a property are added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudformation.schemas import Schema, SchemaRegistry
from local.emulator.patches import (
    corrections,
    deletions,
    ec2_types,
    ecs_types,
    elb_types,
    migration,
    nested_stacks,
    properties,
    rds_types,
)
from local.emulator.patches.authorization import Authorizer
from local.emulator.patches.faults import FAULTS
from local.emulator.patches.ministack import (
    PROVISIONERS,
    STACKS,
    CreateResult,
    Handlers,
    account,
    region,
    replace,
    stack_named,
)
from local.emulator.patches.partitions import partition_of
from local.emulator.patches.service_catalog import Catalog
from local.emulator.patches.stubs import Stub, stub_where

UNSUPPORTED: Mapping[str, Callable[[dict[str, Any]], bool]] = {
    # MiniStack evaluates one metric, and refuses an alarm on a sum of several.
    "AWS::CloudWatch::Alarm": lambda properties: "Metrics" in properties
}
"""Resources that MiniStack cannot create, of types that it knows."""


def install(registry: SchemaRegistry, catalog: Catalog, authorizer: Authorizer) -> None:
    """Install a handler for every type."""
    known: dict[str, Handlers] = PROVISIONERS["_RESOURCE_HANDLERS"]
    known.update(ec2_types.handlers())
    known.update(rds_types.patched(known))
    known.update(ecs_types.patched(known))
    known.update(elb_types.patched(known))
    known.update(corrections.patched(known))
    known.update(deletions.guarded(known))
    known.update(catalog.handlers())
    known[nested_stacks.TYPE] = dict(nested_stacks.handlers())
    for resource_type in registry.types:
        if resource_type not in known and resource_type.startswith("AWS::"):
            known[resource_type] = _stub(resource_type, registry)
    for resource_type, unsupported in UNSUPPORTED.items():
        known[resource_type] = stub_where(
            unsupported, known[resource_type], _stub_factory(resource_type, registry)
        )
    if migration.is_stub():
        known[migration.TYPE] = migration.handlers()
    for resource_type, handlers in list(known.items()):
        wrapped = _wrapped(resource_type, handlers, registry)
        known[resource_type] = authorizer.guarded(resource_type, wrapped)
    replace("_property_recreation", _by_schema(registry), PROVISIONERS, STACKS)


def _where() -> tuple[str, str, str]:
    region_name = region()
    return partition_of(region_name)[0], region_name, account()


def _stub(resource_type: str, registry: SchemaRegistry) -> Handlers:
    make_stub = _stub_factory(resource_type, registry)
    return {
        "create": lambda *arguments: make_stub().create(*arguments),
        "update": lambda *arguments: make_stub().update(*arguments),
        "delete": lambda *arguments: make_stub().delete(*arguments),
    }


def _stub_factory(resource_type: str, registry: SchemaRegistry) -> Callable[[], Stub]:
    """Return a factory of a stub, which reads its schema on first use."""

    def make_stub() -> Stub:
        schema = registry.find(resource_type)
        if schema is None:
            raise ValueError(f"Unrecognized resource type: {resource_type}")
        return Stub(schema, _where)

    return make_stub


def _wrapped(
    resource_type: str, handlers: Handlers, registry: SchemaRegistry
) -> Handlers:
    wrapped = dict(handlers)
    create = handlers["create"]

    def checked_create(logical_id: str, declared: Any, stack_name: str) -> CreateResult:
        FAULTS.apply(logical_id, resource_type, is_rollback=_rolls_back(stack_name))
        schema = registry.find(resource_type)
        if schema is None:
            result: CreateResult = create(logical_id, declared, stack_name)
            return result
        checked = properties.checked(schema, declared)
        return _filled_in(schema, create(logical_id, checked, stack_name), checked)

    wrapped["create"] = checked_create
    if "update" in handlers:
        wrapped["update"] = _checked_update(resource_type, handlers["update"], registry)
    return wrapped


def _checked_update(
    resource_type: str, update: Callable[..., CreateResult], registry: SchemaRegistry
) -> Callable[..., CreateResult]:
    def checked_update(
        physical_id: str, old: Any, new: Any, stack_name: str, *more: Any
    ) -> CreateResult:
        FAULTS.apply(
            _logical_id(stack_name, physical_id),
            resource_type,
            is_rollback=_rolls_back(stack_name),
        )
        schema = registry.find(resource_type)
        if schema is None:
            return update(physical_id, old, new, stack_name, *more)
        checked = properties.checked(schema, new)
        previous = properties.coerce(schema, schema.document, old)
        result = update(physical_id, previous, checked, stack_name, *more)
        return _filled_in(schema, result, checked)

    return checked_update


def _rolls_back(stack_name: str) -> bool:
    return "ROLLBACK" in str((stack_named(stack_name) or {}).get("StackStatus"))


def _logical_id(stack_name: str, physical_id: str) -> str:
    """Return the logical ID of a resource that a stack has."""
    for name, record in (stack_named(stack_name) or {}).get("_resources", {}).items():
        if record["PhysicalResourceId"] == physical_id:
            return str(name)
    return ""


def _filled_in(
    schema: Schema, result: CreateResult, declared: dict[str, Any]
) -> CreateResult:
    """Add missing attributes that equal a property or the identifier."""
    physical_id, attributes = result
    attributes = dict(attributes or {})
    for name in schema.attributes:
        if name in attributes:
            continue
        if name in declared:
            attributes[name] = declared[name]
        elif schema.identifier == (name,):
            attributes[name] = physical_id
    return physical_id, attributes


def _by_schema(registry: SchemaRegistry) -> Callable[..., Callable[..., str]]:
    """Derive from the schema whether a changed property replaces a resource."""

    def wrap(original: Callable[[str, str], str]) -> Callable[[str, str], str]:
        def recreation(resource_type: str, name: str) -> str:
            if resource_type in PROVISIONERS["_REPLACING_PROPERTIES"]:
                return original(resource_type, name)
            schema = registry.find(resource_type)
            if schema is None:
                return "Never"
            if name in schema.create_only:
                return "Always"
            if name in schema.conditionally_create_only:
                return "Conditionally"
            return "Never"

        return recreation

    return wrap
