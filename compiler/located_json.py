"""Parse JSON with the line of every value and a remedy for every mistake.

The standard library does not report where a key is, silently keeps the last of two
equal keys, and recurses as deep as the file nests. Messages about parameter files need
the line and both keys.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass

DEPTH = 32
"""A stack policy nests five deep; more is a mistake or an attack."""

SHOWN = 60
"""Characters of a line or value that a message repeats."""

_STRING_START = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*'
_TOKEN = re.compile(
    rf'(?P<text>{_STRING_START}")'
    r"|(?P<mark>[{}\[\]:,])"
    r"|(?P<bare>(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
    r"|true|false|null)(?![\w.+-]))"
    r"|(?P<end>\Z)"
)
_SPACE = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"[\w.+/:-]+")
_GOOD_START = re.compile(_STRING_START)


@dataclass(frozen=True, kw_only=True)
class JsonNode:
    """A value, and where it starts; both numbers count from 1."""

    line: int
    column: int


@dataclass(frozen=True, kw_only=True)
class JsonText(JsonNode):
    """A string."""

    text: str


@dataclass(frozen=True, kw_only=True)
class JsonLiteral(JsonNode):
    """A number, ``true``, ``false`` or ``null``, as it is written."""

    written: str


@dataclass(frozen=True, kw_only=True)
class JsonArray(JsonNode):
    """Values in brackets."""

    items: tuple[JsonNode, ...]


@dataclass(frozen=True, kw_only=True)
class JsonObject(JsonNode):
    """Keys and values in braces, in the file's order; a key may come twice."""

    members: tuple[tuple[JsonText, JsonNode], ...]


class MalformedJsonError(Exception):
    """The text is not JSON; the fields are the parts of a message for people."""

    def __init__(
        self, line: int, column: int, what: str, why: str, remedy: str
    ) -> None:
        super().__init__(f"{line}:{column}: {what} {why} {remedy}")
        self.line, self.column = line, column
        self.what, self.why, self.remedy = what, why, remedy


def parse(source: str) -> JsonNode:
    """Return the one value that ``source`` holds."""
    return _Reader(source).document()


def quoted(value: str) -> str:
    """Return ``value`` in quotes for a message: short, on one line, printable."""
    text = value if len(value) <= SHOWN else f"{value[: SHOWN - 3]}..."
    return json.dumps(text, ensure_ascii=not text.isprintable())


@dataclass(frozen=True)
class _Token:
    kind: str
    lexeme: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.lexeme)


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        # A file of an old Mac ends its lines with a carriage return alone.
        self.starts = [0, *(end.end() for end in re.finditer("\r\n|\n|\r", source))]
        self.last = _Token("", "", 0)
        self.token = _Token("", "", 0)

    def document(self) -> JsonNode:
        self.advance()
        if self.token.kind == "end":
            raise self.error(0, "The file is empty.", 'Write {"Parameters": {}}.')
        value = self.value(depth=0)
        if self.token.kind != "end":
            raise self.error(
                self.token.start,
                f"{quoted(self.token.lexeme)} stands after the end of the JSON value.",
                "Delete it, or delete the bracket that ends the value too early.",
            )
        return value

    def advance(self) -> None:
        spaces = _SPACE.match(self.source, self.token.end)
        start = spaces.end() if spaces else self.token.end
        match = _TOKEN.match(self.source, start)
        if not match or not match.lastgroup:
            raise self.error(start, *self.diagnose(start))
        self.last = self.token
        self.token = _Token(match.lastgroup, match.group(), start)

    def value(self, depth: int) -> JsonNode:
        start = self.token
        line, column = self.place(start.start)
        if depth > DEPTH:
            raise self.error(
                start.start,
                f"The values nest more than {DEPTH} deep.",
                "Delete the brackets that are too many.",
            )
        if start.kind == "text":
            self.advance()
            return JsonText(line=line, column=column, text=json.loads(start.lexeme))
        if start.kind == "bare":
            self.advance()
            return JsonLiteral(line=line, column=column, written=start.lexeme)
        if start.lexeme == "[":
            return JsonArray(line=line, column=column, items=self.items(start, depth))
        if start.lexeme == "{":
            return JsonObject(
                line=line, column=column, members=self.members(start, depth)
            )
        if start.kind == "end":
            raise self.error(
                start.start, "The file ends where a value belongs.", "Write it."
            )
        raise self.error(
            start.start,
            f"{quoted(start.lexeme)} stands where a value belongs.",
            'Write the value, in double quotes; "" is the empty one.',
        )

    def items(self, opening: _Token, depth: int) -> tuple[JsonNode, ...]:
        self.advance()
        items: list[JsonNode] = []
        while self.token.lexeme != "]":
            self.refuse_end(opening)
            items.append(self.value(depth + 1))
            self.separate(opening, "]")
        self.advance()
        return tuple(items)

    def members(
        self, opening: _Token, depth: int
    ) -> tuple[tuple[JsonText, JsonNode], ...]:
        self.advance()
        members: list[tuple[JsonText, JsonNode]] = []
        while self.token.lexeme != "}":
            self.refuse_end(opening)
            if self.token.kind != "text":
                raise self.error(
                    self.token.start,
                    f"{quoted(self.token.lexeme)} stands where a name in double "
                    "quotes belongs.",
                    'Write "Name": "value".',
                )
            line, column = self.place(self.token.start)
            key = JsonText(line=line, column=column, text=json.loads(self.token.lexeme))
            self.advance()
            if self.token.lexeme != ":":
                raise self.error(
                    self.last.end,
                    f"A colon is missing after {quoted(key.text)}.",
                    f"Write {quoted(key.text)}: and then its value.",
                )
            self.advance()
            members.append((key, self.value(depth + 1)))
            self.separate(opening, "}")
        self.advance()
        return tuple(members)

    def separate(self, opening: _Token, closing: str) -> None:
        """Pass the comma between two members, or stop before the closing bracket."""
        if self.token.lexeme == closing:
            return
        self.refuse_end(opening)
        if self.token.lexeme != ",":
            if self.token.kind == "mark":
                raise self.error(
                    self.token.start,
                    f"{quoted(self.token.lexeme)} stands where a comma or {closing} "
                    "belongs.",
                    f"Write a comma, or {closing} if this is the end.",
                )
            raise self.error(
                self.last.end, "A comma is missing after this value.", "Write it."
            )
        comma = self.token.start
        self.advance()
        if self.token.lexeme == closing:
            raise self.error(
                comma,
                f"A comma stands before {closing}, with nothing after it.",
                "Delete the comma: JSON allows none at the end.",
            )

    def refuse_end(self, opening: _Token) -> None:
        if self.token.kind == "end":
            line, _ = self.place(opening.start)
            raise self.error(
                self.token.start,
                f"The file ends, and the {opening.lexeme} of line {line} is open.",
                f"Write {'}' if opening.lexeme == '{' else ']'} at its end.",
            )

    def diagnose(self, start: int) -> tuple[str, str]:
        """Say what is wrong with text that is no part of JSON at all."""
        rest = self.source[start : start + SHOWN]
        word = _WORD.match(rest)
        first = word.group().rstrip(":") if word else rest[0]
        if rest.startswith(("//", "/*", "#")):
            return "This is a comment, and JSON has none.", "Delete it."
        if rest[0] == '"':
            return self.diagnose_string(start)
        if rest[0] in "'‘’“”":  # noqa: RUF001 - what word processors write
            return f"{rest[0]} does not quote text in JSON.", 'Write " instead.'
        if first in ("True", "False"):
            return f"{first} is not a word of JSON.", f'Write "{first.lower()}".'
        if word:
            return f"{quoted(first)} is not in double quotes.", f'Write "{first}".'
        return f"{quoted(first)} has no place here.", "Delete it."

    def diagnose_string(self, start: int) -> tuple[str, str]:
        good = _GOOD_START.match(self.source, start)
        wrong = self.source[good.end() if good else start :][:1]
        if wrong == "\\":
            return (
                "A backslash in this text begins no escape that JSON knows.",
                r"Write \\ for one backslash.",
            )
        if wrong == "\t":
            return "A tab stands in this text.", r"Write \t, or a space."
        return (
            "This text has no closing double quote on its line.",
            'Write the closing ".',
        )

    def place(self, position: int) -> tuple[int, int]:
        line = bisect_right(self.starts, position)
        return line, position - self.starts[line - 1] + 1

    def error(self, position: int, what: str, remedy: str) -> MalformedJsonError:
        line, column = self.place(position)
        text = self.source[self.starts[line - 1] :]
        text = next(iter(text.splitlines()), "")
        excerpt = text[max(0, column - SHOWN // 2) :].strip()
        if not excerpt.isprintable():
            excerpt = ascii(excerpt)
        why = (
            f"The line reads `{excerpt[:SHOWN]}`." if excerpt else "The line is empty."
        )
        return MalformedJsonError(line, column, what, why, remedy)
