"""An alarm acts as AWS documents: on entering ALARM, then once a minute."""

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


def test_it_acts_on_entering_and_then_once_a_minute() -> None:
    watch = AlarmEvaluator(alarm())
    acted = [now for now in range(0, 200, 10) if watch.due(2.0, now)]
    assert acted == [0, 60, 120, 180]


def test_one_that_was_quiet_acts_at_once() -> None:
    watch = AlarmEvaluator(alarm())
    assert watch.due(2.0, 0)
    assert watch.is_on
    assert not watch.due(0.0, 10)
    assert not watch.is_on
    assert watch.due(1.0, 20)


def test_a_missing_metric_never_scales() -> None:
    assert not AlarmEvaluator(alarm()).due(None, 0)


def test_silence_breaches_where_the_template_says_so() -> None:
    # The heartbeat: a dead publisher must not look like a healthy one.
    watch = AlarmEvaluator(
        alarm(
            Period=60,
            EvaluationPeriods=3,
            Threshold=1,
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
        )
    )
    beats = [6.0, None, None, None, None, 6.0]
    acted = [watch.due(beat, 60 * minute) for minute, beat in enumerate(beats)]
    assert acted == [False, False, False, True, True, False]


def test_ignored_silence_leaves_everything_as_it_was() -> None:
    watch = AlarmEvaluator(alarm(TreatMissingData="ignore"))
    assert watch.due(2.0, 0)
    assert not watch.due(None, 10)
    assert watch.is_on


def test_some_of_the_last_periods_suffice_where_the_template_says_so() -> None:
    watch = AlarmEvaluator(alarm(EvaluationPeriods=3, DatapointsToAlarm=2))
    assert not watch.due(1.0, 0)
    assert not watch.due(0.0, 10)
    assert watch.due(1.0, 20)
    assert not watch.due(0.0, 30)
    assert not watch.is_on


@pytest.mark.parametrize(
    "wrong", [{"Period": 7}, {"ComparisonOperator": "GreaterThanUpperThreshold"}]
)
def test_what_it_cannot_do_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="unknown"):
        alarm(**wrong)
