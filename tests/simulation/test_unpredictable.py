"""What comes unannounced is late for everybody who keeps nothing free."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simulation import scores
from simulation.fleet import Image
from simulation.model import World
from simulation.offline_optimum import plan
from simulation.policy import Native
from simulation.step_scaling import Order
from simulation.tasks import Day, Run, Shape, Stage, Task
from simulation.unpredictable import FREE_WORKERS, surprise, told
from simulation.workloads import KINDS


def burst(tasks: int, seconds: float, announced: float = 0.0) -> Day:
    stage = Stage([Task(seconds, seconds, 0.04, "default") for _ in range(tasks)])
    return Day("burst", 0, [Run(3600.0, [stage], announced)], {"default": Shape()})


def test_a_burst_is_late_but_for_the_free_slots() -> None:
    seen = surprise(burst(40, 600))
    assert (seen.share, seen.batch) == (1.0, 40.0)
    assert seen.late == tuple((40 - 8 * free) / 40 for free in FREE_WORKERS)


def test_short_tasks_take_turns() -> None:
    """At 0, 25 and 50 seconds on eight slots."""
    assert surprise(burst(40, 25)).late[1] == (40 - 24) / 40


def test_what_is_announced_is_nobodys_surprise() -> None:
    seen = surprise(burst(40, 600, announced=1.0))
    assert seen.late == (0.0,) * len(FREE_WORKERS)
    assert told([(seen, 1.0)]) == "All of it is announced."


def test_what_the_free_ones_cost_is_told() -> None:
    day = burst(40, 600)
    sentence = told([(surprise(day), plan(day).seconds)])
    assert "100% come unannounced, 40 at a time" in sentence
    assert "at least 100%, 80%, 60%, 20% of all tasks are late" in sentence


@pytest.mark.slow
def test_no_worker_starts_in_time_for_what_nobody_announced(
    alarms: Sequence[Order],
) -> None:
    """The claim rests on a start of more than a minute: as soon as it takes less, the
    same day is on time.
    """
    for image, late in (
        (Image(), (40 - 8) / 40),
        (Image((1, 2), pull=5.0, boot=10.0, boot_least=5.0), 0),
    ):
        day = burst(40, 600)
        world = World(day, Native(alarms), image=image).run()
        assert scores.score(world, 1.0).late == pytest.approx(late)


@pytest.mark.slow
def test_the_kinds_that_nobody_can_foresee_are_known() -> None:
    """One free worker more would leave as many late: see docs/scaling.md."""
    late = {kind: surprise(make(22)).late[1] for kind, make in KINDS.items()}
    assert {kind for kind, share in late.items() if share > 0.2} == {
        "heavy-tail",
        "idle-with-spikes",
    }
