"""The workers of a pool by what they can still do, and their replacement.

In a deployment ECS launches new workers beside the old ones, whose revision may be
the same, but
refuses to protect any while the protected ones are as many as the desired count, and
stops no old one that is protected. So old workers accept tasks until new ones run
beside them, and are drained then. Workers that long tasks occupy are requested once
more, up to the maximum. Where the maximum leaves no room, half of the old ones are
drained at a time: it takes longer but ends, and the pool never stands still (unless its
only worker must make room).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fargate_runtime.autoscaler.forecast import remaining_seconds
from fargate_runtime.autoscaler.scheduling import ARRIVAL_GRAIN_SECONDS, Slots
from fargate_runtime.autoscaler.state import PoolStatus, Worker
from fargate_runtime.scaling_protocol import WorkerState

PROTECTED = (WorkerState.READY, WorkerState.DRAINING)


def without_duplicates(status: PoolStatus) -> tuple[PoolStatus, Sequence[str]]:
    """Return the status with every worker once, and those that reported repeatedly.

    Of several reports the most advanced state counts.
    """
    if len({worker.identity for worker in status.workers}) == len(status.workers):
        return status, ()
    order = list(WorkerState)
    by_name: dict[str, Worker] = {}
    for worker in status.workers:
        other = by_name.get(worker.identity)
        if other is None or order.index(worker.state) > order.index(other.state):
            by_name[worker.identity] = worker
    counts = Counter(worker.identity for worker in status.workers)
    return (
        replace(status, workers=tuple(by_name.values())),
        sorted(name for name, count in counts.items() if count > 1),
    )


def busiest_first(now: float, workers: Iterable[Worker]) -> list[Worker]:
    """Return the workers in the order in which to keep them.

    The one whose tasks run longest comes first: it is billed until then, so it may as
    well accept more. The name settles a tie.
    """

    def key(worker: Worker) -> tuple[float, int, str]:
        return _busy_seconds(now, worker), len(worker.running), worker.identity

    return sorted(workers, key=key, reverse=True)


def _busy_seconds(now: float, worker: Worker) -> float:
    return max((remaining_seconds(now, task) for task in worker.running), default=0.0)


def workers_to_replace(
    now: float, status: PoolStatus, needed: int, maximum: int
) -> list[Worker]:
    """Return the outdated workers to drain now, that current ones replace."""
    old = [worker for worker in status.workers if worker.outdated]
    working = [worker for worker in old if worker.state is WorkerState.READY]
    if not working:
        return []
    held = sum(worker.state in PROTECTED for worker in old)
    current = sum(
        worker.state in (WorkerState.WAITING, WorkerState.READY)
        for worker in status.workers
        if not worker.outdated
    )
    allowed = min(current, max(0, maximum - held))
    count = len(working) - max(0, needed - allowed)
    if current > allowed:
        draining = held - len(working)
        count = max(count, math.ceil(held / 2) - draining)
    return busiest_first(now, working)[::-1][: max(0, count)]


@dataclass(frozen=True, slots=True)
class PoolCapacity:
    """Workers that count as capacity; replaced ones are in none of the fields."""

    ready: Sequence[Worker]
    draining: Sequence[Worker]
    released: int
    waiting: int
    """Workers that run and are about to be protected."""

    starting: Sequence[float]
    """Launch times of workers that do not run yet."""

    ordered: int
    """Workers that are desired and that ECS does not show yet."""

    leaving: int
    """Released workers that ECS stops already: the desired count is lower."""

    deploying: bool
    """An outdated worker exists. Application Auto Scaling stops no worker then."""

    @classmethod
    def of(
        cls, now: float, status: PoolStatus, replaced: Sequence[Worker], patience: float
    ) -> PoolCapacity:
        """Return the capacity without those that are replaced.

        A worker that needs longer than ``patience`` seconds to finish occupies the
        place of another; the others make room at once.
        """
        leaving = {worker.identity for worker in replaced}
        by_state: dict[WorkerState, list[Worker]] = {s: [] for s in WorkerState}
        outdated_ready = []
        held = outdated = 0
        for worker in status.workers:
            if not worker.outdated:
                by_state[worker.state].append(worker)
                continue
            outdated += 1
            if worker.state is WorkerState.READY and worker.identity not in leaving:
                outdated_ready.append(worker)
            elif worker.state in PROTECTED:
                held += _busy_seconds(now, worker) > patience
        alive = len(status.workers) - outdated + len(status.starting)
        waiting = len(by_state[WorkerState.WAITING])
        starting = status.starting
        ordered = max(0, status.desired - alive)
        if outdated:
            # ECS protects as many as are desired, whatever their deployment.
            protected = sum(len(by_state[state]) for state in PROTECTED)
            room = max(0, status.desired - protected - len(outdated_ready) - held)
            waiting = min(waiting, room)
            starting = sorted(starting)[: room - waiting]
            ordered = min(ordered, room - waiting - len(starting))
        return cls(
            ready=[*by_state[WorkerState.READY], *outdated_ready],
            draining=by_state[WorkerState.DRAINING],
            released=len(by_state[WorkerState.RELEASED]),
            waiting=waiting,
            starting=starting,
            ordered=ordered,
            leaving=max(0, alive - status.desired),
            deploying=outdated > 0,
        )

    @property
    def active(self) -> int:
        """Workers that accept tasks or soon will."""
        return len(self.ready) + self.waiting + len(self.starting) + self.ordered

    @property
    def settled(self) -> bool:
        """Whether no unprotected worker is about to come.

        With a lower desired count ECS could stop it instead of a released one.
        """
        return not (self.waiting or self.starting or self.ordered)

    def slots(self, now: float, start: float, concurrency: int) -> Slots:
        """Return when the slots of the active workers come free."""
        slots: Slots = {}
        free = 0
        for worker in self.ready:
            free += max(0, concurrency - len(worker.running))
            for task in worker.running:
                at = math.ceil(remaining_seconds(now, task))
                slots[at] = slots.get(at, 0) + 1
        if free:
            slots[0] = slots.get(0, 0) + free
        soon = (now - start,) * self.waiting
        for launched in (*soon, *self.starting, *(now,) * self.ordered):
            at = max(ARRIVAL_GRAIN_SECONDS, math.ceil(launched + start - now))
            slots[at] = slots.get(at, 0) + concurrency
        return slots
