"""Alarms and step policies act as AWS documents, with the template's numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from simulation.actor import Alarm, Step, StepPolicy, Target, TemplateError, Watch, read

GROW = StepPolicy(30, (Step(0, 1, 1), Step(1, 2, 2), Step(2, math.inf, 3)))


def alarm(policy: StepPolicy = GROW) -> Alarm:
    return Alarm(
        metric="WorkerDeficit",
        period=10,
        periods=1,
        needed=1,
        threshold=0.5,
        comparison="GreaterThanThreshold",
        missing="notBreaching",
        policy=policy,
    )


def test_the_compiled_template_grows_by_the_deficit_and_shrinks_by_the_surplus(
    template: Path,
) -> None:
    by_metric = {alarm.metric: alarm for alarm in read(template)}
    assert set(by_metric) == {"WorkerDeficit", "WorkerSurplus"}
    for workers in (1, 2, 7, 20):
        for metric, sign in (("WorkerDeficit", 1), ("WorkerSurplus", -1)):
            watched = by_metric[metric]
            distance = workers - watched.threshold
            assert watched.policy.change(distance) == sign * workers


def test_what_the_template_says_counts_and_not_what_we_remember(
    template: Path, tmp_path: Path
) -> None:
    document = json.loads(template.read_text())
    policy = document["Resources"]["Grow"]["Properties"]
    policy["StepScalingPolicyConfiguration"]["Cooldown"] = 77
    changed = tmp_path / "scaling.template.json"
    changed.write_text(json.dumps(document))
    (deficit,) = (a for a in read(changed) if a.metric == "WorkerDeficit")
    assert deficit.policy.cooldown == 77


def test_a_missing_template_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="make templates"):
        read(tmp_path / "scaling.template.json")


def test_an_alarm_acts_on_entering_and_then_once_a_minute() -> None:
    watch = Watch(alarm())
    acted = [now for now in range(0, 200, 10) if watch.due(2.0, now)]
    assert acted == [0, 60, 120, 180]


def test_an_alarm_that_was_quiet_acts_at_once() -> None:
    watch = Watch(alarm())
    assert watch.due(2.0, 0)
    assert not watch.due(0.0, 10)
    assert watch.due(1.0, 20)


def test_a_missing_metric_never_scales() -> None:
    assert not Watch(alarm()).due(None, 0)


def test_within_the_cooldown_what_was_added_counts() -> None:
    target = Target()
    assert target.change(GROW, 1.5, 0) == 2
    assert target.change(GROW, 0.5, 10) == 0
    assert target.change(GROW, 2.5, 20) == 1
    assert target.change(GROW, 0.5, 51) == 1
