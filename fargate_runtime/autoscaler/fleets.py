"""The workers of each pool, from what ECS counts and what they say themselves."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fargate_runtime.autoscaler.services import Service
from fargate_runtime.autoscaler.state import Fleet, Running, Worker, WorkerState
from fargate_runtime.scaling_protocol import Phase, Report

SILENT_SECONDS = 30.0
"""A worker that gives no answer, once or twice, is still there: its last one counts."""

STATES = {
    Phase.WAITING: WorkerState.WAITING,
    Phase.READY: WorkerState.READY,
    Phase.DRAINING: WorkerState.DRAINING,
    Phase.RELEASED: WorkerState.RELEASED,
}


@dataclass
class _Pool:
    """What is remembered of one pool's workers."""

    last: dict[str, tuple[float, Report]] = field(default_factory=dict)
    """When each worker answered last, and what."""

    launched: deque[float] = field(default_factory=deque)
    """When those were first counted that have not answered yet, the oldest first."""

    begun: dict[str, float | None] = field(default_factory=dict)
    """When those were launched that have answered, but are not ready yet."""

    known: set[str] = field(default_factory=set)
    """Who had answered by the last round."""

    is_new: bool = True


class Fleets:
    """Keeps account of the workers of all pools, one round after the other."""

    def __init__(self) -> None:
        self._pools: dict[str, _Pool] = defaultdict(_Pool)

    def observe(
        self,
        now: float,
        services: Mapping[str, Service],
        reports: Sequence[tuple[str, Report]],
        running: Mapping[str, Sequence[Running]],
    ) -> tuple[dict[str, Fleet], list[str]]:
        """Return the fleet of each pool that has a service, and what does not fit."""
        by_pool: dict[str, list[tuple[str, Report]]] = defaultdict(list)
        for node, report in reports:
            by_pool[report.pool].append((node, report))
        problems = [
            f"worker {node} belongs to pool {pool!r}, which has no service"
            for pool, found in sorted(by_pool.items())
            if pool not in services
            for node, _ in found
        ]
        fleets = {}
        for name, service in services.items():
            pool = self._pools[name]
            silent = self._silent(pool, now, service, by_pool[name])
            problems += [f"worker {node} does not answer" for node, _ in silent]
            heard = len(by_pool[name]) + len(silent)
            unheard = service.running + service.pending - heard
            seconds = self._starts(pool, now, by_pool[name], unheard)
            pool.known = set(pool.last)
            pool.begun = {n: at for n, at in pool.begun.items() if n in pool.known}
            fleets[name] = Fleet(
                desired=service.desired,
                workers=[
                    Worker(
                        identity=node,
                        state=STATES[report.state],
                        running=running.get(report.host, ()),
                        outdated=report.revision != service.revision,
                    )
                    for node, report in (*by_pool[name], *silent)
                ],
                starting=tuple(pool.launched),
                start_seconds=seconds,
            )
            pool.is_new = False
        return fleets, problems

    @staticmethod
    def _silent(
        pool: _Pool, now: float, service: Service, reports: Sequence[tuple[str, Report]]
    ) -> list[tuple[str, Report]]:
        """Return those that answered lately and that ECS still counts."""
        pool.last |= {node: (now, report) for node, report in reports}
        answered = {node for node, _ in reports}
        lately = sorted(
            (
                (at, node, report)
                for node, (at, report) in pool.last.items()
                if node not in answered and 0 <= now - at <= SILENT_SECONDS
            ),
            key=lambda entry: entry[:2],
            reverse=True,
        )
        room = max(0, service.running - len(answered))
        kept = [(node, report) for _, node, report in lately[:room]]
        present = answered | {node for node, _ in kept}
        pool.last = {node: last for node, last in pool.last.items() if node in present}
        return kept

    @staticmethod
    def _starts(
        pool: _Pool,
        now: float,
        reports: Sequence[tuple[str, Report]],
        unheard: int,
    ) -> list[float]:
        """Follow who starts; return how long those took that became ready."""
        for node, report in reports:
            if node in pool.known:
                continue
            counted = pool.launched.popleft() if pool.launched else None
            # Who was there before this autoscaler was watched by nobody.
            began = counted if report.created is None else report.created
            pool.begun[node] = None if pool.is_new else began
        while len(pool.launched) > max(0, unheard):
            pool.launched.pop()
        while len(pool.launched) < unheard:
            pool.launched.append(now)
        seconds = []
        for node, report in reports:
            if report.state is not Phase.WAITING and node in pool.begun:
                began = pool.begun.pop(node)
                if began is not None and report.state is Phase.READY:
                    seconds.append(now - began)
        return seconds
