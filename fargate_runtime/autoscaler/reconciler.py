"""One round: observe, decide, publish, command the workers.

Nothing stale is published. Without the database nothing is decided at all; without the
broker or ECS no pool has a status, and ``decide`` decides nothing for it. Then neither
deficit, surplus nor heartbeat is published.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fargate_runtime import contract
from fargate_runtime.autoscaler.bundles import BundleWatch
from fargate_runtime.autoscaler.dag_metadata import DagMetadataStore
from fargate_runtime.autoscaler.database import DatabaseUnavailableError
from fargate_runtime.autoscaler.decide import decide
from fargate_runtime.autoscaler.demand import DemandEstimator
from fargate_runtime.autoscaler.log import Log, Notices, Outage
from fargate_runtime.autoscaler.metrics import metric_data
from fargate_runtime.autoscaler.pool_observer import PoolObserver
from fargate_runtime.autoscaler.queries import Observation, StatementSource, observe
from fargate_runtime.autoscaler.remote_control import (
    BrokerUnavailableError,
    RemoteControl,
    WorkerReplies,
)
from fargate_runtime.autoscaler.services import AWS_ERRORS, PoolService, PoolServices
from fargate_runtime.autoscaler.settings import AutoscalerSettings
from fargate_runtime.autoscaler.state import (
    Decision,
    PoolDecision,
    PoolMemory,
    Snapshot,
)
from fargate_runtime.contract import DEFAULT_QUEUE
from fargate_runtime.scaling_protocol import DRAIN, REVIVE

LONGEST_ROUND_SECONDS = 9.0
"""Older observations are stale: the process was stopped, or everything is slow."""


class StaleRoundError(Exception):
    """The round took too long, or leadership was lost; nothing was published."""


@dataclass(frozen=True, kw_only=True)
class AutoscalerClients:
    """Clients of all services that a round calls."""

    database: StatementSource
    workers: RemoteControl
    services: PoolServices
    cloudwatch: Any
    cluster: str


class Unavailable(Exception):  # noqa: N818 - a state of a service, not a bug
    """A service is unavailable; this was logged already."""


@dataclass
class Reconciler:
    """Runs rounds; remembers the state that one round passes to the next."""

    clients: AutoscalerClients
    settings: AutoscalerSettings
    log: Log
    memories: dict[str, PoolMemory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start without observations."""
        self._metadata = DagMetadataStore(DEFAULT_QUEUE)
        self._demand = DemandEstimator(self._metadata)
        self._bundles = BundleWatch()
        self._notices = Notices(self.log)
        self._outages = {
            name: Outage(name, self.log)
            for name in ("Database", "Broker", "ECS", "CloudWatch")
        }
        self.reset()

    def reset(self) -> None:
        """Discard the state that is valid only while leadership is uninterrupted."""
        self._observer = PoolObserver()
        self.memories = {}

    def reconcile(self, is_leader: Callable[[], bool]) -> None:
        """Run one round; ``is_leader`` tells whether this autoscaler still leads.

        An unavailable service is logged, and ends the round. Raises StaleRoundError.
        """
        began = time.monotonic()
        try:
            observed = self._call("Database", self._observe, DatabaseUnavailableError)
            _check_fresh(is_leader, began)
            names = [pool.name for pool in self.settings.pools]
            services, service_problems = self._call(
                "ECS", partial(self.clients.services.pools, names), *AWS_ERRORS
            )
            _check_fresh(is_leader, began)
            expected = sum(service.running for service in services.values())
            replies = self._call(
                "Broker",
                partial(self.clients.workers.reports, expected),
                BrokerUnavailableError,
            )
            tasks = [report.task for _, report in replies.reports]
            deployments = self._call(
                "ECS", partial(self.clients.services.deployments, tasks), *AWS_ERRORS
            )
        except Unavailable:
            return
        decision, problems = self._decide(observed, replies, services, deployments)
        stale = self._bundles.stale(observed.now, observed.bundles)
        self._notices.log([*service_problems, *replies.problems, *problems, *stale])

        _check_fresh(is_leader, began)
        self._publish(observed, replies, services, decision, len(stale))
        self._command(decision)

    def _call(
        self, name: str, function: Callable[[], Any], *errors: type[Exception]
    ) -> Any:
        outage = self._outages[name]
        if not outage.is_due:
            raise Unavailable(name)
        try:
            result = function()
        except errors as error:
            outage.failed(error)
            raise Unavailable(name) from error
        outage.answered()
        return result

    def _observe(self) -> Observation:
        observed = observe(self.clients.database, DEFAULT_QUEUE)
        self._metadata.refresh(self.clients.database, observed)
        return observed

    def _decide(
        self,
        observed: Observation,
        replies: WorkerReplies,
        services: Mapping[str, PoolService],
        deployments: Mapping[str, str],
    ) -> tuple[Decision, list[str]]:
        pools, problems = self._observer.observe(
            observed.now,
            services,
            replies.reports,
            self._demand.running(observed),
            deployments,
        )
        decision = decide(
            Snapshot(
                now=observed.now,
                queues=self._demand.demand(observed),
                pools=pools,
                memories=self.memories,
            ),
            self.settings,
        )
        self.memories |= {name: pool.memory for name, pool in decision.pools.items()}
        problems += decision.problems
        if decision.unknown_queues:
            queues = ", ".join(map(repr, decision.unknown_queues))
            problems.append(
                f"Tasks wait in queues that no pool serves: {queues}. Add a pool, or "
                "correct the queue of the tasks."
            )
        return decision, problems

    def _publish(
        self,
        observed: Observation,
        replies: WorkerReplies,
        services: Mapping[str, PoolService],
        decision: Decision,
        stale_bundles: int,
    ) -> None:
        stalled = stalled_tasks(observed)
        overdue: Counter[str] = Counter()
        for _, report in replies.reports:
            overdue[report.pool] += report.overdue
        queues = {pool.name: pool.queue for pool in self.settings.pools}
        of_cluster = {
            contract.UNKNOWN_QUEUE_TASKS: sum(decision.unknown_queues.values()),
            contract.STALE_BUNDLES: stale_bundles,
        }
        if decision.pools.keys() == queues.keys():
            desired = sum(services[name].desired for name in queues)
            of_cluster[contract.WORKERS] = desired
        data = metric_data(
            self.clients.cluster,
            {
                name: {
                    contract.WORKER_DEFICIT: pool.deficit,
                    contract.WORKER_SURPLUS: pool.surplus,
                    contract.STALLED_TASKS: stalled[queues[name]],
                    contract.OVERDUE_TASKS: overdue[name],
                    contract.AUTOSCALER_HEARTBEAT: 1,
                }
                for name, pool in decision.pools.items()
            },
            of_cluster,
        )
        try:
            self._call(
                "CloudWatch",
                lambda: self.clients.cloudwatch.put_metric_data(
                    Namespace=contract.METRIC_NAMESPACE, MetricData=data
                ),
                *AWS_ERRORS,
            )
        except Unavailable:
            return
        for name, pool in decision.pools.items():
            if pool.deficit or pool.surplus:
                self.log(_summary(name, pool, services[name]))

    def _command(self, decision: Decision) -> None:
        for name, pool in decision.pools.items():
            for command, nodes in ((DRAIN, pool.drain), (REVIVE, pool.revive)):
                if not nodes:
                    continue
                try:
                    self._call(
                        "Broker",
                        partial(self.clients.workers.send, command, nodes),
                        BrokerUnavailableError,
                    )
                except Unavailable:
                    return
                verb = command.removeprefix("scaling_").capitalize()
                self.log(f"Pool {name!r}: {verb} {', '.join(nodes)}")


def _check_fresh(is_leader: Callable[[], bool], began: float) -> None:
    """Raise StaleRoundError unless observations since ``began`` may be published.

    The check also keeps leadership, which a silent session would lose.
    """
    if not is_leader() or time.monotonic() - began > LONGEST_ROUND_SECONDS:
        raise StaleRoundError


def stalled_tasks(observed: Observation) -> Counter[str]:
    """Return the waiting tasks of each queue in which no task runs."""
    waiting: Counter[str] = Counter()
    for entry in observed.queued:
        waiting[entry.queue] += entry.tasks
    for task in observed.running:
        waiting.pop(task.queue, None)
    return waiting


def _summary(name: str, pool: PoolDecision, service: PoolService) -> str:
    return (
        f"Pool {name!r}: {pool.demand} tasks need {pool.needed} workers, desired count "
        f"is {service.desired}: deficit {pool.deficit}, surplus {pool.surplus}"
    )
