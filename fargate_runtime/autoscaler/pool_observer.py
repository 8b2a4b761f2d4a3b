"""Observe the workers of each pool: ECS's counts and the workers' reports."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fargate_runtime.autoscaler.services import PoolService
from fargate_runtime.autoscaler.state import PoolStatus, RunningTask, Worker
from fargate_runtime.scaling_protocol import WorkerReport, WorkerState

SILENT_SECONDS = 30.0
"""A worker that misses one or two requests still exists: its last report counts."""

NodeReport = tuple[str, WorkerReport]
"""A Celery node name, and its report."""


@dataclass
class _Pool:
    """Earlier observations of one pool's workers."""

    last: dict[str, tuple[float, WorkerReport]] = field(default_factory=dict)
    """Time and content of each worker's last report."""

    launched: deque[float] = field(default_factory=deque)
    """When workers without a report were first counted, the oldest first."""

    begun: dict[str, float | None] = field(default_factory=dict)
    """Launch times of workers that have reported, but are not ready yet."""

    known: set[str] = field(default_factory=set)
    """Workers that had reported by the last round."""

    is_new: bool = True


class PoolObserver:
    """Combines observations of successive rounds into the status of each pool."""

    def __init__(self) -> None:
        self._pools: dict[str, _Pool] = defaultdict(_Pool)

    def observe(
        self,
        now: float,
        services: Mapping[str, PoolService],
        reports: Sequence[NodeReport],
        running: Mapping[str, Sequence[RunningTask]],
        deployments: Mapping[str, str],
    ) -> tuple[dict[str, PoolStatus], list[str]]:
        """Return the status of each pool that has a service, and problems.

        ``running`` is by the worker's host, ``deployments`` by its task. A worker is
        outdated if another deployment started it than the service's primary one: a
        new deployment may have the same revision. One whose deployment is unknown is
        not: a worker that is drained by mistake does not come back.
        """
        by_pool: dict[str, list[NodeReport]] = defaultdict(list)
        for node, report in reports:
            by_pool[report.pool].append((node, report))
        problems = [
            f"Worker {node} belongs to pool {pool!r}, which has no service."
            for pool, pool_reports in sorted(by_pool.items())
            if pool not in services
            for node, _ in pool_reports
        ]
        statuses = {}
        for name, service in services.items():
            pool = self._pools[name]
            silent = self._silent(pool, now, service, by_pool[name])
            problems += [f"Worker {node} does not reply." for node, _ in silent]
            reported = len(by_pool[name]) + len(silent)
            unreported = service.running + service.pending - reported
            seconds = self._start_seconds(pool, now, by_pool[name], unreported)
            pool.known = set(pool.last)
            pool.begun = {n: at for n, at in pool.begun.items() if n in pool.known}
            statuses[name] = PoolStatus(
                desired=service.desired,
                workers=[
                    Worker(
                        identity=node,
                        state=report.state,
                        running=running.get(report.host, ()),
                        outdated=deployments.get(report.task, service.deployment)
                        != service.deployment,
                    )
                    for node, report in (*by_pool[name], *silent)
                ],
                starting=tuple(pool.launched),
                start_seconds=seconds,
            )
            pool.is_new = False
        return statuses, problems

    @staticmethod
    def _silent(
        pool: _Pool, now: float, service: PoolService, reports: Sequence[NodeReport]
    ) -> list[NodeReport]:
        """Return workers that reported lately and that ECS still counts."""
        pool.last |= {node: (now, report) for node, report in reports}
        reported = {node for node, _ in reports}
        lately = sorted(
            (
                (at, node, report)
                for node, (at, report) in pool.last.items()
                if node not in reported and 0 <= now - at <= SILENT_SECONDS
            ),
            key=lambda entry: entry[:2],
            reverse=True,
        )
        room = max(0, service.running - len(reported))
        silent = [(node, report) for _, node, report in lately[:room]]
        present = reported | {node for node, _ in silent}
        pool.last = {node: last for node, last in pool.last.items() if node in present}
        return silent

    @staticmethod
    def _start_seconds(
        pool: _Pool, now: float, reports: Sequence[NodeReport], unreported: int
    ) -> list[float]:
        """Track starting workers; return the start-up times of those now ready."""
        for node, report in reports:
            if node in pool.known:
                continue
            counted = pool.launched.popleft() if pool.launched else None
            # This autoscaler did not observe the start of workers older than itself.
            began = counted if report.created is None else report.created
            pool.begun[node] = None if pool.is_new else began
        while len(pool.launched) > max(0, unreported):
            pool.launched.pop()
        while len(pool.launched) < unreported:
            pool.launched.append(now)
        seconds = []
        for node, report in reports:
            if report.state is not WorkerState.WAITING and node in pool.begun:
                began = pool.begun.pop(node)
                if began is not None and report.state is WorkerState.READY:
                    seconds.append(now - began)
        return seconds
