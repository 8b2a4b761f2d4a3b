"""Follow a stack operation and all nested stacks, event by event.

Each poll makes one request for every stack in progress, and for no other: events alone
say what a stack does, which stacks it contains, and when it has ended. When one answer
does not hold all new events, the next poll continues where this one stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cli.errors import Throttled, Unreachable
from deploy import stacks
from deploy.aws import Aws
from deploy.planning import PollInterval
from deploy.stacks import StackEvent, is_terminal

WATCH_INTERVAL = PollInterval(1.5, 6.0, each=0.25)
LOCAL_WATCH_INTERVAL = PollInterval(0.03, 0.25)

FAILED_POLLS = 5
"""Polls in a row without an answer, each with its own retries, until it gives up."""


@dataclass
class StackNode:
    """One stack of the tree of nested stacks."""

    stack_id: str
    path: tuple[str, ...]
    status: str = ""
    ended: datetime | None = None
    resources: dict[str, StackEvent] = field(default_factory=dict)
    """The latest event of each resource."""
    event_ids: set[str] = field(default_factory=set)
    next_page: str = ""
    polls_left: int | None = None
    """Set when the parent's events say that this stack has ended."""

    @property
    def is_in_progress(self) -> bool:
        """Whether more events can come."""
        if self.next_page:
            return True
        return not self.ended and self.polls_left != 0


@dataclass(frozen=True)
class TreeEvent:
    """An event, and the path of its stack in the tree."""

    path: tuple[str, ...]
    event: StackEvent


class StackWatcher:
    """Follows one operation of one stack to its end."""

    def __init__(
        self, aws: Aws, stack_id: str, known: frozenset[str] = frozenset()
    ) -> None:
        """Follow what happens after ``known`` events, or a running operation."""
        self.aws = aws
        self.is_attached = not known
        self.root = StackNode(stack_id, (), event_ids=set(known))
        self.nodes: dict[str, StackNode] = {stack_id: self.root}
        self.started: datetime | None = None
        self.failures: list[TreeEvent] = []
        self._failed_polls = 0

    @property
    def is_over(self) -> bool:
        """Whether the operation has ended."""
        return self.root.ended is not None and not self.root.next_page

    @property
    def status(self) -> str:
        """Status of the root, as its last event says."""
        return self.root.status

    def in_progress(self) -> list[TreeEvent]:
        """Return the resources in progress, longest first."""
        return sorted(
            (
                TreeEvent(node.path, event)
                for node in self.nodes.values()
                for event in node.resources.values()
                if event.status.endswith("_IN_PROGRESS") and not event.is_nested_stack
            ),
            key=lambda tree_event: tree_event.event.time,
        )

    def follow(self, interval: PollInterval) -> Iterator[list[TreeEvent]]:
        """Poll until the operation has ended; yield the new events."""
        waits = interval.waits()
        while True:
            new = self.poll()
            yield new
            if self.is_over:
                # Events of nested stacks since their last poll.
                yield self.poll()
                while any(node.next_page for node in self.nodes.values()):
                    yield self.poll()
                return
            if new:
                waits = interval.waits()
            busy = sum(node.is_in_progress for node in self.nodes.values())
            interval.sleep(max(next(waits), interval.each * busy))

    def poll(self) -> list[TreeEvent]:
        """Make one request per stack in progress; return the new events in order."""
        tree_events: list[TreeEvent] = []
        for node in [n for n in self.nodes.values() if n.is_in_progress]:
            try:
                page = self._page(node)
            except Throttled:
                # The next poll asks again.
                continue
            except Unreachable:
                self._failed_polls += 1
                # An emulator that does not answer has crashed; AWS recovers.
                if self.aws.is_local or self._failed_polls >= FAILED_POLLS:
                    raise
                return tree_events
            self._failed_polls = 0
            tree_events += [
                TreeEvent(node.path, event) for event in self._take(node, page)
            ]
        self._discover(tree_events)
        return sorted(tree_events, key=lambda tree_event: tree_event.event.time)

    def _page(self, node: StackNode) -> dict[str, Any]:
        more: dict[str, Any] = {"NextToken": node.next_page} if node.next_page else {}
        return self.aws.call(
            "cloudformation",
            "describe_stack_events",
            f"Stack {node.stack_id}",
            StackName=node.stack_id,
            **more,
        )

    def _take(self, node: StackNode, page: dict[str, Any]) -> list[StackEvent]:
        """Return the events of a page that are new and belong to the operation."""
        rows = [StackEvent.of(row) for row in page["StackEvents"]]
        new = [
            row
            for row in rows
            if row.id not in node.event_ids and not self._is_old(row)
        ]
        reached_known = len(new) < len(rows) or any(r.starts_operation for r in new)
        node.next_page = "" if reached_known else page.get("NextToken", "")
        node.event_ids.update(row.id for row in new)
        if node.polls_left:
            node.polls_left -= 1
        new = stacks.in_order(new)
        if node is self.root and self.started is None and new:
            new = self._begin(new)
        for row in new:
            self._record(node, row)
        return new

    def _begin(self, new: list[StackEvent]) -> list[StackEvent]:
        """Record when the operation started; return the events that belong to it."""
        if not self.is_attached:
            self.started = new[0].time
            return new
        starts = [row.time for row in new if row.starts_operation]
        if not starts:
            # It started before this page; the next poll continues.
            return new
        self.started = starts[-1]
        return [row for row in new if row.time >= starts[-1]]

    def _is_old(self, row: StackEvent) -> bool:
        return self.started is not None and row.time < self.started

    def _record(self, node: StackNode, row: StackEvent) -> None:
        latest = node.resources.get(row.logical_id)
        if row.is_of_the_stack:
            if node.ended is None or row.time >= node.ended:
                node.status = row.status
                node.ended = row.time if is_terminal(row.status) else None
        elif latest is None or _follows(row, latest):
            node.resources[row.logical_id] = row
        if row.is_failure:
            self.failures.append(TreeEvent(node.path, row))

    def _discover(self, tree_events: list[TreeEvent]) -> None:
        """Add nested stacks that an event names, and stop polling those that ended."""
        for tree_event in tree_events:
            row = tree_event.event
            if not row.is_nested_stack or not row.physical_id.startswith("arn:"):
                continue
            node = self.nodes.get(row.physical_id)
            if node is None:
                path = (*tree_event.path, row.logical_id)
                node = self.nodes[row.physical_id] = StackNode(row.physical_id, path)
            if is_terminal(row.status):
                # Once more, for the events since its last poll.
                node.polls_left = 1
            else:
                node.polls_left = None
                if node.ended and row.time > node.ended:
                    node.ended = None


def _follows(row: StackEvent, latest: StackEvent) -> bool:
    """Whether an event is later; at the same time, an end follows its beginning.

    The beginning comes last where it is on the next, older page.
    """
    if row.time == latest.time and is_terminal(latest.status):
        return is_terminal(row.status)
    return row.time >= latest.time


def known_events(aws: Aws, stack_id: str) -> frozenset[str]:
    """Return the newest events of a stack, so that only later ones are followed."""
    page = aws.call(
        "cloudformation",
        "describe_stack_events",
        f"Stack {stack_id}",
        StackName=stack_id,
    )
    return frozenset(row["EventId"] for row in page["StackEvents"])


def watch_interval(aws: Aws) -> PollInterval:
    """Return how often to poll the events of an operation."""
    return LOCAL_WATCH_INTERVAL if aws.is_local else WATCH_INTERVAL
