"""When an alarm triggers its actions.

An alarm is evaluated once per period, a moment after the period has ended. It triggers
its actions when it enters ALARM and then once a minute while it stays there. Missing
data counts as ``TreatMissingData`` says; that CloudWatch looks a few datapoints further
back when one is missing makes no difference to a publisher that also sends zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from local.step_scaling.unsupported import UnsupportedError

REPEAT_SECONDS = 60.0
"""How often an alarm repeats its actions while it stays in ALARM."""

VISIBLE_SECONDS: Mapping[int, float] = {10: 5.0, 20: 5.0, 30: 5.0, 60: 10.0}
"""Period -> how long after its end its datapoint is evaluated, in seconds."""

BEYOND: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Alarm:
    """The settings of an alarm; the period is in seconds."""

    period: int
    periods: int
    needed: int
    threshold: float
    comparison: str
    missing: str

    @classmethod
    def of(cls, properties: Mapping[str, Any], *, period: int | None = None) -> Self:
        """Read compiled properties. Raises UnsupportedError.

        ``period`` is that of the metrics, for an alarm on an expression.
        """
        seconds = int(period or properties["Period"])
        if seconds not in VISIBLE_SECONDS:
            raise UnsupportedError(f"a period of {seconds} s is unknown")
        comparison = str(properties["ComparisonOperator"])
        if comparison not in BEYOND:
            raise UnsupportedError(f"the comparison {comparison} is unknown")
        periods = int(properties["EvaluationPeriods"])
        return cls(
            period=seconds,
            periods=periods,
            needed=int(properties.get("DatapointsToAlarm", periods)),
            threshold=float(properties["Threshold"]),
            comparison=comparison,
            missing=str(properties.get("TreatMissingData", "missing")),
        )

    def breaches(self, value: float | None) -> bool:
        """Return whether a datapoint, or the lack of one, breaches the threshold."""
        if value is None:
            return self.missing == "breaching"
        return BEYOND[self.comparison](value, self.threshold)

    def visible_seconds(self, phase: float) -> float:
        """Return the seconds from a datapoint at that phase to its evaluation."""
        return self.period - phase + VISIBLE_SECONDS[self.period]


@dataclass(slots=True)
class AlarmEvaluator:
    """Evaluates one alarm, period after period."""

    alarm: Alarm
    breaches: list[bool] = field(default_factory=list)
    """Of the last periods, the newest last."""
    acted_at: float | None = None
    """When it last triggered its actions, None while it is not in ALARM."""

    @property
    def is_on(self) -> bool:
        """Whether the alarm is in ALARM."""
        return self.acted_at is not None

    def due(self, value: float | None, now: float) -> bool:
        """Add the datapoint of one period; return whether the actions are triggered."""
        alarm = self.alarm
        if value is None and alarm.missing == "ignore":
            return False
        self.breaches = [*self.breaches, alarm.breaches(value)][-alarm.periods :]
        if sum(self.breaches) < alarm.needed:
            self.acted_at = None
            return False
        if self.acted_at is not None and now - self.acted_at < REPEAT_SECONDS:
            return False
        self.acted_at = now
        return True
