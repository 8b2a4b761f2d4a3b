"""What was chosen for the pools, as the autoscaler reads it: one JSON text, in parts.

It is a list with one object a pool, whose keys are the fields of the autoscaler's
``PoolSettings``. CloudFormation puts the operator's values into it; a setting that was
left empty is left out. The objects are dealt out to as many parameters as they need,
each with room for the longest values that it may get.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from troposphere import AWSHelperFn, Equals, If, Join, Not

from compiler.interfaces import fill, leaves
from compiler.wiring import Template, WiringError, title
from templates.airflow.pools import Pool, PoolSettings
from templates.types import PoolList, Text

MOST_BYTES = 4096
"""CloudFormation's quota for the value of a parameter."""

LONGEST_VALUE = 10
"""Characters of a number, a profile or a switch: more than any that a check lets pass."""

COUNTS = ("concurrency", "minimum", "maximum")
DURATIONS = ("target_start_seconds", "scale_in_delay_seconds")

Piece = str | AWSHelperFn
"""Text that is written here, or that CloudFormation puts in."""


def pool_list(t: Template, pools: Iterable[tuple[Pool, PoolSettings]]) -> PoolList:
    """Return the list of all pools.

    Raises WiringError when it does not fit: its parts are as many as PoolList has.
    """
    parts: list[list[Piece]] = []
    room = 0
    for entry in _entries(t, pools):
        most = _longest(entry)
        if most > room:
            parts.append([])
            room = MOST_BYTES
        parts[-1] += entry
        room -= most
    names = [leaf.name for leaf in leaves(PoolList)]
    if len(parts) > len(names):
        raise WiringError(
            f"{t.name}: the list of the pools",
            f"it takes {len(parts)} parameters, and there are {len(names)} for it",
            "Give PoolList another part, or the pools and their queues shorter names",
        )
    texts = [_joined(part) for part in parts]
    texts += [""] * (len(names) - len(parts))
    return fill(
        PoolList, {name: Text(text) for name, text in zip(names, texts, strict=True)}
    )


def all_slots(pools: Iterable[tuple[Pool, PoolSettings]]) -> Text:
    """Return what all pools can run at once, as a sum of products such as 10*8+25*4.

    CloudFormation cannot calculate; the runtime works it out when a container starts.
    """
    pieces: list[Piece] = []
    for pool, chosen in pools:
        before = "+" if pieces else ""
        most = _value("maximum", pool, chosen)
        pieces += [before, most, "*", _value("concurrency", pool, chosen)]
    return Text(_joined(pieces))


def _entries(
    t: Template, pools: Iterable[tuple[Pool, PoolSettings]]
) -> Iterator[list[Piece]]:
    """Yield each pool's object, with the list's brackets and commas around it."""
    before: Piece = "["
    *others, last = pools
    for pool, chosen in others:
        yield [before, *_object(t, pool, chosen)]
        before = ","
    yield [before, *_object(t, *last), "]"]


def _object(t: Template, pool: Pool, chosen: PoolSettings) -> Iterator[Piece]:
    def value(field: str) -> Piece:
        return _value(field, pool, chosen)

    yield f'{{"name":{json.dumps(pool.name)},"queue":{json.dumps(pool.queue)}'
    for field in COUNTS:
        yield from (f',"{field}":', value(field))
    yield from (',"scaling_profile":"', value("scaling_profile"), '"')
    yield from (',"predictive_scaling":', value("predictive_scaling"))
    for field in DURATIONS:
        key = f',"{field}":'
        if field in pool.asks:
            parameter = title(f"{pool.name}_workers_{field}")
            given = t.condition(f"Has{parameter}", Not(Equals(value(field), "")))
            yield If(given, Join("", [key, value(field)]), "")
        elif getattr(pool, field) is not None:
            yield from (key, value(field))
    yield "}"


def _value(field: str, pool: Pool, chosen: PoolSettings) -> Piece:
    """Return what an operator is asked for, or what the entry fixes as JSON has it."""
    given, asked = getattr(pool, field), getattr(chosen, field)
    return asked if field in pool.asks else json.dumps(given).strip('"')


def _joined(pieces: list[Piece]) -> Piece:
    """Return the pieces as one text, neighbours that are written here as one piece."""
    merged: list[Piece] = []
    for piece in pieces:
        if merged and isinstance(piece, str) and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    if len(merged) == 1 and isinstance(merged[0], str):
        return merged[0]
    return Join("", merged)


def _longest(pieces: list[Piece]) -> int:
    """Return the bytes that the pieces may take."""
    keys = max(len(f',"{field}":') for field in DURATIONS)
    return sum(
        len(piece) if isinstance(piece, str) else keys + LONGEST_VALUE
        for piece in pieces
    )
