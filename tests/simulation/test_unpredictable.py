"""Unannounced tasks are late when no capacity is kept free."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from simulation import scores
from simulation.model import Simulation
from simulation.offline_optimum import plan
from simulation.policy import ShippedPolicy
from simulation.pool import ImageStartUp
from simulation.step_scaling import StepScalingRule
from simulation.tasks import Day, PoolShape, SimRun, SimStage, SimTask
from simulation.unpredictable import FREE_WORKERS, sentence, unannounced_load
from simulation.workloads import KINDS


def burst(tasks: int, seconds: float, announced: float = 0.0) -> Day:
    stage = SimStage([SimTask(seconds, seconds, 0.04, "default") for _ in range(tasks)])
    return Day(
        "burst", 0, [SimRun(3600.0, [stage], announced)], {"default": PoolShape()}
    )


def test_unannounced_burst_is_late_except_in_free_slots() -> None:
    load = unannounced_load(burst(40, 600))
    assert (load.share, load.batch) == (1.0, 40.0)
    assert load.late == tuple((40 - 8 * free) / 40 for free in FREE_WORKERS)


def test_short_tasks_share_a_slot() -> None:
    """At 0, 25 and 50 seconds on eight slots."""
    assert unannounced_load(burst(40, 25)).late[1] == (40 - 24) / 40


def test_announced_tasks_are_not_unpredictable() -> None:
    load = unannounced_load(burst(40, 600, announced=1.0))
    assert load.late == (0.0,) * len(FREE_WORKERS)
    assert sentence([(load, 1.0)]) == "All of it is announced."


def test_cost_of_free_workers_is_reported() -> None:
    day = burst(40, 600)
    text = sentence([(unannounced_load(day), plan(day).seconds)])
    assert "100% come unannounced, 40 at a time" in text
    assert "at least 100%, 80%, 60%, 20% of all tasks are late" in text


@pytest.mark.slow
def test_no_worker_starts_in_time_for_unannounced_tasks(
    alarms: Sequence[StepScalingRule],
) -> None:
    """The claim rests on a start of more than a minute: as soon as it takes less, the
    same day is on time.
    """
    for image, late in (
        (ImageStartUp(), (40 - 8) / 40),
        (ImageStartUp((1, 2), pull=5.0, boot=10.0, boot_least=5.0), 0),
    ):
        day = burst(40, 600)
        simulation = Simulation(day, ShippedPolicy(alarms), image=image).run()
        assert scores.score(simulation, 1.0).late == pytest.approx(late)


@pytest.mark.slow
def test_unpredictable_kinds_of_days_are_known() -> None:
    """One free worker more would leave as many late: see docs/scaling.md."""
    late = {kind: unannounced_load(make(22)).late[1] for kind, make in KINDS.items()}
    assert {kind for kind, share in late.items() if share > 0.2} == {
        "heavy-tail",
        "idle-with-spikes",
    }
