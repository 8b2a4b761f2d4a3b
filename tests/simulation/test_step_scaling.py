"""The simulation acts by what the compiled template says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from simulation.step_scaling import ScalingRuleError, read


def changed(template: Path, folder: Path, **configuration: Any) -> Path:
    document = json.loads(template.read_text())
    policy = document["Resources"]["ScaleOut"]["Properties"]
    policy["StepScalingPolicyConfiguration"].update(configuration)
    path = folder / "scaling.template.json"
    path.write_text(json.dumps(document))
    return path


def test_compiled_template_grows_by_the_deficit_and_shrinks_by_the_surplus(
    template: Path,
) -> None:
    by_metric = {rule.metric: rule for rule in read(template)}
    assert set(by_metric) == {"WorkerDeficit", "WorkerSurplus"}
    for workers in (1, 2, 7, 20):
        for metric, sign in (("WorkerDeficit", 1), ("WorkerSurplus", -1)):
            rule = by_metric[metric]
            distance = workers - rule.alarm.threshold
            assert rule.policy.change(distance) == sign * workers


def test_policies_come_from_the_template(template: Path, tmp_path: Path) -> None:
    rules = read(changed(template, tmp_path, Cooldown=77))
    (deficit,) = (rule for rule in rules if rule.metric == "WorkerDeficit")
    assert deficit.policy.cooldown == 77


def test_policy_of_another_kind_is_refused(template: Path, tmp_path: Path) -> None:
    with pytest.raises(ScalingRuleError, match="ExactCapacity"):
        read(changed(template, tmp_path, AdjustmentType="ExactCapacity"))


def test_missing_template_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(ScalingRuleError, match="make templates"):
        read(tmp_path / "scaling.template.json")
