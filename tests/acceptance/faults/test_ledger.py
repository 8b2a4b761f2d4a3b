"""The judge of the ledger: what it lets pass and what not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from acceptance.faults.ledger import (
    Entry,
    Instance,
    Ledger,
    LedgerError,
    Name,
    expected,
    judge,
)

WIDTH = 2
HELD: Name = ("hold", 0)


def entry(name: Name, event: str, attempt: int = 1, host: str = "a") -> Entry:
    return Entry(name=name, attempt=attempt, event=event, host=host, at=0)


def good() -> tuple[list[Entry], list[Instance]]:
    names = sorted(expected(WIDTH))
    entries = [entry(name, event) for name in names for event in ("start", "end")]
    return entries, [Instance(name, "success", 1) for name in names]


def tried_again(host: str, *, ended: bool = False) -> list[str]:
    """Judge a run whose HELD task had two tries, the first on ``host``."""
    entries, instances = good()
    entries = [one for one in entries if one.name != HELD]
    entries += [entry(HELD, "start", 1, host), entry(HELD, "start", 2, "b")]
    entries += [entry(HELD, "end", 2, "b"), *[entry(HELD, "end", 1)] * ended]
    instances = [
        replace(one, attempt=2) if one.name == HELD else one for one in instances
    ]
    found = judge(entries, instances, width=WIDTH, killed={"killed"})
    return [name[0] for name in found]


def test_a_run_in_which_everything_ran_once_passes() -> None:
    entries, instances = good()
    assert judge(entries, instances, width=WIDTH) == []


def test_a_second_try_passes_only_where_the_worker_was_killed() -> None:
    assert tried_again("killed") == ["hold"]
    with pytest.raises(LedgerError, match="try 1, was given up though nobody killed"):
        tried_again("well")
    with pytest.raises(LedgerError, match="try 1, had succeeded and ran again"):
        tried_again("killed", ended=True)


@pytest.mark.parametrize(
    ("event", "words"),
    [("start", r"hold\[0\], try 1, began 2 times"), ("end", "ended 2 times")],
)
def test_a_task_that_ran_twice_is_found(event: str, words: str) -> None:
    entries, instances = good()
    with pytest.raises(LedgerError, match=words):
        judge([*entries, entry(HELD, event)], instances, width=WIDTH)


@pytest.mark.parametrize(
    ("event", "words"), [("start", "began 0 times"), ("end", "ended 0 times")]
)
def test_a_success_that_nobody_wrote_down_is_found(event: str, words: str) -> None:
    entries, instances = good()
    entries.remove(entry(HELD, event))
    with pytest.raises(LedgerError, match=words):
        judge(entries, instances, width=WIDTH)


def test_a_try_that_airflow_does_not_know_is_found() -> None:
    entries, instances = good()
    with pytest.raises(LedgerError, match="try 2, ran and Airflow does not know"):
        judge([*entries, entry(HELD, "start", 2)], instances, width=WIDTH)


def test_a_lost_task_and_a_failed_one_are_named_together() -> None:
    entries, instances = good()
    left = [one for one in instances if one.name != ("double", 1)]
    left[0] = replace(left[0], state="failed")
    with pytest.raises(LedgerError, match=r"double\[1\] is not there; .* is failed"):
        judge(entries, left, width=WIDTH)


def test_the_entries_of_tasks_that_run_now_are_told_apart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.held("hold") == []
    lines = [
        {"task": "hold", "index": index, "try": 1, "event": event, "host": "a", "at": 1}
        for index, event in ((0, "start"), (1, "start"), (0, "end"))
    ]
    (tmp_path / "ledger").write_text("".join(f"{json.dumps(one)}\n" for one in lines))
    assert [one.name for one in ledger.held("hold")] == [("hold", 1)]
    assert ledger.held("deferred") == []
