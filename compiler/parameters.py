"""Read an environment from ``parameters/<name>.json``.

A file holds ``{"Parameters": {...}, "Tags": {...}}``, every value a string, as
CloudFormation itself takes it, and may say in "Target" where it is launched. A
parameter that takes JSON may be written as an object.
Reading it ends in one of these::

    EnvironmentFile               understood; .problems may hold things to correct
    Failure
    └── ParameterFileError        nothing can be read from it
        ├── UnknownEnvironmentError   no file of that name; says the nearest one
        ├── UnreadableFileError       missing, a folder, forbidden, no UTF-8
        └── MalformedFileError        not JSON, or not an object

Whatever can be said about single values is carried in ``problems``, so that
:func:`compiler.validation.validate` reports all of a file at once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cli.errors import ExitCode, Failure, Problem
from compiler.located_json import (
    JsonArray,
    JsonLiteral,
    JsonNode,
    JsonObject,
    JsonText,
    MalformedJsonError,
    parse,
    quoted,
)
from compiler.stack_policy import statement_faults
from compiler.suggestions import nearest
from compiler.tags import MAX_TAGS, objections

SECTIONS = ("Parameters", "Tags", "StackPolicy", "Target")
"""The sections of CodePipeline's template configuration, and the target."""

STACK_NAME = r"[A-Za-z][A-Za-z0-9-]{0,127}"

TARGET: Mapping[str, tuple[str, str]] = {
    "Account": (r"[0-9]{12}", "Write the twelve digits of an account."),
    "Profile": (r"\S(.*\S)?", "Write the name of a profile of the AWS configuration."),
    "Region": (
        r"[a-z]{2}(-[a-z]+)+-[0-9]+",
        "Write the name of a region, as eu-central-1.",
    ),
    "StackName": (
        STACK_NAME,
        "Write at most 128 letters, digits and hyphens, a letter first.",
    ),
}
"""Members of "Target": their pattern and a remedy. Each command uses them, and is
refused where an option says otherwise."""

SHAPE = 'Write {"Parameters": {"Name": "value"}, "Tags": {"Name": "value"}}.'

MAX_FILE_BYTES = 1_000_000
"""200 parameters of 4,096 bytes, the most CloudFormation takes, fit below it."""

ENVIRONMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,111}")
"""airflow-<name> and airflow-catalog-<name> are names of stacks, which take no dot and
no underscore, and 128 characters."""

WRITTEN_AS_OBJECT = "WrittenAsObject"
"""Tag of the parameters whose value a file may write as a JSON object, and the member
of a root template's metadata that names them."""

MAX_STACK_POLICY_BYTES = 16_384
"""A quota of the CloudFormation API."""


class ParameterFileError(Failure):
    """A parameter file cannot be used at all."""


class UnknownEnvironmentError(ParameterFileError):
    """There is no parameter file of this name."""


class UnreadableFileError(ParameterFileError):
    """A parameter file cannot be read or decoded."""


class MalformedFileError(ParameterFileError):
    """A parameter file is not a JSON object."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentFile:
    """One environment, as in its file."""

    name: str
    source: str
    """The path for messages."""
    parameters: Mapping[str, str]
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    stack_policy: Mapping[str, Any] | None = None
    target: Mapping[str, str] | None = field(
        default_factory=lambda: MappingProxyType({})
    )
    """Account, profile, region and name of the stack, where the file states them; None
    if one of them is wrong."""
    lines: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """The line of each parameter, those with a wrong value among them."""
    objects: frozenset[str] = frozenset()
    """Parameters whose value the file writes as a JSON object."""
    problems: tuple[Problem, ...] = ()
    overrides: frozenset[str] = frozenset()
    """Parameters whose value comes from the command line."""

    def with_overrides(self, values: Mapping[str, str]) -> EnvironmentFile:
        """Return the environment with some values of the command line."""
        return replace(
            self,
            parameters={**self.parameters, **values},
            lines={**self.lines, **dict.fromkeys(values, 0)},
            overrides=frozenset(values),
        )

    def where(self, parameter: str = "") -> str:
        """Return the place of a parameter for a message: file, line, name."""
        if parameter in self.overrides:
            return f"--set {parameter}"
        line = self.lines.get(parameter)
        place = self.source if line is None else f"{self.source}:{line}"
        return f"{place} {parameter}".rstrip()


def environments(folder: Path) -> dict[str, Path]:
    """Return the parameter file of every known environment, by its name.

    Files that ``misnamed`` reports are no environments.
    """
    return {
        file.stem: file
        for file in _files(folder)
        if ENVIRONMENT_NAME.fullmatch(file.stem)
    }


def misnamed(folder: Path) -> tuple[Problem, ...]:
    """Return a problem for each file whose name is no name for an environment."""
    return tuple(
        Problem(
            where=file.as_posix(),
            what=f"{quoted(file.stem)} is no name for an environment.",
            why="It becomes part of the name of a stack.",
            remedy="Rename it: letters, digits and hyphens, at most 112, no hyphen "
            "first.",
        )
        for file in _files(folder)
        if not ENVIRONMENT_NAME.fullmatch(file.stem)
    )


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(
            file
            for file in folder.iterdir()
            if file.suffix == ".json" and not file.name.startswith(".")
        )
    except OSError as error:
        raise _unreadable(folder, error) from error


def find(folder: Path, name: str) -> Path:
    """Return the parameter file of an environment; ``name`` is never a path."""
    known = environments(folder)
    if name not in known:
        for problem in misnamed(folder):
            if Path(problem.where).stem == name:
                raise MalformedFileError(problem)
        raise UnknownEnvironmentError(
            Problem(
                where=f"{folder.as_posix()}/",
                what=f"There is no environment {quoted(name)}.",
                why=f"Known: {', '.join(known) or 'none'}.",
                remedy=nearest(name.removesuffix(".json"), known)
                or (
                    f"Write {(folder / name).as_posix()}.json, or name a known one."
                    if ENVIRONMENT_NAME.fullmatch(name)
                    else "Name a known one."
                ),
            ),
            exit_code=ExitCode.USAGE,
        )
    return known[name]


def load(path: Path) -> EnvironmentFile:
    """Read a parameter file; see the module's text for what can go wrong."""
    source = path.as_posix()
    document = document_of(path)
    if not isinstance(document, JsonObject):
        raise MalformedFileError(
            Problem(
                where=f"{source}:{document.line}",
                what=f"The file holds {_kind_of(document)}, not an object.",
                why="The build converts it to the lists that other tools take."
                if isinstance(document, JsonArray)
                else "",
                remedy=SHAPE,
            )
        )
    return _EnvironmentReader(source).environment(path.stem, document)


def document_of(path: Path) -> JsonNode:
    """Return the JSON value of a file. Raises ParameterFileError."""
    try:
        return parse(_text(path))
    except MalformedJsonError as error:
        raise MalformedFileError(
            Problem(
                where=f"{path.as_posix()}:{error.line}:{error.column}",
                what=error.what,
                why=error.why,
                remedy=error.remedy,
            )
        ) from error


def _text(path: Path) -> str:
    try:
        # Reading a named pipe would block.
        if path.exists() and not path.is_file():
            raise IsADirectoryError(None, "it is a folder or a device, not a file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if len(content) > MAX_FILE_BYTES:
        raise UnreadableFileError(
            Problem(
                where=path.as_posix(),
                what=f"The file is larger than {MAX_FILE_BYTES:,} bytes.",
                why="The most that CloudFormation takes as parameters fits below it.",
                remedy="Delete what is no parameter, tag, policy or target.",
            )
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _no_text(path, "The file is UTF-16, as PowerShell's > writes it.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _no_text(path, f"Line {line} is not UTF-8.") from error


def _unreadable(path: Path, error: OSError | ValueError) -> UnreadableFileError:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return UnreadableFileError(
        Problem(
            where=path.as_posix(),
            what="It cannot be read.",
            why=f"The system says: {why}.",
            remedy="Correct the path or its permissions.",
        ),
        exit_code=ExitCode.UNABLE,
    )


def _no_text(path: Path, what: str) -> UnreadableFileError:
    return UnreadableFileError(
        Problem(
            where=path.as_posix(),
            what=what,
            why="A parameter file is JSON in UTF-8.",
            remedy="Save it again with that encoding.",
        )
    )


class _EnvironmentReader:
    """One pass over a file, collecting what is wrong with it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[tuple[int, Problem]] = []
        self.lines: dict[str, int] = {}
        self.objects: set[str] = set()

    def environment(self, name: str, document: JsonObject) -> EnvironmentFile:
        sections = self.sections(document)
        return EnvironmentFile(
            name=name,
            source=self.source,
            parameters=MappingProxyType(self.parameters(sections.get("Parameters"))),
            tags=MappingProxyType(self.tags(sections.get("Tags"))),
            stack_policy=self.policy(sections.get("StackPolicy")),
            target=self.target(sections.get("Target")),
            lines=MappingProxyType(self.lines),
            objects=frozenset(self.objects),
            problems=tuple(p for _, p in sorted(self.problems, key=itemgetter(0))),
        )

    def add_problem(
        self, node: JsonNode, name: str, what: str, remedy: str, why: str = ""
    ) -> None:
        printable = name if name.isprintable() else ascii(name)
        where = f"{self.source}:{node.line} {printable}".rstrip()
        self.problems.append(
            (node.line, Problem(where=where, what=what, why=why, remedy=remedy))
        )

    def sections(self, document: JsonObject) -> dict[str, JsonNode]:
        members = dict(self.once(document))
        for key, value in members.items():
            if key.text in SECTIONS:
                continue
            is_value = isinstance(value, JsonText | JsonLiteral)
            self.add_problem(
                key,
                "",
                f"{quoted(key.text)} is no section of a parameter file.",
                nearest(key.text, SECTIONS)
                or ('Move it into "Parameters".' if is_value else "Delete it."),
                why=f"The sections are {', '.join(SECTIONS)}.",
            )
        sections = {key.text: value for key, value in members.items()}
        if "Parameters" not in sections:
            self.add_problem(document, "", 'The file has no "Parameters".', SHAPE)
        return sections

    def once(
        self, node: JsonObject, section: str = ""
    ) -> Iterator[tuple[JsonText, JsonNode]]:
        """Yield the members whose key is new, and complain of the others."""
        first: dict[str, int] = {}
        for key, value in node.members:
            if key.text not in first:
                first[key.text] = key.line
                yield key, value
                continue
            self.add_problem(
                key,
                section and key.text,
                f"{quoted(key.text)} is duplicated.",
                "Delete one of the two.",
                why=f"It is on line {first[key.text]} already; other readers silently "
                "use one of the two.",
            )

    def strings(self, node: JsonNode, section: str) -> Iterator[tuple[JsonText, str]]:
        """Yield the members of a section that are strings people can see."""
        if not isinstance(node, JsonObject):
            self.add_problem(
                node,
                "",
                f"{quoted(section)} is {_kind_of(node)}, not an object.",
                f'Write "{section}": {{"Name": "value"}}.',
            )
            return
        for key, value in self.once(node, section):
            if section == "Parameters":
                self.lines[key.text] = key.line
            if section == "Parameters" and isinstance(value, JsonObject):
                self.objects.add(key.text)
                yield key, _compact(self.members(value, key.text))
            elif not isinstance(value, JsonText):
                self.add_problem(
                    value,
                    key.text,
                    f"Its value is {_kind_of(value)}, not a string.",
                    _as_text(value),
                    why="CloudFormation takes every value as text.",
                )
            elif self.is_visible(key) and self.is_visible(value, key.text):
                yield key, value.text

    def members(
        self, node: JsonObject, parameter: str, depth: int = 2
    ) -> dict[str, object]:
        """Return the value of a parameter that is an object of texts and objects."""
        document: dict[str, object] = {}
        for key, value in self.once(node, parameter):
            name = f"{parameter} {key.text}"
            if isinstance(value, JsonObject) and depth > 1:
                document[key.text] = self.members(value, name, depth - 1)
            elif not isinstance(value, JsonText):
                self.add_problem(
                    value,
                    name,
                    f"Its value is {_kind_of(value)}, not a string.",
                    _as_text(value),
                )
            elif self.is_visible(key) and self.is_visible(value, name):
                document[key.text] = value.text
        return document

    def is_visible(self, node: JsonText, name: str = "") -> bool:
        odd = next((c for c in node.text if not c.isprintable()), None)
        if odd is not None:
            self.add_problem(
                node,
                name,
                f"{quoted(node.text)} holds U+{ord(odd):04X}, which is invisible.",
                "Type it again by hand.",
                why="Such characters are copied with pasted text.",
            )
        return odd is None

    def parameters(self, node: JsonNode | None) -> dict[str, str]:
        if node is None:
            return {}
        return {key.text: value for key, value in self.strings(node, "Parameters")}

    def tags(self, node: JsonNode | None) -> dict[str, str]:
        if node is None:
            return {}
        tags: dict[str, str] = {}
        for key, value in self.strings(node, "Tags"):
            for why in objections(key.text, value, tags):
                self.add_problem(
                    key,
                    "Tags",
                    f"The tag {quoted(key.text)}: {quoted(value)} cannot be set.",
                    "Change or delete it.",
                    why=why,
                )
            tags[key.text] = value
        if len(tags) > MAX_TAGS:
            self.add_problem(
                node,
                "Tags",
                f"There are {len(tags)} tags.",
                "Delete some.",
                why=f"{MAX_TAGS} fit: AWS takes 50 for a resource, and many resources "
                "have one of their own.",
            )
        return tags

    def target(self, node: JsonNode | None) -> Mapping[str, str] | None:
        if node is None:
            return MappingProxyType({})
        before = len(self.problems)
        members: dict[str, str] = {}
        for key, value in self.strings(node, "Target"):
            if key.text not in TARGET:
                self.add_problem(
                    key,
                    "Target",
                    f"{quoted(key.text)} is not part of a target.",
                    nearest(key.text, TARGET) or "Delete it.",
                    why=f"The parts are {', '.join(TARGET)}.",
                )
                continue
            pattern, remedy = TARGET[key.text]
            if not re.fullmatch(pattern, value):
                self.add_problem(
                    key, key.text, f"{quoted(value)} cannot be used.", remedy
                )
            members[key.text] = value
        return members if len(self.problems) == before else None

    def policy(self, node: JsonNode | None) -> Mapping[str, Any] | None:
        if node is None:
            return None
        self.check_policy(node)
        document = _plain(node)
        if not isinstance(document, dict) or "Statement" not in document:
            self.add_problem(
                node,
                "StackPolicy",
                'It is no stack policy: it has no "Statement".',
                'Write {"Statement": [...]} as CloudFormation documents it.',
            )
            return None
        self.check_statements(node)
        size = len(json.dumps(document).encode())
        if size > MAX_STACK_POLICY_BYTES:
            self.add_problem(
                node,
                "StackPolicy",
                f"It has {size:,} bytes.",
                "Shorten it.",
                why=f"CloudFormation takes {MAX_STACK_POLICY_BYTES:,}.",
            )
        return document

    def check_statements(self, node: JsonNode) -> None:
        """Check each statement as SetStackPolicy does, after a launch."""
        members = dict(node.members) if isinstance(node, JsonObject) else {}
        for key, value in members.items():
            if key.text != "Statement":
                continue
            statements = value.items if isinstance(value, JsonArray) else (value,)
            if not statements:
                self.add_problem(
                    value,
                    "StackPolicy",
                    "It has no statement, so it would deny every update.",
                    'Add a statement, or delete "StackPolicy".',
                )
            for statement in statements:
                for what, remedy in statement_faults(_plain(statement)):
                    self.add_problem(
                        statement,
                        "StackPolicy",
                        what,
                        remedy,
                        why="The policy is set after the launch, and CloudFormation "
                        "would refuse it.",
                    )

    def check_policy(self, node: JsonNode) -> None:
        match node:
            case JsonObject():
                for key, value in self.once(node, "StackPolicy"):
                    self.is_visible(key)
                    self.check_policy(value)
            case JsonArray():
                for item in node.items:
                    self.check_policy(item)
            case JsonText():
                self.is_visible(node)
            case JsonLiteral():
                self.add_problem(
                    node,
                    "StackPolicy",
                    f"{_kind_of(node)} is no part of a stack policy.",
                    "Write it in double quotes, or delete it.",
                    why="A policy consists of strings and lists.",
                )


def _compact(document: Mapping[str, object]) -> str:
    """Return JSON without blanks, in which texts precede objects."""
    in_order = sorted(document.items(), key=lambda item: isinstance(item[1], dict))
    return json.dumps(dict(in_order), separators=(",", ":"), ensure_ascii=False)


def _plain(node: JsonNode) -> Any:
    match node:
        case JsonObject():
            return {key.text: _plain(value) for key, value in node.members}
        case JsonArray():
            return [_plain(item) for item in node.items]
        case JsonText():
            return node.text
        case JsonLiteral():
            return node.written
        case _:
            raise TypeError(node)


def _kind_of(node: JsonNode) -> str:
    match node:
        case JsonObject():
            return "an object"
        case JsonArray():
            return "a list"
        case JsonLiteral(written=("true" | "false" | "null") as word):
            return word
        case JsonLiteral():
            return f"the number {node.written[:20]}"
        case _:
            return "a string"


def _as_text(node: JsonNode) -> str:
    """Say how to write a value as a string."""
    match node:
        case JsonLiteral(written="null"):
            return 'Write "" for an empty value, or delete the line for the default.'
        case JsonLiteral():
            return f'Write "{node.written[:20]}".'
        case JsonArray() if all(
            isinstance(item, JsonText | JsonLiteral) for item in node.items
        ):
            return f"Write {quoted(','.join(map(str, _plain(node))))}."
        case _:
            return "Write one string."
