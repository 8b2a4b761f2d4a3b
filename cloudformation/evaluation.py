"""Evaluate templates with their parameters, as far as it is known before an update.

A stack and those nested in it are one tree. Conditions, parameters and mappings are
resolved; what only AWS knows, such as the ID of a resource, stays an expression that
names the resource by its path in the tree: ``{"Ref": "Network/Vpc"}``. Two expressions
are equal if AWS must give them the same value. Scalars are strings, as parameters are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network
from itertools import islice
from typing import Any

STACK = "AWS::CloudFormation::Stack"
OUTPUTS = "Outputs."

VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")

Path = tuple[str, ...]
FindTemplate = Callable[[Path], Mapping[str, Any] | None]
"""Returns the template of a nested stack by the logical IDs that lead to it."""

NO_VALUE = {"Ref": "AWS::NoValue"}


@dataclass(frozen=True)
class Resource:
    """One resource that exists, with its properties as far as they are known."""

    path: Path
    logical_id: str
    type: str
    properties: Mapping[str, Any]
    body: Mapping[str, Any] = field(repr=False)
    """As the template has it."""
    is_certain: bool = True
    """False if its condition is known only to AWS."""

    @property
    def name(self) -> str:
        """Path in the tree of stacks, as Database/Cluster."""
        return "/".join((*self.path, self.logical_id))


def no_template(_path: Path) -> None:
    """Know no nested template."""


@dataclass(frozen=True)
class Stack:
    """A stack, evaluated; nested stacks are those whose template is found."""

    template: Mapping[str, Any]
    values: Mapping[str, Any]
    """Values of parameters; a missing one has the template's default."""
    path: Path = ()
    find_template: FindTemplate = no_template
    pseudo: Mapping[str, str] = field(default_factory=dict)
    """Values of pseudo parameters, such as AWS::Region, as far as they are known."""

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The value of every parameter that has one."""
        parameters = {}
        for name, definition in self.template.get("Parameters", {}).items():
            value = self.values.get(name, definition.get("Default"))
            if value is None:
                continue
            is_list = str(definition.get("Type", "")).startswith(
                ("CommaDelimitedList", "List<")
            )
            value = _scalars(value)
            parameters[name] = _members(value) if is_list else value
        return parameters

    @cached_property
    def resources(self) -> dict[str, Resource]:
        """The resources whose condition holds, or may."""
        resources = {}
        for logical_id, body in self.template.get("Resources", {}).items():
            exists = self._exists(body)
            if exists is not False:
                resources[logical_id] = Resource(
                    path=self.path,
                    logical_id=logical_id,
                    type=str(body.get("Type", "")),
                    properties=self.evaluate(body.get("Properties", {})),
                    body=body,
                    is_certain=exists is True,
                )
        return resources

    @cached_property
    def nested(self) -> dict[str, Stack]:
        """The nested stacks whose template is known."""
        stacks = {}
        for logical_id, body in self.template.get("Resources", {}).items():
            if body.get("Type") != STACK or self._exists(body) is False:
                continue
            path = (*self.path, logical_id)
            template = self.find_template(path)
            if template is not None:
                parameters = _LazyParameters(self, body)
                stacks[logical_id] = Stack(
                    template, parameters, path, self.find_template, self.pseudo
                )
        return stacks

    def walk(self) -> Iterator[Resource]:
        """Yield every resource of the tree, a nested stack before what is in it."""
        for logical_id, resource in self.resources.items():
            yield resource
            if logical_id in self.nested:
                yield from self.nested[logical_id].walk()

    def condition(self, name: str) -> Any:
        """Return whether a condition holds, or an expression where only AWS knows."""
        if name not in self._conditions:
            definition = self.template.get("Conditions", {}).get(name, {})
            self._conditions[name] = self._holds(definition)
        return self._conditions[name]

    def _exists(self, body: Mapping[str, Any]) -> Any:
        return self.condition(body["Condition"]) if "Condition" in body else True

    @cached_property
    def _conditions(self) -> dict[str, Any]:
        return {}

    def _holds(self, expression: Any) -> Any:
        match expression:
            case {"Condition": str(name)}:
                holds = self.condition(name)
            case {"Fn::Not": [part]}:
                inner = self._holds(part)
                holds = not inner if isinstance(inner, bool) else {"Fn::Not": [inner]}
            case {"Fn::And": parts}:
                holds = _decided("Fn::And", [self._holds(part) for part in parts])
            case {"Fn::Or": parts}:
                holds = _decided("Fn::Or", [self._holds(part) for part in parts])
            case {"Fn::Equals": [left, right]}:
                holds = _equal(self.evaluate(left), self.evaluate(right))
            case _:
                holds = self.evaluate(expression)
        return holds

    def evaluate(self, part: Any) -> Any:
        """Return a part of the template with every function that can be resolved."""
        if isinstance(part, list):
            values = (self.evaluate(member) for member in part)
            return [value for value in values if value != NO_VALUE]
        if not isinstance(part, Mapping):
            return _scalars(part)
        if len(part) == 1:
            ((function, argument),) = part.items()
            if function in FUNCTIONS:
                return FUNCTIONS[function](self, argument)
        members = ((name, self.evaluate(value)) for name, value in part.items())
        return {name: value for name, value in members if value != NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name in self.parameters:
            return self.parameters[name]
        if name in self.pseudo:
            return self.pseudo[name]
        is_local = name in self.template.get("Resources", {})
        return {"Ref": self._name(name) if is_local else name}

    def _get_att(self, argument: Any) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        logical_id, attribute = parts[0], self.evaluate(parts[1])
        nested = self.nested.get(logical_id)
        if nested and isinstance(attribute, str) and attribute.startswith(OUTPUTS):
            outputs = nested.template.get("Outputs", {})
            output = outputs.get(attribute.removeprefix(OUTPUTS))
            if output is not None:
                return nested.evaluate(output.get("Value"))
        return {"Fn::GetAtt": [self._name(logical_id), attribute]}

    def _if(self, argument: Any) -> Any:
        name, yes, no = argument
        holds = self.condition(name)
        if isinstance(holds, bool):
            return self.evaluate(yes if holds else no)
        return {"Fn::If": [holds, self.evaluate(yes), self.evaluate(no)]}

    def _join(self, argument: Any) -> Any:
        delimiter, members = argument[0], self.evaluate(argument[1])
        if not isinstance(members, list):
            return {"Fn::Join": [delimiter, members]}
        return _joined(delimiter, members)

    def _sub(self, argument: Any) -> Any:
        text, variables = argument if isinstance(argument, list) else (argument, {})
        pieces: list[Any] = []
        end = 0
        for match in VARIABLE.finditer(text):
            pieces.append(text[end : match.start()])
            end = match.end()
            literal, name = match.groups()
            if literal:
                pieces.append(f"${{{name}}}")
            elif name in variables:
                pieces.append(self.evaluate(variables[name]))
            elif "." in name and name not in self.parameters:
                pieces.append(self._get_att(name))
            else:
                pieces.append(self._ref(name))
        pieces.append(text[end:])
        return _joined("", [piece for piece in pieces if piece != ""])

    def _split_list(self, argument: Any) -> Any:
        return _split(argument[0], self.evaluate(argument[1]))

    def _select(self, argument: Any) -> Any:
        index, members = self.evaluate(argument[0]), self.evaluate(argument[1])
        is_index = isinstance(index, str) and index.isdecimal()
        if is_index and isinstance(members, list) and int(index) < len(members):
            return members[int(index)]
        return {"Fn::Select": [index, members]}

    def _find_in_map(self, argument: Any) -> Any:
        keys = self.evaluate(argument)
        value: Any = self.template.get("Mappings", {})
        for key in keys[:3]:
            if not isinstance(key, str) or key not in value:
                return {"Fn::FindInMap": keys}
            value = value[key]
        return _scalars(value)

    def _cidr(self, argument: Any) -> Any:
        values = self.evaluate(argument)
        if not is_known(values):
            return {"Fn::Cidr": values}
        network = ip_network(values[0], strict=False)
        bits = int(values[2]) if len(values) > 2 else 8  # noqa: PLR2004 - its default
        subnets = network.subnets(new_prefix=network.max_prefixlen - bits)
        return [str(subnet) for subnet in islice(subnets, int(values[1]))]

    def _name(self, logical_id: str) -> str:
        return "/".join((*self.path, logical_id))


class _LazyParameters(Mapping[str, Any]):
    """Parameters of a nested stack, each evaluated when it is read.

    They may be outputs of stacks beside it, which have parameters themselves.
    """

    def __init__(self, parent: Stack, body: Mapping[str, Any]) -> None:
        self._parent = parent
        self._expressions = body.get("Properties", {}).get("Parameters", {})

    def __getitem__(self, name: str) -> Any:
        return self._parent.evaluate(self._expressions[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._expressions)

    def __len__(self) -> int:
        return len(self._expressions)


FUNCTIONS: Mapping[str, Callable[[Stack, Any], Any]] = {
    "Ref": Stack._ref,  # noqa: SLF001 - its own table
    "Fn::GetAtt": Stack._get_att,  # noqa: SLF001
    "Fn::If": Stack._if,  # noqa: SLF001
    "Fn::Join": Stack._join,  # noqa: SLF001
    "Fn::Sub": Stack._sub,  # noqa: SLF001
    "Fn::Split": Stack._split_list,  # noqa: SLF001
    "Fn::Select": Stack._select,  # noqa: SLF001
    "Fn::FindInMap": Stack._find_in_map,  # noqa: SLF001
    "Fn::Cidr": Stack._cidr,  # noqa: SLF001
}
"""Any other function, such as Fn::GetAZs, stays an expression."""


def is_known(value: Any) -> bool:
    """Whether a value holds no expression that only AWS can resolve."""
    if isinstance(value, list):
        return all(map(is_known, value))
    if isinstance(value, Mapping):
        return not any(map(_is_function, value)) and all(map(is_known, value.values()))
    return True


def is_open(value: Any) -> bool:
    """Whether a value may equal another one although its expression differs.

    The zones of the account may be those that are named elsewhere.
    """
    if isinstance(value, list):
        return any(map(is_open, value))
    if isinstance(value, Mapping):
        return any(name in OPEN or is_open(part) for name, part in value.items())
    return False


OPEN = ("Fn::GetAZs", "Fn::If", "Fn::ImportValue")


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the resources that a value names, each with its attribute or nothing."""
    if isinstance(value, list):
        for member in value:
            yield from references(member)
    elif isinstance(value, Mapping):
        for name, member in value.items():
            if name == "Ref" and isinstance(member, str):
                yield member, ""
            elif name == "Fn::GetAtt" and isinstance(member[1], str):
                yield member[0], member[1]
            else:
                yield from references(member)


def _is_function(key: str) -> bool:
    return key == "Ref" or key.startswith("Fn::")


def _equal(left: Any, right: Any) -> Any:
    if left == right:
        return True
    if is_known(left) and is_known(right):
        return False
    return {"Fn::Equals": [left, right]}


def _decided(function: str, parts: list[Any]) -> Any:
    """Return And or Or of parts of which some may be undecided."""
    decisive = function == "Fn::Or"
    if decisive in parts:
        return decisive
    open_parts = [part for part in parts if not isinstance(part, bool)]
    return {function: open_parts} if open_parts else not decisive


def _joined(delimiter: str, members: list[Any]) -> Any:
    if all(isinstance(member, str) for member in members):
        return delimiter.join(members)
    if len(members) == 1:
        return members[0]
    return {"Fn::Join": [delimiter, members]}


def _members(value: Any) -> Any:
    """Return the members of a list parameter, without spaces around them."""
    if isinstance(value, str):
        return [member.strip() for member in value.split(",")]
    return _split(",", value)


def _split(delimiter: str, value: Any) -> Any:
    match value:
        case str():
            return value.split(delimiter)
        case {"Fn::Join": [joint, list(members)]} if joint == delimiter:
            return members
        case {"Ref": _} | {"Fn::GetAtt": _}:
            # Passed on as a list of one: how many members it has is not known.
            return [value]
        case list():
            return value
    return {"Fn::Split": [delimiter, value]}


def _scalars(value: Any) -> Any:
    """Return a value with each scalar as the string that a parameter would have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return [_scalars(member) for member in value]
    if isinstance(value, Mapping):
        return {name: _scalars(member) for name, member in value.items()}
    return "" if value is None else str(value)
