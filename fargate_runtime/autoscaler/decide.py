"""The decision: how many workers each pool needs now, and which may be stopped.

For every pool the decision schedules all known tasks on the pool's workers: queued
tasks, tasks that Airflow's database announces (cron runs), and tasks whose last parents
run. It determines the fewest additional workers with which every task starts within the
target, as far as a launch now can help. Workers beyond the need are drained, but only
after fewer have sufficed for the whole scale-in delay.

Its orders are two metrics. Alarms act when a metric rises above zero, and then once a
minute; so after an order was executed the metric stays at zero for a moment, and the
next order is a new edge.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from fargate_runtime.autoscaler.pool_state import (
    PoolCapacity,
    busiest_first,
    without_duplicates,
    workers_to_replace,
)
from fargate_runtime.autoscaler.scheduling import Tasks, minimum_workers
from fargate_runtime.autoscaler.settings import AutoscalerSettings, PoolSettings
from fargate_runtime.autoscaler.state import (
    Batch,
    Decision,
    PoolDecision,
    PoolMemory,
    PoolStatus,
    QueueDemand,
    ScalingOrder,
    Snapshot,
)
from fargate_runtime.contract import ROUND_SECONDS

PHASE_SECONDS = 6
"""When within each period of the alarms the loop decides, by the wall clock to which
CloudWatch aligns periods: an alarm evaluates when a period has ended, so a metric that
is published at its beginning only waits. The rest leaves time to read and send."""

ORDER_SECONDS = 14
"""From a published deficit to a launch: the rest of the period, the alarm's delay of
about 5 s, and the scheduler of ECS."""

EARLY_SECONDS = 2 * ROUND_SECONDS
"""How much before the last moment a launch for predicted tasks is ordered: for the
round that may just have passed, and for a worker that starts slower than most."""

MANY_BATCHES = 50
"""A backlog of more different batches is scheduled without the order of its arrival."""

MEMORY_ROUNDS = 3
"""Discard state older than this many rounds, or newer than now (clock jump), and
restart the scale-in delay."""

PREDICTED_SECONDS = 120
"""Tasks expected within this time count as announced, if not to the second."""

BURST_MEMORY_SECONDS = 1800
"""Time constant of the average of unannounced tasks."""

POST_DEPLOYMENT_SECONDS = 60
"""Ignore start-up times for this long after a deployment: new workers wait for
protection, which inflates them."""

SCALE_OUT_REST_SECONDS = 20
"""Application Auto Scaling's cooldown of 30 s after growth: an order within it that
is not larger than the last is ignored. In whole rounds, counted from when the growth
is first seen."""

History = tuple[tuple[float, int], ...]
"""(time, number) of a running minimum or maximum."""


def decide(snapshot: Snapshot, settings: AutoscalerSettings) -> Decision:
    """Return the decision for every pool.

    A pool whose workers are not in the snapshot gets no decision: unknown is not none.
    """
    problems: list[str] = []
    pools = {}
    for pool in settings.pools:
        status = snapshot.pools.get(pool.name)
        if status is None:
            problems.append(f"Pool {pool.name!r}: workers unknown.")
            continue
        status, duplicates = without_duplicates(status)
        if duplicates:
            problems.append(
                f"Pool {pool.name!r}: duplicate reports of {', '.join(duplicates)}."
            )
        pools[pool.name] = _decide_pool(
            snapshot.now,
            pool,
            snapshot.queues.get(pool.queue, QueueDemand()),
            status,
            snapshot.memories.get(pool.name),
        )
    served = {pool.queue for pool in settings.pools}
    names = {pool.name for pool in settings.pools}
    problems += [
        f"Pool {name!r} has workers but no settings."
        for name in sorted(snapshot.pools.keys() - names)
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
    now: float,
    pool: PoolSettings,
    demand: QueueDemand,
    status: PoolStatus,
    memory: PoolMemory | None,
) -> PoolDecision:
    memory = _valid_memory(memory, now)
    last_need = memory.needs[0][1] if memory.needs else len(status.workers)
    replaced = workers_to_replace(now, status, last_need, pool.maximum)
    capacity = PoolCapacity.of(
        now, status, replaced, patience=pool.target_start + ORDER_SECONDS
    )
    deployed = now if capacity.deploying else memory.deployed
    start_up = memory.start_up
    if now - deployed > POST_DEPLOYMENT_SECONDS:
        start_up = start_up.with_observed(status.start_seconds)
    start = start_up.seconds + ORDER_SECONDS
    horizon = max(0.0, start - pool.target_start + EARLY_SECONDS)
    known = _known_tasks(now, demand, predictive_scaling=pool.predictive_scaling)
    slots = capacity.slots(now, start, pool.concurrency)

    # Additional workers.
    tasks = [task for task in known.tasks if task[0] <= horizon]
    missing = 0
    if sum(task[2] for task in tasks) > slots.get(0, 0):
        missing = minimum_workers(
            slots,
            tasks,
            target_start=math.ceil(pool.target_start),
            start_seconds=math.ceil(start),
            per_worker=pool.concurrency,
            maximum=pool.maximum - capacity.active,
        )
    busy = sum(len(worker.running) for worker in capacity.ready)
    load = _recent(memory.load, now, busy, pool.steady_seconds, is_minimum=True)
    base = load[0][1]
    burst_variance = _burst_variance(memory, now, known.queued, capacity)
    reserve = 0
    if pool.headroom:
        spare = min(pool.headroom * math.sqrt(burst_variance * start), base)
        reserve = math.ceil((base + spare) / pool.concurrency)
    floor = max(pool.minimum, min(reserve, pool.maximum))
    missing = max(missing, floor - capacity.active)

    # Workers to keep, and for how long.
    soon = sum(count for at, _, count in known.coming if at <= max(horizon, start))
    soon += sum(count for at, _, count in known.announced if at <= start)
    need = math.ceil((known.queued + busy + soon) / pool.concurrency)
    need = min(max(need, floor), capacity.active + missing)
    needs = _recent(memory.needs, now, need, pool.scale_in_delay, is_minimum=False)

    drain, revive = replaced, []
    if missing > 0:
        revive = busiest_first(now, capacity.draining)[:missing]
    elif now - memory.since >= pool.scale_in_delay and not capacity.deploying:
        unneeded = capacity.active - max(pool.minimum, needs[0][1])
        drain = busiest_first(now, capacity.ready)[::-1][: max(0, unneeded)]
    launches = min(missing - len(revive), pool.maximum - status.desired)
    deficit, scale_out = _next_order(
        max(0, launches), memory.scale_out, now, status.desired, +1
    )
    can_stop = capacity.settled and not capacity.deploying and not deficit
    stops = max(0, capacity.released - capacity.leaving) if can_stop else 0
    surplus, scale_in = _next_order(stops, memory.scale_in, now, status.desired, -1)

    return PoolDecision(
        deficit=deficit,
        surplus=surplus,
        drain=tuple(worker.identity for worker in drain),
        revive=tuple(worker.identity for worker in revive),
        demand=known.queued + sum(len(worker.running) for worker in status.workers),
        needed=capacity.active + missing,
        memory=PoolMemory(
            since=memory.since,
            at=now,
            needs=needs,
            load=load,
            queued=known.queued,
            due=sum(
                count
                for at, _, count in (*known.announced, *known.coming)
                if at <= PREDICTED_SECONDS
            ),
            burst_variance=burst_variance,
            start_up=start_up,
            deployed=deployed,
            scale_out=scale_out,
            scale_in=scale_in,
        ),
    )


def _valid_memory(memory: PoolMemory | None, now: float) -> PoolMemory:
    """Return the memory, or a new one with the start-up times of an invalid one."""
    if memory is None:
        return PoolMemory(since=now, at=now)
    if 0 <= now - memory.at <= MEMORY_ROUNDS * ROUND_SECONDS:
        return memory
    return PoolMemory(since=now, at=now, start_up=memory.start_up)


@dataclass(frozen=True, slots=True)
class _KnownTasks:
    """Tasks as (seconds until they arrive, seconds they run, how many)."""

    queued: int
    announced: Tasks
    coming: Tasks
    tasks: Tasks
    """All of them, by arrival."""


def _known_tasks(
    now: float, demand: QueueDemand, *, predictive_scaling: bool
) -> _KnownTasks:
    # A task from the future waits since now: clocks differ.
    queued = [
        (min(0, at), expected, tasks)
        for at, expected, tasks in _in_seconds(now, demand.queued)
    ]
    announced = _in_seconds(now, demand.announced) if predictive_scaling else []
    coming = _in_seconds(now, demand.coming) if predictive_scaling else []
    if len(queued) > MANY_BATCHES:
        # What has long waited is late in any order; only how long it runs matters.
        sizes: Counter[int] = Counter()
        for _, expected, tasks in queued:
            sizes[expected] += tasks
        queued = [(0, expected, tasks) for expected, tasks in sizes.items()]
    return _KnownTasks(
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


def _recent(
    history: History, now: float, number: int, seconds: float, *, is_minimum: bool
) -> History:
    """Return the numbers of the last ``seconds`` that ``number`` does not supersede.

    The first entry is their minimum or maximum.
    """
    sign = 1 if is_minimum else -1
    entries = (
        entry
        for entry in history
        if sign * entry[1] < sign * number and entry[0] >= now - seconds
    )
    return (*entries, (now, number))


def _burst_variance(
    memory: PoolMemory, now: float, queued: int, capacity: PoolCapacity
) -> float:
    """Return how much the load varies by tasks that nothing announced.

    It is the variance of their number, per second of waiting for it; batches count
    by the square of their size.
    """
    elapsed = now - memory.at
    if not elapsed:
        return memory.burst_variance
    begun = sum(
        task.started > memory.at
        for worker in (*capacity.ready, *capacity.draining)
        for task in worker.running
    )
    unannounced = max(0, begun + queued - memory.queued - memory.due)
    weight = 1 - math.exp(-elapsed / BURST_MEMORY_SECONDS)
    return memory.burst_variance + weight * (
        unannounced**2 / elapsed - memory.burst_variance
    )


def _next_order(
    number: int, order: ScalingOrder | None, now: float, desired: int, direction: int
) -> tuple[int, ScalingOrder | None]:
    """Return the number to publish, and the order to remember.

    An order stands until the desired count changes; then it rests, or the alarm would
    not see the next one as new.
    """
    rest = SCALE_OUT_REST_SECONDS if direction > 0 else ROUND_SECONDS
    if order and order.done is not None:
        if now - order.done < rest:
            return 0, order
        order = None
    if order and direction * (desired - order.desired) > 0:
        return 0, ScalingOrder(order.desired, done=now)
    if not number:
        return 0, None
    return number, order or ScalingOrder(desired)
