"""What a step policy adds or removes, and what its cooldown prevents.

The distance of the metric from the threshold selects the step. Within the cooldown of
a scale-out, capacity that the same policy added before counts, so only a larger step
adds anything; a scale-out ends the cooldown of a scale-in. Source: the reference of
StepScalingPolicyConfiguration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from local.step_scaling.unsupported import UnsupportedError


@dataclass(frozen=True, slots=True)
class Step:
    """One band of a policy; its bounds are distances from the threshold."""

    lower: float
    upper: float
    change: int


@dataclass(frozen=True, slots=True)
class StepPolicy:
    """A step policy that changes the capacity by a number; cooldown in seconds."""

    cooldown: float
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Self:
        """Read the compiled properties of a policy. Raises UnsupportedError."""
        if properties["PolicyType"] != "StepScaling":
            raise UnsupportedError(f"the policy type is {properties['PolicyType']}")
        configuration = properties["StepScalingPolicyConfiguration"]
        kind = configuration["AdjustmentType"]
        if kind != "ChangeInCapacity":
            raise UnsupportedError(
                f"{properties['PolicyName']} has the unknown type {kind}"
            )
        return cls(
            cooldown=float(configuration["Cooldown"]),
            steps=tuple(
                Step(
                    lower=float(step.get("MetricIntervalLowerBound", -math.inf)),
                    upper=float(step.get("MetricIntervalUpperBound", math.inf)),
                    change=int(step["ScalingAdjustment"]),
                )
                for step in configuration["StepAdjustments"]
            ),
        )

    def change(self, distance: float) -> int:
        """Return the step for a metric at this distance from the threshold."""
        for step in self.steps:
            if step.lower <= distance < step.upper:
                return step.change
        return 0


@dataclass(slots=True)
class ScalableTarget:
    """A scalable target: what its policies added and removed, within cooldowns."""

    scaled_out: dict[StepPolicy, tuple[float, int]] = field(default_factory=dict)
    """Policy -> when it added last, and the step by which."""
    scaled_in_at: float = -math.inf

    def change(self, policy: StepPolicy, distance: float, now: float) -> int:
        """Return what the policy changes now, and record it."""
        step = policy.change(distance)
        if step > 0:
            at, by = self.scaled_out.get(policy, (-math.inf, 0))
            recent = by if now - at < policy.cooldown else 0
            if step <= recent:
                return 0
            self.scaled_out[policy] = (now, step)
            self.scaled_in_at = -math.inf
            return step - recent
        if step < 0:
            if now - self.scaled_in_at < policy.cooldown:
                return 0
            self.scaled_in_at = now
        return step
