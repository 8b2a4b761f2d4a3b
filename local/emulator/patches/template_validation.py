"""What AWS refuses in a template and MiniStack would launch.

Unknown and missing parameters, references that lead nowhere (also by way of a
condition that does not hold), attributes that a type does not have. Each in
CloudFormation's words, so that an error met here is recognised there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.emulator.patches.schemas import Schema

PSEUDO = "AWS::"
VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
STACK = "AWS::CloudFormation::Stack"

FindSchema = Callable[[str], Schema | None]


class TemplateError(ValueError):
    """CloudFormation would not take this; the message is its own."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A name that a template uses, and the attribute of it."""

    name: str
    attribute: str = ""


def check_parameters(template: Mapping[str, Any], given: list[dict[str, Any]]) -> None:
    """Refuse parameters that the template does not have, and values it lacks."""
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    names = [str(entry["Key"]) for entry in given if "Key" in entry]
    unknown = [name for name in names if name not in declared]
    if unknown:
        raise TemplateError(
            f"Parameters: [{', '.join(unknown)}] do not exist in the template"
        )
    missing = [
        name
        for name, definition in declared.items()
        if name not in names and "Default" not in definition
    ]
    if missing:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")


def check_references(
    template: Mapping[str, Any],
    conditions: Mapping[str, bool],
    find_schema: FindSchema,
) -> None:
    """Refuse references to what is not there, and attributes that do not exist."""
    resources: Mapping[str, Any] = template.get("Resources") or {}
    parameters: Mapping[str, Any] = template.get("Parameters") or {}
    made = {
        name
        for name, resource in resources.items()
        if conditions.get(resource.get("Condition", ""), True)
    }

    def check(part: Any, block: str) -> None:
        found = list(references(part, conditions))
        lost = sorted(
            {
                reference.name
                for reference in found
                if not reference.name.startswith(PSEUDO)
                and reference.name not in parameters
                and reference.name not in made
            }
        )
        if lost:
            raise TemplateError(
                "Template format error: Unresolved resource dependencies "
                f"[{', '.join(lost)}] in the {block} block of the template"
            )
        for reference in found:
            if reference.attribute and reference.name in resources:
                _check_attribute(
                    reference, str(resources[reference.name]["Type"]), find_schema
                )

    _check_dependencies(resources)
    for name in made:
        check(resources[name].get("Properties"), "Resources")
    for output in (template.get("Outputs") or {}).values():
        if conditions.get(output.get("Condition", ""), True):
            check(output.get("Value"), "Outputs")


def _check_dependencies(resources: Mapping[str, Any]) -> None:
    """Refuse to depend on nothing; on what a condition leaves out is no matter."""
    lost = {
        name
        for resource in resources.values()
        for name in _list(resource.get("DependsOn"))
        if name not in resources
    }
    if lost:
        raise TemplateError(
            "Template format error: Unresolved resource dependencies "
            f"[{', '.join(sorted(lost))}] in the Resources block of the template"
        )


def _check_attribute(
    reference: Reference, resource_type: str, find_schema: FindSchema
) -> None:
    if resource_type == STACK and reference.attribute.startswith("Outputs."):
        return
    schema = find_schema(resource_type)
    if schema is None:
        return
    if reference.attribute not in schema.attributes:
        raise TemplateError(
            f"Template error: resource {reference.name} does not support attribute "
            f"type {reference.attribute} in Fn::GetAtt"
        )


def references(part: Any, conditions: Mapping[str, bool]) -> Iterator[Reference]:
    """Yield every reference in the branches that the conditions choose."""
    if isinstance(part, list):
        for member in part:
            yield from references(member, conditions)
    if not isinstance(part, dict):
        return
    for function, argument in part.items():
        if function == "Ref" and isinstance(argument, str):
            yield Reference(name=argument)
        elif function == "Fn::GetAtt":
            name, attribute = _attribute(argument)
            yield Reference(name=name, attribute=attribute)
        elif function == "Fn::Sub":
            yield from _in_text(argument, conditions)
        elif function == "Fn::If" and argument[0] in conditions:
            chosen = argument[1] if conditions[argument[0]] else argument[2]
            yield from references(chosen, conditions)
        else:
            yield from references(argument, conditions)


def _in_text(argument: Any, conditions: Mapping[str, bool]) -> Iterator[Reference]:
    text, bound = argument if isinstance(argument, list) else (argument, {})
    for variable in VARIABLE.findall(str(text)):
        if variable not in bound:
            name, _, attribute = variable.partition(".")
            yield Reference(name=name, attribute=attribute)
    yield from references(list(bound.values()), conditions)


def _attribute(argument: Any) -> tuple[str, str]:
    if isinstance(argument, str):
        name, _, attribute = argument.partition(".")
        return name, attribute
    return str(argument[0]), str(argument[1]) if isinstance(argument[1], str) else ""


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())
