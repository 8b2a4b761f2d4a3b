"""What a worker answers is taken only as it is meant."""

from __future__ import annotations

from typing import Any

import pytest

from fargate_runtime.scaling_protocol import WorkerReport, WorkerState

REPLY: dict[str, Any] = {
    "pool": "p",
    "task": "0123",
    "host": "10.0.0.1",
    "state": "ready",
    "running": 2,
    "since": 1000.5,
    "created": 900,
}


def test_reports_round_trip() -> None:
    report = WorkerReport.parse(REPLY)
    assert report.state is WorkerState.READY
    assert WorkerReport.parse(report.reply()) == report


def test_reports_ignore_unknown_keys_and_may_lack_created() -> None:
    reply = {**REPLY, "news": 1}
    del reply["created"]
    assert WorkerReport.parse(reply).created is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pool": ""}, "pool is ''"),
        ({"host": None}, "host is None"),
        ({"state": "asleep"}, "'asleep' is not a valid"),
        ({"running": -1}, "running is -1"),
        ({"running": True}, "running is True"),
        ({"overdue": -1}, "overdue is -1"),
        ({"since": float("nan")}, "since is nan"),
        ({"created": "yesterday"}, "created is 'yesterday'"),
        ({"error": "KeyError"}, "is not a report"),
    ],
)
def test_invalid_reports_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        WorkerReport.parse(REPLY | changes)


@pytest.mark.parametrize("reply", [None, [], "ready", {}, {"error": "no such command"}])
def test_non_reports_are_refused(reply: object) -> None:
    with pytest.raises(ValueError, match="report"):
        WorkerReport.parse(reply)
