"""Settings that cannot be meant are refused, each with its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fargate_runtime.autoscaler.settings import (
    AutoscalerSettings,
    ScalingProfile,
    SettingsError,
)

GOOD: dict[str, Any] = {
    "name": "default",
    "queue": "default",
    "concurrency": 8,
    "minimum": 0,
    "maximum": 10,
}


def parse(*pools: dict[str, Any]) -> AutoscalerSettings:
    return AutoscalerSettings.parse(json.dumps(pools))


def test_unset_settings_follow_the_profile() -> None:
    balanced, economy = parse(
        GOOD, {**GOOD, "name": "b", "queue": "b", "scaling_profile": "economy"}
    ).pools
    assert balanced.scaling_profile is ScalingProfile.BALANCED
    assert balanced.target_start < economy.target_start
    assert balanced.headroom > economy.headroom


def test_explicit_target_overrides_the_profile() -> None:
    (pool,) = parse({**GOOD, "target_start_seconds": 5}).pools
    assert pool.target_start == 5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"minimum": -1}, "minimum is -1"),
        ({"maximum": 0}, "maximum is 0"),
        ({"minimum": 11}, "minimum 11 is above maximum 10"),
        ({"concurrency": 0}, "at least one task"),
        ({"target_start_seconds": -1}, "target_start_seconds is -1"),
        ({"scale_in_delay_seconds": -5}, "scale_in_delay_seconds is -5"),
        ({"scale_in_delay_seconds": 1e9}, "scale_in_delay_seconds is 1000000000.0"),
        ({"scaling_profile": "greedy"}, "balanced or economy"),
        ({"maximum": "10"}, "wrong type"),
        ({"minimum": True}, "wrong type"),
        ({"name": ""}, "needs a name and a queue"),
        ({"colour": "red"}, "'colour' is unknown"),
    ],
)
def test_invalid_settings_are_refused_with_the_reason(
    change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SettingsError, match=reason):
        parse({**GOOD, **change})


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(
        SettingsError, match=r"minimum is -1.*concurrency is 0|concurr.*minim"
    ):
        parse({**GOOD, "minimum": -1, "concurrency": 0})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{}", "not a list"),
        ("[]", "no pool"),
        ("[7]", "7 is not a pool"),
        ('[{"name": "a"}]', "queue is missing"),
        ('[{"name": "a", "target_start_seconds": NaN}]', "queue is missing"),
    ],
)
def test_invalid_pool_lists_are_refused(text: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        AutoscalerSettings.parse(text)


def test_not_a_number_is_no_number_of_seconds() -> None:
    with pytest.raises(SettingsError, match="scale_in_delay_seconds is nan"):
        parse({**GOOD, "scale_in_delay_seconds": float("nan")})


@pytest.mark.parametrize("field", ["name", "queue"])
def test_pools_share_neither_name_nor_queue(field: str) -> None:
    other = {**GOOD, "name": "other", "queue": "other", field: "default"}
    with pytest.raises(SettingsError, match=f"2 pools have the {field} 'default'"):
        parse(GOOD, other)
