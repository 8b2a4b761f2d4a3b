"""Permissions suffice by what was refused, and not without any call."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from acceptance.check import CheckFailed
from acceptance.local_checks.permissions import sufficient
from tests.acceptance.fakes import environment

CALLS = """\
10:00:00 allowed Worker s3:PutObject arn:aws:s3:::logs/a
10:00:01 allowed Worker s3:PutObject arn:aws:s3:::logs/b
10:00:02 allowed Scheduler cloudwatch:PutMetricData *
"""
REFUSED = "10:00:03 REFUSED Worker s3:ListBucket arn:aws:s3:::logs\n"
ALLOWED_LATER = REFUSED.replace("REFUSED", "allowed")


def check(folder: Path, calls: str) -> str:
    record = folder / "calls.log"
    record.write_text(calls)
    roles = SimpleNamespace(record=record)
    return sufficient(environment(agent=SimpleNamespace(roles=roles)))


def test_calls_and_callers_are_counted(tmp_path: Path) -> None:
    assert check(tmp_path, CALLS).startswith("3 calls by 2 roles")


def test_refused_call_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed) as raised:
        check(tmp_path, CALLS + REFUSED + REFUSED)
    assert str(raised.value).count("Worker s3:ListBucket arn:aws:s3:::logs") == 1


def test_call_that_was_allowed_later_is_not_refused(tmp_path: Path) -> None:
    assert check(tmp_path, REFUSED + ALLOWED_LATER)
    with pytest.raises(CheckFailed, match="Refused"):
        check(tmp_path, ALLOWED_LATER + REFUSED)


def test_without_any_call_it_fails(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="No call"):
        check(tmp_path, "")
