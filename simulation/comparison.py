"""Days under policies: each day by itself, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import fmean

from fargate_runtime.autoscaler.settings import ScalingProfile
from simulation import (
    baselines,
    charts,
    history,
    offline_optimum,
    scores,
    step_scaling,
    tables,
    unpredictable,
)
from simulation.model import ScalingPolicy, Simulation
from simulation.policy import ShippedPolicy
from simulation.scenarios import SCENARIOS, Scenario
from simulation.tasks import DAY_SECONDS, Day, PoolShape
from simulation.workloads import KINDS

SHIPPED = tuple(f"shipped-{scaling_profile}" for scaling_profile in ScalingProfile)
BASELINES: Mapping[str, Callable[[], ScalingPolicy]] = {
    "cpu-tracking": baselines.cpu_tracking,
    "cpu-20s": baselines.fast_cpu_tracking,
    "backlog-tracking": baselines.backlog_tracking,
    "queue-steps": baselines.QueueSteps,
    "keda": baselines.Keda,
    "mwaa": baselines.Mwaa,
}
POLICIES = (*SHIPPED, *BASELINES)

DELAYS = (0.0, 30.0, 60.0)
"""Allowed start delays for which the lower bound of the cost is printed."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Settings of the shipped policy, and the shape of a history's pools."""

    template: Path
    target_start_seconds: float | None = None
    scale_in_delay_seconds: float | None = None
    predictive_scaling: bool = True
    shape: PoolShape = field(default_factory=PoolShape)
    hours: tuple[float, float] | None = None
    """Which hours to draw, if any."""


@dataclass(frozen=True, slots=True)
class SimulationJob:
    """One day and the policies to run. ``history`` replaces kind and seed."""

    kind: str
    seed: int
    policies: Sequence[str]
    scenario: str = "usual"
    history: Path | None = None

    def day(self, options: Options) -> Day:
        """Return the day."""
        if self.history is None:
            return SCENARIOS[self.scenario].reshape(KINDS[self.kind](self.seed))
        queues = history.read(self.history).pools
        return history.read(self.history, dict.fromkeys(queues, options.shape))


@dataclass(frozen=True, slots=True)
class DayResult:
    """The result of a day under every policy."""

    job: SimulationJob
    tasks: int
    plan: float
    bounds: Sequence[float]
    unannounced_load: unpredictable.UnannouncedLoad
    scores: Mapping[str, scores.Score]
    drawings: Mapping[str, str]


def make_policy(
    name: str,
    rules: Sequence[step_scaling.StepScalingRule],
    options: Options,
    scenario: Scenario,
) -> ScalingPolicy:
    """Return a new policy of that name."""
    if name in BASELINES:
        return BASELINES[name]()
    return ShippedPolicy(
        rules,
        ScalingProfile(name.removeprefix("shipped-")),
        target_start_seconds=options.target_start_seconds,
        scale_in_delay_seconds=options.scale_in_delay_seconds,
        predictive_scaling=options.predictive_scaling,
        **scenario.policy,
    )


def run_day(job: SimulationJob, options: Options) -> DayResult:
    """Run one day under every policy."""
    rules = step_scaling.read(options.template)
    scenario = SCENARIOS[job.scenario]
    day = job.day(options)
    plan = offline_optimum.plan(day)
    results = {}
    drawings = {}
    for name in job.policies:
        policy = make_policy(name, rules, options, scenario)
        simulation = Simulation(day, policy, seed=day.seed, **scenario.simulation).run()
        results[name] = scores.score(simulation, plan.seconds)
        if options.hours and name in SHIPPED:
            title = f"{job.kind}, seed {day.seed}, {name}"
            drawings[name] = charts.draw(
                title, charts.panels(simulation), options.hours
            )
    return DayResult(
        job,
        len(day.tasks()),
        plan.seconds,
        [offline_optimum.bound(day, plan.arrivals, delay) for delay in DELAYS],
        unpredictable.unannounced_load(day),
        results,
        drawings,
    )


def every(jobs: Sequence[SimulationJob], options: Options) -> Iterator[DayResult]:
    """Run all days, as many at once as there are processors, and keep their order."""
    if len(jobs) == 1:
        yield run_day(jobs[0], options)
        return
    with ProcessPoolExecutor() as processes:
        yield from processes.map(run_day, jobs, [options] * len(jobs))


def by_kind(days: Iterable[DayResult]) -> Iterator[str]:
    """Return the lines of a table for every kind of day, and of one for all."""
    totals: dict[str, list[scores.Score]] = {}
    tasks: list[int] = []
    for _, group in groupby(days, key=lambda day: day.job.kind):
        same_kind = list(group)
        tasks += [day.tasks for day in same_kind]
        yield from about(same_kind)
        by_policy = _by_policy(same_kind)
        yield from _table(by_policy)
        for name, policy_scores in by_policy.items():
            totals.setdefault(name, []).extend(policy_scores)
    yield "\nall days"
    yield from tables.totals(totals, tasks)


def by_scenario(days: Iterable[DayResult]) -> Iterator[str]:
    """Return the lines of a table for every scenario."""
    for scenario, group in groupby(days, key=lambda day: day.job.scenario):
        same_scenario = list(group)
        yield f"\n{scenario}: {SCENARIOS[scenario].about}"
        yield from _table(_by_policy(same_scenario))


def _by_policy(days: Iterable[DayResult]) -> dict[str, list[scores.Score]]:
    by_policy: dict[str, list[scores.Score]] = {}
    for day in days:
        for name, score in day.scores.items():
            by_policy.setdefault(name, []).append(score)
    return by_policy


def _table(by_policy: Mapping[str, Sequence[scores.Score]]) -> Iterator[str]:
    yield tables.HEADER
    for name, policy_scores in by_policy.items():
        yield tables.line(name, scores.mean(policy_scores))


def about(days: Sequence[DayResult]) -> Iterator[str]:
    """Describe days of one kind, and the bounds of their cost."""
    yield (
        f"\n{days[0].job.kind}: {fmean(day.tasks for day in days):.0f} tasks a day; "
        "the offline optimum runs "
        f"{fmean(day.plan for day in days) / DAY_SECONDS:.2f} workers on average."
    )
    bounds = (
        fmean(day.bounds[index] / day.plan for day in days)
        for index in range(len(DELAYS))
    )
    yield (
        f"No schedule costs less than {', '.join(f'{bound:.2f}' for bound in bounds)} "
        f"of it with delays up to {', '.join(f'{delay:.0f}' for delay in DELAYS)} s."
    )
    yield unpredictable.sentence([(day.unannounced_load, day.plan) for day in days])
