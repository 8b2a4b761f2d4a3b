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


def of_airflow(*names: str) -> tuple[tuple[str, ...], ...]:
    """Return metrics of Airflow's own that are of the whole cluster."""
    return tuple((contract.METRIC_NAMESPACE, name, *CLUSTER) for name in names)


def by(dimension: str, *names: str) -> tuple[Search, ...]:
    """Return searches for metrics of Airflow's own."""
    return tuple(
        Search(contract.METRIC_NAMESPACE, name, by=dimension) for name in names
    )


AIRFLOW_CHARTS = (
    Chart(
        title="Airflow: heartbeats a minute",
        metrics=of_airflow(
            contract.SCHEDULER_HEARTBEAT,
            contract.DAG_PROCESSOR_HEARTBEAT,
            contract.TRIGGERER_HEARTBEAT,
        ),
        statistic="Sum",
    ),
    Chart(
        title="Airflow: tasks queued and running, by queue",
        searches=by(contract.QUEUE_DIMENSION, "TasksQueued", "TasksRunning"),
        statistic="Maximum",
    ),
    Chart(
        title="Airflow: tasks that ended, by worker pool",
        searches=of_pools("TasksSucceeded", "TasksFailed", "TasksToRetry"),
        statistic="Sum",
    ),
    Chart(
        title="Airflow: DAG runs that ended",
        metrics=of_airflow("SucceededDagRunSeconds", contract.FAILED_RUN_SECONDS),
        statistic="SampleCount",
    ),
    Chart(
        title="Airflow: longest DAG run and longest task (s)",
        metrics=of_airflow("SucceededDagRunSeconds", contract.FAILED_RUN_SECONDS),
        searches=of_pools("TaskSeconds"),
        statistic="Maximum",
    ),
    Chart(
        title="Airflow: schedule delay, until the run and its first task (s)",
        metrics=of_airflow("ScheduleDelaySeconds", "FirstTaskDelaySeconds"),
        statistic="Maximum",
    ),
    Chart(
        title="Airflow: import errors, parse timeouts, pools that starve",
        metrics=of_airflow(
            contract.IMPORT_ERRORS, "ParseTimeouts", contract.STARVING_POOLS
        ),
        statistic="Maximum",
    ),
    Chart(
        title="Airflow: parsing, of all files and of one, and scheduler loop (s)",
        metrics=of_airflow("ParseSeconds", "FileParseSeconds", "SchedulerLoopSeconds"),
        statistic="Maximum",
    ),
    Chart(
        title="Airflow: open slots, by pool of Airflow's",
        searches=by(contract.SLOT_POOL_DIMENSION, contract.OPEN_SLOTS),
        statistic="Minimum",
    ),
    Chart(
        title="Airflow: triggers",
        metrics=of_airflow("TriggersRunning", "TriggererCapacityLeft"),
    ),
    Chart(
        title="Airflow: DAG runs and DAGs",
        metrics=of_airflow("DagRunsRunning", "Dags"),
        statistic="Maximum",
    ),
    Chart(
        title="Airflow: tasks lost, killed or not published",
        metrics=of_airflow(
            *("TasksWithoutHeartbeat", "TasksKilledExternally"),
            *("OrphanedTasksCleared", "CeleryPublishTimeouts"),
        ),
        statistic="Sum",
    ),
)


def dashboard_body(charts: tuple[Chart, ...], alarm_arns: list[str]) -> str:
    """Return the dashboard as JSON, with placeholders; the alarms on top."""
    alarms = {
        "type": "alarm",
        "x": 0,
        "y": 0,
        "width": WIDTH * PER_ROW,
        "height": ALARMS_HEIGHT,
        "properties": {"title": "Alarms", "alarms": alarm_arns},
    }
    widgets = [
        chart.widget(
            x=place % PER_ROW * WIDTH, y=ALARMS_HEIGHT + place // PER_ROW * HEIGHT
        )
        for place, chart in enumerate(charts)
    ]
    return json.dumps({"widgets": [alarms, *widgets]})
