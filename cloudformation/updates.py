"""What an update does to each resource, from the templates and parameters of a stack.

Which properties replace a resource is in the resource schemas. A replaced resource has
a new ID, so that every property that takes its ID changes, and may replace in turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from cloudformation.evaluation import STACK, Resource, Stack, is_open, references
from cloudformation.schemas import Recreation, SchemaRegistry

POLICIES = ("DeletionPolicy", "UpdateReplacePolicy", "CreationPolicy", "UpdatePolicy")
"""Attributes whose change CloudFormation reports, besides properties."""


class Action(Enum):
    """What happens to a resource."""

    ADD = "add"
    MODIFY = "modify"
    REPLACE = "replace"
    DELETE = "delete"
    NONE = "none"


@dataclass(frozen=True)
class PropertyUpdate:
    """The change of one property or attribute of a resource."""

    name: str
    old: Any
    new: Any
    recreation: Recreation
    cause: str = ""
    """The replaced or modified resource that the new value is taken from."""
    is_certain: bool = True


@dataclass(frozen=True)
class Update:
    """What happens to one resource; also to one that stays as it is."""

    old: Resource | None
    new: Resource | None
    action: Action
    properties: tuple[PropertyUpdate, ...] = ()
    is_certain: bool = True

    @property
    def resource(self) -> Resource:
        """The resource after the update, or the deleted one."""
        resource = self.new or self.old
        if resource is None:
            raise ValueError("An update is of a resource")
        return resource

    @property
    def is_new(self) -> bool:
        """Whether a resource is created, while the old one may still exist."""
        return self.action in (Action.ADD, Action.REPLACE)

    @property
    def is_removed(self) -> bool:
        """Whether the old resource is deleted, after all others were created."""
        return self.action in (Action.DELETE, Action.REPLACE)

    def before(self, name: str) -> Any:
        """Return a property before the update, or None."""
        return self.old.properties.get(name) if self.old else None

    def after(self, name: str) -> Any:
        """Return a property after the update, or None."""
        return self.new.properties.get(name) if self.new else None


Updates = Mapping[str, Update]
"""Every resource before and after, by its path in the tree of stacks."""


def compare(old: Stack | None, new: Stack | None, schemas: SchemaRegistry) -> Updates:
    """Return what happens to every resource; ``None`` is a stack that is not there."""
    before = {resource.name: resource for resource in old.walk()} if old else {}
    after = {resource.name: resource for resource in new.walk()} if new else {}
    updates: dict[str, Update] = {}
    for name in (*after, *(name for name in before if name not in after)):
        updates[name] = _direct(before.get(name), after.get(name), schemas)
    while _follow_references(updates, schemas):
        pass
    _mark_stacks(updates)
    return updates


def _direct(
    old: Resource | None, new: Resource | None, schemas: SchemaRegistry
) -> Update:
    """Return what happens to a resource by its own properties."""
    if old is None or new is None:
        resource = old or new
        is_certain = bool(resource and resource.is_certain)
        action = Action.ADD if old is None else Action.DELETE
        return Update(old, new, action, is_certain=is_certain)
    schema = schemas.find(new.type)
    names = sorted(old.properties.keys() | new.properties.keys())
    pairs = {n: (old.properties.get(n), new.properties.get(n)) for n in names}
    changed = tuple(
        PropertyUpdate(
            name,
            before,
            after,
            schema.recreation(name, before, after) if schema else "Never",
            is_certain=not is_open(before) and not is_open(after),
        )
        for name, (before, after) in pairs.items()
        if before != after
    ) + tuple(
        PropertyUpdate(name, old.body.get(name), new.body.get(name), "Never")
        for name in POLICIES
        if old.body.get(name) != new.body.get(name)
    )
    update = _with(Update(old, new, Action.NONE), changed)
    # The same logical ID for another type: CloudFormation refuses it.
    return replace(update, action=Action.REPLACE) if old.type != new.type else update


def _with(update: Update, properties: tuple[PropertyUpdate, ...]) -> Update:
    """Return an update with the action that its properties make."""
    if not properties:
        return update
    replacing = [p for p in properties if p.recreation == "Always"]
    certain = [p for p in replacing if p.is_certain]
    possible = [p for p in properties if p.recreation != "Never"]
    if certain:
        action, is_certain = Action.REPLACE, True
    elif possible:
        action, is_certain = Action.REPLACE, False
    else:
        action, is_certain = Action.MODIFY, any(p.is_certain for p in properties)
    return replace(update, action=action, properties=properties, is_certain=is_certain)


def _follow_references(updates: dict[str, Update], schemas: SchemaRegistry) -> bool:
    """Add the properties that take a changed value; return whether there were any."""
    has_grown = False
    for name, update in updates.items():
        if update.old is None or update.new is None or update.new.type == STACK:
            continue
        known = {(p.name, p.is_certain) for p in update.properties}
        schema = schemas.find(update.new.type)
        further = []
        for property_name, value in update.new.properties.items():
            reference = _changed_reference(value, updates, schemas)
            if reference is None or (property_name, True) in known:
                continue
            cause, is_certain = reference
            if (property_name, is_certain) in known:
                continue
            further.append(
                PropertyUpdate(
                    property_name,
                    update.old.properties.get(property_name),
                    value,
                    # Any difference: the value is another one after the update.
                    schema.recreation(property_name, None, value)
                    if schema
                    else "Never",
                    cause,
                    is_certain,
                )
            )
        if further:
            has_grown = True
            names = {p.name for p in further}
            others = (p for p in update.properties if p.name not in names)
            updates[name] = _with(update, (*others, *further))
    return has_grown


def _changed_reference(
    value: Any, updates: Mapping[str, Update], schemas: SchemaRegistry
) -> tuple[str, bool] | None:
    """Return the changed resource that a value is taken from, and how certain it is."""
    possible = None
    for name, attribute in references(value):
        update = updates.get(name)
        if update is None or update.action in (Action.NONE, Action.DELETE):
            continue
        if update.action is Action.REPLACE and update.is_certain:
            return name, True
        if update.action is Action.REPLACE:
            possible = (name, False)
        elif update.action is Action.MODIFY and attribute:
            schema = schemas.find(update.resource.type)
            if schema is None or not schema.identifies(attribute):
                possible = (name, False)
    return possible


def _mark_stacks(updates: dict[str, Update]) -> None:
    """Mark each nested stack as modified in which anything happens."""
    stacks = [n for n, update in updates.items() if update.resource.type == STACK]
    # The innermost first: a stack is modified with one that is nested in it.
    for name in reversed(stacks):
        update = updates[name]
        if update.action not in (Action.NONE, Action.MODIFY):
            continue
        inside = list(_inside(name, updates))
        if inside and (update.action is Action.NONE or not update.is_certain):
            updates[name] = replace(
                update,
                action=Action.MODIFY,
                is_certain=any(each.is_certain for each in inside),
            )


def _inside(name: str, updates: Updates) -> Iterator[Update]:
    for inner, update in updates.items():
        if inner.startswith(f"{name}/") and update.action is not Action.NONE:
            yield update
