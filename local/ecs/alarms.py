"""The alarms and scaling policies of the launched stacks, parsed and evaluated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.ecs.expressions import MetricExpression
from local.ecs.metrics import STATISTICS, Metric, MetricStore
from local.step_scaling import (
    VISIBLE_SECONDS,
    Alarm,
    AlarmEvaluator,
    StepPolicy,
    UnsupportedError,
)

ALARM = "AWS::CloudWatch::Alarm"
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
TYPES = (ALARM, TARGET, POLICY)

INSIGHTS = "ECS/ContainerInsights"
"""Mostly not published here: its alarms are evaluated only where they scale."""

SINGLE = "value"
"""Name of the metric of an alarm that has only one."""

LaunchedResource = Mapping[str, Any]
"""A launched resource, as ``local.emulator.control_client.records`` gives it."""


@dataclass(frozen=True)
class MetricQuery:
    """A statistic of a metric."""

    metric: Metric
    statistic: str

    @classmethod
    def of(cls, metric: Metric, statistic: str) -> MetricQuery:
        """Return the query. Raises UnsupportedError."""
        if statistic not in STATISTICS:
            raise UnsupportedError(f"the statistic {statistic} is unknown")
        return cls(metric, statistic)


@dataclass(frozen=True)
class AlarmDefinition:
    """An alarm as launched."""

    name: str
    """Stack name and logical ID."""
    alarm: Alarm
    queries: Mapping[str, MetricQuery]
    formula: str
    actions: tuple[str, ...]
    """ARNs: of scaling policies, topics, ..."""

    @classmethod
    def of(cls, record: LaunchedResource) -> AlarmDefinition:
        """Read a launched alarm. Raises UnsupportedError."""
        properties = record["properties"]
        name = _name(record)
        actions = tuple(map(str, properties.get("AlarmActions") or ()))
        if "Metrics" not in properties:
            query = MetricQuery.of(
                Metric.of(properties), str(properties.get("Statistic"))
            )
            return cls(name, Alarm.of(properties), {SINGLE: query}, SINGLE, actions)
        queries, periods, formula = {}, set(), ""
        for entry in properties["Metrics"]:
            if "Expression" in entry:
                if formula:
                    raise UnsupportedError(f"{name} has two expressions")
                formula = str(entry["Expression"])
                continue
            stat = entry["MetricStat"]
            queries[str(entry["Id"])] = MetricQuery.of(
                Metric.of(stat["Metric"]), str(stat["Stat"])
            )
            periods.add(int(stat["Period"]))
        if len(periods) != 1:
            raise UnsupportedError(f"{name} mixes the periods {sorted(periods)}")
        alarm = Alarm.of(properties, period=periods.pop())
        if unknown := MetricExpression(formula).names - set(queries):
            raise UnsupportedError(f"{name} names {', '.join(sorted(unknown))}")
        return cls(name, alarm, queries, formula, actions)

    @property
    def namespaces(self) -> set[str]:
        """The namespaces of its metrics."""
        return {query.metric.namespace for query in self.queries.values()}


@dataclass
class AlarmState:
    """An alarm and how far it is evaluated."""

    definition: AlarmDefinition
    evaluated: float
    """The end of the last evaluated period; Unix time."""
    evaluator: AlarmEvaluator = field(init=False)
    value: float | None = None

    def __post_init__(self) -> None:
        """Parse the formula once."""
        self.evaluator = AlarmEvaluator(self.definition.alarm)
        self._expression = MetricExpression(self.definition.formula)

    @classmethod
    def since(cls, definition: AlarmDefinition, now: float) -> AlarmState:
        """Begin with the period that is under way: periods follow the clock."""
        period = definition.alarm.period
        return cls(definition, now // period * period)

    def evaluate(self, metrics: MetricStore, now: float) -> list[float]:
        """Evaluate every period that is due; return the values that trigger actions."""
        period = self.definition.alarm.period
        values = []
        while self.evaluated + period + VISIBLE_SECONDS[period] <= now:
            begin, self.evaluated = self.evaluated, self.evaluated + period
            self.value = self._expression.value(
                {
                    name: metrics.statistic(
                        query.metric, query.statistic, begin, period
                    )
                    for name, query in self.definition.queries.items()
                }
            )
            visible_at = self.evaluated + VISIBLE_SECONDS[period]
            if self.evaluator.due(self.value, visible_at):
                values.append(math.nan if self.value is None else self.value)
        return values

    @property
    def state(self) -> str:
        """The state as CloudWatch names it."""
        if self.evaluator.is_on:
            return "ALARM"
        return "OK" if self.evaluator.breaches else "INSUFFICIENT_DATA"


@dataclass(frozen=True)
class CapacityBounds:
    """The service of a scalable target, and its minimum and maximum of tasks."""

    cluster: str
    service: str
    minimum: int
    maximum: int

    @classmethod
    def of(cls, record: LaunchedResource) -> CapacityBounds:
        """Read a launched target."""
        properties = record["properties"]
        _, cluster, service = str(properties["ResourceId"]).split("/")
        return cls(
            cluster,
            service,
            int(properties["MinCapacity"]),
            int(properties["MaxCapacity"]),
        )


@dataclass(frozen=True)
class ScalingPolicy:
    """A step policy as launched."""

    name: str
    target_id: str
    steps: StepPolicy

    @classmethod
    def of(cls, record: LaunchedResource) -> ScalingPolicy:
        """Read a launched policy. Raises UnsupportedError."""
        properties = record["properties"]
        return cls(
            str(properties["PolicyName"]),
            str(properties["ScalingTargetId"]),
            StepPolicy.of(properties),
        )


@dataclass(frozen=True)
class ScalingConfig:
    """The scaling resources of all stacks, as launched."""

    bounds: Mapping[str, CapacityBounds]
    """By the physical ID of the target."""
    policies: Mapping[str, ScalingPolicy]
    """By ARN."""
    alarms: tuple[AlarmDefinition, ...]
    """Those that trigger a policy, and those on the same namespaces."""
    unsupported: tuple[str, ...]
    """Resources that are ignored here, and why."""


def read(records: Sequence[LaunchedResource]) -> ScalingConfig:
    """Read the launched resources of ``TYPES``."""
    unsupported: list[str] = []
    policies: dict[str, ScalingPolicy] = {}
    for record in _of(records, POLICY):
        try:
            policies[str(record["attributes"]["Arn"])] = ScalingPolicy.of(record)
        except UnsupportedError as error:
            unsupported.append(f"{_name(record)}: {error}")
    definitions: list[AlarmDefinition] = []
    for record in _of(records, ALARM):
        try:
            definitions.append(AlarmDefinition.of(record))
        except UnsupportedError as error:
            if set(record["properties"].get("AlarmActions") or ()) & set(policies):
                unsupported.append(f"{_name(record)}: {error}")
    namespaces = {
        namespace
        for record in definitions
        if set(record.actions) & set(policies)
        for namespace in record.namespaces - {INSIGHTS}
    }
    return ScalingConfig(
        bounds={
            str(record["physical_id"]): CapacityBounds.of(record)
            for record in _of(records, TARGET)
        },
        policies=policies,
        alarms=tuple(
            record
            for record in definitions
            if record.namespaces <= namespaces or set(record.actions) & set(policies)
        ),
        unsupported=tuple(unsupported),
    )


def _name(record: LaunchedResource) -> str:
    return f"{record['stack']}/{record['id']}"


def _of(
    records: Sequence[LaunchedResource], resource_type: str
) -> list[LaunchedResource]:
    return [record for record in records if record["type"] == resource_type]
