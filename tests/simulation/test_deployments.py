"""Deployments under load: no task is lost, the pool works on, and they end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from fargate_runtime.autoscaler import decide
from fargate_runtime.autoscaler.settings import ScalingProfile
from fargate_runtime.autoscaler.state import Fleet, Worker
from simulation import ecs
from simulation.fleet import Discipline
from simulation.model import SAMPLE_SECONDS, World
from simulation.policy import Native
from simulation.step_scaling import Order
from simulation.tasks import Day, Shape, Stage
from simulation.workloads import HOUR, KINDS, MINUTE, Maker

pytestmark = pytest.mark.slow

HOURS = 3 * HOUR
AT = (HOUR, 1.7 * HOUR + 3)
START = 3 * MINUTE


def crowded(seed: int, maximum: int) -> Day:
    """A pool whose slots are nearly all taken all the time, by tasks of all sizes."""
    make = Maker("crowded", seed)
    mean, use = 400.0, 0.8
    runs = [
        make.run(at, [Stage([make.task(mean, 1.0)])], announced=False)
        for at in make.poisson(use * 8 * maximum / mean, HOURS)
    ]
    return Day("crowded", seed, runs, {"default": Shape(maximum=maximum)})


def deployed(
    alarms: Sequence[Order],
    day: Day,
    scaling_profile: ScalingProfile = ScalingProfile.BALANCED,
) -> World:
    policy = Native(alarms, scaling_profile)
    return World(day, policy, seed=day.seed, seconds=HOURS, deployments=AT).run()


@pytest.mark.parametrize("maximum", [1, 2, 3, 8, 20])
@pytest.mark.parametrize("scaling_profile", list(ScalingProfile))
def test_a_deployment_under_load_ends_and_kills_nothing(
    maximum: int, scaling_profile: ScalingProfile, alarms: Sequence[Order]
) -> None:
    for seed in range(3):
        day = crowded(seed, maximum)
        world = deployed(alarms, day, scaling_profile)
        (fleet,) = world.fleets.values()
        assert (world.left, fleet.kills) == (0, 0)
        longest = max(task.duration for task in day.tasks())
        waves = 1 + math.ceil(math.log2(maximum + 1))
        assert len(fleet.deployments) == 2
        for begun, ended in fleet.deployments:
            assert ended - begun <= 2 * waves * (longest + START)


@pytest.mark.parametrize("maximum", [2, 8, 20])
def test_the_pool_works_on_while_it_is_replaced(
    maximum: int, alarms: Sequence[Order]
) -> None:
    for seed in range(3):
        (fleet,) = deployed(alarms, crowded(seed, maximum)).fleets.values()
        begun, ended = fleet.deployments[0][0], fleet.deployments[-1][1]
        first, last = int(begun // SAMPLE_SECONDS), int(ended // SAMPLE_SECONDS)
        assert min(fleet.supply[first:last]) >= max(1, maximum // 4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_day_survives_deployments(
    kind: str, alarms: Sequence[Order]
) -> None:
    day = KINDS[kind](21)
    times = (9.3 * HOUR, 13 * HOUR, 13.2 * HOUR)
    world = World(day, Native(alarms), seed=21, deployments=times).run()
    assert world.left == 0
    for fleet in world.fleets.values():
        assert fleet.kills == 0
        assert all(ended < math.inf for _, ended in fleet.deployments)


def test_a_autoscaler_that_sees_no_revisions_never_ends_it(
    alarms: Sequence[Order], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the tests above could not fail: new work keeps the old workers."""

    def nobody(_now: float, _fleet: Fleet, _need: int, _most: int) -> list[Worker]:
        return []

    monkeypatch.setattr(decide, "replaced", nobody)
    (fleet,) = deployed(alarms, crowded(0, 8)).fleets.values()
    assert fleet.deployments[0][1] > HOURS


def test_without_protection_a_deployment_does_kill(alarms: Sequence[Order]) -> None:
    policy = Native(alarms)
    policy.discipline = Discipline.NONE
    day = crowded(0, 8)
    world = World(day, policy, seconds=HOURS, deployments=AT).run()
    assert sum(fleet.kills for fleet in world.fleets.values()) > 0


def test_the_pool_returns_to_what_is_wanted(alarms: Sequence[Order]) -> None:
    """A deployment takes nobody away; what it added leaves afterwards."""
    make = Maker("one long task", 1)
    run = make.run(100, [Stage([make.task(2 * HOUR, 0.01)])], announced=False)
    day = Day("one", 1, [run], {"default": Shape()})
    (fleet,) = deployed(alarms, day).fleets.values()
    assert max(fleet.alive) > 2
    assert fleet.desired == 1


def test_the_simulated_service_deploys_as_the_template_says() -> None:
    from compiler.wiring import Build  # noqa: PLC0415 - the compiler is slow to load
    from templates import workers  # noqa: PLC0415

    resources = Build().template(workers.define).document["Resources"]
    (service,) = (r for r in resources.values() if r["Type"] == "AWS::ECS::Service")
    configuration = service["Properties"]["DeploymentConfiguration"]
    assert configuration["MinimumHealthyPercent"] == ecs.MINIMUM_HEALTHY_PERCENT
    assert configuration["MaximumPercent"] == ecs.MAXIMUM_PERCENT
