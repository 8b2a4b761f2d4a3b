"""What a worker answers is taken only as it is meant."""

from __future__ import annotations

from typing import Any

import pytest

from fargate_runtime.scaling_protocol import Phase, Report

REPLY: dict[str, Any] = {
    "pool": "p",
    "task": "0123",
    "revision": "family:3",
    "host": "10.0.0.1",
    "state": "ready",
    "running": 2,
    "since": 1000.5,
    "created": 900,
}


def test_a_report_survives_the_way() -> None:
    report = Report.parse(REPLY)
    assert report.state is Phase.READY
    assert Report.parse(report.reply()) == report


def test_what_a_later_worker_adds_is_left_out_and_created_may_be_missing() -> None:
    reply = {**REPLY, "news": 1}
    del reply["created"]
    assert Report.parse(reply).created is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pool": ""}, "pool is ''"),
        ({"host": None}, "host is None"),
        ({"state": "asleep"}, "'asleep' is not a valid"),
        ({"running": -1}, "running is -1"),
        ({"running": True}, "running is True"),
        ({"since": float("nan")}, "since is nan"),
        ({"created": "yesterday"}, "created is 'yesterday'"),
        ({"error": "KeyError"}, "is not a report"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Report.parse(REPLY | changes)


@pytest.mark.parametrize("reply", [None, [], "ready", {}, {"error": "no such command"}])
def test_what_is_no_report_is_refused(reply: object) -> None:
    with pytest.raises(ValueError, match="report"):
        Report.parse(reply)
