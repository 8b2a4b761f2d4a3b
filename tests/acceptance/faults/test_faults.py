"""Bounds of the faults, and how a refused update is recognised."""

from __future__ import annotations

import pytest

from acceptance import faults
from acceptance.check import CheckFailed
from acceptance.faults import execution_record, kills, launches
from local.launcher import LaunchResult


def test_killed_worker_is_noticed_later_than_a_restart_takes() -> None:
    # Otherwise tasks that run well would be given up while the API server restarts.
    timeout = int(faults.ENVIRONMENT[kills.HEARTBEAT_TIMEOUT])
    assert 45 <= timeout < 300
    assert timeout < kills.NOTICED_SECONDS


def test_record_knows_the_tasks_of_the_dag() -> None:
    """Those that test_dag_files reads from the file."""
    names = {name for name, _ in execution_record.expected_tasks(1)}
    assert names == {"deferred", "double", "hold", "numbers", "total"}


DIAGNOSIS = (
    "Stack airflow is UPDATE_ROLLBACK_COMPLETE.\n"
    "Root cause: Migration/Migration\n"
    "  Custom::Migration  UPDATE_FAILED\n"
    "  migration job failed: the reason; exit code 1. Log: group stream\n"
)


def test_refused_update_is_recognised_by_its_diagnosis() -> None:
    launched = LaunchResult("UPDATE_ROLLBACK_COMPLETE", DIAGNOSIS)
    line = launches.refused(launched, "the reason")
    assert line.startswith("diagnose: migration job failed: the reason; exit code 1.")


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        ("UPDATE_COMPLETE", "", "ended as UPDATE_COMPLETE"),
        ("UPDATE_ROLLBACK_COMPLETE", DIAGNOSIS.replace("the reason", "?"), "the cause"),
        (
            "UPDATE_ROLLBACK_COMPLETE",
            DIAGNOSIS.replace("Migration/Migration", "Web"),
            "the cause",
        ),
        ("UPDATE_ROLLBACK_COMPLETE", DIAGNOSIS.replace("Log:", ""), "name the log"),
    ],
)
def test_update_that_passes_or_fails_for_another_reason_is_a_failure(
    status: str, text: str, words: str
) -> None:
    with pytest.raises(CheckFailed, match=words):
        launches.refused(LaunchResult(status, text), "the reason")
