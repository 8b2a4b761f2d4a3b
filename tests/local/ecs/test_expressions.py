"""Metric math as the templates' alarms use it."""

from __future__ import annotations

import pytest

from local.ecs.expressions import MetricExpression
from local.step_scaling import UnsupportedError

FLOOR = "IF(FILL(beats, 0) > 0, 0, 3 - desired)"


@pytest.mark.parametrize(
    ("beats", "desired", "missing"),
    [
        (6.0, 1.0, 0.0),
        (None, 1.0, 2.0),
        (0.0, 5.0, -2.0),
        # An unknown desired count must not look like none.
        (None, None, None),
        (6.0, None, 0.0),
    ],
)
def test_the_fallback_minimum_is_missed_only_in_silence(
    beats: float | None, desired: float | None, missing: float | None
) -> None:
    value = MetricExpression(FLOOR).value({"beats": beats, "desired": desired})
    assert value == missing


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("value", 4),
        ("value * 2 - (1 + 1)", 6),
        ("value / 8", 0.5),
        ("value / 0", None),
        ("IF(value >= 4, 1, 0)", 1),
        ("value != 4", 0),
    ],
)
def test_arithmetic(text: str, value: float | None) -> None:
    assert MetricExpression(text).value({"value": 4.0}) == value


def test_condition_without_data_has_no_value() -> None:
    assert MetricExpression("IF(beats > 0, 1, 2)").value({"beats": None}) is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "SUM(METRICS())",
            "FILL(value, REPEAT)",
            "value ** 2",
            "value[0]",
            "1 < 2 < 3",
        ),
        *("__import__('os')", "value if value else 0", "IF(value, 1)", "RATE(", "'a'"),
    ],
)
def test_unsupported_expressions_are_refused(text: str) -> None:
    with pytest.raises(UnsupportedError, match="expression"):
        MetricExpression(text)
