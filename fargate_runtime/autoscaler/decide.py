"""The decision: how many workers each pool needs now, and which may leave.

For every pool the autoscaler lays all tasks it knows of onto the workers it has: those
that wait, those that Airflow's database announces (cron runs), and those whose last
parents run. It asks for the fewest more workers with which every task starts within
the objective, as far as a launch now can help. Workers beyond what is needed are
drained, but only after fewer have sufficed for the whole hold.

It orders by two numbers. Alarms act when a number rises above zero, and then once a
minute; so after an order was carried out the number rests at zero for a moment, and
the next order is a new edge.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fargate_runtime.autoscaler.pool_state import (
    Crew,
    last_idle,
    replaced,
    without_duplicates,
)
from fargate_runtime.autoscaler.scheduling import Tasks, fewest
from fargate_runtime.autoscaler.settings import PoolSettings, Settings
from fargate_runtime.autoscaler.state import (
    Batch,
    Decision,
    Demand,
    Fleet,
    Memory,
    PoolDecision,
    Pulse,
    Snapshot,
)

ROUND_SECONDS = 10
"""How often a decision is made; the period of the alarms that carry it out."""

PHASE_SECONDS = 6
"""When within each period of the alarms the loop decides, by the wall clock to which
CloudWatch aligns periods: an alarm looks when a period has ended, so a number that is
published at its beginning waits for nothing. The rest leaves time to read and send."""

ORDER_SECONDS = 14
"""From a published deficit to a launch: the rest of the period, the alarm's delay of
about 5 s, and the scheduler of ECS."""

EARLY_SECONDS = 2 * ROUND_SECONDS
"""How much before the last moment a launch for what is foreseen is ordered: for the
round that may just have passed, and for a worker that starts slower than most."""

MANY_BATCHES = 50
"""A backlog of more different batches is laid out without the order of its arrival."""

FRESH_ROUNDS = 3
"""A memory older than as many rounds is of no use, nor one from the future: the clock
jumped or nobody decided, so the hold starts anew."""

FORESEEN_SECONDS = 120
"""Tasks that were expected as soon come foreseen, if not at the second."""

GUST_SECONDS = 1800
"""For how long it is remembered that tasks came unannounced."""

AFTERMATH_SECONDS = 60
"""As long after a deployment no start-up time is believed: workers of the new revision
had to wait for their protection, which says nothing of their start."""

REST_SECONDS = 20
"""Application Auto Scaling's cooldown of 30 s after growth: an order within it that
is not larger than the last is ignored. In whole rounds, counted from when the growth
is first seen."""


def decide(snapshot: Snapshot, settings: Settings) -> Decision:
    """Return what every pool does now.

    A pool whose workers are not in the snapshot gets no decision: unknown is not none.
    """
    problems: list[str] = []
    pools = {}
    for pool in settings.pools:
        fleet = snapshot.fleets.get(pool.name)
        if fleet is None:
            problems.append(f"pool {pool.name!r}: nothing is known of its workers")
            continue
        single, twice = without_duplicates(fleet)
        if twice:
            problems.append(
                f"pool {pool.name!r}: reported more than once: {', '.join(twice)}"
            )
        pools[pool.name] = _decide_pool(
            snapshot.now,
            pool,
            snapshot.queues.get(pool.queue, Demand()),
            single,
            snapshot.memories.get(pool.name),
        )
    served = {pool.queue for pool in settings.pools}
    names = {pool.name for pool in settings.pools}
    problems += [
        f"pool {name!r} has workers but no settings"
        for name in sorted(snapshot.fleets.keys() - names)
    ]
    return Decision(
        pools=pools,
        unknown_queues={
            queue: sum(batch.tasks for batch in demand.queued)
            for queue, demand in sorted(snapshot.queues.items())
            if queue not in served
        },
        problems=tuple(problems),
    )


def _decide_pool(
    now: float, pool: PoolSettings, demand: Demand, fleet: Fleet, memory: Memory | None
) -> PoolDecision:
    memory = _fresh(memory, now)
    needed = memory.wanted[0][1] if memory.wanted else len(fleet.workers)
    retired = replaced(now, fleet, needed, pool.maximum)
    objective = pool.objective
    crew = Crew.of(now, fleet, retired, patience=objective + ORDER_SECONDS)
    deployed = now if crew.deploying else memory.deployed
    start_up = memory.start_up
    if now - deployed > AFTERMATH_SECONDS:
        start_up = start_up.with_seen(fleet.start_seconds)
    start = start_up.seconds + ORDER_SECONDS
    horizon = max(0.0, start - objective + EARLY_SECONDS)
    known = _known(now, demand, predictive_scaling=pool.predictive_scaling)
    slots = crew.slots(now, start, pool.concurrency)

    # What is missing.
    tasks = [task for task in known.tasks if task[0] <= horizon]
    more = 0
    if sum(task[2] for task in tasks) > slots.get(0, 0):
        more = fewest(
            slots,
            tasks,
            objective=math.ceil(objective),
            start_seconds=math.ceil(start),
            per_worker=pool.concurrency,
            most=pool.maximum - crew.active,
        )
    busy = sum(len(worker.running) for worker in crew.ready)
    load = _load(memory.load, now, busy, pool.steady)
    base = load[0][1]
    gusts = _gusts(memory, now, known.queued, crew)
    reserve = 0
    if pool.headroom:
        spare = min(pool.headroom * math.sqrt(gusts * start), base)
        reserve = math.ceil((base + spare) / pool.concurrency)
    floor = max(pool.minimum, min(reserve, pool.maximum))
    more = max(more, floor - crew.active)

    # What is kept, and for how long.
    soon = sum(count for at, _, count in known.coming if at <= max(horizon, start))
    soon += sum(count for at, _, count in known.announced if at <= start)
    keep = math.ceil((known.queued + busy + soon) / pool.concurrency)
    keep = min(max(keep, floor), crew.active + more)
    wanted = _remember(memory.wanted, now, keep, pool.hold)
    most_wanted = wanted[0][1]

    drain, revive = retired, []
    if more > 0:
        revive = last_idle(now, crew.draining)[:more]
    elif now - memory.since >= pool.hold and not crew.deploying:
        unneeded = crew.active - max(pool.minimum, most_wanted)
        drain = last_idle(now, crew.ready)[::-1][: max(0, unneeded)]
    missing = min(more - len(revive), pool.maximum - fleet.desired)
    deficit, grow = _order(max(0, missing), memory.grow, now, fleet.desired, +1)
    takes_away = crew.settled and not crew.deploying and not deficit
    gone = max(0, crew.released - crew.leaving) if takes_away else 0
    surplus, shrink = _order(gone, memory.shrink, now, fleet.desired, -1)

    return PoolDecision(
        deficit=deficit,
        surplus=surplus,
        drain=tuple(worker.identity for worker in drain),
        revive=tuple(worker.identity for worker in revive),
        demand=known.queued + sum(len(worker.running) for worker in fleet.workers),
        wanted=crew.active + more,
        memory=Memory(
            since=memory.since,
            at=now,
            wanted=wanted,
            load=load,
            queued=known.queued,
            due=sum(
                number
                for at, _, number in (*known.announced, *known.coming)
                if at <= FORESEEN_SECONDS
            ),
            gusts=gusts,
            start_up=start_up,
            deployed=deployed,
            grow=grow,
            shrink=shrink,
        ),
    )


def _fresh(memory: Memory | None, now: float) -> Memory:
    """Return the memory, or what is left of one that does not belong to this time."""
    if memory is None:
        return Memory(since=now, at=now)
    if 0 <= now - memory.at <= FRESH_ROUNDS * ROUND_SECONDS:
        return memory
    return Memory(since=now, at=now, start_up=memory.start_up)


@dataclass(frozen=True, slots=True)
class _Known:
    """Tasks as (seconds until they arrive, seconds they run, how many)."""

    queued: int
    announced: Tasks
    coming: Tasks
    tasks: Tasks
    """All of them, by arrival."""


def _known(now: float, demand: Demand, *, predictive_scaling: bool) -> _Known:
    # A task from the future waits since now: clocks differ.
    queued = [
        (min(0, at), expected, tasks)
        for at, expected, tasks in _in_seconds(now, demand.queued)
    ]
    announced = _in_seconds(now, demand.announced) if predictive_scaling else []
    coming = _in_seconds(now, demand.coming) if predictive_scaling else []
    if len(queued) > MANY_BATCHES:
        # What has long waited is late by any order; only how long it runs matters.
        sizes: Counter[int] = Counter()
        for _, expected, tasks in queued:
            sizes[expected] += tasks
        queued = [(0, expected, tasks) for expected, tasks in sizes.items()]
    return _Known(
        queued=sum(tasks for _, _, tasks in queued),
        announced=announced,
        coming=coming,
        tasks=sorted([*queued, *announced, *coming]),
    )


def _in_seconds(now: float, batches: Iterable[Batch]) -> list[tuple[int, int, int]]:
    return [
        (math.ceil(at - now), max(1, math.ceil(expected)), tasks)
        for at, expected, tasks in batches
        if tasks > 0
    ]


def _remember(
    wanted: Iterable[tuple[float, int]], now: float, count: int, hold: float
) -> tuple[tuple[float, int], ...]:
    """Return what was wanted within the hold, without what can no longer matter."""
    kept = [entry for entry in wanted if entry[1] > count and entry[0] >= now - hold]
    return (*kept, (now, count))


def _load(
    load: Iterable[tuple[float, int]], now: float, busy: int, steady: float
) -> tuple[tuple[float, int], ...]:
    """Return how many tasks ran lately, without what cannot be the fewest."""
    kept = [entry for entry in load if entry[1] < busy and entry[0] >= now - steady]
    return (*kept, (now, busy))


def _gusts(memory: Memory, now: float, queued: int, crew: Crew) -> float:
    """Return how much the load varies by tasks that nothing announced.

    It is the variance of their number, per second of waiting for it; batches count
    by the square of their size.
    """
    elapsed = now - memory.at
    if not elapsed:
        return memory.gusts
    begun = sum(
        task.started > memory.at
        for worker in (*crew.ready, *crew.draining)
        for task in worker.running
    )
    strangers = max(0, begun + queued - memory.queued - memory.due)
    weight = 1 - math.exp(-elapsed / GUST_SECONDS)
    return memory.gusts + weight * (strangers**2 / elapsed - memory.gusts)


def _order(
    number: int, pulse: Pulse | None, now: float, desired: int, direction: int
) -> tuple[int, Pulse | None]:
    """Return the number to publish, and what to remember of it.

    An order stands until the desired count moves; then it rests, or the alarm would
    not see the next one as new.
    """
    rest = REST_SECONDS if direction > 0 else ROUND_SECONDS
    if pulse and pulse.done is not None:
        if now - pulse.done < rest:
            return 0, pulse
        pulse = None
    if pulse and direction * (desired - pulse.desired) > 0:
        return 0, Pulse(pulse.desired, done=now)
    if not number:
        return 0, None
    return number, pulse or Pulse(desired)
