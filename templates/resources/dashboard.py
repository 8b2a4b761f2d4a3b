"""The dashboard's charts, as data.

CloudFormation replaces ``${Database}`` and the like by values of the monitoring stack.
Searches find services and pools, so a new worker pool is on the dashboard without a
change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from fargate_runtime import contract

DATABASE = ("DBClusterIdentifier", "${Database}")
WRITER = (*DATABASE, "Role", "WRITER")
NODE_1 = ("CacheClusterId", "${Broker}-001")
NODE_2 = ("CacheClusterId", "${Broker}-002")
LOAD_BALANCER = ("LoadBalancer", "${LoadBalancer}")
API_TARGETS = ("TargetGroup", "${TargetGroup}", *LOAD_BALANCER)

CLUSTER = (contract.CLUSTER_DIMENSION, "${Cluster}")

WIDTH, HEIGHT = 8, 6
PER_ROW = 3
ALARMS_HEIGHT = 4


@dataclass(frozen=True)
class Search:
    """A metric of the cluster for each value of a dimension, ``by`` service or pool."""

    namespace: str
    metric: str
    by: str = "ServiceName"

    def expression(self, statistic: str) -> str:
        """Return the search as CloudWatch reads it."""
        return (
            f"SEARCH('{{{self.namespace},ClusterName,{self.by}}} "
            f'ClusterName="${{Cluster}}" MetricName="{self.metric}"\', '
            f"'{statistic}', 60)"
        )


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart: metrics of one statistic, and results of searches."""

    title: str
    metrics: tuple[tuple[str, ...], ...] = ()
    searches: tuple[Search, ...] = ()
    statistic: str = "Average"

    def widget(self, x: int, y: int) -> dict[str, object]:
        """Return the chart as CloudWatch reads it."""
        return {
            "type": "metric",
            "x": x,
            "y": y,
            "width": WIDTH,
            "height": HEIGHT,
            "properties": {
                "title": self.title,
                "region": "${AWS::Region}",
                "view": "timeSeries",
                "period": 60,
                "stat": self.statistic,
                "metrics": [*map(list, self.metrics), *self._searched()],
            },
        }

    def _searched(self) -> list[list[dict[str, str]]]:
        expressions = []
        for search in self.searches:
            label = f"${{!PROP('Dim.{search.by}')}}"
            if len(self.searches) > 1:
                label += f" {search.metric}"
            expression = search.expression(self.statistic)
            expressions.append([{"expression": expression, "label": label}])
        return expressions


def of_pools(*names: str) -> tuple[Search, ...]:
    """Return searches for metrics of the autoscaler."""
    return tuple(
        Search(contract.METRIC_NAMESPACE, name, by=contract.POOL_DIMENSION)
        for name in names
    )


CHARTS = (
    Chart(
        title="Tasks running, by service",
        searches=(Search("ECS/ContainerInsights", "RunningTaskCount"),),
    ),
    Chart(title="CPU, by service (%)", searches=(Search("AWS/ECS", "CPUUtilization"),)),
    Chart(
        title="Memory, by service (%)",
        searches=(Search("AWS/ECS", "MemoryUtilization"),),
        statistic="Maximum",
    ),
    Chart(
        title="Worker deficit and surplus, by pool",
        searches=of_pools(contract.WORKER_DEFICIT, contract.WORKER_SURPLUS),
        statistic="Maximum",
    ),
    Chart(
        title="Desired workers, tasks in unknown queues, bundles not refreshed",
        metrics=tuple(
            (contract.METRIC_NAMESPACE, name, *CLUSTER)
            for name in contract.CLUSTER_METRICS
        ),
        statistic="Maximum",
    ),
    Chart(
        title="Autoscaler heartbeat, stalled and overdue tasks, by pool",
        searches=of_pools(
            contract.AUTOSCALER_HEARTBEAT,
            contract.STALLED_TASKS,
            contract.OVERDUE_TASKS,
        ),
        statistic="Maximum",
    ),
    Chart(
        title="Web requests and errors",
        statistic="Sum",
        metrics=(
            ("AWS/ApplicationELB", "RequestCount", *LOAD_BALANCER),
            ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", *LOAD_BALANCER),
            ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", *LOAD_BALANCER),
        ),
    ),
    Chart(
        title="Web response time, 95 of 100 requests (s)",
        statistic="p95",
        metrics=(("AWS/ApplicationELB", "TargetResponseTime", *LOAD_BALANCER),),
    ),
    Chart(
        title="API servers, healthy and unhealthy",
        statistic="Maximum",
        metrics=(
            ("AWS/ApplicationELB", "HealthyHostCount", *API_TARGETS),
            ("AWS/ApplicationELB", "UnHealthyHostCount", *API_TARGETS),
        ),
    ),
    Chart(
        title="Database CPU and capacity used (%)",
        metrics=(
            ("AWS/RDS", "CPUUtilization", *WRITER),
            ("AWS/RDS", "ACUUtilization", *DATABASE),
        ),
    ),
    Chart(
        title="Database connections",
        statistic="Maximum",
        metrics=(("AWS/RDS", "DatabaseConnections", *WRITER),),
    ),
    Chart(
        title="Database capacity (units)",
        metrics=(("AWS/RDS", "ServerlessDatabaseCapacity", *DATABASE),),
    ),
    Chart(
        title="Broker memory (%)",
        statistic="Maximum",
        metrics=(
            ("AWS/ElastiCache", "DatabaseMemoryUsagePercentage", *NODE_1),
            ("AWS/ElastiCache", "DatabaseMemoryUsagePercentage", *NODE_2),
        ),
    ),
    Chart(
        title="Broker engine CPU (%)",
        metrics=(
            ("AWS/ElastiCache", "EngineCPUUtilization", *NODE_1),
            ("AWS/ElastiCache", "EngineCPUUtilization", *NODE_2),
        ),
    ),
    Chart(
        title="Broker connections",
        statistic="Maximum",
        metrics=(
            ("AWS/ElastiCache", "CurrConnections", *NODE_1),
            ("AWS/ElastiCache", "CurrConnections", *NODE_2),
        ),
    ),
)


def dashboard_body(alarm_arns: list[str]) -> str:
    """Return the dashboard as JSON, with placeholders; the alarms on top."""
    alarms = {
        "type": "alarm",
        "x": 0,
        "y": 0,
        "width": WIDTH * PER_ROW,
        "height": ALARMS_HEIGHT,
        "properties": {"title": "Alarms", "alarms": alarm_arns},
    }
    charts = [
        chart.widget(
            x=place % PER_ROW * WIDTH, y=ALARMS_HEIGHT + place // PER_ROW * HEIGHT
        )
        for place, chart in enumerate(CHARTS)
    ]
    return json.dumps({"widgets": [alarms, *charts]})
