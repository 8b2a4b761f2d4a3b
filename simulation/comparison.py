"""Days under policies: each day by itself, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
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
from simulation.model import Policy, World
from simulation.policy import Native
from simulation.scenarios import VARIANTS, Variant
from simulation.tasks import DAY_SECONDS, Day, Shape
from simulation.workloads import KINDS

OURS = tuple(f"ours-{scaling_profile}" for scaling_profile in ScalingProfile)
RIVALS: Mapping[str, Callable[[], Policy]] = {
    "cpu-tracking": baselines.cpu_tracking,
    "cpu-20s": baselines.fast_cpu_tracking,
    "backlog-tracking": baselines.backlog_tracking,
    "queue-steps": baselines.QueueSteps,
    "keda": baselines.Keda,
    "mwaa": baselines.Mwaa,
}
POLICIES = (*OURS, *RIVALS)

DELAYS = (0.0, 30.0, 60.0)
"""Allowed start delays for which the lower bound of the cost is printed."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What our policy runs with, and the shape of a history's pools."""

    template: Path
    objective: float | None = None
    hold: float | None = None
    predictive_scaling: bool = True
    shape: Shape = field(default_factory=Shape)
    hours: tuple[float, float] | None = None
    """Which hours to draw, if any."""


@dataclass(frozen=True, slots=True)
class Job:
    """One day, and who is to master it. ``history`` stands in for kind and seed."""

    kind: str
    seed: int
    policies: Sequence[str]
    variant: str = "usual"
    history: Path | None = None

    def day(self, options: Options) -> Day:
        """Return the day."""
        if self.history is None:
            return VARIANTS[self.variant].reshape(KINDS[self.kind](self.seed))
        queues = history.read(self.history).pools
        return history.read(self.history, dict.fromkeys(queues, options.shape))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a day."""

    job: Job
    tasks: int
    plan: float
    bounds: Sequence[float]
    surprise: unpredictable.Surprise
    scores: Mapping[str, scores.Score]
    drawings: Mapping[str, str]


def made(
    name: str, orders: Sequence[step_scaling.Order], options: Options, variant: Variant
) -> Policy:
    """Return a new policy of that name."""
    if name in RIVALS:
        return RIVALS[name]()
    return Native(
        orders,
        ScalingProfile(name.removeprefix("ours-")),
        target_start_seconds=options.objective,
        scale_in_delay_seconds=options.hold,
        predictive_scaling=options.predictive_scaling,
        **variant.policy,
    )


def run_day(job: Job, options: Options) -> Outcome:
    """Run one day under every policy."""
    orders = step_scaling.read(options.template)
    variant = VARIANTS[job.variant]
    day = job.day(options)
    plan = offline_optimum.plan(day)
    found = {}
    drawings = {}
    for name in job.policies:
        policy = made(name, orders, options, variant)
        world = World(day, policy, seed=day.seed, **variant.world).run()
        found[name] = scores.score(world, plan.seconds)
        if options.hours and name in OURS:
            title = f"{job.kind}, seed {day.seed}, {name}"
            drawings[name] = charts.draw(title, charts.panels(world), options.hours)
    return Outcome(
        job,
        len(day.tasks()),
        plan.seconds,
        [offline_optimum.bound(day, plan.arrivals, delay) for delay in DELAYS],
        unpredictable.surprise(day),
        found,
        drawings,
    )


def every(jobs: Sequence[Job], options: Options) -> Iterator[Outcome]:
    """Run all days, as many at once as there are processors, and keep their order."""
    if len(jobs) == 1:
        yield run_day(jobs[0], options)
        return
    with ProcessPoolExecutor() as processes:
        yield from processes.map(run_day, jobs, [options] * len(jobs))


def by_kind(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Return the lines of a table for every kind of day, and of one for all."""
    results: dict[str, list[scores.Score]] = {}
    tasks: list[int] = []
    together: list[Outcome] = []

    def told() -> Iterator[str]:
        yield from about(together)
        yield tables.HEADER
        for name in together[0].scores:
            days = [one.scores[name] for one in together]
            yield tables.line(name, scores.mean(days))

    for outcome in outcomes:
        if together and outcome.job.kind != together[0].job.kind:
            yield from told()
            together = []
        together.append(outcome)
        tasks.append(outcome.tasks)
        for name, score in outcome.scores.items():
            results.setdefault(name, []).append(score)
    yield from told()
    yield "\nall days"
    yield from tables.totals(results, tasks)


def about(days: Sequence[Outcome]) -> Iterator[str]:
    """Say what days of one kind are like, and what nobody can undercut."""
    yield (
        f"\n{days[0].job.kind}: {fmean(day.tasks for day in days):.0f} tasks a day; "
        "the clairvoyant plan runs "
        f"{fmean(day.plan for day in days) / DAY_SECONDS:.2f} workers on average."
    )
    bounds = (
        fmean(day.bounds[place] / day.plan for day in days)
        for place in range(len(DELAYS))
    )
    yield (
        f"No schedule costs less than {', '.join(f'{bound:.2f}' for bound in bounds)} "
        f"of it with delays up to {', '.join(f'{delay:.0f}' for delay in DELAYS)} s."
    )
    yield unpredictable.told([(day.surprise, day.plan) for day in days])


def by_variant(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Return the lines of one table over all days, a row a variant and policy."""
    found: dict[str, dict[str, list[scores.Score]]] = {}
    for outcome in outcomes:
        rows = found.setdefault(outcome.job.variant, {})
        for name, score in outcome.scores.items():
            rows.setdefault(name, []).append(score)
    for variant, rows in found.items():
        yield f"\n{variant}: {VARIANTS[variant].about}"
        yield tables.HEADER
        yield from (tables.line(name, scores.mean(days)) for name, days in rows.items())
