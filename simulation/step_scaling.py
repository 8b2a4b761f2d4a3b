"""Alarms and step policies, as the compiled scaling template has them.

Nothing here knows a number of its own that the template says: metric names, periods,
thresholds, bands and cooldowns are read from ``dist/scaling.template.json``. What AWS
does with them is in ``autoscaling``, which the local agent acts by, too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.step_scaling import Alarm, StepPolicy, UnsupportedError


class TemplateError(Exception):
    """The compiled template is not what the simulation can run; it says how."""


@dataclass(frozen=True, slots=True)
class Order:
    """An alarm on one metric, and the policy that it sets off."""

    metric: str
    alarm: Alarm
    policy: StepPolicy


def read(template: Path) -> tuple[Order, ...]:
    """Return the alarms on one metric that set off a step policy."""
    try:
        resources = json.loads(template.read_text())["Resources"]
    except FileNotFoundError:
        raise TemplateError(f"{template} is missing; run: make templates") from None
    try:
        orders = [
            Order(properties["MetricName"], Alarm.of(properties), StepPolicy.of(policy))
            for properties in _alarms(resources)
            for policy in _policies(resources, properties)
        ]
    except UnsupportedError as error:
        raise TemplateError(f"{template}: {error}") from error
    if not orders:
        raise TemplateError(f"{template} holds no alarm that sets off a step policy")
    return tuple(orders)


def _alarms(resources: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        one["Properties"]
        for one in resources.values()
        if one["Type"] == "AWS::CloudWatch::Alarm"
        and "Metrics" not in one["Properties"]
    ]


def _policies(resources: dict[str, Any], alarm: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        resources[action["Fn::GetAtt"][0]]["Properties"]
        for action in alarm["AlarmActions"]
        if "Fn::GetAtt" in action
    ]
