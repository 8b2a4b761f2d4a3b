"""Template validation: refuses what AWS refuses and MiniStack would launch.

Unknown and missing parameters, unresolved references (also to a resource whose
condition is false), and attributes that a type does not have. The messages are
CloudFormation's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cloudformation.schemas import Schema

PSEUDO = "AWS::"
VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
STACK = "AWS::CloudFormation::Stack"

FindSchema = Callable[[str], Schema | None]


class TemplateRefusedError(ValueError):
    """CloudFormation refuses the template; the message is its own."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A reference of a template: logical ID or parameter, and attribute."""

    name: str
    attribute: str = ""


def trim_lists(template: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Remove the spaces around the members of list parameters, as AWS does.

    ``parameters`` are those that MiniStack has resolved.
    """
    for name, definition in (template.get("Parameters") or {}).items():
        if definition.get("Type") == "CommaDelimitedList":
            members = str(parameters[name]["Value"]).split(",")
            parameters[name]["Value"] = ",".join(map(str.strip, members))


def check_parameters(template: Mapping[str, Any], values: list[dict[str, Any]]) -> None:
    """Refuse unknown parameters and missing values."""
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    names = [str(entry["Key"]) for entry in values if "Key" in entry]
    unknown = [name for name in names if name not in declared]
    if unknown:
        raise TemplateRefusedError(
            f"Parameters: [{', '.join(unknown)}] do not exist in the template"
        )
    missing = [
        name
        for name, definition in declared.items()
        if name not in names and "Default" not in definition
    ]
    if missing:
        raise TemplateRefusedError(
            f"Parameters: [{', '.join(missing)}] must have values"
        )


def check_references(
    template: Mapping[str, Any], conditions: Mapping[str, bool], find_schema: FindSchema
) -> None:
    """Refuse unresolved references and unknown attributes."""
    resources: Mapping[str, Any] = template.get("Resources") or {}
    parameters: Mapping[str, Any] = template.get("Parameters") or {}
    included = {
        name
        for name, resource in resources.items()
        if conditions.get(resource.get("Condition", ""), True)
    }

    def check(part: Any, block: str) -> None:
        used = list(references(part, conditions))
        missing = sorted(
            {
                reference.name
                for reference in used
                if not reference.name.startswith(PSEUDO)
                and reference.name not in parameters
                and reference.name not in included
            }
        )
        if missing:
            raise TemplateRefusedError(
                "Template format error: Unresolved resource dependencies "
                f"[{', '.join(missing)}] in the {block} block of the template"
            )
        for reference in used:
            if reference.attribute and reference.name in resources:
                _check_attribute(
                    reference, str(resources[reference.name]["Type"]), find_schema
                )

    _check_dependencies(resources)
    for name in included:
        check(resources[name].get("Properties"), "Resources")
    for output in (template.get("Outputs") or {}).values():
        if conditions.get(output.get("Condition", ""), True):
            check(output.get("Value"), "Outputs")


def _check_dependencies(resources: Mapping[str, Any]) -> None:
    """Refuse DependsOn of unknown resources; a false condition is no error."""
    missing = {
        name
        for resource in resources.values()
        for name in _list(resource.get("DependsOn"))
        if name not in resources
    }
    if missing:
        raise TemplateRefusedError(
            "Template format error: Unresolved resource dependencies "
            f"[{', '.join(sorted(missing))}] in the Resources block of the template"
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
        raise TemplateRefusedError(
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
            branch = argument[1] if conditions[argument[0]] else argument[2]
            yield from references(branch, conditions)
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
