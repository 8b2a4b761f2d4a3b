"""The simulation obeys a queueing formula and the laws of conservation."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean
from time import process_time

import pytest

from fargate_runtime.autoscaler.settings import ScalingProfile
from simulation import baselines, scores
from simulation.model import ScalingPolicy, Simulation
from simulation.offline_optimum import bound, plan
from simulation.policy import ShippedPolicy
from simulation.pool import LAZY, Discipline, ImageStartUp
from simulation.step_scaling import StepScalingRule
from simulation.tasks import (
    DAY_SECONDS,
    Day,
    PoolShape,
    SimRun,
    SimStage,
    SimTask,
)
from simulation.workloads import KINDS
from tests.simulation.short_days import part_of_day

pytestmark = pytest.mark.slow

HOURS = 2 * 3600.0


def erlang_c_wait(rate: float, mean: float, servers: int) -> float:
    load = rate * mean
    busy = load**servers / math.factorial(servers) * servers / (servers - load)
    idle = sum(load**k / math.factorial(k) for k in range(servers))
    return busy / (idle + busy) * mean / (servers - load)


def test_two_fixed_workers_wait_as_erlang_c_says() -> None:
    """The one case with a known answer: M/M/16."""
    rate, mean, servers = 0.13, 100.0, 16
    waits = []
    for seed in range(16):
        random = Random(seed)  # noqa: S311 - repeatable, not secret
        runs, at = [], random.expovariate(rate)
        while at < DAY_SECONDS:
            duration = random.expovariate(1 / mean)
            runs.append(
                SimRun(at, [SimStage([SimTask(duration, mean, 0.04, "default")])])
            )
            at += random.expovariate(rate)
        shape = PoolShape(concurrency=8, minimum=2, maximum=2)
        day = Day("poisson", seed, runs, {"default": shape})
        Simulation(day, baselines.Fixed(), seed=seed).run()
        waits += [task.delay for task in day.tasks()]
    expected = erlang_c_wait(rate, mean, servers)
    assert fmean(waits) == pytest.approx(expected, rel=0.12)


def test_one_worker_all_day_costs_a_day() -> None:
    day = Day("empty", 0, [], {"default": PoolShape(minimum=1)})
    simulation = Simulation(day, baselines.Fixed()).run()
    assert simulation.pools["default"].cost == DAY_SECONDS


ENDLESS = ("cpu-tracking", "cpu-20s", "queue-steps")
"""Without workers there is no CPU use, so a pool at rest never wakes; and who shrinks
by force kills a task longer than his patience as often as it starts."""


def every_policy(alarms: tuple[StepScalingRule, ...]) -> list[ScalingPolicy]:
    return [
        ShippedPolicy(alarms),
        ShippedPolicy(alarms, ScalingProfile.ECONOMY),
        baselines.cpu_tracking(),
        baselines.fast_cpu_tracking(),
        baselines.backlog_tracking(),
        baselines.QueueSteps(),
        baselines.Keda(),
        baselines.Mwaa(),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_task_ends_once_and_after_its_parents_within_the_maximum(
    kind: str, alarms: tuple[StepScalingRule, ...]
) -> None:
    for policy in every_policy(alarms):
        day = part_of_day(kind, 11)
        simulation = Simulation(day, policy, seed=11, seconds=HOURS).run()

        for pool in simulation.pools.values():
            assert pool.most_alive <= pool.shape.maximum + 1
        if simulation.left and policy.name in ENDLESS:
            continue
        assert simulation.left == 0
        for task in day.tasks():
            assert task.queued_at <= task.first_started_at <= task.started_at
            assert task.ended_at == pytest.approx(task.started_at + task.duration)
            for parent in task.stage.parents:
                ended = max(before.ended_at for before in parent.tasks)
                assert task.queued_at == pytest.approx(ended + 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image", [ImageStartUp(), LAZY], ids=["stock", "lazy"])
def test_draining_kills_nothing(
    kind: str, image: ImageStartUp, alarms: tuple[StepScalingRule, ...]
) -> None:
    """ECS would stop a worker that is revived after its release, with its tasks."""
    for scaling_profile in ScalingProfile:
        day = part_of_day(kind, 13)
        simulation = Simulation(
            day,
            ShippedPolicy(alarms, scaling_profile),
            seed=13,
            image=image,
            seconds=HOURS,
        ).run()
        assert sum(task.kills for task in day.tasks()) == 0
        assert sum(pool.kills for pool in simulation.pools.values()) == 0


def test_forced_scale_in_does_kill() -> None:
    """Else the test above could not fail."""
    day = KINDS["long-tasks"](14)
    Simulation(day, baselines.QueueSteps(), seed=14).run()
    assert sum(task.kills for task in day.tasks()) > 0


def test_unprotected_draining_does_kill(
    alarms: tuple[StepScalingRule, ...],
) -> None:
    """The protection protects, not luck: the same decisions without it."""
    policy = ShippedPolicy(alarms)
    policy.discipline = Discipline.NONE
    day = KINDS["long-tasks"](14)
    Simulation(day, policy, seed=14).run()
    assert sum(task.kills for task in day.tasks()) > 0


def test_sigterm_to_tasks_kills_nothing_under_the_shipped_policy(
    alarms: tuple[StepScalingRule, ...],
) -> None:
    """Grace or not, the shipped policy stops no busy worker; forced scale-in kills."""
    lost = []
    for policy in (ShippedPolicy(alarms), baselines.QueueSteps()):
        day = KINDS["long-tasks"](14)
        Simulation(day, policy, seed=14, grace=0.0).run()
        lost.append(sum(task.kills for task in day.tasks()))
    assert lost[0] == 0 < lost[1]


def test_spot_interruptions_kill_and_every_task_still_ends(
    alarms: tuple[StepScalingRule, ...],
) -> None:
    """Protection does not hold against it: such a pool is for what may be repeated."""
    day = part_of_day("long-tasks", 14)
    simulation = Simulation(
        day, ShippedPolicy(alarms), seed=14, seconds=HOURS, interruptions=0.5
    ).run()
    assert sum(task.kills for task in day.tasks()) > 0
    assert simulation.left == 0


def test_policies_that_add_to_running_tasks_kill_nothing(
    alarms: tuple[StepScalingRule, ...],
) -> None:
    for kind in ("fan-out", "heavy-tail"):
        day = part_of_day(kind, 15)
        policy = ShippedPolicy(alarms, adds_to_running=True)
        simulation = Simulation(day, policy, seed=15, seconds=HOURS).run()
        assert (simulation.left, sum(task.kills for task in day.tasks())) == (0, 0)


def test_elasticity_scores_follow_their_definitions() -> None:
    """A fixed worker, and two hours in which two would be needed."""
    tasks = [SimTask(7200.0, 7200.0, 0.04, "default") for _ in range(16)]
    shape = PoolShape(concurrency=8, minimum=1, maximum=1)
    day = Day("two", 0, [SimRun(3600.0, [SimStage(tasks)])], {"default": shape})
    simulation = Simulation(day, baselines.Fixed(), seconds=4 * 3600.0).run()
    score = scores.score(simulation, 1.0)
    samples = len(simulation.pools["default"].supply)
    assert score.under_time == pytest.approx(720 / samples, rel=0.01)
    assert score.under == pytest.approx(0.5 * 720 / samples, rel=0.01)
    assert (score.over, score.over_time) == (0, 0)
    assert score.instability == pytest.approx(2 / (samples - 1))


@pytest.mark.parametrize("kind", KINDS)
def test_bound_lies_below_the_plan_and_falls_with_the_delay(kind: str) -> None:
    day = KINDS[kind](15)
    planned = plan(day)
    bounds = [bound(day, planned.arrivals, delay) for delay in (0.0, 30.0, 60.0, 300.0)]
    assert bounds == sorted(bounds, reverse=True)
    assert 0 < bounds[2] <= planned.seconds * (1 + 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_plan_is_feasible(kind: str) -> None:
    """Within a minute of the queue, and no more at once than slots are paid for."""
    day = KINDS[kind](16)
    planned = plan(day)
    for task in day.tasks():
        assert 0 <= planned.starts[task] - planned.arrivals[task] <= 60
    work = sum(task.duration / day.pools[task.pool].concurrency for task in day.tasks())
    assert planned.seconds >= work


def test_pools_that_never_scale_out_are_scored_by_their_waits() -> None:
    """No cost and no delays would look like the best policy of all."""
    day = part_of_day("quiet-nights", 18)
    simulation = Simulation(day, baselines.cpu_tracking(), seed=18, seconds=HOURS).run()
    score = scores.mean([scores.score(simulation, plan(day).seconds)] * 2)
    assert score.unfinished == 2 * len(day.tasks())
    assert score.p50 > 6 * 3600
    assert score.late == 1
    assert math.isnan(score.ratio)


def test_same_seeds_give_the_same_day(alarms: tuple[StepScalingRule, ...]) -> None:
    costs = {
        Simulation(part_of_day("cron", 17), ShippedPolicy(alarms), seed=3)
        .run()
        .pools["default"]
        .cost
        for _ in range(2)
    }
    assert len(costs) == 1


def test_day_of_ten_thousand_tasks_takes_seconds(
    alarms: tuple[StepScalingRule, ...],
) -> None:
    day = KINDS["cron"](1)
    assert len(day.tasks()) > 10_000
    begun = process_time()
    Simulation(day, ShippedPolicy(alarms), seed=1).run()
    assert process_time() - begun <= 5
