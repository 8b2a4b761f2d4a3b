"""Deployments under load: no task is lost, the pool works on, and they end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from fargate_runtime.autoscaler import decide
from fargate_runtime.autoscaler.settings import ScalingProfile
from fargate_runtime.autoscaler.state import PoolStatus, Worker
from simulation import ecs
from simulation.model import SAMPLE_SECONDS, Simulation
from simulation.policy import ShippedPolicy
from simulation.pool import Discipline
from simulation.step_scaling import StepScalingRule
from simulation.tasks import Day, PoolShape, SimStage
from simulation.workloads import HOUR, KINDS, MINUTE, Maker
from tests.simulation.short_days import part_of_day

pytestmark = pytest.mark.slow

HOURS = 3 * HOUR
AT = (HOUR, 1.7 * HOUR + 3)
START = 3 * MINUTE


def crowded(seed: int, maximum: int) -> Day:
    """A pool whose slots are nearly all taken all the time, by tasks of all sizes."""
    make = Maker("crowded", seed)
    mean, use = 400.0, 0.8
    runs = [
        make.run(at, [SimStage([make.task(mean, 1.0)])], announced=False)
        for at in make.poisson(use * 8 * maximum / mean, HOURS)
    ]
    return Day("crowded", seed, runs, {"default": PoolShape(maximum=maximum)})


def deployed(
    alarms: Sequence[StepScalingRule],
    day: Day,
    scaling_profile: ScalingProfile = ScalingProfile.BALANCED,
) -> Simulation:
    policy = ShippedPolicy(alarms, scaling_profile)
    return Simulation(day, policy, seed=day.seed, seconds=HOURS, deployments=AT).run()


@pytest.mark.parametrize("maximum", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("scaling_profile", list(ScalingProfile))
def test_deployment_under_load_ends_kills_nothing_and_keeps_capacity(
    maximum: int, scaling_profile: ScalingProfile, alarms: Sequence[StepScalingRule]
) -> None:
    for seed in range(3):
        day = crowded(seed, maximum)
        simulation = deployed(alarms, day, scaling_profile)
        (pool,) = simulation.pools.values()
        assert (simulation.left, pool.kills) == (0, 0)
        longest = max(task.duration for task in day.tasks())
        waves = 1 + math.ceil(math.log2(maximum + 1))
        assert len(pool.deployments) == 2
        for begun, ended in pool.deployments:
            assert ended - begun <= 2 * waves * (longest + START)
        if scaling_profile is ScalingProfile.BALANCED and maximum in {2, 8, 20}:
            begun, ended = pool.deployments[0][0], pool.deployments[-1][1]
            first, last = int(begun // SAMPLE_SECONDS), int(ended // SAMPLE_SECONDS)
            assert min(pool.supply[first:last]) >= max(1, maximum // 4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_day_survives_deployments(
    kind: str, alarms: Sequence[StepScalingRule]
) -> None:
    day = part_of_day(kind, 21, begin=8, hours=7)
    simulation = Simulation(
        day,
        ShippedPolicy(alarms),
        seed=21,
        seconds=7 * HOUR,
        deployments=(1.3 * HOUR, 5 * HOUR, 5.2 * HOUR),
    ).run()
    assert simulation.left == 0
    for pool in simulation.pools.values():
        assert pool.kills == 0
        assert all(ended < math.inf for _, ended in pool.deployments)


def test_deployments_never_end_without_replacement(
    alarms: Sequence[StepScalingRule], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the tests above could not fail: new work keeps the old workers."""

    def none(_now: float, _status: PoolStatus, _need: int, _most: int) -> list[Worker]:
        return []

    monkeypatch.setattr(decide, "workers_to_replace", none)
    (pool,) = deployed(alarms, crowded(0, 8)).pools.values()
    assert pool.deployments[0][1] > HOURS


def test_without_protection_a_deployment_does_kill(
    alarms: Sequence[StepScalingRule],
) -> None:
    policy = ShippedPolicy(alarms)
    policy.discipline = Discipline.NONE
    day = crowded(0, 8)
    simulation = Simulation(day, policy, seconds=HOURS, deployments=AT).run()
    assert sum(pool.kills for pool in simulation.pools.values()) > 0


def test_pool_returns_to_its_need_after_a_deployment(
    alarms: Sequence[StepScalingRule],
) -> None:
    """A deployment stops no worker; those that it added are stopped afterwards."""
    make = Maker("one long task", 1)
    run = make.run(100, [SimStage([make.task(2 * HOUR, 0.01)])], announced=False)
    day = Day("one", 1, [run], {"default": PoolShape()})
    (pool,) = deployed(alarms, day).pools.values()
    assert max(pool.alive) > 2
    assert pool.desired == 1


def test_simulated_service_deploys_as_the_template_says() -> None:
    from compiler.wiring import Build  # noqa: PLC0415 - the compiler is slow to load
    from templates import workers  # noqa: PLC0415

    resources = Build().template(workers.define).document["Resources"]
    (service,) = (r for r in resources.values() if r["Type"] == "AWS::ECS::Service")
    configuration = service["Properties"]["DeploymentConfiguration"]
    assert configuration["MinimumHealthyPercent"] == ecs.MINIMUM_HEALTHY_PERCENT
    assert configuration["MaximumPercent"] == ecs.MAXIMUM_PERCENT
