"""One round: read, decide, publish, tell the workers. Nothing stale goes out.

Whatever cannot be read takes its part of the decision with it: without the database
nothing is decided at all; without the broker or ECS no pool has a fleet, and ``decide``
says nothing of it. Then neither the numbers nor the heartbeat are published.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fargate_runtime.autoscaler import metrics
from fargate_runtime.autoscaler.dag_metadata import Knowledge
from fargate_runtime.autoscaler.database import AwayError
from fargate_runtime.autoscaler.decide import decide
from fargate_runtime.autoscaler.demand import Foreseer
from fargate_runtime.autoscaler.fleets import Fleets
from fargate_runtime.autoscaler.log import Notices, Outage, Say
from fargate_runtime.autoscaler.queries import Observed, Source, observe
from fargate_runtime.autoscaler.remote_control import (
    Answers,
    RemoteControl,
    SilentError,
)
from fargate_runtime.autoscaler.services import AWS_ERRORS, Service, Services
from fargate_runtime.autoscaler.settings import Settings
from fargate_runtime.autoscaler.state import Decision, Memory, PoolDecision, Snapshot
from fargate_runtime.scaling_protocol import DRAIN, REVIVE

LONGEST_ROUND_SECONDS = 9.0
"""What was read longer ago is stale: the process was stopped, or everything is slow."""

DEFAULT_QUEUE = "default"
"""Where tasks go that name no queue: Airflow's ``[operators] default_queue``."""


class StaleError(Exception):
    """The round took too long, or another autoscaler leads now; nothing was published."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything outside that a round talks to."""

    database: Source
    workers: RemoteControl
    services: Services
    cloudwatch: Any
    cluster: str


class Away(Exception):  # noqa: N818 - a state of the world, not an error of ours
    """One of the services is away; it was said already."""


@dataclass
class Rounds:
    """What is remembered from one round to the next."""

    world: World
    settings: Settings
    tell: Say
    memories: dict[str, Memory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start with nothing known."""
        self.knowledge = Knowledge(DEFAULT_QUEUE)
        self._foreseer = Foreseer(self.knowledge)
        self._notices = Notices(self.tell)
        self._outages = {
            name: Outage(name, self.tell)
            for name in ("the database", "the broker", "ECS", "CloudWatch")
        }
        self.forget()

    def forget(self) -> None:
        """Forget what holds only while one leads without a break."""
        self._fleets = Fleets()
        self.memories = {}

    def round(self, leads: Callable[[], bool]) -> None:
        """Do it once; ``leads`` says whether this autoscaler still does.

        What is away is said, and ends the round. Raises StaleError.
        """
        began = time.monotonic()
        try:
            observed = self._reach("the database", self._observe, AwayError)
            _hold(leads, began)
            names = [pool.name for pool in self.settings.pools]
            services, faults = self._reach(
                "ECS", partial(self.world.services.pools, names), *AWS_ERRORS
            )
            _hold(leads, began)
            expected = sum(service.running for service in services.values())
            answers = self._reach(
                "the broker", partial(self.world.workers.reports, expected), SilentError
            )
        except Away:
            return
        decision, problems = self._decide(observed, answers, services)
        self._notices.tell([*faults, *answers.problems, *problems])

        _hold(leads, began)
        self._publish(observed, services, decision)
        self._command(decision)

    def _reach(self, name: str, ask: Callable[[], Any], *away: type[Exception]) -> Any:
        outage = self._outages[name]
        if not outage.is_due:
            raise Away(name)
        try:
            answer = ask()
        except away as error:
            outage.failed(error)
            raise Away(name) from error
        outage.answered()
        return answer

    def _observe(self) -> Observed:
        observed = observe(self.world.database, DEFAULT_QUEUE)
        self.knowledge.refresh(self.world.database, observed)
        return observed

    def _decide(
        self, observed: Observed, answers: Answers, services: Mapping[str, Service]
    ) -> tuple[Decision, list[str]]:
        fleets, problems = self._fleets.observe(
            observed.now, services, answers.reports, self._foreseer.running(observed)
        )
        decision = decide(
            Snapshot(
                now=observed.now,
                queues=self._foreseer.demand(observed),
                fleets=fleets,
                memories=self.memories,
            ),
            self.settings,
        )
        self.memories |= {name: pool.memory for name, pool in decision.pools.items()}
        problems += decision.problems
        if decision.unknown_queues:
            problems.append(
                "no pool serves "
                + ", ".join(f"queue {queue!r}" for queue in decision.unknown_queues)
                + ", where tasks wait; add a pool, or correct the tasks' queue"
            )
        return decision, problems

    def _publish(
        self, observed: Observed, services: Mapping[str, Service], decision: Decision
    ) -> None:
        stalled = stalled_tasks(observed)
        queues = {pool.name: pool.queue for pool in self.settings.pools}
        whole = {
            metrics.UNKNOWN_QUEUE_TASKS: sum(decision.unknown_queues.values()),
        }
        if decision.pools.keys() == queues.keys():
            whole[metrics.WORKERS] = sum(services[name].desired for name in queues)
        data = metrics.data(
            self.world.cluster,
            {
                name: {
                    metrics.WORKER_DEFICIT: pool.deficit,
                    metrics.WORKER_SURPLUS: pool.surplus,
                    metrics.STALLED_TASKS: stalled[queues[name]],
                    metrics.BRAIN_HEARTBEAT: 1,
                }
                for name, pool in decision.pools.items()
            },
            whole,
        )
        try:
            self._reach(
                "CloudWatch",
                lambda: self.world.cloudwatch.put_metric_data(
                    Namespace=metrics.NAMESPACE, MetricData=data
                ),
                *AWS_ERRORS,
            )
        except Away:
            return
        for name, pool in decision.pools.items():
            if pool.deficit or pool.surplus:
                self.tell(_line(name, pool, services[name]))

    def _command(self, decision: Decision) -> None:
        for name, pool in decision.pools.items():
            for command, nodes in ((DRAIN, pool.drain), (REVIVE, pool.revive)):
                if not nodes:
                    continue
                try:
                    self._reach(
                        "the broker",
                        partial(self.world.workers.send, command, nodes),
                        SilentError,
                    )
                except Away:
                    return
                word = command.removeprefix("scaling_")
                self.tell(f"pool {name!r}: {word} {', '.join(nodes)}")


def _hold(leads: Callable[[], bool], began: float) -> None:
    """Raise StaleError unless what was read since ``began`` may go out.

    To ask is also to keep the lead, which whoever says nothing for long would lose.
    """
    if not leads() or time.monotonic() - began > LONGEST_ROUND_SECONDS:
        raise StaleError


def stalled_tasks(observed: Observed) -> Counter[str]:
    """Return how many tasks wait in each queue of which none runs."""
    waiting: Counter[str] = Counter()
    for entry in observed.queued:
        waiting[entry.queue] += entry.tasks
    for task in observed.running:
        waiting.pop(task.queue, None)
    return waiting


def _line(name: str, pool: PoolDecision, service: Service) -> str:
    return (
        f"pool {name!r}: {pool.demand} tasks want {pool.wanted} workers, desired are "
        f"{service.desired}: {pool.deficit} missing, {pool.surplus} may go"
    )
