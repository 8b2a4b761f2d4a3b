"""Whether rights suffice is told by what was refused, and not by silence."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from acceptance.check import CheckFailed
from acceptance.checks.permissions import suffice
from local.environment import LocalEnvironment

CALLS = """\
10:00:00 allowed Worker s3:PutObject arn:aws:s3:::logs/a
10:00:01 allowed Worker s3:PutObject arn:aws:s3:::logs/b
10:00:02 allowed Scheduler cloudwatch:PutMetricData *
"""
REFUSED = "10:00:03 REFUSED Worker s3:ListBucket arn:aws:s3:::logs\n"


def environment(folder: Path, calls: str) -> LocalEnvironment:
    record = folder / "calls.log"
    record.write_text(calls)
    roles = SimpleNamespace(record=record)
    return cast(LocalEnvironment, SimpleNamespace(agent=SimpleNamespace(roles=roles)))


def test_calls_and_callers_are_counted(tmp_path: Path) -> None:
    assert suffice(environment(tmp_path, CALLS)).startswith("3 calls by 2 roles")


def test_a_refused_call_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed) as raised:
        suffice(environment(tmp_path, CALLS + REFUSED + REFUSED))
    assert str(raised.value).count("Worker s3:ListBucket arn:aws:s3:::logs") == 1


def test_a_call_that_was_allowed_at_the_second_try_is_no_lack(tmp_path: Path) -> None:
    later = REFUSED.replace("REFUSED", "allowed")
    assert suffice(environment(tmp_path, REFUSED + later))
    with pytest.raises(CheckFailed, match="Refused"):
        suffice(environment(tmp_path, later + REFUSED))


def test_silence_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="No call"):
        suffice(environment(tmp_path, ""))
