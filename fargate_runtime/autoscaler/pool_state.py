"""The workers of a pool by what they can still do, and how a deployment replaces them.

ECS launches the workers of a new revision beside the old ones, but refuses to protect
any while the protected ones are as many as the desired count, and takes away no old
one that is protected. So old workers work on until new ones stand beside them, are
drained then, and what long tasks hold is asked for once more, up to the maximum. Where
the maximum leaves no room, half of the old ones are drained at a time: it takes longer
but ends, and the pool never stands still (unless its only worker must make room).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fargate_runtime.autoscaler.forecast import left
from fargate_runtime.autoscaler.scheduling import ARRIVAL_GRAIN_SECONDS, Slots
from fargate_runtime.autoscaler.state import Fleet, Worker, WorkerState

PROTECTED = (WorkerState.READY, WorkerState.DRAINING)


def without_duplicates(fleet: Fleet) -> tuple[Fleet, Sequence[str]]:
    """Return the fleet with every worker once, and who reported more than once.

    Of several reports the most advanced state counts.
    """
    if len({worker.identity for worker in fleet.workers}) == len(fleet.workers):
        return fleet, ()
    order = list(WorkerState)
    kept: dict[str, Worker] = {}
    for worker in fleet.workers:
        other = kept.get(worker.identity)
        if other is None or order.index(worker.state) > order.index(other.state):
            kept[worker.identity] = worker
    counts = Counter(worker.identity for worker in fleet.workers)
    return (
        Fleet(fleet.desired, tuple(kept.values()), fleet.starting, fleet.start_seconds),
        sorted(name for name, count in counts.items() if count > 1),
    )


def last_idle(now: float, workers: Iterable[Worker]) -> list[Worker]:
    """Return the workers in the order in which to keep them.

    First whose tasks run longest: it must be paid for until then, so it may as well
    take more. The name settles a tie.
    """

    def busy(worker: Worker) -> tuple[float, int, str]:
        return _busy_for(now, worker), len(worker.running), worker.identity

    return sorted(workers, key=busy, reverse=True)


def _busy_for(now: float, worker: Worker) -> float:
    return max((left(now, task) for task in worker.running), default=0.0)


def replaced(now: float, fleet: Fleet, needed: int, maximum: int) -> list[Worker]:
    """Return the outdated workers to drain now, that current ones replace."""
    old = [worker for worker in fleet.workers if worker.outdated]
    working = [worker for worker in old if worker.state is WorkerState.READY]
    if not working:
        return []
    held = sum(worker.state in PROTECTED for worker in old)
    here = sum(
        worker.state in (WorkerState.WAITING, WorkerState.READY)
        for worker in fleet.workers
        if not worker.outdated
    )
    allowed = min(here, max(0, maximum - held))
    go = len(working) - max(0, needed - allowed)
    if here > allowed:
        draining = held - len(working)
        go = max(go, math.ceil(held / 2) - draining)
    return last_idle(now, working)[::-1][: max(0, go)]


@dataclass(frozen=True, slots=True)
class Crew:
    """Whom to count on. Workers that are replaced are in none of the fields."""

    ready: Sequence[Worker]
    draining: Sequence[Worker]
    released: int
    waiting: int
    """Workers that run and are about to be protected."""

    starting: Sequence[float]
    """When those were launched that do not run yet."""

    unseen: int
    """Workers that were ordered and of which ECS shows nothing yet."""

    leaving: int
    """Released workers that ECS takes away already: the count is lowered for them."""

    deploying: bool
    """An outdated worker lives. Application Auto Scaling takes nobody away then."""

    @classmethod
    def of(
        cls, now: float, fleet: Fleet, replaced: Sequence[Worker], patience: float
    ) -> Crew:
        """Return the crew without those that are replaced.

        Who needs longer than ``patience`` seconds to finish holds the place of one
        that could work; the others make room at once.
        """
        going = {worker.identity for worker in replaced}
        by_state: dict[WorkerState, list[Worker]] = {s: [] for s in WorkerState}
        kept = []
        held = outdated = 0
        for worker in fleet.workers:
            if not worker.outdated:
                by_state[worker.state].append(worker)
                continue
            outdated += 1
            if worker.state is WorkerState.READY and worker.identity not in going:
                kept.append(worker)
            elif worker.state in PROTECTED:
                held += _busy_for(now, worker) > patience
        alive = len(fleet.workers) - outdated + len(fleet.starting)
        waiting = len(by_state[WorkerState.WAITING])
        starting = fleet.starting
        unseen = max(0, fleet.desired - alive)
        if outdated:
            # ECS protects as many as are desired, whatever their revision.
            protected = sum(len(by_state[state]) for state in PROTECTED)
            room = max(0, fleet.desired - protected - len(kept) - held)
            waiting = min(waiting, room)
            starting = sorted(starting)[: room - waiting]
            unseen = min(unseen, room - waiting - len(starting))
        return cls(
            ready=[*by_state[WorkerState.READY], *kept],
            draining=by_state[WorkerState.DRAINING],
            released=len(by_state[WorkerState.RELEASED]),
            waiting=waiting,
            starting=starting,
            unseen=unseen,
            leaving=max(0, alive - fleet.desired),
            deploying=outdated > 0,
        )

    @property
    def active(self) -> int:
        """Workers that take tasks or soon will."""
        return len(self.ready) + self.waiting + len(self.starting) + self.unseen

    @property
    def settled(self) -> bool:
        """Whether nobody is about to come who is not protected yet.

        A lower count could take such a one instead of one that let go.
        """
        return not (self.waiting or self.starting or self.unseen)

    def slots(self, now: float, start: float, concurrency: int) -> Slots:
        """Return when the slots of the active workers come free."""
        slots: Slots = {}
        free = 0
        for worker in self.ready:
            free += max(0, concurrency - len(worker.running))
            for task in worker.running:
                at = math.ceil(left(now, task))
                slots[at] = slots.get(at, 0) + 1
        if free:
            slots[0] = slots.get(0, 0) + free
        soon = (now - start,) * self.waiting
        for launched in (*soon, *self.starting, *(now,) * self.unseen):
            at = max(ARRIVAL_GRAIN_SECONDS, math.ceil(launched + start - now))
            slots[at] = slots.get(at, 0) + concurrency
        return slots
