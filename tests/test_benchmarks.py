"""The benchmark's work keeps working, and fifty pools stay inside every quota."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import POOLS, work
from benchmarks.figures import Spent, spent

ROOT = Path(__file__).parents[1]


def output(*arguments: str) -> str:
    return subprocess.run(  # noqa: S603 - our own module
        work(*arguments), cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_fifty_pools_stay_inside_every_quota() -> None:
    # Parameters were what ran out first: fifty pools cannot each ask for everything.
    assert output("pools", str(max(POOLS))) == ""


@pytest.mark.slow
def test_pools_beyond_a_quota_are_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        output("pools", "85")
    assert "over 90% of the quota" in refused.value.stderr


def test_floor_loads_only_third_party_libraries() -> None:
    names = output("libraries").removeprefix("import ").split(", ")
    assert {"troposphere", "troposphere.ecs", "awacs"} <= set(names)
    assert not {"templates", "compiler.wiring", "build"} & set(names)


@pytest.mark.slow
def test_growth_is_measured_for_each_number_of_pools() -> None:
    seconds = json.loads(output("growth", "1", "2"))
    assert seconds.keys() == {"1", "2"}
    assert all(value > 0 for value in seconds.values())


def test_time_of_children_counts(tmp_path: Path) -> None:
    burn = "sum(range(3_000_000))"
    program = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{burn}'])"
    )
    idle = spent([sys.executable, "-c", "pass"], tmp_path)
    busy = spent([sys.executable, "-c", program], tmp_path)
    assert isinstance(busy, Spent)
    assert busy.cpu > idle.cpu
