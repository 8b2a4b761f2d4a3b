"""Printing plans, diagnoses, outputs and the progress of a stack operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from cli.console import note, print_line, result, stderr, stdout, with_arguments
from deploy import stacks
from deploy.aws import Aws
from deploy.changes import Certainty, Change, ChangeKind, ChangePlan
from deploy.diagnosis import Diagnosis
from deploy.dist import Dist
from deploy.events import StackNode, StackWatcher, TreeEvent
from deploy.stacks import SUCCEEDED

WAITS_SHOWN = 8

SILENCE = timedelta(minutes=1)
"""After so long without an event, a pipe also gets a line with what is waited for."""

MARKS = {
    ChangeKind.DELETE: ("- delete ", "red"),
    ChangeKind.REPLACE: ("! replace", "red"),
    ChangeKind.MODIFY: ("~ change ", "yellow"),
    ChangeKind.ADD: ("+ add    ", "green"),
}


def print_plan(plan: ChangePlan, dist: Dist, *, lists_all: bool = False) -> None:
    """Print what would happen, changes that endanger data first.

    Resources of a stack that is added as a whole are counted, unless ``lists_all``.
    """
    for text in plan.notes:
        note(text)
    console = stdout()
    if plan.is_empty:
        print_line(console, Text(f"Nothing to change in stack {plan.stack_name}."))
        return
    verb = "create" if plan.is_new else "update"
    print_line(console, Text(f"Would {verb} stack {plan.stack_name}:\n", style="bold"))
    if plan.dangers:
        print_line(
            console,
            Text(
                "Resources with data that would be deleted or replaced",
                style="bold red",
            ),
        )
        for change in plan.dangers:
            _change(console, change, dist)
        print_line(console, Text())
    added = {c.path_inside for c in plan.changes if c.adds_stack}
    for change in plan.relevant:
        if change.endangers_data or (change.is_within(added) and not lists_all):
            continue
        inside = sum(c.is_within({change.path_inside}) for c in plan.changes)
        _change(console, change, dist, inside if change.adds_stack else 0)
    print_line(console, Text())
    print_line(console, Text(summary(plan)))


def summary(plan: ChangePlan) -> str:
    """Return the counts of a plan in one line."""
    counts = [
        (sum(c.kind is kind for c in plan.relevant), word)
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
    may = sum(c.certainty is Certainty.MAY_CHANGE for c in plan.relevant)
    if may:
        text += f"; {may} of them may turn out to need no change"
    text += "."
    if plan.unfounded:
        text += (
            f" {plan.unfounded} more entries of the change set cannot happen: "
            "their template and its inputs stay the same."
        )
    return text


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Print why an operation failed, the first cause first."""
    console = stdout()
    print_line(console, Text(f"Stack {diagnosis.stack_name} is {diagnosis.status}."))
    if diagnosis.is_healthy:
        print_line(console, Text("Nothing failed in its last operation."))
    for index, cause in enumerate(diagnosis.causes):
        print_line(console, Text())
        title = "Root cause" if index == 0 else "Also failed"
        print_line(console, Text(f"{title}: {cause.name}", style="bold red"))
        print_line(
            console, Text(f"  {cause.type}  {cause.status}  {clock(cause.time)}")
        )
        if cause.purpose:
            print_line(console, Text(f"  {cause.purpose}", style="dim"))
        print_line(console, Text(f"  {cause.reason}"))
        for line in cause.evidence:
            print_line(console, Text(f"    {line}", style="dim"))
    if diagnosis.next_steps:
        print_line(console, Text("\nNext", style="bold"))
        for step in diagnosis.next_steps:
            print_line(console, Text(f"  {with_arguments(step)}"))


def event_line(tree_event: TreeEvent, dist: Dist | None) -> str:
    """Return one event as a line."""
    row = tree_event.event
    own = row.is_of_the_stack
    name = (
        "/".join(tree_event.path if own else (*tree_event.path, row.logical_id))
        or "the stack"
    )
    line = f"{clock(row.time)}  {row.status:<20} {name}"
    if row.reason and ("FAILED" in row.status or "ROLLBACK" in row.status):
        return f"{line}  {row.reason}"
    purpose = dist.purpose(tree_event.path, row.logical_id) if dist and not own else ""
    return f"{line}  {purpose}".rstrip()


class ProgressDisplay:
    """Shows a stack operation: a live tree at a terminal, else a line per event."""

    def __init__(
        self,
        watcher: StackWatcher,
        dist: Dist | None,
        expected: Mapping[tuple[str, ...], int] = MappingProxyType({}),
        estimate: timedelta | None = None,
    ) -> None:
        """Show an operation; ``expected`` is the number of resources of each stack.

        ``estimate`` is how long it may take.
        """
        self.estimate = estimate
        self.watcher, self.dist, self.expected = watcher, dist, expected
        self.console = stderr()
        self.started = self.printed = datetime.now(UTC)

    @contextmanager
    def live(self) -> Iterator[ProgressDisplay]:
        """Show the operation during the block."""
        if not self.console.is_terminal:
            yield self
            return
        with Live(
            get_renderable=self.tree, console=self.console, refresh_per_second=4
        ) as live:
            yield self
            live.update(self.tree())

    def add(self, events: Sequence[TreeEvent]) -> None:
        """Print new events, in a pipe; a terminal shows the tree."""
        if self.console.is_terminal:
            return
        now = datetime.now(UTC)
        for tree_event in events:
            print_line(self.console, Text(event_line(tree_event, self.dist)))
        if events:
            self.printed = now
        elif now - self.printed > SILENCE:
            self.printed = now
            waiting = self.watcher.in_progress()[:WAITS_SHOWN]
            names = ", ".join("/".join((*w.path, w.event.logical_id)) for w in waiting)
            print_line(
                self.console,
                Text(
                    ", ".join(filter(None, (self.time, self.counts())))
                    + f"; waiting for {names}"
                ),
            )

    @property
    def elapsed(self) -> str:
        """Time since the display started."""
        return _age(datetime.now(UTC) - self.started)

    @property
    def time(self) -> str:
        """The time since the display started, and how long it may take."""
        last = f" (last time {_age(self.estimate)})" if self.estimate else ""
        return f"{self.elapsed} elapsed{last}"

    def counts(self) -> str:
        """Return how many nested stacks and resources are complete, and of how many.

        Without ``expected`` of those that have events. Nothing during a rollback: what
        it has deleted is complete, too.
        """
        if "ROLLBACK" in self.watcher.status:
            return ""
        nodes = self.watcher.nodes.values()
        nested = [node for node in nodes if node.path]
        resources = [
            event.status
            for node in nodes
            for event in node.resources.values()
            if not event.is_nested_stack
        ]
        stacks_done = sum(node.status in SUCCEEDED for node in nested)
        done = sum(status in SUCCEEDED for status in resources)
        of_stacks = max(len(nested), len(self.expected) - 1)
        of_resources = max(len(resources), sum(self.expected.values()))
        return (
            f"{stacks_done} of {of_stacks} stacks, {done} of {of_resources} resources"
        )

    def tree(self) -> Group:
        """Return the stacks in progress, and the resources that are waited for."""
        now = datetime.now(UTC)
        nodes = sorted(self.watcher.nodes.values(), key=lambda node: node.path)
        done = [n for n in nodes if n.path and n.status in SUCCEEDED]
        root = self.watcher.root
        head = Text(f"{stacks.name_of(root.stack_id)}  ", style="bold")
        head.append(root.status or "IN_PROGRESS", style=_heat(root.status))
        head.append(f"  {self.time}")
        active = [node for node in nodes if node.path and node not in done]
        counts = [Text(text, style="dim") for text in [self.counts()] if text]
        lines = [head, *counts, *map(self._row, active)]
        waiting = self.watcher.in_progress()[:WAITS_SHOWN]
        if waiting:
            lines.append(Text("Waiting for", style="bold"))
        for tree_event in waiting:
            row = tree_event.event
            name = "/".join((*tree_event.path, row.logical_id))
            line = Text(f"  {_age(now - row.time):>7}  {name}  ")
            line.append(self._purpose(tree_event.path, row.logical_id), style="dim")
            lines.append(line)
        for line in lines:
            # A line that wraps would push the first ones off the screen.
            line.no_wrap, line.overflow = True, "ellipsis"
        return Group(*lines)

    def _row(self, node: StackNode) -> Text:
        status = node.status or "IN_PROGRESS"
        ready = sum(row.status in SUCCEEDED for row in node.resources.values())
        count = max(len(node.resources), self._expected_in(node.path))
        line = Text(f"{'  ' * len(node.path)}{node.path[-1]:<18} ")
        line.append(f"{status:<20} ", style=_heat(status))
        line.append(f"{ready} of {count}  ".rjust(11), style="dim")
        return line.append(self._purpose(node.path[:-1], node.path[-1]), style="dim")

    def _expected_in(self, path: tuple[str, ...]) -> int:
        """Return how many resources a stack will have, nested stacks among them."""
        nested = sum(inner[:-1] == path for inner in self.expected if inner)
        return self.expected.get(path, 0) + nested

    def _purpose(self, path: tuple[str, ...], logical_id: str) -> str:
        return self.dist.purpose(path, logical_id) if self.dist else ""


def print_outputs(
    aws: Aws, values: Mapping[str, str], descriptions: Mapping[str, str]
) -> None:
    """Print the outputs of a stack, each with its description."""
    has_page = not aws.emulator or not aws.emulator.kinds()
    for name, value in values.items():
        about = descriptions.get(name, "")
        if not has_page and value.startswith("http"):
            about = f"{about} No page opens: no Airflow runs in the emulator."
        result(f"{name}  {about}".rstrip(), style="bold")
        result(f"  {aws.shell_command(value)}")


def _change(console: Console, change: Change, dist: Dist, inside: int = 0) -> None:
    mark, style = MARKS[change.kind]
    line = Text(f"{mark} ", style="bold " + style if change.endangers_data else style)
    line.append(change.name, style="bold" if change.endangers_data else "")
    kind = f"a stack of {inside}" if inside else change.type
    line.append(f"  {kind}", style="dim")
    if change.certainty is Certainty.MAY_CHANGE:
        line.append("  may change", style="cyan")
    if change.keeps:
        retention = (
            "a snapshot is taken"
            if change.keeps == "Snapshot"
            else "the old one is kept"
        )
        line.append(f"  ({retention})")
    purpose = dist.purpose(change.path, change.logical_id)
    if purpose:
        line.append(f"  {purpose}", style="dim")
    _print_words(console, line)
    for detail in change.details:
        _print_words(console, Text(f"            {detail}", style="dim"))


def _print_words(console: Console, line: Text) -> None:
    """Print a line; a terminal gets it wrapped between words, a pipe as it is."""
    console.print(line, soft_wrap=not console.is_terminal)


def _heat(status: str) -> str:
    if "FAILED" in status or "ROLLBACK" in status:
        return "red"
    return "green" if status.endswith("_COMPLETE") else "yellow"


def clock(time: datetime) -> str:
    """Return date and time here, with the offset from UTC."""
    return time.astimezone().isoformat(sep=" ", timespec="seconds")


def _age(span: timedelta) -> str:
    seconds = max(int(span.total_seconds()), 0)
    return f"{seconds // 60}:{seconds % 60:02d}"
