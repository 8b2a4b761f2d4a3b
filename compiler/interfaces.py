"""What a template takes and gives: frozen fields, each a value or a record of them."""

from __future__ import annotations

import functools
import json
from collections.abc import Hashable, Mapping
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
    **properties: Any,
) -> Any:
    """Describe a field of an interface.

    ``group`` and ``label`` place a root parameter in the console's form;
    ``public`` marks an output that people read although no stack does; further
    properties (Default, AllowedValues, ...) go on the root's parameter.
    """
    return field(
        metadata={
            "description": description,
            "group": group,
            "label": label,
            "public": public,
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
        def checked(self: Interface, **given: Any) -> None:
            _check_names(cls, given)
            assign(self, **given)

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
    and so on. A nested template declares only those members it uses.
    """


def members(interface: type[Interface]) -> dict[str, type[Value | Record]]:
    """Return the fields of an interface, in order, and the kind of each."""
    return _type_hints(cast(Hashable, interface))


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One value that crosses: its flat name, its kind, and where it lies."""

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
    found: list[Leaf] = []
    for f in fields(interface):
        kind = members(interface)[f.name]
        if issubclass(kind, Record):
            found += (
                Leaf(
                    name=f"{f.name}_{leaf.name}",
                    kind=leaf.kind,
                    path=(f.name, *leaf.path),
                    notes=leaf.notes,
                )
                for leaf in leaves(kind)
            )
        else:
            found.append(Leaf(name=f.name, kind=kind, path=(f.name,), notes=f.metadata))
    return tuple(found)


def fill(interface: type[Face], values: Mapping[str, Value], prefix: str = "") -> Face:
    """Return an interface with ``values`` by flat name."""
    return interface(
        **{
            name: fill(kind, values, f"{prefix}{name}_")
            if issubclass(kind, Record)
            else values[prefix + name]
            for name, kind in members(interface).items()
        }
    )


def place(interface: type[Interface]) -> str:
    """Return how a message names an interface, as ``network.Inputs``."""
    return f"{interface.__module__.rpartition('.')[2]}.{interface.__name__}"


def spell(value: object) -> str:
    """Return how a message names a value: by its kind, or as JSON."""
    if isinstance(value, Value):
        return f"a {type(value).__name__}"
    if isinstance(value, Interface):
        return f"a {place(type(value))}"
    return f"{json.dumps(encode_to_dict(cast(Any, value)), default=repr)}"


def _check_names(interface: type[Interface], given: Mapping[str, object]) -> None:
    known = members(interface)
    for name in given:
        if name not in known:
            raise WiringError(
                f"{place(interface)}.{name}",
                "there is no such field",
                _known(name, known),
            )
    for name, kind in known.items():
        if name not in given:
            raise WiringError(
                f"{place(interface)}.{name}",
                "nothing was given for it",
                f"Write {name}=... with a {kind.__name__}",
            )


def _known(name: str, known: Mapping[str, object]) -> str:
    return nearest(name, known) or f"Known: {', '.join(known) or 'none'}"
