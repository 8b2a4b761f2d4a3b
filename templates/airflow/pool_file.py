"""Read ``pools.json``: the worker pools of all environments, as data.

A list of objects. Each has ``Name`` and ``Queue``; every further member is a setting of
a pool, by the name that its parameter ends with, such as ``SpotPercent``: it changes
the default. ``Parameters`` lists the settings that stay parameters; all others are then
fixed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.errors import Failure, Problem
from compiler.located_json import (
    JsonArray,
    JsonLiteral,
    JsonNode,
    JsonObject,
    JsonText,
    quoted,
)
from compiler.parameters import document_of
from compiler.suggestions import nearest

NAME, QUEUE, PARAMETERS = "Name", "Queue", "Parameters"

POOL_NAME = re.compile(r"[a-z][a-z0-9]{0,29}")
"""It begins the names of parameters, nested stacks and outputs."""

RESERVED = ("api",)
"""Names whose nested stacks would have the name of another one."""

EXAMPLE = '{"Name": "reports", "Queue": "reports"}'


@dataclass(frozen=True, kw_only=True)
class PoolEntry:
    """One entry of the file, its settings by the names of their parameters."""

    name: str
    queue: str
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: tuple[str, ...] | None = None
    """Settings that stay parameters; all where the entry does not say."""


def read(
    path: Path, *, known: tuple[str, ...], default_queue: str
) -> tuple[PoolEntry, ...]:
    """Return the entries of the file. Raises Failure with all that is wrong in it."""
    reader = _Reader(path.name, known)
    entries = tuple(reader.entries(document_of(path)))
    if not reader.problems:
        reader.compare(entries, default_queue)
    if reader.problems:
        raise Failure(*reader.problems)
    return entries


class _Reader:
    def __init__(self, source: str, known: tuple[str, ...]) -> None:
        self.source = source
        self.known = known
        self.problems: list[Problem] = []

    def entries(self, document: JsonNode) -> Iterator[PoolEntry]:
        if not isinstance(document, JsonArray) or not document.items:
            self.wrong(document, "It is no list of pools.", f"Write [{EXAMPLE}].")
            return
        for node in document.items:
            if not isinstance(node, JsonObject):
                self.wrong(node, "This is no object.", f"Write {EXAMPLE}.")
            elif entry := self.entry(node):
                yield entry

    def entry(self, node: JsonObject) -> PoolEntry | None:
        names = Counter(key.text for key, _ in node.members)
        settings: dict[str, str] = {}
        parameters: tuple[str, ...] | None = None
        for key, value in node.members:
            if names[key.text] > 1:
                self.wrong(key, f"{key.text} is there twice.", "Delete one of the two.")
            elif key.text == PARAMETERS:
                parameters = self.names(value)
            elif self.is_known(key, (NAME, QUEUE, PARAMETERS, *self.known)):
                settings[key.text] = self.text(key, value)
        for name in (NAME, QUEUE):
            if name not in names:
                self.wrong(node, f"The pool has no {name}.", f"Write {EXAMPLE}.")
        name, queue = settings.pop(NAME, ""), settings.pop(QUEUE, "")
        if name and not POOL_NAME.fullmatch(name):
            self.wrong(
                node,
                f"{quoted(name)} is no name for a pool.",
                "Write at most 30 lower-case letters and digits, a letter first.",
                "Names of parameters and nested stacks begin with it.",
            )
        if name in RESERVED:
            self.wrong(
                node,
                f"A pool cannot be called {name}.",
                "Write another name.",
                "A nested stack has the name that would follow from it.",
            )
        return PoolEntry(
            name=name, queue=queue, settings=settings, parameters=parameters
        )

    def names(self, node: JsonNode) -> tuple[str, ...]:
        items = node.items if isinstance(node, JsonArray) else (node,)
        texts = [item for item in items if isinstance(item, JsonText)]
        if not isinstance(node, JsonArray) or len(texts) < len(items):
            self.wrong(
                node,
                f"{PARAMETERS} is no list of settings.",
                f'Write such as "{PARAMETERS}": ["Minimum", "Maximum"].',
            )
            return ()
        return tuple(item.text for item in texts if self.is_known(item, self.known))

    def is_known(self, key: JsonText, known: tuple[str, ...]) -> bool:
        if key.text in known:
            return True
        self.wrong(
            key,
            f"A pool has no setting {quoted(key.text)}.",
            nearest(key.text, known) or f"Settings are {', '.join(self.known)}.",
        )
        return False

    def text(self, key: JsonText, node: JsonNode) -> str:
        if isinstance(node, JsonText):
            return node.text
        if isinstance(node, JsonLiteral) and node.written != "null":
            return node.written
        self.wrong(
            node,
            f"The value of {key.text} is no text and no number.",
            'Write the value, in double quotes; "" is the empty one.',
        )
        return ""

    def compare(self, entries: tuple[PoolEntry, ...], default_queue: str) -> None:
        """Find what is wrong between the pools."""
        for what, values in (
            (NAME, Counter(entry.name for entry in entries)),
            (QUEUE, Counter(entry.queue for entry in entries)),
        ):
            self.problems += [
                Problem(
                    where=self.source,
                    what=f"{count} pools have the {what} {quoted(value)}.",
                    why="Their demand would be the same.",
                    remedy="Give each its own.",
                )
                for value, count in values.items()
                if count > 1
            ]
        if entries[0].queue != default_queue:
            self.problems.append(
                Problem(
                    where=self.source,
                    what=f"The first pool serves {quoted(entries[0].queue)}.",
                    why=f"A task that names no queue waits in {default_queue}.",
                    remedy=f"Put the pool of the queue {default_queue} first.",
                )
            )

    def wrong(self, node: JsonNode, what: str, remedy: str, why: str = "") -> None:
        where = f"{self.source}:{node.line}"
        self.problems.append(Problem(where=where, what=what, why=why, remedy=remedy))
