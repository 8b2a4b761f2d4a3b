"""Alarms trigger as AWS documents: on entering ALARM, then once a minute."""

from __future__ import annotations

from typing import Any

import pytest

from local.step_scaling import Alarm, AlarmEvaluator, UnsupportedError


def alarm(**changes: Any) -> Alarm:
    usual = {
        "Period": 10,
        "EvaluationPeriods": 1,
        "Threshold": 0.5,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
    }
    return Alarm.of({**usual, **changes})


def test_alarm_triggers_on_entering_and_then_once_a_minute() -> None:
    evaluator = AlarmEvaluator(alarm())
    triggered = [now for now in range(0, 200, 10) if evaluator.due(2.0, now)]
    assert triggered == [0, 60, 120, 180]


def test_alarm_triggers_at_once_when_it_enters_again() -> None:
    evaluator = AlarmEvaluator(alarm())
    assert evaluator.due(2.0, 0)
    assert evaluator.is_on
    assert not evaluator.due(0.0, 10)
    assert not evaluator.is_on
    assert evaluator.due(1.0, 20)


def test_missing_data_does_not_trigger() -> None:
    assert not AlarmEvaluator(alarm()).due(None, 0)


def test_missing_data_may_breach() -> None:
    # As the heartbeat alarm, which detects a dead publisher.
    evaluator = AlarmEvaluator(
        alarm(
            Period=60,
            EvaluationPeriods=3,
            Threshold=1,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
        )
    )
    beats = [6.0, None, None, None, None, 6.0]
    triggered = [evaluator.due(beat, 60 * minute) for minute, beat in enumerate(beats)]
    assert triggered == [False, False, False, True, True, False]


def test_missing_data_may_be_ignored() -> None:
    evaluator = AlarmEvaluator(alarm(TreatMissingData="ignore"))
    assert evaluator.due(2.0, 0)
    assert not evaluator.due(None, 10)
    assert evaluator.is_on


def test_datapoints_to_alarm_may_be_less_than_the_periods() -> None:
    evaluator = AlarmEvaluator(alarm(EvaluationPeriods=3, DatapointsToAlarm=2))
    assert not evaluator.due(1.0, 0)
    assert not evaluator.due(0.0, 10)
    assert evaluator.due(1.0, 20)
    assert not evaluator.due(0.0, 30)
    assert not evaluator.is_on


@pytest.mark.parametrize(
    "wrong", [{"Period": 7}, {"ComparisonOperator": "GreaterThanUpperThreshold"}]
)
def test_unsupported_properties_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="unknown"):
        alarm(**wrong)
