"""What a build tells a person: a table on stdout, trouble and progress on stderr.

Colours only at a terminal (``NO_COLOR`` turns them off); piped, a line stays a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.errors import Problem
from compiler.output import digest
from compiler.pipeline import PARENT, BuildOutcome
from compiler.quotas import (
    IN_THE_TABLE,
    RESOURCES_IN_ONE_OPERATION,
    ROOM,
    resources_below,
    usage,
)

PIPED_WIDTH = 10_000
"""Whoever reads from a pipe wants lines, not a guess at the width of a screen."""

DIGEST_SHOWN = 12
WARM = 0.7
"""From this share of a quota on a figure is worth a colour."""


def stdout() -> Console:
    """Return where results go."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return where progress and trouble go."""
    return _console(stderr=True)


def table(dist: Path) -> Table:
    """Show every template in ``dist`` with what it uses of each quota."""
    made = Table(box=None, padding=(0, 1), pad_edge=False, header_style="bold")
    made.add_column("Template\n", no_wrap=True)
    for quota in IN_THE_TABLE:
        made.add_column(
            f"{quota.name.capitalize()}\nof {quota.limit:,}",
            justify="right",
            no_wrap=True,
        )
    made.add_column("SHA-256\n", no_wrap=True)
    for file in sorted(dist.glob("*.template.json")):
        content = file.read_bytes()
        document = json.loads(content)
        cells = []
        for quota in IN_THE_TABLE:
            used = usage(quota, document, content.decode())
            cells.append(Text(f"{used:,}", style=_heat(used / quota.limit)))
        made.add_row(
            file.name.removesuffix(".template.json"),
            *cells,
            Text(digest(content)[:DIGEST_SHOWN], style="dim"),
        )
    return made


def show_build(dist: Path, outcome: BuildOutcome) -> None:
    """Show what a build wrote, or found to be there already."""
    console = stdout()
    console.print(table(dist))
    console.print(f"\n{_operation(dist)}")
    if outcome.has_changed:
        _notes(outcome.unchecked)
        names = ", ".join(outcome.environments) or "no environment"
        console.print(f"Wrote {dist.name}/; linted as it is and for {names}.")
    else:
        console.print(
            f"Unchanged: {dist.name}/ is what these sources give. Nothing written."
        )


def show_check(outcome: BuildOutcome) -> None:
    """Show which environments can be launched."""
    _notes(outcome.unchecked)
    for name in outcome.environments:
        stdout().print(f"{name}: every value can be launched.")


def show(problems: tuple[Problem, ...], outcome: str) -> None:
    """Say what is wrong, one paragraph a problem, and how things stand now."""
    console = stderr()
    for problem in problems:
        _line(console, "error", "bold red", problem.where, "bold")
        _line(console, "", "", problem.what)
        if problem.why:
            _line(console, "why", "dim", problem.why)
        _line(console, "do", "green", problem.remedy)
        console.print()
    count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
    console.print(f"{count}. {outcome}", soft_wrap=True, highlight=False)


@contextmanager
def progress(text: str) -> Iterator[None]:
    """Show that something is under way, at a terminal only."""
    console = stderr()
    if console.is_terminal:
        with console.status(text):
            yield
    else:
        yield


def _operation(dist: Path) -> str:
    """Say how much one launch makes, every nested stack counted as often as it is."""
    documents = {
        file.name: json.loads(file.read_bytes())
        for file in dist.glob("*.template.json")
    }
    made = resources_below(PARENT, documents) if PARENT in documents else 0
    quota = RESOURCES_IN_ONE_OPERATION
    return f"A launch makes {made:,} {quota.name}, of {quota.limit:,}."


def _notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        _line(stderr(), "note", "yellow", note)


def _line(
    console: Console, label: str, label_style: str, text: str, style: str = ""
) -> None:
    line = Text(f"{label:<7}", style=label_style)
    line.append(text, style=style)
    console.print(line, soft_wrap=True)


def _heat(share: float) -> str:
    if share > ROOM:
        return "bold red"
    return "yellow" if share > WARM else ""


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        highlight=False,
        emoji=False,  # ARNs of secrets hold one of its codes
        width=None if stream.isatty() else PIPED_WIDTH,
    )
