"""Steps and cooldowns follow the reference of step scaling."""

from __future__ import annotations

from typing import Any

import pytest

from local.step_scaling import ScalableTarget, StepPolicy, UnsupportedError


def policy(direction: int = 1, cooldown: int = 30, **changes: Any) -> StepPolicy:
    bands = [
        {
            "MetricIntervalLowerBound": workers - 1,
            "MetricIntervalUpperBound": workers,
            "ScalingAdjustment": direction * workers,
        }
        for workers in (1, 2)
    ]
    last = {"MetricIntervalLowerBound": 2, "ScalingAdjustment": direction * 3}
    return StepPolicy.of(
        {
            "PolicyName": "Grow",
            "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": "ChangeInCapacity",
                "Cooldown": cooldown,
                "StepAdjustments": [*bands, last],
            },
            **changes,
        }
    )


@pytest.mark.parametrize(("distance", "change"), [(0.5, 1), (1.0, 2), (1.9, 2), (9, 3)])
def test_distance_selects_the_step(distance: float, change: int) -> None:
    assert policy().change(distance) == change


def test_no_step_below_the_lowest_bound() -> None:
    assert policy().change(-0.5) == 0


def test_cooldown_counts_what_was_added() -> None:
    target, scale_out = ScalableTarget(), policy()
    assert target.change(scale_out, 1.5, 0) == 2
    assert target.change(scale_out, 0.5, 10) == 0
    assert target.change(scale_out, 2.5, 20) == 1
    # The larger step restarted the cooldown.
    assert target.change(scale_out, 0.5, 49) == 0
    assert target.change(scale_out, 0.5, 51) == 1


def test_cooldown_ignores_other_policies() -> None:
    target = ScalableTarget()
    assert target.change(policy(), 1.5, 0) == 2
    assert target.change(policy(cooldown=600), 1.5, 10) == 2


def test_scale_out_ends_the_cooldown_of_scale_in() -> None:
    target, scale_in = ScalableTarget(), policy(direction=-1, cooldown=300)
    assert target.change(scale_in, 0.5, 0) == -1
    assert target.change(scale_in, 0.5, 100) == 0
    assert target.change(policy(), 0.5, 110) == 1
    assert target.change(scale_in, 0.5, 120) == -1


@pytest.mark.parametrize(
    "wrong",
    [
        {"PolicyType": "TargetTrackingScaling"},
        {
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": "ExactCapacity",
                "Cooldown": 0,
                "StepAdjustments": [],
            }
        },
    ],
)
def test_unsupported_properties_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match=r"TargetTracking|ExactCapacity"):
        policy(**wrong)
