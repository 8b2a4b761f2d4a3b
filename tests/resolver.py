"""Resolve compiled templates with parameters, as CloudFormation would, symbolically.

Public rule packs pass whatever hides behind a Ref or a wire between stacks. The tests
resolve parameters, conditions and nested outputs first. What only AWS can tell (IDs,
ARNs) becomes a symbol such as ``<Network.Vpc>``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = Mapping[str, Any]

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()


@dataclass
class Stack:
    """A stack with its parameters, resources and outputs, resolved."""

    path: tuple[str, ...]
    document: Document
    parameters: dict[str, Any]
    library: Mapping[str, Document]
    root_name: str
    children: dict[str, Stack] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Resolve the nested stacks, each once."""
        self._conditions: dict[str, bool] = {}

    @property
    def name(self) -> str:
        """The physical name: nested stacks carry their parents' names."""
        return "-".join([self.root_name, *(f"{p}-ABCDEFGHIJKL" for p in self.path)])

    def child(self, logical_id: str) -> Stack:
        """Return the nested stack at a logical ID."""
        if logical_id not in self.children:
            properties = self.document["Resources"][logical_id]["Properties"]
            document = self.library[properties["TemplateURL"]]
            parameters = self.resolve(properties.get("Parameters", {}))
            self.children[logical_id] = Stack(
                path=(*self.path, logical_id),
                document=document,
                parameters=_typed(document, parameters),
                library=self.library,
                root_name=self.root_name,
            )
        return self.children[logical_id]

    def exists(self, entity: Document) -> bool:
        """Whether the condition of a resource or output holds."""
        return "Condition" not in entity or self.holds(entity["Condition"])

    def holds(self, condition: str) -> bool:
        """Evaluate a condition of this template by name."""
        if condition not in self._conditions:
            expression = self.document["Conditions"][condition]
            self._conditions[condition] = bool(self.resolve(expression))
        return self._conditions[condition]

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """Every resource whose condition holds, resolved."""
        return {
            name: self.resolve({k: v for k, v in resource.items() if k != "Metadata"})
            for name, resource in self.document["Resources"].items()
            if self.exists(resource)
        }

    @property
    def outputs(self) -> dict[str, Any]:
        """Every output, resolved."""
        return {
            name: self.resolve(output["Value"])
            for name, output in self.document.get("Outputs", {}).items()
            if self.exists(output)
        }

    def walk(self) -> Iterator[Stack]:
        """Yield this stack and every stack nested in it."""
        yield self
        for name, resource in self.document["Resources"].items():
            is_stack = resource["Type"] == "AWS::CloudFormation::Stack"
            if is_stack and self.exists(resource):
                yield from self.child(name).walk()

    def resolve(self, value: Any) -> Any:
        """Evaluate intrinsic functions in a value, wherever they are."""
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((key, argument),) = value.items()
            if key == "Ref":
                return self._ref(argument)
            if key == "Condition" and isinstance(argument, str):
                return self.holds(argument)
            if key.startswith("Fn::"):
                return getattr(self, "_" + key[4:].lower())(argument)
        # A resource's Condition is a name and not data; a policy's is data.
        entries = {
            k: v for k, v in value.items() if k != "Condition" or not isinstance(v, str)
        }
        resolved = {k: self.resolve(v) for k, v in entries.items()}
        return {k: v for k, v in resolved.items() if v is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name == "AWS::StackName":
            return self.name
        if name == "AWS::StackId":
            region, account = PSEUDO["AWS::Region"], PSEUDO["AWS::AccountId"]
            unique = "6b7c8d90-1a2b-11ef-8e3a-0a1b2c3d4e5f"
            return (
                f"arn:aws:cloudformation:{region}:{account}:stack/{self.name}/{unique}"
            )
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        assert name in self.document["Resources"], f"{self.path}: Ref {name}"
        return self._symbol(name)

    def _symbol(self, *parts: str) -> str:
        return f"<{'.'.join([*self.path, *parts])}>"

    def _getatt(self, argument: Any) -> Any:
        name, attribute = (
            argument.split(".", 1) if isinstance(argument, str) else argument
        )
        resource = self.document["Resources"][name]
        assert self.exists(resource), (
            f"{self.path}: {name} is read, and its condition is false"
        )
        if resource["Type"] == "AWS::CloudFormation::Stack":
            return self.child(name).outputs[attribute.removeprefix("Outputs.")]
        return self._symbol(name, attribute)

    def _if(self, argument: Any) -> Any:
        condition, yes, no = argument
        return self.resolve(yes if self.holds(condition) else no)

    def _equals(self, argument: Any) -> bool:
        left, right = self.resolve(argument)
        return str(left) == str(right)

    def _and(self, argument: Any) -> bool:
        return all(self.resolve(argument))

    def _or(self, argument: Any) -> bool:
        return any(self.resolve(argument))

    def _not(self, argument: Any) -> bool:
        (inner,) = self.resolve(argument)
        return not inner

    def _join(self, argument: Any) -> str:
        separator, parts = argument
        return str(separator).join(str(part) for part in self.resolve(parts))

    def _split(self, argument: Any) -> list[str]:
        separator, text = argument
        return str(self.resolve(text)).split(separator)

    def _select(self, argument: Any) -> Any:
        index, items = argument
        parts, number = self.resolve(items), int(self.resolve(index))
        # The name of a resource has its parts only after the launch.
        if len(parts) == 1 and number and str(parts[0]).startswith("<"):
            return f"{parts[0][:-1]}/{number}>"
        return parts[number]

    def _findinmap(self, argument: Any) -> Any:
        table, first, second = self.resolve(argument)
        return self.document["Mappings"][table][first][second]

    def _getazs(self, _: Any) -> list[str]:
        return [PSEUDO["AWS::Region"] + letter for letter in "abc"]

    def _cidr(self, argument: Any) -> list[str]:
        block, count, bits = self.resolve(argument)
        if block.startswith("<"):
            block = "10.0.0.0/16"
        network = ipaddress.ip_network(block)
        subnets = network.subnets(new_prefix=32 - int(bits))
        return [str(next(subnets)) for _ in range(int(count))]

    def _sub(self, argument: Any) -> str:
        text, values = argument if isinstance(argument, list) else (argument, {})
        known = {name: self.resolve(value) for name, value in values.items()}

        def replace(match: re.Match[str]) -> str:
            name = match.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in known:
                return str(known[name])
            if "." in name:
                return str(self._getatt(name))
            return str(self._ref(name))

        return re.sub(r"\$\{([^}]*)\}", replace, text)


def deploy(
    root: Document,
    library: Mapping[str, Document],
    parameters: Mapping[str, str],
    *,
    name: str = "airflow",
) -> Stack:
    """Resolve a root template and all it nests with an operator's parameters."""
    defaults = {
        key: str(spec["Default"])
        for key, spec in root.get("Parameters", {}).items()
        if "Default" in spec
    }
    return Stack(
        path=(),
        document=root,
        parameters=_typed(root, {**defaults, **parameters}),
        library=library,
        root_name=name,
    )


def _typed(document: Document, parameters: Mapping[str, Any]) -> dict[str, Any]:
    declared = document.get("Parameters", {})
    assert declared.keys() == parameters.keys(), declared.keys() ^ parameters.keys()
    return {
        key: str(value).split(",")
        if declared[key]["Type"] == "CommaDelimitedList"
        else str(value)
        for key, value in parameters.items()
    }
