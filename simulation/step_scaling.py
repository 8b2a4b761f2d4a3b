"""Alarms and step policies, as the compiled scaling template has them.

Metric names, periods, thresholds, bands and cooldowns come from the template in
``dist/scaling.template.json``. ``local.step_scaling`` executes them, for the local ECS
agent too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.step_scaling import Alarm, StepPolicy, UnsupportedError


class ScalingRuleError(Exception):
    """The simulation cannot run the compiled template; the message says why."""


@dataclass(frozen=True, slots=True)
class StepScalingRule:
    """An alarm on one metric, and the policy that it sets off."""

    metric: str
    alarm: Alarm
    policy: StepPolicy


def read(template: Path) -> tuple[StepScalingRule, ...]:
    """Return the alarms on one metric that set off a step policy."""
    try:
        resources = json.loads(template.read_text())["Resources"]
    except FileNotFoundError:
        raise ScalingRuleError(f"{template} is missing; run: make templates") from None
    try:
        rules = [
            StepScalingRule(
                properties["MetricName"], Alarm.of(properties), StepPolicy.of(policy)
            )
            for properties in _alarms(resources)
            for policy in _policies(resources, properties)
        ]
    except UnsupportedError as error:
        raise ScalingRuleError(f"{template}: {error}") from error
    if not rules:
        raise ScalingRuleError(f"{template} holds no alarm that sets off a step policy")
    return tuple(rules)


def _alarms(resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
        and "Metrics" not in resource["Properties"]
    ]


def _policies(resources: dict[str, Any], alarm: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        resources[action["Fn::GetAtt"][0]]["Properties"]
        for action in alarm["AlarmActions"]
        if "Fn::GetAtt" in action
    ]
