"""``connections/ENV.yaml``: names and kinds of connections and variables, no values.

And the values that are written for them, which come from a JSON document or a prompt.
No message repeats a value: a document that cannot be read is named by line alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from cli.errors import Failure, Problem, UsageError
from fargate_runtime.contract import CONNECTIONS_FOLDER, VARIABLES_FOLDER

GROUPS = {CONNECTIONS_FOLDER: "connection", VARIABLES_FOLDER: "variable"}
"""Member of the file, which is the folder below the prefix -> what it holds."""

NAME = re.compile(r"[A-Za-z0-9_+=.@-]{1,128}")
KIND = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
TEXT, JSON = "text", "json"
FIELDS = ("conn_type", "host", "port", "login", "password", "schema", "extra")
SAME_KIND = {"postgresql": "postgres"}
"""Scheme of a URI that Airflow takes for another kind."""

SHAPE = """connections:
  warehouse: postgres
variables:
  region: text
  limits: json"""

VALUES_SHAPE = (
    '{"connections": {"warehouse": "postgres://..."}, "variables": {"region": "eu"}}'
)


@dataclass(frozen=True)
class Entry:
    """A connection or a variable that an environment needs."""

    group: str
    name: str
    kind: str
    """Airflow's type of the connection; text or json."""
    line: int

    @property
    def path(self) -> str:
        """Name of its secret below the prefix."""
        return f"{self.group}/{self.name}"

    @property
    def title(self) -> str:
        """What messages call it."""
        return f"{GROUPS[self.group]} {self.name}"


def read(path: Path, shown: str) -> dict[str, Entry]:
    """Return the entries of a file by path; raise Failure with every mistake."""
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except FileNotFoundError as error:
        raise UsageError(
            Problem(
                where=shown,
                what="There is no such file.",
                why="It lists what the environment needs, without values.",
                remedy=f"Write it, such as:\n{SHAPE}",
            )
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            Problem(where=shown, what=f"It cannot be read: {error}.")
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Failure(
            Problem(
                where=f"{shown}:{mark.line + 1}" if mark else shown,
                what=f"It is not YAML: {getattr(error, 'problem', None) or 'unknown'}.",
                remedy=f"Write it, such as:\n{SHAPE}",
            )
        ) from error
    items = [*_entries(root, shown)]
    if problems := [item for item in items if isinstance(item, Problem)]:
        raise Failure(*problems)
    return {entry.path: entry for entry in items if isinstance(entry, Entry)}


def _entries(root: Any, shown: str) -> Iterator[Entry | Problem]:
    if root is None:
        return
    for group, members, line in _members(root):
        if group not in GROUPS or (members is not None and not _is_mapping(members)):
            yield Problem(
                where=f"{shown}:{line}",
                what=f"{group!r} is not a list of connections or variables.",
                remedy=f"Write such as:\n{SHAPE}",
            )
            continue
        names: set[str] = set()
        for name, node, at in _members(members):
            kind = node.value if isinstance(node, yaml.ScalarNode) else None
            if problem := _fault(group, name, kind):
                yield Problem(where=f"{shown}:{at}", what=problem)
            elif name in names:
                yield Problem(
                    where=f"{shown}:{at}", what=f"{name} is there twice in {group}."
                )
            else:
                yield Entry(group, name, str(kind), at)
            names.add(name)


def _fault(group: str, name: str, kind: str | None) -> str:
    if not NAME.fullmatch(name):
        return (
            f"{name!r} is no name: letters, digits and _ + = . @ - are, up to 128. A "
            "secret can have no other."
        )
    if kind is None or not KIND.fullmatch(kind):
        # It may be a value that does not belong here.
        return (
            f"The kind of {name} is not one word such as postgres. The file holds no "
            "values."
        )
    if group == VARIABLES_FOLDER and kind not in {TEXT, JSON}:
        return f"{kind} is no kind of variable: {TEXT} and {JSON} are."
    return ""


def _members(node: Any) -> Iterator[tuple[str, Any, int]]:
    if not _is_mapping(node):
        yield str(getattr(node, "value", "")), None, 1
        return
    for key, value in node.value:
        is_empty = isinstance(value, yaml.ScalarNode) and not value.value
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        yield name, None if is_empty else value, key.start_mark.line + 1


def _is_mapping(node: Any) -> bool:
    return isinstance(node, yaml.MappingNode)


def read_values(text: str, entries: Mapping[str, Entry], shown: str) -> dict[str, str]:
    """Return what is to be written, by path; raise Failure with every mistake."""
    try:
        document = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise Failure(
            Problem(
                where=f"{shown}:{line}",
                what="It is not JSON.",
                remedy=f"Write {VALUES_SHAPE}.",
            )
        ) from error
    if not isinstance(document, dict) or not all(
        group in GROUPS and isinstance(members, dict)
        for group, members in document.items()
    ):
        raise Failure(
            Problem(
                where=shown,
                what="It is not an object with connections and variables.",
                remedy=f"Write {VALUES_SHAPE}.",
            )
        )
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for group, members in document.items():
        for name, value in members.items():
            title = f"{GROUPS[group]} {name}"
            entry = entries.get(f"{group}/{name}")
            if entry is None:
                problems.append(
                    Problem(
                        where=shown,
                        what=f"{title} is not in the environment's file.",
                        remedy="Add it there, with its kind.",
                    )
                )
                continue
            try:
                values[entry.path] = secret_text(entry, value)
            except ValueError as error:
                problems.append(Problem(where=shown, what=f"{title}: {error}."))
    if problems:
        raise Failure(*problems)
    return values


def secret_text(entry: Entry, value: Any) -> str:
    """Return a value as its secret holds it; raise ValueError, without the value."""
    if entry.group == CONNECTIONS_FOLDER:
        return _connection(entry, value)
    text = value if isinstance(value, str) else json.dumps(value)
    if not text:
        raise ValueError("the value is empty")
    if entry.kind == JSON:
        _parsed(text)
    return text


def _connection(entry: Entry, value: Any) -> str:
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        scheme, separator, _ = value.strip().partition("://")
        if not separator:
            raise ValueError("the value is neither a URI nor a JSON object")
        _check_kind(entry, scheme)
        return value.strip()
    fields = _parsed(value) if isinstance(value, str) else value
    if not isinstance(fields, dict):
        raise ValueError("the value is neither a URI nor a JSON object")  # noqa: TRY004 - of a value
    if unknown := sorted(set(fields) - set(FIELDS)):
        raise ValueError(
            f"Airflow knows no field {', '.join(unknown)}; it knows {', '.join(FIELDS)}"
        )
    _check_kind(entry, str(fields.setdefault("conn_type", entry.kind)))
    return json.dumps(fields)


def _check_kind(entry: Entry, scheme: str) -> None:
    def normal(kind: str) -> str:
        kind = kind.lower()
        return SAME_KIND.get(kind, kind).replace("-", "_")

    if normal(scheme) != normal(entry.kind):
        raise ValueError(f"the value is not of the kind {entry.kind}")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        # The error's own text may hold a part of the value.
        raise ValueError("the value is not JSON") from error
