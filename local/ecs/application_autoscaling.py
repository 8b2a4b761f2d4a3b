"""CloudWatch alarms and Application Auto Scaling, for what was launched.

Metrics come from the AWS proxy. Alarms are evaluated on periods of the clock by the
rules of ``local.step_scaling``, and change a service's desired count by UpdateService.

Bounds are enforced when a target is registered or changed, and by every later change: a
scale-out begins at the minimum and leaves a count above the maximum as it is, and vice
versa. During a deployment a service scales out and not in. (ECS Developer Guide,
considerations of service auto scaling.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from local.ecs import alarms
from local.ecs.alarms import (
    INSIGHTS,
    AlarmState,
    CapacityBounds,
    LaunchedResource,
    ScalingConfig,
)
from local.ecs.metrics import MINUTE, Datum, Metric, MetricStore
from local.ecs.model import EcsService
from local.step_scaling import ScalableTarget

DESIRED = "DesiredTaskCount"

DEVIATIONS = tuple(
    """\
Container Insights reports the desired counts of services on the minute, not minutes \
later, and nothing else.
Alarms on metrics that no task publishes are the emulator's own: it looks at the \
newest value only.
""".splitlines()
)


class DesiredCountApi(Protocol):
    """What Application Auto Scaling needs of the emulator."""

    def launched(self, types: tuple[str, ...]) -> list[LaunchedResource]:
        """Return the launched resources of some types."""

    def desired(self, cluster: str, service: str) -> int:
        """Return a service's desired count. Raises LookupError if there is none."""

    def set_desired(self, cluster: str, service: str, count: int) -> None:
        """Change a service's desired count."""


@dataclass(frozen=True)
class ScalingActivity:
    """A change of a desired count, and why; ``at`` is a Unix time."""

    at: float
    service: str
    before: int
    after: int
    cause: str


class ApplicationAutoscaling:
    """Evaluates alarms and changes desired counts."""

    def __init__(
        self,
        counts: DesiredCountApi,
        metrics: MetricStore,
        is_deploying: Callable[[str, str], bool] = lambda _cluster, _service: False,
    ) -> None:
        """``is_deploying`` takes the names of a cluster and of a service in it."""
        self.metrics = metrics
        self.activities: list[ScalingActivity] = []
        """Every change, the oldest first."""
        self._counts = counts
        self._is_deploying = is_deploying
        self._lock = threading.Lock()
        self._config = ScalingConfig({}, {}, (), ())
        self._alarms: dict[str, AlarmState] = {}
        self._targets: dict[str, ScalableTarget] = {}
        self._registered: dict[str, CapacityBounds] = {}
        self._sampled = 0.0

    def update(self, now: float) -> None:
        """Read the launched resources; unchanged ones keep their state."""
        config = alarms.read(self._counts.launched(alarms.TYPES))
        with self._lock:
            self._config = config
            self._alarms = {
                definition.name: previous
                if (previous := self._alarms.get(definition.name))
                and previous.definition == definition
                else AlarmState.since(definition, now)
                for definition in config.alarms
            }
            self._targets = {
                name: self._targets.get(name) or ScalableTarget()
                for name in config.bounds
            }
        for name, bounds in config.bounds.items():
            if self._registered.get(name) != bounds:
                self._register(bounds, now)
                self._registered[name] = bounds

    def sample(self, services: Iterable[EcsService], now: float) -> None:
        """Publish the desired counts, once a minute."""
        if now // MINUTE == self._sampled // MINUTE:
            return
        self._sampled = now
        for service in services:
            names = {
                "ClusterName": service.cluster_arn.rpartition("/")[2],
                "ServiceName": service.name,
            }
            metric = Metric(INSIGHTS, DESIRED, frozenset(names.items()))
            self.metrics.put(metric, Datum.of(service.desired, now, MINUTE))

    def step(self, now: float) -> None:
        """Evaluate the alarms that are due and carry out their actions."""
        for alarm in list(self._alarms.values()):
            for value in alarm.evaluate(self.metrics, now):
                for action in alarm.definition.actions:
                    self._act(alarm, action, value, now)

    def states(self) -> dict[str, str]:
        """Return the CloudWatch state of each alarm, by stack name and logical ID."""
        with self._lock:
            return {name: alarm.state for name, alarm in self._alarms.items()}

    def deviations(self) -> list[str]:
        """Return what differs from AWS."""
        with self._lock:
            return [
                *DEVIATIONS,
                *(f"Ignored: {what}." for what in self._config.unsupported),
            ]

    def _act(self, alarm: AlarmState, action: str, value: float, now: float) -> None:
        policy = self._config.policies.get(action)
        bounds = self._config.bounds.get(policy.target_id) if policy else None
        if not policy or not bounds:
            return
        distance = value - alarm.definition.alarm.threshold
        is_less = policy.steps.change(distance) < 0
        if is_less and self._is_deploying(bounds.cluster, bounds.service):
            return
        change = self._targets[policy.target_id].change(policy.steps, distance, now)
        before = self._counts.desired(bounds.cluster, bounds.service)
        cause = (
            f"alarm {alarm.definition.name} at {value:g} triggered {policy.name} "
            f"by {change:+d}"
        )
        self._set(bounds, before, bounded(before, change, bounds), cause, now)

    def _register(self, bounds: CapacityBounds, now: float) -> None:
        before = self._counts.desired(bounds.cluster, bounds.service)
        after = min(max(before, bounds.minimum), bounds.maximum)
        word = "minimum" if after > before else "maximum"
        self._set(bounds, before, after, f"{word} capacity was set to {after}", now)

    def _set(
        self, bounds: CapacityBounds, before: int, after: int, cause: str, now: float
    ) -> None:
        if after == before:
            return
        self._counts.set_desired(bounds.cluster, bounds.service, after)
        self.activities.append(
            ScalingActivity(now, bounds.service, before, after, cause)
        )


def bounded(before: int, change: int, bounds: CapacityBounds) -> int:
    """Return the desired count after a change, within the bounds of its target."""
    if change > 0:
        return max(before, min(max(before + change, bounds.minimum), bounds.maximum))
    if change < 0:
        return min(before, max(min(before + change, bounds.maximum), bounds.minimum))
    return before
