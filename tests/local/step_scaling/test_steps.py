"""Steps and cooldowns are those of the reference of step scaling."""

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
def test_a_step_is_chosen_by_the_distance(distance: float, change: int) -> None:
    assert policy().change(distance) == change


def test_nothing_below_the_lowest_band() -> None:
    assert policy().change(-0.5) == 0


def test_within_the_cooldown_what_was_added_counts() -> None:
    target, grow = ScalableTarget(), policy()
    assert target.change(grow, 1.5, 0) == 2
    assert target.change(grow, 0.5, 10) == 0
    assert target.change(grow, 2.5, 20) == 1
    # The larger step began the cooldown anew.
    assert target.change(grow, 0.5, 49) == 0
    assert target.change(grow, 0.5, 51) == 1


def test_what_another_policy_added_does_not_count() -> None:
    target = ScalableTarget()
    assert target.change(policy(), 1.5, 0) == 2
    assert target.change(policy(cooldown=600), 1.5, 10) == 2


def test_growth_ends_the_cooldown_of_shrinking() -> None:
    target, shrink = ScalableTarget(), policy(direction=-1, cooldown=300)
    assert target.change(shrink, 0.5, 0) == -1
    assert target.change(shrink, 0.5, 100) == 0
    assert target.change(policy(), 0.5, 110) == 1
    assert target.change(shrink, 0.5, 120) == -1


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
def test_what_it_cannot_do_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match=r"TargetTracking|ExactCapacity"):
        policy(**wrong)
