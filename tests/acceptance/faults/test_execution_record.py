"""The comparison of recorded executions with Airflow's task instances."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from acceptance.faults.execution_record import (
    FILE,
    Entry,
    ExecutionRecord,
    RecordError,
    TaskInstance,
    TaskKey,
    expected_tasks,
    verify,
)

WIDTH = 2
HELD: TaskKey = ("hold", 0)


def entry(task: TaskKey, event: str, attempt: int = 1, host: str = "a") -> Entry:
    return Entry(task=task, attempt=attempt, event=event, host=host, at=0)


ENTRIES = [
    entry(task, event)
    for task in sorted(expected_tasks(WIDTH))
    for event in ("start", "end")
]
INSTANCES = [TaskInstance(task, "success", 1) for task in sorted(expected_tasks(WIDTH))]


def verify_retry(host: str, *, ended: bool = False) -> list[str]:
    """Verify a run whose HELD task had two tries, the first on ``host``."""
    entries = [other for other in ENTRIES if other.task != HELD]
    entries += [entry(HELD, "start", 1, host), entry(HELD, "start", 2, "b")]
    entries += [entry(HELD, "end", 2, "b"), *[entry(HELD, "end", 1)] * ended]
    instances = [
        replace(instance, attempt=2) if instance.task == HELD else instance
        for instance in INSTANCES
    ]
    tasks = verify(entries, instances, width=WIDTH, killed={"killed"})
    return [name for name, _ in tasks]


def test_run_in_which_every_task_ran_once_passes() -> None:
    assert verify(ENTRIES, INSTANCES, width=WIDTH) == []


def test_second_try_passes_only_where_the_worker_was_killed() -> None:
    assert verify_retry("killed") == ["hold"]
    with pytest.raises(RecordError, match="given up though its worker was not killed"):
        verify_retry("well")
    with pytest.raises(RecordError, match="try 1, had succeeded and ran again"):
        verify_retry("killed", ended=True)


@pytest.mark.parametrize(
    ("event", "words"),
    [("start", r"hold\[0\], try 1, started 2 times"), ("end", "ended 2 times")],
)
def test_task_that_ran_twice_is_found(event: str, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        verify([*ENTRIES, entry(HELD, event)], INSTANCES, width=WIDTH)


@pytest.mark.parametrize(
    ("event", "words"), [("start", "started 0 times"), ("end", "ended 0 times")]
)
def test_success_without_an_entry_is_found(event: str, words: str) -> None:
    entries = [other for other in ENTRIES if other != entry(HELD, event)]
    with pytest.raises(RecordError, match=words):
        verify(entries, INSTANCES, width=WIDTH)


def test_try_that_airflow_does_not_know_is_found() -> None:
    with pytest.raises(RecordError, match="try 2, ran and Airflow does not know"):
        verify([*ENTRIES, entry(HELD, "start", 2)], INSTANCES, width=WIDTH)


def test_lost_task_and_failed_task_are_named_together() -> None:
    instances = [instance for instance in INSTANCES if instance.task != ("double", 1)]
    instances[0] = replace(instances[0], state="failed")
    with pytest.raises(RecordError, match=r"double\[1\] is not there; .* is failed"):
        verify(ENTRIES, instances, width=WIDTH)


def test_task_that_is_there_twice_is_found() -> None:
    with pytest.raises(RecordError, match="is there 2 times"):
        verify(ENTRIES, [*INSTANCES, INSTANCES[0]], width=WIDTH)


def test_tasks_under_way_have_started_and_not_ended(tmp_path: Path) -> None:
    record = ExecutionRecord(tmp_path)
    assert record.under_way("hold") == []
    lines = [
        {"task": "hold", "index": index, "try": 1, "event": event, "host": "a", "at": 1}
        for index, event in ((0, "start"), (1, "start"), (0, "end"))
    ]
    (tmp_path / FILE).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert [started.task for started in record.under_way("hold")] == [("hold", 1)]
    assert record.under_way("deferred") == []
