"""The alarms and scaling policies of the launched stacks, read and kept in motion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.ecs.expressions import Expression
from local.ecs.metrics import STATISTICS, Metric, Metrics
from local.step_scaling import (
    VISIBLE_SECONDS,
    Alarm,
    StepPolicy,
    UnsupportedError,
    Watch,
)

ALARM = "AWS::CloudWatch::Alarm"
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
TYPES = (ALARM, TARGET, POLICY)

INSIGHTS = "ECS/ContainerInsights"
"""Of which little is known here: its alarms are evaluated only where they scale."""

SINGLE = "value"
"""Stands for the metric of an alarm that has only one."""

Record = Mapping[str, Any]
"""A launched resource, as ``local.emulator.control_client.records`` gives it."""


@dataclass(frozen=True)
class Query:
    """A statistic of a metric."""

    metric: Metric
    statistic: str

    @classmethod
    def of(cls, metric: Metric, statistic: str) -> Query:
        """Return the query. Raises UnsupportedError."""
        if statistic not in STATISTICS:
            raise UnsupportedError(f"the statistic {statistic} is unknown")
        return cls(metric, statistic)


@dataclass(frozen=True)
class Compiled:
    """An alarm as launched."""

    name: str
    """Of its stack and its own there."""
    alarm: Alarm
    queries: Mapping[str, Query]
    formula: str
    actions: tuple[str, ...]
    """ARNs: of scaling policies, topics, ..."""

    @classmethod
    def of(cls, record: Record) -> Compiled:
        """Read a launched alarm. Raises UnsupportedError."""
        found = record["properties"]
        name = _name(record)
        actions = tuple(map(str, found.get("AlarmActions") or ()))
        if "Metrics" not in found:
            query = Query.of(Metric.of(found), str(found.get("Statistic")))
            return cls(name, Alarm.of(found), {SINGLE: query}, SINGLE, actions)
        queries, periods, formula = {}, set(), ""
        for one in found["Metrics"]:
            if "Expression" in one:
                if formula:
                    raise UnsupportedError(f"{name} has two expressions")
                formula = str(one["Expression"])
                continue
            asked = one["MetricStat"]
            queries[str(one["Id"])] = Query.of(
                Metric.of(asked["Metric"]), str(asked["Stat"])
            )
            periods.add(int(asked["Period"]))
        if len(periods) != 1:
            raise UnsupportedError(f"{name} mixes the periods {sorted(periods)}")
        alarm = Alarm.of(found, period=periods.pop())
        if unknown := Expression(formula).names - set(queries):
            raise UnsupportedError(f"{name} names {', '.join(sorted(unknown))}")
        return cls(name, alarm, queries, formula, actions)

    @property
    def namespaces(self) -> set[str]:
        """Where its metrics are."""
        return {query.metric.namespace for query in self.queries.values()}


@dataclass
class Moving:
    """An alarm that is evaluated."""

    compiled: Compiled
    evaluated: float
    """The end of the last period that was looked at; Unix time."""
    watch: Watch = field(init=False)
    value: float | None = None

    def __post_init__(self) -> None:
        """Read the formula once."""
        self.watch = Watch(self.compiled.alarm)
        self._expression = Expression(self.compiled.formula)

    @classmethod
    def since(cls, compiled: Compiled, now: float) -> Moving:
        """Begin with the period that is under way: periods follow the clock."""
        period = compiled.alarm.period
        return cls(compiled, now // period * period)

    def acts(self, metrics: Metrics, now: float) -> list[float]:
        """Look at every period that is due; return the values that it acts on."""
        period = self.compiled.alarm.period
        found = []
        while self.evaluated + period + VISIBLE_SECONDS[period] <= now:
            begin, self.evaluated = self.evaluated, self.evaluated + period
            self.value = self._expression.value(
                {
                    name: metrics.statistic(
                        query.metric, query.statistic, begin, period
                    )
                    for name, query in self.compiled.queries.items()
                }
            )
            at = self.evaluated + VISIBLE_SECONDS[period]
            if self.watch.due(self.value, at):
                found.append(math.nan if self.value is None else self.value)
        return found

    @property
    def state(self) -> str:
        """The word of CloudWatch for it."""
        if self.watch.is_on:
            return "ALARM"
        return "OK" if self.watch.breaches else "INSUFFICIENT_DATA"


@dataclass(frozen=True)
class Bounds:
    """A scalable target: a service, and how many tasks it may have."""

    cluster: str
    service: str
    minimum: int
    maximum: int

    @classmethod
    def of(cls, record: Record) -> Bounds:
        """Read a launched target."""
        found = record["properties"]
        _, cluster, service = str(found["ResourceId"]).split("/")
        return cls(
            cluster, service, int(found["MinCapacity"]), int(found["MaxCapacity"])
        )


@dataclass(frozen=True)
class Policy:
    """A step policy as launched."""

    name: str
    target_id: str
    steps: StepPolicy

    @classmethod
    def of(cls, record: Record) -> Policy:
        """Read a launched policy. Raises UnsupportedError."""
        found = record["properties"]
        return cls(
            str(found["PolicyName"]),
            str(found["ScalingTargetId"]),
            StepPolicy.of(found),
        )


@dataclass(frozen=True)
class Launched:
    """Everything that scales, as launched."""

    bounds: Mapping[str, Bounds]
    """By the physical ID of the target."""
    policies: Mapping[str, Policy]
    """By ARN."""
    alarms: tuple[Compiled, ...]
    """Those that set off a policy, and those on the same namespaces."""
    left_out: tuple[str, ...]
    """What is not carried out here, and why."""


def read(records: Sequence[Record]) -> Launched:
    """Read the launched resources of ``TYPES``."""
    left_out: list[str] = []
    policies: dict[str, Policy] = {}
    for one in _of(records, POLICY):
        try:
            policies[str(one["attributes"]["Arn"])] = Policy.of(one)
        except UnsupportedError as error:
            left_out.append(f"{_name(one)}: {error}")
    readable: list[Compiled] = []
    for one in _of(records, ALARM):
        try:
            readable.append(Compiled.of(one))
        except UnsupportedError as error:
            if set(one["properties"].get("AlarmActions") or ()) & set(policies):
                left_out.append(f"{_name(one)}: {error}")
    namespaces = {
        namespace
        for one in readable
        if set(one.actions) & set(policies)
        for namespace in one.namespaces - {INSIGHTS}
    }
    return Launched(
        bounds={
            str(one["physical_id"]): Bounds.of(one) for one in _of(records, TARGET)
        },
        policies=policies,
        alarms=tuple(
            one
            for one in readable
            if one.namespaces <= namespaces or set(one.actions) & set(policies)
        ),
        left_out=tuple(left_out),
    )


def _name(record: Record) -> str:
    return f"{record['stack']}/{record['id']}"


def _of(records: Sequence[Record], kind: str) -> list[Record]:
    return [one for one in records if one["type"] == kind]
