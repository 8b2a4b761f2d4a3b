"""Inputs and outputs of a template: frozen fields, each a value or a record."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field, fields
from typing import (
    TYPE_CHECKING,
    Any,
    TypeVar,
    cast,
    dataclass_transform,
    get_type_hints,
)

from troposphere import encode_to_dict

from compiler.suggestions import nearest
from compiler.values import Value, WiringError

Face = TypeVar("Face", bound="Interface")


def about(
    description: str,
    *,
    group: str = "",
    label: str = "",
    public: bool = False,
    flat: bool = False,
    tags: Collection[str] = (),
    **properties: Any,
) -> Any:
    """Describe a field of an interface.

    ``group`` and ``label`` place a root parameter in the console's form;
    ``public`` marks an output that people read although no stack does; ``flat`` lets
    the members of a record cross without the field's name before theirs; ``tags``
    mark a field for the code that iterates over them; further properties (Default,
    AllowedValues, ...) go on the root's parameter.
    """
    return field(
        metadata={
            "description": description,
            "group": group,
            "label": label,
            "public": public,
            "flat": flat,
            "tags": frozenset(tags),
            "properties": properties,
        }
    )


@dataclass_transform(
    kw_only_default=True, frozen_default=True, field_specifiers=(about,)
)
class Interface:
    """Base of every Inputs and Outputs: a frozen dataclass, keywords only."""

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)
        assign = cls.__init__

        @functools.wraps(assign)
        def checked(self: Interface, **values: Any) -> None:
            _check_names(cls, values)
            assign(self, **values)

        cls.__init__ = checked  # type: ignore[assignment, method-assign]

    def __post_init__(self) -> None:
        for name, kind in members(type(self)).items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise WiringError(
                    f"{place(type(self))}.{name}",
                    f"a {kind.__name__} belongs here, not {spell(value)}",
                    f"Write {name}=... with a {kind.__name__}",
                )

    if not TYPE_CHECKING:  # mypy refuses a misspelt name by itself

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            raise WiringError(
                f"{place(type(self))}.{name}",
                "there is no such field",
                _known(name, members(type(self))),
            )


class Record(Interface):
    """Values that travel together, as one field of an Inputs or Outputs.

    A field ``database: Database`` crosses as ``DatabaseHost``, ``DatabasePort``
    and so on, or as ``Host`` and ``Port`` where it is described as ``flat``. A nested
    template declares only those members it uses.

    A record of an operator's settings is a field of the root's Inputs and of those of
    nested templates. Its members carry defaults and constraints for the root.
    """


def members(interface: type[Interface]) -> dict[str, type[Value | Record]]:
    """Return the fields of an interface, in order, and the type of each."""
    return _type_hints(cast(Hashable, interface))


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One value that crosses: its flat name, its type, and its path of fields."""

    name: str
    kind: type[Value]
    path: tuple[str, ...]
    notes: Mapping[str, Any]

    @property
    def in_record(self) -> bool:
        """Whether it is a member of a record rather than a field by itself."""
        return len(self.path) > 1

    def read(self, interface: Interface) -> Value:
        """Return the value an interface holds here."""
        return cast(Value, functools.reduce(getattr, self.path, interface))


def leaves(interface: type[Interface]) -> tuple[Leaf, ...]:
    """Return every value of an interface, those of its records in their place."""
    return _leaves(cast(Hashable, interface))


@functools.cache
def _type_hints(interface: Any) -> dict[str, type[Value | Record]]:
    return get_type_hints(interface)


@functools.cache
def _leaves(interface: Any) -> tuple[Leaf, ...]:
    values: list[Leaf] = []
    for f in fields(interface):
        kind = members(interface)[f.name]
        if issubclass(kind, Record):
            prefix = "" if f.metadata["flat"] else f"{f.name}_"
            values += (
                Leaf(
                    name=prefix + leaf.name,
                    kind=leaf.kind,
                    path=(f.name, *leaf.path),
                    notes=leaf.notes,
                )
                for leaf in leaves(kind)
            )
        else:
            values.append(
                Leaf(name=f.name, kind=kind, path=(f.name,), notes=f.metadata)
            )
    names = Counter(leaf.name for leaf in values)
    for name, count in names.items():
        if count > 1:
            raise WiringError(
                f"{place(interface)}.{name}",
                f"{count} values of the interface have this name",
                "Rename one, or write about(...) without flat=True",
            )
    return tuple(values)


def fill(interface: type[Face], value: Callable[[Leaf], Value]) -> Face:
    """Return an interface with the ``value`` of each leaf."""
    return _filled(interface, {leaf.path: value(leaf) for leaf in leaves(interface)})


def _filled(
    interface: type[Face],
    values: Mapping[tuple[str, ...], Value],
    path: tuple[str, ...] = (),
) -> Face:
    return interface(
        **{
            name: _filled(kind, values, (*path, name))
            if issubclass(kind, Record)
            else values[(*path, name)]
            for name, kind in members(interface).items()
        }
    )


def place(interface: type[Interface]) -> str:
    """Return how a message names an interface, as ``network.Inputs``."""
    return f"{interface.__module__.rpartition('.')[2]}.{interface.__name__}"


def spell(value: object) -> str:
    """Return how a message names a value: by its type, or as JSON."""
    if isinstance(value, Value):
        return f"a {type(value).__name__}"
    if isinstance(value, Interface):
        return f"a {place(type(value))}"
    return f"{json.dumps(encode_to_dict(cast(Any, value)), default=repr)}"


def _check_names(interface: type[Interface], values: Mapping[str, object]) -> None:
    known = members(interface)
    for name in values:
        if name not in known:
            raise WiringError(
                f"{place(interface)}.{name}",
                "there is no such field",
                _known(name, known),
            )
    for name, kind in known.items():
        if name not in values:
            raise WiringError(
                f"{place(interface)}.{name}",
                "it has no value",
                f"Write {name}=... with a {kind.__name__}",
            )


def _known(name: str, known: Mapping[str, object]) -> str:
    return nearest(name, known) or f"Known: {', '.join(known) or 'none'}"
