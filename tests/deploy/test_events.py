"""An operation is followed by one call for each stack in progress, come what may."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cli.errors import Problem, Throttled, Unreachable
from deploy.events import StackWatcher, TreeEvent, known_events
from deploy.stacks import StackEvent
from tests.deploy.fakes import AT_ONCE, FakeAws, histories, nested, row, stack_id

ROOT = "airflow-dev"

CREATED = (
    row(0, ROOT, ROOT, "REVIEW_IN_PROGRESS"),
    row(1, ROOT, ROOT, "CREATE_IN_PROGRESS"),
    nested(2, ROOT, "Network", "CREATE_IN_PROGRESS", child="net"),
    nested(2, ROOT, "Storage", "CREATE_IN_PROGRESS", child="sto"),
    row(3, "net", "net", "CREATE_IN_PROGRESS"),
    row(4, "net", "Vpc", "CREATE_IN_PROGRESS"),
    row(5, "sto", "sto", "CREATE_IN_PROGRESS"),
    row(6, "sto", "Data", "CREATE_IN_PROGRESS"),
    row(7, "sto", "Data", "CREATE_COMPLETE"),
    row(8, "sto", "sto", "CREATE_COMPLETE"),
    nested(9, ROOT, "Storage", "CREATE_COMPLETE", child="sto"),
    row(10, "net", "Vpc", "CREATE_COMPLETE"),
    row(11, "net", "net", "CREATE_COMPLETE"),
    nested(12, ROOT, "Network", "CREATE_COMPLETE", child="net"),
    row(13, ROOT, ROOT, "CREATE_COMPLETE"),
)


class Unfolding(FakeAws):
    """A history that one more row is known of with every look at the root."""

    def __init__(self, *rows: dict[str, Any], shown: int = 1) -> None:
        super().__init__()
        self.rows, self.shown = rows, shown
        self.looks: list[Counter[str]] = []

    def call(
        self, service: str, operation: str, _resource: str = "", /, **parameters: Any
    ) -> dict[str, Any]:
        self.calls[f"{service}:{operation}"] += 1
        stack = parameters["StackName"]
        if stack == stack_id(ROOT):
            self.looks.append(Counter())
            self.shown += 1
        self.looks[-1][stack] += 1
        return histories(*self.rows[: self.shown])(StackName=stack)


def followed(aws: FakeAws, known: frozenset[str] = frozenset()) -> list[TreeEvent]:
    watch = StackWatcher(aws, stack_id(ROOT), known)
    return [event for new in watch.follow(AT_ONCE) for event in new]


def names(events: list[TreeEvent]) -> list[str]:
    return [f"{'/'.join(s.path)}:{s.event.logical_id}:{s.event.status}" for s in events]


def test_every_event_of_every_stack_is_returned_once() -> None:
    events = followed(
        Unfolding(*CREATED), known_events(Unfolding(*CREATED[:1]), stack_id(ROOT))
    )
    assert len(events) == len({s.event.id for s in events}) == len(CREATED) - 1
    assert "Storage:Data:CREATE_COMPLETE" in names(events)


def test_poll_makes_one_request_per_stack_in_progress() -> None:
    aws = Unfolding(*CREATED)
    watch = StackWatcher(aws, stack_id(ROOT))
    ended: dict[str, int] = {}
    looks = 0
    for _new in watch.follow(AT_ONCE):
        looks += 1
        for node in watch.nodes.values():
            if not node.is_in_progress:
                ended.setdefault(node.stack_id, looks)
    assert looks > 10
    for look in aws.looks:
        assert set(look.values()) == {1}
    # The store ended while the network went on: it is not polled any more.
    asked_for_storage = sum(look[stack_id("sto")] for look in aws.looks)
    assert asked_for_storage <= ended[stack_id("sto")]
    assert asked_for_storage < len(aws.looks) - 2
    assert aws.calls.total() == sum(look.total() for look in aws.looks)


def test_events_before_the_operation_are_left_out() -> None:
    before = (
        row(-9, ROOT, ROOT, "CREATE_IN_PROGRESS"),
        row(-8, ROOT, "Old", "CREATE_FAILED"),
        row(-7, ROOT, ROOT, "CREATE_COMPLETE"),
        row(-6, "net", "Vpc", "CREATE_FAILED"),
    )
    updated = (
        row(1, ROOT, ROOT, "UPDATE_IN_PROGRESS"),
        nested(2, ROOT, "Network", "UPDATE_IN_PROGRESS", child="net"),
        row(3, "net", "Vpc", "UPDATE_COMPLETE"),
        nested(4, ROOT, "Network", "UPDATE_COMPLETE", child="net"),
        row(5, ROOT, ROOT, "UPDATE_COMPLETE"),
    )
    aws = FakeAws(describe_stack_events=histories(*before, *updated))
    attached = followed(aws)
    assert len(attached) == len(updated)
    known = known_events(
        FakeAws(describe_stack_events=histories(*before)), stack_id(ROOT)
    )
    assert names(followed(aws, known)) == names(attached)


def test_events_beyond_one_page_are_returned() -> None:
    """One look reads one page; the next looks read on where it stopped."""
    rows = [row(1, ROOT, ROOT, "CREATE_IN_PROGRESS")]
    rows += [row(2 + n, ROOT, f"R{n}", "CREATE_COMPLETE") for n in range(250)]
    rows += [row(300, ROOT, ROOT, "CREATE_COMPLETE")]
    newest_first = rows[::-1]

    def pages(NextToken: str = "0", **_rest: Any) -> dict[str, Any]:  # noqa: N803
        at = int(NextToken)
        page = {"StackEvents": newest_first[at : at + 100]}
        return {**page, "NextToken": str(at + 100)} if at + 100 < len(rows) else page

    aws = FakeAws(describe_stack_events=pages)
    assert len(followed(aws)) == len(rows)


def test_end_on_a_newer_page_than_its_beginning_stays() -> None:
    """Progress ended at 241 of 242 resources: both events had the same time."""
    rows = [
        row(2, ROOT, "Data", "CREATE_COMPLETE"),
        row(2, ROOT, "Data", "CREATE_IN_PROGRESS"),
        row(1, ROOT, ROOT, "CREATE_IN_PROGRESS"),
    ]

    def pages(NextToken: str = "0", **_rest: Any) -> dict[str, Any]:  # noqa: N803
        at = int(NextToken)
        return {"StackEvents": rows[at : at + 1], "NextToken": str(at + 1)}

    watch = StackWatcher(FakeAws(describe_stack_events=pages), stack_id(ROOT))
    for _ in rows:
        watch.poll()
    assert watch.root.resources["Data"].status == "CREATE_COMPLETE"


def test_events_out_of_order_give_the_latest_state() -> None:
    rows = (
        row(1, ROOT, ROOT, "CREATE_IN_PROGRESS"),
        row(5, ROOT, "Data", "CREATE_COMPLETE"),
        row(3, ROOT, "Data", "CREATE_IN_PROGRESS"),
        row(9, ROOT, ROOT, "CREATE_COMPLETE"),
        row(8, ROOT, "Code", "CREATE_COMPLETE"),
    )
    watch = StackWatcher(
        FakeAws(describe_stack_events=histories(*rows)), stack_id(ROOT)
    )
    events = [s for new in watch.follow(AT_ONCE) for s in new]
    assert [s.event.time for s in events] == sorted(s.event.time for s in events)
    assert watch.root.resources["Data"].status == "CREATE_COMPLETE"
    assert watch.status == "CREATE_COMPLETE"


def test_late_event_does_not_override_a_newer_one() -> None:
    began = row(1, ROOT, ROOT, "CREATE_IN_PROGRESS")
    late = row(3, ROOT, "Data", "CREATE_IN_PROGRESS")
    done = row(5, ROOT, "Data", "CREATE_COMPLETE")
    aws = FakeAws(
        describe_stack_events=[histories(began, done), histories(began, late, done)]
    )
    watch = StackWatcher(aws, stack_id(ROOT))
    watch.poll()
    watch.poll()
    assert watch.root.resources["Data"].status == "CREATE_COMPLETE"
    assert watch.in_progress() == []


def test_rolled_back_stack_is_followed_again() -> None:
    rows = (
        row(1, ROOT, ROOT, "UPDATE_IN_PROGRESS"),
        nested(2, ROOT, "Network", "UPDATE_IN_PROGRESS", child="net"),
        row(3, "net", "net", "UPDATE_IN_PROGRESS"),
        row(4, "net", "net", "UPDATE_COMPLETE"),
        nested(5, ROOT, "Network", "UPDATE_COMPLETE", child="net"),
        row(6, ROOT, "Bad", "UPDATE_FAILED", reason="no"),
        row(7, ROOT, ROOT, "UPDATE_ROLLBACK_IN_PROGRESS"),
        nested(8, ROOT, "Network", "UPDATE_IN_PROGRESS", child="net"),
        row(9, "net", "net", "UPDATE_ROLLBACK_IN_PROGRESS"),
        row(10, "net", "Vpc", "UPDATE_COMPLETE"),
        row(11, "net", "net", "UPDATE_ROLLBACK_COMPLETE"),
        nested(12, ROOT, "Network", "UPDATE_COMPLETE", child="net"),
        row(13, ROOT, ROOT, "UPDATE_ROLLBACK_COMPLETE"),
    )
    events = names(followed(Unfolding(*rows)))
    assert "Network:Vpc:UPDATE_COMPLETE" in events
    assert "Network:net:UPDATE_ROLLBACK_COMPLETE" in events


def test_throttling_delays_events() -> None:
    busy = Throttled(Problem(where="CloudFormation", what="busy"))
    history = histories(*CREATED)
    aws = FakeAws(describe_stack_events=[busy, busy, history])
    assert len(followed(aws)) == len(CREATED) - 1


def test_lost_connection_is_tolerated_for_some_polls() -> None:
    lost = Unreachable(Problem(where="AWS", what="no answer"))
    aws = FakeAws(describe_stack_events=lost)
    with pytest.raises(Unreachable):
        followed(aws)
    assert aws.calls.total() > 1


def test_restored_connection_is_used() -> None:
    lost = Unreachable(Problem(where="AWS", what="no answer"))
    aws = FakeAws(describe_stack_events=[lost, lost, histories(*CREATED)])
    assert len(followed(aws)) == len(CREATED) - 1


def test_resources_waited_for_are_in_progress() -> None:
    watch = StackWatcher(
        FakeAws(describe_stack_events=histories(*CREATED[:6])), stack_id(ROOT)
    )
    watch.poll()
    watch.poll()
    assert [(s.path, s.event.logical_id) for s in watch.in_progress()] == [
        (("Network",), "Vpc")
    ]


def test_event_is_printed_as_one_line() -> None:
    event = StackEvent.of(
        row(1, ROOT, "Data", "CREATE_FAILED", reason="Resource creation cancelled")
    )
    assert not event.is_failure
    assert StackEvent.of(row(1, ROOT, "Data", "CREATE_FAILED", reason="no")).is_failure
