"""What a step policy adds or takes away, and what its cooldown forbids.

A step is chosen by how far the metric lies beyond the threshold. Within the cooldown
of growth, capacity that the same policy added before counts, so that only a larger
step adds anything; a cooldown of shrinking is ended by growth. Source: the reference
of StepScalingPolicyConfiguration.
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
        """Return the step for a metric so far beyond the threshold."""
        for step in self.steps:
            if step.lower <= distance < step.upper:
                return step.change
        return 0


@dataclass(slots=True)
class Target:
    """A scalable target: what its policies added and took away, within cooldowns."""

    grown: dict[StepPolicy, tuple[float, int]] = field(default_factory=dict)
    """Policy -> when it added last, and the step by which."""
    shrunk_at: float = -math.inf

    def change(self, policy: StepPolicy, distance: float, now: float) -> int:
        """Return what the policy changes now, and remember it."""
        step = policy.change(distance)
        if step > 0:
            at, by = self.grown.get(policy, (-math.inf, 0))
            recent = by if now - at < policy.cooldown else 0
            if step <= recent:
                return 0
            self.grown[policy] = (now, step)
            self.shrunk_at = -math.inf
            return step - recent
        if step < 0:
            if now - self.shrunk_at < policy.cooldown:
                return 0
            self.shrunk_at = now
        return step
