"""The handlers of every resource type: MiniStack's, ours, and stand-ins for the rest.

Each is wrapped: properties are coerced and checked by schema before a handler sees
them, planted faults strike, and attributes that follow from a property are filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

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
    service_catalog,
)
from local.emulator.patches.faults import FAULTS
from local.emulator.patches.ministack import (
    PROVISIONERS,
    STACKS,
    account,
    region,
    replace,
    stack_named,
)
from local.emulator.patches.partitions import partition_of
from local.emulator.patches.schemas import Registry, Schema
from local.emulator.patches.service_catalog import Catalog
from local.emulator.patches.stubs import StandIn, standing_in_where

Handlers = dict[str, Any]
Made = tuple[str, dict[str, Any]]


UNSUPPORTED: Mapping[str, Callable[[dict[str, Any]], bool]] = {
    # MiniStack evaluates one metric, and refuses an alarm on a sum of several.
    "AWS::CloudWatch::Alarm": lambda properties: "Metrics" in properties,
}
"""Resources of a type MiniStack knows that it cannot make."""


def install(registry: Registry, catalog: Catalog) -> None:
    """Take over every type."""
    known: dict[str, Handlers] = PROVISIONERS["_RESOURCE_HANDLERS"]
    known.update(ec2_types.handlers())
    known.update(rds_types.completed(known))
    known.update(ecs_types.completed(known))
    known.update(elb_types.completed(known))
    known.update(corrections.corrected(known))
    known.update(deletions.guarded(known))
    known[service_catalog.PRODUCT] = catalog.handlers()
    known[nested_stacks.TYPE] = dict(nested_stacks.handlers())
    for resource_type in registry.types:
        if resource_type not in known and resource_type.startswith("AWS::"):
            known[resource_type] = _stand_in(resource_type, registry)
    for resource_type, unsupported in UNSUPPORTED.items():
        known[resource_type] = standing_in_where(
            unsupported, known[resource_type], _behind(resource_type, registry)
        )
    if migration.is_stand_in():
        known[migration.TYPE] = migration.handlers()
    for resource_type, handlers in list(known.items()):
        known[resource_type] = _wrapped(resource_type, handlers, registry)
    replace("_property_recreation", _by_schema(registry), PROVISIONERS, STACKS)


def _where() -> tuple[str, str, str]:
    here = region()
    return partition_of(here)[0], here, account()


def _stand_in(resource_type: str, registry: Registry) -> Handlers:
    behind = _behind(resource_type, registry)
    return {
        "create": lambda *given: behind().create(*given),
        "update": lambda *given: behind().update(*given),
        "delete": lambda *given: behind().delete(*given),
    }


def _behind(resource_type: str, registry: Registry) -> Callable[[], StandIn]:
    """Return what makes a stand-in, whose schema is read when it is first used."""

    def behind() -> StandIn:
        schema = registry.find(resource_type)
        if schema is None:
            raise ValueError(f"Unrecognized resource type: {resource_type}")
        return StandIn(schema, _where)

    return behind


def _wrapped(resource_type: str, handlers: Handlers, registry: Registry) -> Handlers:
    wrapped = dict(handlers)
    create = handlers["create"]

    def checked_create(logical_id: str, given: Any, stack_name: str) -> Made:
        FAULTS.strike(logical_id, resource_type, is_rollback=_rolls_back(stack_name))
        schema = registry.find(resource_type)
        if schema is None:
            made: Made = create(logical_id, given, stack_name)
            return made
        wanted = properties.checked(schema, given)
        return _filled_in(schema, create(logical_id, wanted, stack_name), wanted)

    wrapped["create"] = checked_create
    if "update" in handlers:
        wrapped["update"] = _checked_update(resource_type, handlers["update"], registry)
    return wrapped


def _checked_update(
    resource_type: str, update: Callable[..., Made], registry: Registry
) -> Callable[..., Made]:
    def checked_update(
        physical_id: str, old: Any, new: Any, stack_name: str, *more: Any
    ) -> Made:
        FAULTS.strike(
            _logical_id(stack_name, physical_id),
            resource_type,
            is_rollback=_rolls_back(stack_name),
        )
        schema = registry.find(resource_type)
        if schema is None:
            return update(physical_id, old, new, stack_name, *more)
        wanted = properties.checked(schema, new)
        before = properties.coerce(schema, schema.document, old)
        made = update(physical_id, before, wanted, stack_name, *more)
        return _filled_in(schema, made, wanted)

    return checked_update


def _rolls_back(stack_name: str) -> bool:
    return "ROLLBACK" in str((stack_named(stack_name) or {}).get("StackStatus"))


def _logical_id(stack_name: str, physical_id: str) -> str:
    """Return the logical ID of a resource that a stack has."""
    for name, record in (stack_named(stack_name) or {}).get("_resources", {}).items():
        if record["PhysicalResourceId"] == physical_id:
            return str(name)
    return ""


def _filled_in(schema: Schema, made: Made, given: dict[str, Any]) -> Made:
    """Add attributes that repeat a property or the identifier, where there are none."""
    physical_id, attributes = made
    attributes = dict(attributes or {})
    for name in schema.attributes:
        if name in attributes:
            continue
        if name in given:
            attributes[name] = given[name]
        elif schema.identifier == (name,):
            attributes[name] = physical_id
    return physical_id, attributes


def _by_schema(registry: Registry) -> Callable[..., Callable[..., str]]:
    """Say what a changed property does to a resource, for every type."""

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
