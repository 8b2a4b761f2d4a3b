"""CloudWatch alarms and Application Auto Scaling, for what was launched.

Metrics come from the gateway. Alarms are evaluated on periods of the clock, act as
``autoscaling`` says, and change a service's desired count by UpdateService; the
scheduler then follows it like a count that somebody else set.

Bounds are enforced when a target is registered or changed, and by every change that
follows: growth begins at the minimum and leaves alone what stands above the maximum,
and the other way round. While a service deploys it grows and does not shrink. (ECS
Developer Guide, considerations of service auto scaling.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from local.ecs import alarms
from local.ecs.alarms import INSIGHTS, Bounds, Launched, Moving, Record
from local.ecs.metrics import MINUTE, Datum, Metric, Metrics
from local.ecs.model import Service
from local.step_scaling import Target

DESIRED = "DesiredTaskCount"

DEVIATIONS = tuple(
    """\
Container Insights reports the desired counts of services on the minute, not minutes \
later, and nothing else.
Alarms on metrics that no task publishes are the emulator's own: it looks at the \
newest value only.
""".splitlines()
)


class Asked(Protocol):
    """What is needed of the emulator."""

    def launched(self, types: tuple[str, ...]) -> list[Record]:
        """Return the launched resources of some types."""

    def desired(self, cluster: str, service: str) -> int:
        """Return a service's desired count. Raises LookupError if there is none."""

    def set_desired(self, cluster: str, service: str, count: int) -> None:
        """Change a service's desired count."""


@dataclass(frozen=True)
class Activity:
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
        asked: Asked,
        metrics: Metrics,
        is_deploying: Callable[[str, str], bool] = lambda _cluster, _service: False,
    ) -> None:
        """``is_deploying`` tells it of a cluster's service, by their names."""
        self.metrics = metrics
        self.activities: list[Activity] = []
        """Every change, the oldest first."""
        self._asked = asked
        self._is_deploying = is_deploying
        self._lock = threading.Lock()
        self._launched = Launched({}, {}, (), ())
        self._moving: dict[str, Moving] = {}
        self._targets: dict[str, Target] = {}
        self._registered: dict[str, Bounds] = {}
        self._sampled = 0.0

    def take(self, now: float) -> None:
        """Read what is launched; what did not change keeps its state."""
        found = alarms.read(self._asked.launched(alarms.TYPES))
        with self._lock:
            self._launched = found
            self._moving = {
                one.name: kept
                if (kept := self._moving.get(one.name)) and kept.compiled == one
                else Moving.since(one, now)
                for one in found.alarms
            }
            self._targets = {
                name: self._targets.get(name) or Target() for name in found.bounds
            }
        for name, bounds in found.bounds.items():
            if self._registered.get(name) != bounds:
                self._register(bounds, now)
                self._registered[name] = bounds

    def sample(self, services: Iterable[Service], now: float) -> None:
        """Publish the desired counts, once a minute."""
        if now // MINUTE == self._sampled // MINUTE:
            return
        self._sampled = now
        for one in services:
            names = {
                "ClusterName": one.cluster_arn.rpartition("/")[2],
                "ServiceName": one.name,
            }
            metric = Metric(INSIGHTS, DESIRED, frozenset(names.items()))
            self.metrics.put(metric, Datum.of(one.desired, now, MINUTE))

    def step(self, now: float) -> None:
        """Evaluate what is due and act on it."""
        for moving in list(self._moving.values()):
            for value in moving.acts(self.metrics, now):
                for action in moving.compiled.actions:
                    self._act(moving, action, value, now)

    def states(self) -> dict[str, str]:
        """Return the state of each alarm, by its stack and name, as CloudWatch says."""
        with self._lock:
            return {name: moving.state for name, moving in self._moving.items()}

    def deviations(self) -> list[str]:
        """Return what is not done here."""
        with self._lock:
            return [
                *DEVIATIONS,
                *(f"Not carried out: {what}." for what in self._launched.left_out),
            ]

    def _act(self, moving: Moving, action: str, value: float, now: float) -> None:
        policy = self._launched.policies.get(action)
        bounds = self._launched.bounds.get(policy.target_id) if policy else None
        if not policy or not bounds:
            return
        distance = value - moving.compiled.alarm.threshold
        is_less = policy.steps.change(distance) < 0
        if is_less and self._is_deploying(bounds.cluster, bounds.service):
            return
        change = self._targets[policy.target_id].change(policy.steps, distance, now)
        before = self._asked.desired(bounds.cluster, bounds.service)
        cause = (
            f"alarm {moving.compiled.name} at {value:g} set off {policy.name} "
            f"by {change:+d}"
        )
        self._set(bounds, before, bounded(before, change, bounds), cause, now)

    def _register(self, bounds: Bounds, now: float) -> None:
        before = self._asked.desired(bounds.cluster, bounds.service)
        after = min(max(before, bounds.minimum), bounds.maximum)
        word = "minimum" if after > before else "maximum"
        self._set(bounds, before, after, f"{word} capacity was set to {after}", now)

    def _set(
        self, bounds: Bounds, before: int, after: int, cause: str, now: float
    ) -> None:
        if after == before:
            return
        self._asked.set_desired(bounds.cluster, bounds.service, after)
        self.activities.append(Activity(now, bounds.service, before, after, cause))


def bounded(before: int, change: int, bounds: Bounds) -> int:
    """Return the desired count after a change, within the bounds of its target."""
    if change > 0:
        return max(before, min(max(before + change, bounds.minimum), bounds.maximum))
    if change < 0:
        return min(before, max(min(before + change, bounds.maximum), bounds.minimum))
    return before
