"""Alarms and step policies, as the compiled scaling template has them.

Nothing here knows a number of its own that the template says: metric names, periods,
thresholds, bands and cooldowns are read from ``dist/scaling.template.json``.

The semantics are those of AWS's documentation. An alarm is evaluated once a period,
a moment after it has ended; it acts when it enters ALARM and then once a minute. A
step is chosen by how far the metric lies beyond the threshold. Within the cooldown of
growth, capacity added before counts, so that only a larger step adds anything; a
cooldown of shrinking is ended by growth.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPEAT_SECONDS = 60.0
"""How often an alarm repeats its actions while it stays in ALARM."""

VISIBLE_SECONDS = {10: 5.0, 20: 5.0, 30: 5.0, 60: 10.0}
"""How long after the end of a period its datapoint is evaluated."""

BEYOND: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


class TemplateError(Exception):
    """The compiled template is not what the simulation can run; it says how."""


@dataclass(frozen=True, slots=True)
class Step:
    """One band of a policy; its bounds are distances from the threshold."""

    lower: float
    upper: float
    change: int


@dataclass(frozen=True, slots=True)
class StepPolicy:
    """A step policy that changes the capacity by a number."""

    cooldown: float
    steps: tuple[Step, ...]

    def change(self, distance: float) -> int:
        """Return the step for a metric so far beyond the threshold."""
        for step in self.steps:
            if step.lower <= distance < step.upper:
                return step.change
        return 0


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm on one metric, and the policy that it sets off."""

    metric: str
    period: int
    periods: int
    needed: int
    threshold: float
    comparison: str
    missing: str
    policy: StepPolicy

    def visible_seconds(self, phase: float) -> float:
        """From a datapoint at that place of its period to its evaluation."""
        return self.period - phase + VISIBLE_SECONDS[self.period]


def read(template: Path) -> tuple[Alarm, ...]:
    """Return the alarms on one metric that set off a step policy."""
    try:
        resources = json.loads(template.read_text())["Resources"]
    except FileNotFoundError:
        raise TemplateError(f"{template} is missing; run: make templates") from None
    alarms = []
    for resource in resources.values():
        properties = resource["Properties"]
        if resource["Type"] != "AWS::CloudWatch::Alarm" or "Metrics" in properties:
            continue
        policies = [
            resources[action["Fn::GetAtt"][0]]["Properties"]
            for action in properties["AlarmActions"]
            if "Fn::GetAtt" in action
        ]
        alarms += [_alarm(properties, policy) for policy in policies]
    if not alarms:
        raise TemplateError(f"{template} holds no alarm that sets off a step policy")
    return tuple(alarms)


def _alarm(properties: Mapping[str, Any], policy: Mapping[str, Any]) -> Alarm:
    configuration = policy["StepScalingPolicyConfiguration"]
    kind = configuration["AdjustmentType"]
    if kind != "ChangeInCapacity":
        raise TemplateError(f"{policy['PolicyName']} has the unknown type {kind}")
    if properties["Period"] not in VISIBLE_SECONDS:
        raise TemplateError(f"a period of {properties['Period']} s is unknown")
    return Alarm(
        metric=properties["MetricName"],
        period=properties["Period"],
        periods=properties["EvaluationPeriods"],
        needed=properties["DatapointsToAlarm"],
        threshold=properties["Threshold"],
        comparison=properties["ComparisonOperator"],
        missing=properties["TreatMissingData"],
        policy=StepPolicy(
            cooldown=configuration["Cooldown"],
            steps=tuple(
                Step(
                    lower=step.get("MetricIntervalLowerBound", -math.inf),
                    upper=step.get("MetricIntervalUpperBound", math.inf),
                    change=step["ScalingAdjustment"],
                )
                for step in configuration["StepAdjustments"]
            ),
        ),
    )


@dataclass(slots=True)
class Watch:
    """One alarm in motion."""

    alarm: Alarm
    breaches: list[bool] = field(default_factory=list)
    acted_at: float | None = None
    """When it acted last, None while it is not in ALARM."""

    def due(self, value: float | None, now: float) -> bool:
        """Take one datapoint in; return whether the alarm acts."""
        alarm = self.alarm
        if value is None:
            breach = alarm.missing == "breaching"
        else:
            breach = BEYOND[alarm.comparison](value, alarm.threshold)
        self.breaches = [*self.breaches, breach][-alarm.periods :]
        if sum(self.breaches) < alarm.needed:
            self.acted_at = None
            return False
        if self.acted_at is not None and now - self.acted_at < REPEAT_SECONDS:
            return False
        self.acted_at = now
        return True


@dataclass(slots=True)
class Target:
    """The scalable target: what policies add and take away, within cooldowns."""

    grown_at: float = -math.inf
    grown_by: int = 0
    shrunk_at: float = -math.inf

    def change(self, policy: StepPolicy, distance: float, now: float) -> int:
        """Return what the policy changes now, and remember it."""
        step = policy.change(distance)
        if step > 0:
            recent = self.grown_by if now - self.grown_at < policy.cooldown else 0
            if step <= recent:
                return 0
            self.grown_at, self.grown_by = now, step
            self.shrunk_at = -math.inf
            return step - recent
        if step < 0:
            if now - self.shrunk_at < policy.cooldown:
                return 0
            self.shrunk_at = now
        return step
