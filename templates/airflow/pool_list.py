"""The settings of all worker pools as one JSON text for the autoscaler, in parts.

It is a list with one object a pool, whose keys are the fields of the autoscaler's
``PoolSettings``. CloudFormation inserts the operator's values; an empty optional
setting is left out. The objects are distributed over as many parameters as they need,
each with room for the longest values that it may get.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from troposphere import AWSHelperFn, Equals, If, Join, Not

from compiler.interfaces import fill, leaves
from compiler.values import Value
from compiler.wiring import Record, Template, WiringError, about
from templates.airflow.pools import AUTOSCALER, WorkerPool
from templates.types import Boolean, OptionalSeconds, Text

MOST_BYTES = 4096
"""CloudFormation's quota for the value of a parameter."""

SETTINGS = tuple(
    leaf for leaf in leaves(WorkerPool) if AUTOSCALER in leaf.notes["tags"]
)

LONGEST_VALUE = 10
"""Characters of a number, a profile or a Boolean: more than any that a check passes."""

LONGEST_PIECE = LONGEST_VALUE + max(len(f',"{leaf.name}":') for leaf in SETTINGS)
"""Of what CloudFormation inserts: a value, with its key where it is optional."""

Piece = str | AWSHelperFn
"""Text that is known here, or that CloudFormation inserts."""


class PoolList(Record):
    """The settings of all worker pools, as one JSON text in parts.

    A parameter holds 4,096 bytes, and fifty pools take more.
    """

    part_1: Text = about("First part of the text.")
    part_2: Text = about("The text after the first part.")
    part_3: Text = about("The text after the second part.")
    part_4: Text = about("The text after the third part.")
    part_5: Text = about("The text after the fourth part.")
    part_6: Text = about("The text after the fifth part.")

    @property
    def parts(self) -> list[Value]:
        """Every part, in order."""
        return [leaf.read(self) for leaf in leaves(PoolList)]


def pool_list(t: Template, pools: Sequence[WorkerPool]) -> PoolList:
    """Return the list of all pools.

    Raises WiringError when it does not fit: its parts are as many as PoolList has.
    """
    parts: list[list[Piece]] = []
    room = 0
    for number, pool in enumerate(pools):
        entry = ["," if number else "[", *_object(t, pool)]
        if number == len(pools) - 1:
            entry.append("]")
        most = sum(
            len(piece) if isinstance(piece, str) else LONGEST_PIECE for piece in entry
        )
        if most > room:
            parts.append([])
            room = MOST_BYTES
        parts[-1] += entry
        room -= most
    available = len(leaves(PoolList))
    if len(parts) > available:
        raise WiringError(
            f"{t.name}: the list of the pools",
            f"it takes {len(parts)} parameters, and there are {available} for it",
            "Give PoolList another part, or the pools and their queues shorter names",
        )
    texts = iter([_joined(part) for part in parts])
    return fill(PoolList, lambda _: Text(next(texts, "")))


def all_slots(pools: Sequence[WorkerPool]) -> Text:
    """Return what all pools can run at once, as a sum of products such as 10*8+25*4.

    CloudFormation cannot calculate; the runtime works it out when a container starts.
    """
    pieces: list[Piece] = []
    for pool in pools:
        pieces += ["+"] if pieces else []
        pieces += [_piece(pool.maximum), "*", _piece(pool.concurrency)]
    return Text(_joined(pieces))


def _object(t: Template, pool: WorkerPool) -> Iterator[Piece]:
    before = "{"
    for leaf in SETTINGS:
        value = leaf.read(pool)
        piece = _piece(value)
        key = f"{before}{json.dumps(leaf.name)}:"
        if isinstance(value, OptionalSeconds) and not isinstance(piece, str):
            has_value = t.condition(
                f"Has{value.data.data['Ref']}", Not(Equals(value, ""))
            )
            yield If(has_value, Join("", [key, piece]), "")
        elif isinstance(value, OptionalSeconds):
            yield f"{key}{piece}" if piece else ""
        elif isinstance(value, Boolean) or value.type == "Number":
            yield from (key, piece)
        elif isinstance(piece, str):
            yield key + json.dumps(piece)
        else:
            yield from (f'{key}"', piece, '"')
        before = ","
    yield "}"


def _piece(value: Value) -> Piece:
    """Return a value that is a parameter, or the text of a fixed one."""
    return value if isinstance(value.data, AWSHelperFn) else str(value.data)


def _joined(pieces: list[Piece]) -> Piece:
    """Return the pieces as one text, with known neighbours as one piece."""
    merged: list[Piece] = []
    for piece in pieces:
        if merged and isinstance(piece, str) and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    if len(merged) == 1 and isinstance(merged[0], str):
        return merged[0]
    return Join("", merged)
