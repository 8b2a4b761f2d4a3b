"""The parent's parameters as a Markdown table, for the README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

BEGIN = "<!-- parameters: written by `make reference` -->"
END = "<!-- /parameters -->"


def written_into(text: str, parent: Mapping[str, Any]) -> str:
    """Return a page with its table of parameters brought up to date.

    ``parent`` is the compiled parent template. Raises ValueError for a page that
    has no place for the table.
    """
    head, found, rest = text.partition(BEGIN)
    _, closed, tail = rest.partition(END)
    if not (found and closed):
        message = f"The page has no {BEGIN} ... {END} to write the parameters into."
        raise ValueError(message)
    return f"{head}{BEGIN}\n{table(parent)}{END}{tail}"


def table(parent: Mapping[str, Any]) -> str:
    """Return the parameters in the form's order, a table a group."""
    return "".join(_lines(parent))


def _lines(parent: Mapping[str, Any]) -> Iterator[str]:
    form = parent["Metadata"]["AWS::CloudFormation::Interface"]
    for group in form["ParameterGroups"]:
        yield f"\n### {group['Label']['default']}\n\n"
        yield "| Parameter | Default | Values | What it is |\n"
        yield "| --- | --- | --- | --- |\n"
        for name in group["Parameters"]:
            spec = parent["Parameters"][name]
            cells = (
                f"`{name}`",
                _code(spec["Default"]) if "Default" in spec else "required",
                _values(spec),
                spec["Description"],
            )
            yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"
    yield "\n"


def _values(spec: Mapping[str, Any]) -> str:
    if "AllowedValues" in spec:
        values = [str(value) for value in spec["AllowedValues"]]
        few = 8
        if len(values) > few:
            return f"{values[0]} to {values[-1]}, as the form lists them"
        return ", ".join(values)
    low, high = spec.get("MinValue"), spec.get("MaxValue")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"{low} or more"
    return str(spec.get("ConstraintDescription", "text")).rstrip(".")


def _code(value: object) -> str:
    return f"`{value}`" if value != "" else "empty"


def update(page: Path, parent: Mapping[str, Any]) -> None:
    """Write the table into a page."""
    page.write_text(written_into(page.read_text(), parent))
