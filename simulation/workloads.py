"""Days of nine kinds, each a function of a seed alone.

They are shaped so that the largest demand fits the pool's maximum: beyond it every
policy waits alike and nothing is compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random

from simulation.tasks import (
    DAY_SECONDS,
    Day,
    PoolShape,
    SimRun,
    SimStage,
    SimTask,
)

ESTIMATE_SIGMA = 0.6
"""Spread of expected around true durations, on a log scale; the mean is right."""

WAITING_CPU, BUSY_CPU, BUSY_SHARE = 0.04, 0.7, 0.1
"""Nine tasks of ten wait for something else; vCPU of either kind."""

ANNOUNCED_FROM, ANNOUNCED_TO = 0.8, 1.2
"""How far the announced number of tasks may be from the true one."""

POOL = "default"
MINUTE, HOUR = 60.0, 3600.0


class Maker:
    """Makes tasks and runs with one source of chance."""

    def __init__(self, kind: str, seed: int) -> None:
        self.random = Random(f"{kind} {seed}")  # noqa: S311 - repeatable, not secret

    def lognormal(self, mean: float, sigma: float) -> float:
        """Return a lognormal number of that mean."""
        return self.random.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)

    def task(
        self,
        mean: float,
        sigma: float = 0.5,
        *,
        pool: str = POOL,
        cpu: float | None = None,
        longest: float = 6 * HOUR,
    ) -> SimTask:
        """Return a task of about ``mean`` seconds."""
        duration = min(longest, max(1.0, self.lognormal(mean, sigma)))
        if cpu is None:
            cpu = BUSY_CPU if self.random.random() < BUSY_SHARE else WAITING_CPU
        return SimTask(
            duration=duration,
            estimate=duration * self.lognormal(1.0, ESTIMATE_SIGMA),
            cpu=cpu,
            pool=pool,
        )

    def chain(
        self,
        widths: Sequence[int],
        mean: float,
        sigma: float = 0.5,
        *,
        pool: str = POOL,
    ) -> list[SimStage]:
        """Return stages of these widths, each the parent of the next."""
        stages: list[SimStage] = []
        for width in widths:
            tasks = [self.task(mean, sigma, pool=pool) for _ in range(width)]
            stages.append(SimStage(tasks, tuple(stages[-1:])))
        return stages

    def run(self, at: float, stages: list[SimStage], *, announced: bool) -> SimRun:
        """Return a run; what is announced of it is about right."""
        factor = self.random.uniform(ANNOUNCED_FROM, ANNOUNCED_TO) if announced else 0.0
        return SimRun(at, stages, factor)

    def poisson(self, rate: float, until: float = DAY_SECONDS) -> list[float]:
        """Return times of random arrivals, ``rate`` a second."""
        times, now = [], self.random.expovariate(rate)
        while now < until:
            times.append(now)
            now += self.random.expovariate(rate)
        return times

    def every(self, period: float) -> list[float]:
        """Return the times of a cron entry, each a second or so late."""
        return [
            k * period + self.random.uniform(0.5, 3.0)
            for k in range(int(DAY_SECONDS // period))
        ]


def cron(seed: int) -> Day:
    """Bursts every 5 and 15 minutes, every hour and in the night, with follow-ups."""
    make = Maker("cron", seed)
    runs: list[SimRun] = []
    for period, dags, width, mean in (
        (5 * MINUTE, 5, 2, 25.0),
        (15 * MINUTE, 6, 4, 60.0),
        (HOUR, 5, 10, 120.0),
    ):
        for _ in range(dags):
            first = max(1, round(make.lognormal(width, 0.5)))
            after = max(1, first // 2)
            for at in make.every(period):
                follow = (after, 1) if period > 5 * MINUTE else ()
                widths = (first, *follow)
                runs.append(make.run(at, make.chain(widths, mean), announced=True))
    night = 2 * HOUR + make.random.uniform(0, HOUR)
    nightly = make.chain((120, 60, 20, 1), 300.0, 0.8)
    runs.append(make.run(night, nightly, announced=True))
    return Day("cron", seed, runs, {POOL: PoolShape()})


def steady(seed: int) -> Day:
    """Random arrivals at one rate all day."""
    make = Maker("steady", seed)
    mean = make.random.uniform(150, 350)
    runs = [
        make.run(at, make.chain((1,), mean, 0.8), announced=False)
        for at in make.poisson(0.11)
    ]
    return Day("steady", seed, runs, {POOL: PoolShape()})


def heavy_tail(seed: int) -> Day:
    """Batches at random times; most are small, some huge, and so are their tasks."""
    make = Maker("heavy-tail", seed)
    runs = []
    for at in make.poisson(100 / DAY_SECONDS):
        size = min(150, int(8 * make.random.paretovariate(1.1)))
        tasks = [make.task(150.0, 1.3, longest=2 * HOUR) for _ in range(size)]
        runs.append(make.run(at, [SimStage(tasks)], announced=False))
    return Day("heavy-tail", seed, runs, {POOL: PoolShape()})


def diurnal(seed: int) -> Day:
    """Draw a smooth curve of day and night, all tasks busy: CPU tracking's chance."""
    make = Maker("diurnal", seed)
    most = 0.22
    runs = []
    for at in make.poisson(most):
        share = 0.1 + 0.45 * (1 - math.cos(2 * math.pi * at / DAY_SECONDS))
        if make.random.random() < share:
            task = make.task(200.0, 0.6, cpu=BUSY_CPU)
            runs.append(make.run(at, [SimStage([task])], announced=False))
    return Day("diurnal", seed, runs, {POOL: PoolShape()})


def idle_with_spikes(seed: int) -> Day:
    """Let a team rest, but for a few large runs that are started by hand."""
    make = Maker("idle-with-spikes", seed)
    runs = []
    for _ in range(make.random.randint(6, 12)):
        at = make.random.uniform(6 * HOUR, 22 * HOUR)
        width = make.random.randint(40, 110)
        widths = (width, max(1, width // 3), 1)
        runs.append(make.run(at, make.chain(widths, 240.0), announced=False))
    return Day("idle-with-spikes", seed, runs, {POOL: PoolShape()})


def fan_out(seed: int) -> Day:
    """Extract, a wide map, reduce, load; half of the runs from cron."""
    make = Maker("fan-out", seed)
    runs = []
    cron_times = make.every(30 * MINUTE)
    for at, announced in [(at, True) for at in cron_times] + [
        (at, False) for at in make.poisson(48 / DAY_SECONDS)
    ]:
        extract = SimStage([make.task(90.0)])
        width = make.random.randint(15, 90)
        wide = SimStage([make.task(120.0) for _ in range(width)], (extract,))
        reduce = SimStage([make.task(90.0)], (wide,))
        load = SimStage([make.task(45.0)], (reduce,))
        runs.append(make.run(at, [extract, wide, reduce, load], announced=announced))
    return Day("fan-out", seed, runs, {POOL: PoolShape()})


def long_tasks(seed: int) -> Day:
    """Tasks of hours among short ones: scaling in by force kills here."""
    make = Maker("long-tasks", seed)
    runs = [
        make.run(at, [SimStage([make.task(1.5 * HOUR, 0.5)])], announced=False)
        for at in make.poisson(100 / DAY_SECONDS)
    ]
    runs += [
        make.run(at, make.chain((12, 4), 90.0), announced=True)
        for at in make.every(20 * MINUTE)
    ]
    return Day("long-tasks", seed, runs, {POOL: PoolShape()})


def mixed_pools(seed: int) -> Day:
    """Two pools; runs begin in one and go on in the other."""
    make = Maker("mixed-pools", seed)
    runs = []
    for at in make.every(10 * MINUTE):
        start = SimStage([make.task(60.0) for _ in range(8)])
        middle = SimStage(
            [make.task(200.0, 0.7, pool="heavy") for _ in range(12)], (start,)
        )
        end = SimStage([make.task(30.0) for _ in range(2)], (middle,))
        runs.append(make.run(at, [start, middle, end], announced=True))
    runs += [
        make.run(at, make.chain((1,), 120.0, 0.8), announced=False)
        for at in make.poisson(0.03)
    ]
    runs += [
        make.run(at, make.chain((30,), 300.0, 0.8, pool="heavy"), announced=False)
        for at in make.poisson(12 / DAY_SECONDS)
    ]
    pools = {POOL: PoolShape(), "heavy": PoolShape(concurrency=4, minimum=0)}
    return Day("mixed-pools", seed, runs, pools)


def quiet_nights(seed: int) -> Day:
    """Office hours: random small runs by day, a pool at rest by night."""
    make = Maker("quiet-nights", seed)
    runs = [
        make.run(
            at, make.chain((make.random.randint(1, 12), 1), 150.0), announced=False
        )
        for at in make.poisson(500 / DAY_SECONDS)
        if 8 * HOUR < at < 18 * HOUR
    ]
    return Day("quiet-nights", seed, runs, {POOL: PoolShape(minimum=0)})


KINDS: Mapping[str, Callable[[int], Day]] = {
    "cron": cron,
    "steady": steady,
    "heavy-tail": heavy_tail,
    "diurnal": diurnal,
    "idle-with-spikes": idle_with_spikes,
    "fan-out": fan_out,
    "long-tasks": long_tasks,
    "mixed-pools": mixed_pools,
    "quiet-nights": quiet_nights,
}
