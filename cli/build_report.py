"""What a build prints: the quotas that each template uses, and what was written."""

from __future__ import annotations

import json
from pathlib import Path

from rich.table import Table
from rich.text import Text

from cli import console
from cli.errors import Failure
from compiler.output import digest
from compiler.pipeline import BuildOutcome, Project
from compiler.quotas import (
    IN_THE_TABLE,
    RESOURCES_IN_ONE_OPERATION,
    ROOM,
    resources_below,
    usage,
)

DIGEST_SHOWN = 12
WARM = 0.7
"""From this share of a quota on, a figure is coloured."""


def table(dist: Path) -> Table:
    """Return every template in ``dist`` with what it uses of each quota."""
    grid = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    grid.add_column("Template\n", no_wrap=True)
    for quota in IN_THE_TABLE:
        grid.add_column(
            f"{quota.name.capitalize()}\nof {quota.limit:,}",
            justify="right",
            no_wrap=True,
        )
    grid.add_column("SHA-256\n", no_wrap=True)
    for file in sorted(dist.glob("*.template.json")):
        content = file.read_bytes()
        document = json.loads(content)
        cells = []
        for quota in IN_THE_TABLE:
            used = usage(quota, document, content.decode())
            cells.append(Text(f"{used:,}", style=_heat(used / quota.limit)))
        grid.add_row(
            file.name.removesuffix(".template.json"),
            *cells,
            Text(digest(content)[:DIGEST_SHOWN], style="dim"),
        )
    return grid


def print_build(
    project: Project, outcome: BuildOutcome, *, as_json: bool = False
) -> None:
    """Print what a build wrote, or that nothing has changed."""
    dist = project.dist
    if as_json:
        _stop_at_misnamed(outcome)
        console.document(_as_json(dist, outcome))
        return
    console.stdout().print(table(dist))
    console.result(f"\n{_operation(dist, project.root_template)}")
    if outcome.has_changed:
        for text in outcome.unchecked:
            console.note(text)
        names = ", ".join(outcome.environments) or "no environment"
        console.result(f"Wrote {dist.name}/; linted, and checked for {names}.")
    else:
        console.result(
            f"Unchanged: {dist.name}/ is up to date with its sources. Nothing written."
        )
    _stop_at_misnamed(outcome)


def _as_json(dist: Path, outcome: BuildOutcome) -> dict[str, object]:
    templates = {}
    for file in sorted(dist.glob("*.template.json")):
        content = file.read_bytes()
        document = json.loads(content)
        templates[file.name] = {
            **{
                quota.name: usage(quota, document, content.decode())
                for quota in IN_THE_TABLE
            },
            "sha256": digest(content),
        }
    return {
        "Dist": str(dist),
        "HasChanged": outcome.has_changed,
        "Templates": templates,
        "Unchecked": list(outcome.unchecked),
    }


def print_check(outcome: BuildOutcome, *, as_json: bool = False) -> None:
    """Print which environments can be launched."""
    if as_json:
        _stop_at_misnamed(outcome)
        document = {
            "Environments": list(outcome.environments),
            "Unchecked": list(outcome.unchecked),
        }
        console.document(document)
        return
    for text in outcome.unchecked:
        console.note(text)
    for name in outcome.environments:
        console.result(f"{name}: every value can be launched.")
    if not outcome.environments:
        console.result("parameters/ has no file of an environment.")
    _stop_at_misnamed(outcome)


def _stop_at_misnamed(outcome: BuildOutcome) -> None:
    """Report the files that were left out, after what was done for the others."""
    if outcome.misnamed:
        raise Failure(*outcome.misnamed)


def _operation(dist: Path, root_template: str) -> str:
    """Return how many resources one launch creates, nested stacks included."""
    documents = {
        file.name: json.loads(file.read_bytes())
        for file in dist.glob("*.template.json")
    }
    count = (
        resources_below(root_template, documents) if root_template in documents else 0
    )
    quota = RESOURCES_IN_ONE_OPERATION
    return f"A launch creates {count:,} {quota.name}, of {quota.limit:,}."


def _heat(share: float) -> str:
    if share > ROOM:
        return "bold red"
    return "yellow" if share > WARM else ""
