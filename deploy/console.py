"""What a person sees: data on stdout, progress, questions and trouble on stderr.

Colours and the live tree only at a terminal; piped, every line stays a line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.errors import Failure, Problem
from deploy import stacks
from deploy.changes import Change, ChangeKind, ChangePlan, Certainty
from deploy.diagnosis import Diagnosis
from deploy.dist import Dist
from deploy.events import StackNode, TreeEvent, StackWatcher
from deploy.stacks import SUCCEEDED

PIPED_WIDTH = 10_000
"""Whoever reads from a pipe wants lines, not a guess at the width of a screen."""

WAITS_SHOWN = 8

QUIET = timedelta(minutes=1)
"""After so long without an event a pipe, too, is told what is being waited for."""

MARKS = {
    ChangeKind.DELETE: ("- delete ", "red"),
    ChangeKind.REPLACE: ("! replace", "red"),
    ChangeKind.MODIFY: ("~ change ", "yellow"),
    ChangeKind.ADD: ("+ add    ", "green"),
}


_command_line: ContextVar[str] = ContextVar("command_line", default="ENV")

COMMAND = re.compile(r"(build\.py [a-z]+) ENV")
"""Commands that messages name; they are shown as they have to be typed."""


@contextmanager
def commands_typed_as(words: str) -> Iterator[None]:
    """Say what stands for ENV in the commands that messages name."""
    before = _command_line.set(words)
    try:
        yield
    finally:
        _command_line.reset(before)


def spelt(text: str) -> str:
    """Return a text with its commands as they have to be typed."""
    return COMMAND.sub(lambda found: f"{found[1]} {_command_line.get()}", text)


def stdout() -> Console:
    """Return where data goes."""
    return _console(stderr=False)


def stderr() -> Console:
    """Return where progress, questions and trouble go."""
    return _console(stderr=True)


def say(text: str = "", style: str = "") -> None:
    """Tell how it goes."""
    _line(stderr(), Text(spelt(text), style=style))


def show(text: str = "", style: str = "") -> None:
    """Give a line of data."""
    _line(stdout(), Text(spelt(text), style=style))


def trouble(failure: Failure) -> None:
    """Say what is wrong, one paragraph a problem."""
    console = stderr()
    for problem in failure.problems:
        _problem(console, problem)


def note(text: str) -> None:
    """Say what is good to know."""
    line = Text("note   ", style="yellow")
    _line(stderr(), line.append(spelt(text), style=""))


def plan(shown: ChangePlan, dist: Dist, *, lists_all: bool = False) -> None:
    """Show what would happen, what endangers data first.

    What is in a stack that is added as a whole is counted, unless ``lists_all``.
    """
    for text in shown.notes:
        note(text)
    console = stdout()
    if shown.is_empty:
        _line(console, Text(f"Nothing to change in stack {shown.stack_name}."))
        return
    verb = "create" if shown.is_new else "update"
    _line(console, Text(f"Would {verb} stack {shown.stack_name}:\n", style="bold"))
    if shown.dangers:
        _line(console, Text("Holds data, and goes or is replaced", style="bold red"))
        for change in shown.dangers:
            _change(console, change, dist)
        _line(console, Text())
    added = {c.path_inside for c in shown.changes if c.adds_stack}
    for change in shown.shown:
        if change.endangers_data or (change.is_within(added) and not lists_all):
            continue
        inside = sum(c.is_within({change.path_inside}) for c in shown.changes)
        _change(console, change, dist, inside if change.adds_stack else 0)
    _line(console, Text())
    _line(console, Text(summary(shown)))


def summary(shown: ChangePlan) -> str:
    """Return the counts of a plan in one line."""
    counts = [
        (sum(c.kind is kind for c in shown.shown), word)
        for kind, word in (
            (ChangeKind.ADD, "to add"),
            (ChangeKind.MODIFY, "to change"),
            (ChangeKind.REPLACE, "to replace"),
            (ChangeKind.DELETE, "to delete"),
        )
    ]
    text = (
        ", ".join(f"{count} {word}" for count, word in counts if count) or "No change"
    )
    may = sum(c.certainty is Certainty.MAY_CHANGE for c in shown.shown)
    if may:
        text += f"; {may} of them may turn out to stay as they are"
    text += "."
    if shown.unfounded:
        text += (
            f" {shown.unfounded} more entries of the change set are left out: their "
            "template and all that reaches it stay the same."
        )
    return text


def diagnosis(found: Diagnosis) -> None:
    """Show why an operation failed, the first cause first."""
    console = stdout()
    _line(console, Text(f"Stack {found.stack_name} is {found.status}."))
    for index, cause in enumerate(found.causes):
        _line(console, Text())
        title = "Root cause" if index == 0 else "Failed as well"
        _line(console, Text(f"{title}: {cause.name}", style="bold red"))
        _line(console, Text(f"  {cause.type}  {cause.status}  {_clock(cause.time)}"))
        if cause.purpose:
            _line(console, Text(f"  {cause.purpose}", style="dim"))
        _line(console, Text(f"  {cause.reason}"))
        for line in cause.evidence:
            _line(console, Text(f"    {line}", style="dim"))
    if found.next_steps:
        _line(console, Text("\nNext", style="bold"))
        for step in found.next_steps:
            _line(console, Text(f"  {spelt(step)}"))


def event(seen: TreeEvent, dist: Dist | None) -> str:
    """Return one event as a line."""
    row = seen.event
    own = row.is_of_the_stack
    name = "/".join(seen.path if own else (*seen.path, row.logical_id)) or "the stack"
    line = f"{_clock(row.time)}  {row.status:<28} {name}"
    if row.reason and ("FAILED" in row.status or "ROLLBACK" in row.status):
        return f"{line}  {row.reason}"
    purpose = dist.purpose(seen.path, row.logical_id) if dist and not own else ""
    return f"{line}  {purpose}".rstrip()


class ProgressDisplay:
    """Shows a watch: a live tree at a terminal, else a line for each event."""

    def __init__(self, watch: StackWatcher, dist: Dist | None) -> None:
        self.watch, self.dist = watch, dist
        self.console = stderr()
        self.begun = self.said = datetime.now(UTC)

    @contextmanager
    def showing(self) -> Iterator[ProgressDisplay]:
        """Show until the end of the block."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(
            get_renderable=self.tree, console=self.console, refresh_per_second=4
        ) as live:
            yield self
            live.update(self.tree())

    def new(self, seen: Sequence[TreeEvent]) -> None:
        """Take what a look brought."""
        if self.console.is_terminal:
            return
        now = datetime.now(UTC)
        for one in seen:
            _line(self.console, Text(event(one, self.dist)))
        if seen:
            self.said = now
        elif now - self.said > QUIET:
            self.said = now
            waiting = self.watch.in_progress()[:WAITS_SHOWN]
            names = ", ".join("/".join((*w.path, w.event.logical_id)) for w in waiting)
            _line(
                self.console,
                Text(f"{_age(now - self.begun)} elapsed; waits for {names}"),
            )

    @property
    def elapsed(self) -> str:
        """How long it has been shown."""
        return _age(datetime.now(UTC) - self.begun)

    def tree(self) -> Group:
        """Return the stacks that are not done yet, and what is being waited for."""
        now = datetime.now(UTC)
        nodes = sorted(self.watch.nodes.values(), key=lambda node: node.path)
        done = [n for n in nodes if n.path and n.status in SUCCEEDED]
        root = self.watch.root
        head = Text(f"{stacks.name_of(root.stack_id)}  ", style="bold")
        head.append(root.status or "IN_PROGRESS", style=_heat(root.status))
        head.append(f"  {_age(now - self.begun)} elapsed")
        if done:
            head.append(f", {len(done)} of {len(nodes) - 1} stacks done", style="dim")
        going = [node for node in nodes if node.path and node not in done]
        lines = [head, *map(self._row, going)]
        waiting = self.watch.in_progress()[:WAITS_SHOWN]
        if waiting:
            lines.append(Text("Waits for", style="bold"))
        for seen in waiting:
            row = seen.event
            name = "/".join((*seen.path, row.logical_id))
            line = Text(f"  {_age(now - row.time):>7}  {name}  ")
            line.append(self._purpose(seen.path, row.logical_id), style="dim")
            lines.append(line)
        for line in lines:
            # A line that wraps would push the first ones off the screen.
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    def _row(self, node: StackNode) -> Text:
        status = node.status or "IN_PROGRESS"
        ready = sum(row.status.endswith("_COMPLETE") for row in node.resources.values())
        line = Text(f"{'  ' * len(node.path)}{node.path[-1]:<18} ")
        line.append(f"{status:<20} ", style=_heat(status))
        line.append(f"{ready} of {len(node.resources)}  ".rjust(11), style="dim")
        return line.append(self._purpose(node.path[:-1], node.path[-1]), style="dim")

    def _purpose(self, path: tuple[str, ...], logical_id: str) -> str:
        return self.dist.purpose(path, logical_id) if self.dist else ""


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """Give a table of data."""
    made = Table(box=None, padding=(0, 2), pad_edge=False, header_style="bold")
    for name in header:
        made.add_column(name, no_wrap=not stdout().is_terminal, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    stdout().print(made)


def outputs(values: Mapping[str, str], descriptions: Mapping[str, str]) -> None:
    """Give the outputs of a stack, each with what it is for."""
    for name, value in values.items():
        show(f"{name}  {descriptions.get(name, '')}".rstrip(), style="bold")
        show(f"  {value}")


def _change(console: Console, change: Change, dist: Dist, inside: int = 0) -> None:
    mark, style = MARKS[change.kind]
    line = Text(f"{mark} ", style="bold " + style if change.endangers_data else style)
    line.append(change.name, style="bold" if change.endangers_data else "")
    kind = f"a stack of {inside}" if inside else change.type
    line.append(f"  {kind}", style="dim")
    if change.certainty is Certainty.MAY_CHANGE:
        line.append("  may change", style="cyan")
    if change.keeps:
        kept = (
            "a snapshot is taken" if change.keeps == "Snapshot" else "the old is kept"
        )
        line.append(f"  ({kept})")
    purpose = dist.purpose(change.path, change.logical_id)
    if purpose:
        line.append(f"  {purpose}", style="dim")
    _line(console, line)
    for detail in change.details:
        _line(console, Text(f"            {detail}", style="dim"))


def _problem(console: Console, problem: Problem) -> None:
    for label, label_style, text, style in (
        ("error", "bold red", problem.where, "bold"),
        ("", "", problem.what, ""),
        ("why", "dim", problem.why, ""),
        ("do", "green", problem.remedy, ""),
    ):
        if text:
            line = Text(f"{label:<7}", style=label_style)
            _line(console, line.append(spelt(text), style=style))
    _line(console, Text())


def _line(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _heat(status: str) -> str:
    if "FAILED" in status or "ROLLBACK" in status:
        return "red"
    return "green" if status.endswith("_COMPLETE") else "yellow"


def _clock(time: datetime) -> str:
    return time.astimezone().strftime("%H:%M:%S")


def _age(span: timedelta) -> str:
    seconds = max(int(span.total_seconds()), 0)
    return f"{seconds // 60}:{seconds % 60:02d}"


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        highlight=False,
        emoji=False,  # ARNs of secrets hold one of its codes
        width=None if stream.isatty() else PIPED_WIDTH,
    )
