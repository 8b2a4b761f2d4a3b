"""Scores of a simulated day, and their mean over several days."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean

from simulation.model import SAMPLE_SECONDS, Simulation
from simulation.pool import SimPool

LATE_SECONDS, VERY_LATE_SECONDS = 60.0, 600.0


@dataclass(frozen=True, slots=True)
class Score:
    """One day under one policy, or the mean of several."""

    p50: float
    p95: float
    p99: float
    late: float
    """Share of tasks that started later than a minute after they were queued."""

    very_late: float
    """Tasks that started later than ten minutes."""

    kills: float
    unfinished: float
    launches: float
    cost: float
    ratio: float
    """SimWorker-seconds, divided by those of the offline optimum."""

    under: float
    over: float
    """Missing and unneeded workers, in shares of what was needed."""

    under_time: float
    over_time: float
    instability: float
    most_alive: int


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share of the sorted values lies."""
    if not values:
        return 0.0
    return values[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


def score(simulation: Simulation, plan_seconds: float) -> Score:
    """Score a day that has been run."""
    tasks = simulation.day.tasks()
    # What never started has waited until the end.
    delays = sorted(
        task.delay if task.first_started_at >= 0 else simulation.end - task.queued_at
        for task in tasks
        if task.queued_at >= 0
    )
    pools = list(simulation.pools.values())
    cost = sum(pool.cost for pool in pools)
    under, over, under_time, over_time, instability = _elasticity(simulation)
    return Score(
        p50=percentile(delays, 0.50),
        p95=percentile(delays, 0.95),
        p99=percentile(delays, 0.99),
        late=sum(delay > LATE_SECONDS for delay in delays) / max(1, len(delays)),
        very_late=sum(delay > VERY_LATE_SECONDS for delay in delays),
        kills=sum(pool.kills for pool in pools),
        unfinished=simulation.left,
        launches=sum(pool.launches for pool in pools),
        cost=cost,
        ratio=cost / plan_seconds,
        under=under,
        over=over,
        under_time=under_time,
        over_time=over_time,
        instability=instability,
        most_alive=max(pool.most_alive for pool in pools),
    )


def mean(scores: Iterable[Score]) -> Score:
    """Return the mean day: the cost ratio as a geometric mean, kills as a sum.

    Days on which no worker ever ran have no ratio; their tasks are left.
    """
    days = list(scores)

    def each(name: str) -> list[float]:
        return [getattr(day, name) for day in days]

    values = {name: fmean(each(name)) for name in Score.__slots__}
    logs = [math.log(ratio) for ratio in each("ratio") if ratio]
    values["ratio"] = math.exp(fmean(logs)) if logs else math.nan
    values["kills"] = sum(each("kills"))
    values["unfinished"] = sum(each("unfinished"))
    values["most_alive"] = max(each("most_alive"))
    return Score(**values)  # type: ignore[arg-type]


def needed(simulation: Simulation, pool: SimPool) -> list[int]:
    """Return how many workers would have started everything at once, by sample."""
    changes: Counter[int] = Counter()
    for task in simulation.day.tasks():
        if task.pool == pool.name and task.queued_at >= 0:
            changes[math.ceil(task.queued_at / SAMPLE_SECONDS)] += 1
            changes[math.ceil((task.queued_at + task.duration) / SAMPLE_SECONDS)] -= 1
    steps = (changes[sample] for sample in range(len(pool.supply)))
    return [
        max(pool.shape.minimum, -(-tasks // pool.shape.concurrency))
        for tasks in accumulate(steps)
    ]


def _elasticity(simulation: Simulation) -> tuple[float, float, float, float, float]:
    """Return the mean of the pools: under, over, their times, instability."""
    rows = []
    for pool in simulation.pools.values():
        demand, supply = needed(simulation, pool), pool.supply
        pairs = list(zip(demand, supply, strict=True))
        moves = [
            _sign(supply[i] - supply[i - 1]) != _sign(demand[i] - demand[i - 1])
            for i in range(1, len(supply))
        ]
        rows.append(
            (
                fmean(max(d - s, 0) / max(d, 1) for d, s in pairs),
                fmean(max(s - d, 0) / max(d, 1) for d, s in pairs),
                fmean(d > s for d, s in pairs),
                fmean(s > d for d, s in pairs),
                fmean(moves),
            )
        )
    under, over, under_time, over_time, instability = map(
        fmean, zip(*rows, strict=True)
    )
    return under, over, under_time, over_time, instability


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)
