"""Monitoring: alarms and the dashboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from compiler.wiring import Build
from fargate_runtime import contract
from templates import monitoring
from templates.airflow.bundles import FILES_SECONDS, GIT_SECONDS, RELEASE_SECONDS
from templates.checks.aurora import max_connections
from tests.resolver import Stack, deploy

GIVEN = {
    "AlarmTopicArn": "<topic>",
    "DatabaseId": "<database>",
    "DatabaseMinCapacity": "2",
    "DatabaseMaxCapacity": "16",
    "CacheId": "<broker>",
    "EnableCacheReplica": "true",
    "ClusterName": "<cluster>",
    "AirflowMetrics": "true",
    "ApiServerServiceName": "<api-server>",
    "SchedulerServiceName": "<scheduler>",
    "DagProcessorServiceName": "<dag-processor>",
    "TriggererServiceName": "<triggerer>",
    "LoadBalancerName": "app/<balancer>",
    "ApiTargetGroupName": "targetgroup/<api>",
}


def stack(**changes: str) -> Stack:
    page = Build().template(monitoring.define)
    return deploy(json.loads(page.text()), {}, GIVEN | changes)


def alarms(**changes: str) -> dict[str, dict[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in stack(**changes).resources.items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def metrics_of(alarm: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the metrics of an alarm: namespace, name and dimensions."""
    metrics = [
        query["MetricStat"]["Metric"]
        for query in alarm.get("Metrics", [])
        if "MetricStat" in query
    ] or [alarm]
    for metric in metrics:
        where = ",".join(d["Value"] for d in metric["Dimensions"])
        yield metric["Namespace"], metric["MetricName"], where


def test_alarms_notify_of_recovery_and_are_described() -> None:
    assert alarms()
    for name, alarm in alarms().items():
        assert alarm["OKActions"] == ["<topic>"], name
        assert alarm["TreatMissingData"], name
        assert re.fullmatch(r"[A-Z].+\. .+\.", alarm["AlarmDescription"]), name
        assert len(alarm["AlarmDescription"]) <= 1024


NEEDED = {
    ("AWS/RDS", "CPUUtilization", "<database>,WRITER"),
    ("AWS/RDS", "ACUUtilization", "<database>"),
    ("AWS/RDS", "DatabaseConnections", "<database>,WRITER"),
    ("AWS/RDS", "FreeableMemory", "<database>,WRITER"),
    ("AWS/ElastiCache", "DatabaseMemoryUsagePercentage", "<broker>-001"),
    ("AWS/ElastiCache", "DatabaseMemoryUsagePercentage", "<broker>-002"),
    ("AWS/ElastiCache", "EngineCPUUtilization", "<broker>-001"),
    ("AWS/ElastiCache", "EngineCPUUtilization", "<broker>-002"),
    ("AWS/ElastiCache", "Evictions", "<broker>-001"),
    ("AWS/ElastiCache", "Evictions", "<broker>-002"),
    ("AWS/ElastiCache", "IsMaster", "<broker>-001"),
    ("ECS/ContainerInsights", "RunningTaskCount", "<cluster>,<api-server>"),
    ("ECS/ContainerInsights", "RunningTaskCount", "<cluster>,<scheduler>"),
    ("ECS/ContainerInsights", "RunningTaskCount", "<cluster>,<dag-processor>"),
    ("ECS/ContainerInsights", "RunningTaskCount", "<cluster>,<triggerer>"),
    ("AWS/ECS", "MemoryUtilization", "<cluster>,<api-server>"),
    ("AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "app/<balancer>"),
    ("AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", "app/<balancer>"),
    ("AirflowOnFargate", "UnknownQueueTasks", "<cluster>"),
    ("AirflowOnFargate", "SchedulerHeartbeat", "<cluster>"),
    ("AirflowOnFargate", "DagProcessorHeartbeat", "<cluster>"),
    ("AirflowOnFargate", "TriggererHeartbeat", "<cluster>"),
    ("AirflowOnFargate", "ImportErrors", "<cluster>"),
    ("AirflowOnFargate", "FailedDagRunSeconds", "<cluster>"),
    ("AirflowOnFargate", "StarvingPools", "<cluster>"),
    ("AWS/ApplicationELB", "UnHealthyHostCount", "targetgroup/<api>,app/<balancer>"),
}


def test_every_critical_metric_has_an_alarm() -> None:
    assert {m for a in alarms().values() for m in metrics_of(a)} >= NEEDED


def test_second_broker_node_has_alarms_only_where_it_exists() -> None:
    # Without a replica its alarms would have no data for ever.
    alone = {
        w for a in alarms(EnableCacheReplica="false").values() for w in metrics_of(a)
    }
    assert not [where for _, _, where in alone if where == "<broker>-002"]
    assert not [metric for _, metric, _ in alone if metric == "ReplicationLag"]
    assert ("AWS/ElastiCache", "Evictions", "<broker>-001") in alone


def test_without_airflows_metrics_nothing_alarms_on_them() -> None:
    # A missing heartbeat counts as a dead component.
    without = stack(AirflowMetrics="false").resources
    assert (
        {name for name in stack().resources if name not in without}
        == {name for name in stack().resources if name.startswith("Airflow")}
        != set()
    )
    assert "Airflow: " not in without["Dashboard"]["Properties"]["DashboardBody"]


def test_a_component_without_heartbeats_is_in_alarm() -> None:
    alarm = alarms()["AirflowSchedulerHeartbeat"]
    assert (alarm["TreatMissingData"], alarm["Statistic"]) == ("breaching", "Sum")
    assert alarm["Period"] * alarm["EvaluationPeriods"] <= 180


def test_charts_of_airflow_name_published_metrics() -> None:
    text = stack().resources["Dashboard"]["Properties"]["DashboardBody"]
    known = {
        *(row[0] for row in contract.AIRFLOW_METRICS),
        *(contract.STARVING_POOLS, *contract.POOL_METRICS, *contract.CLUSTER_METRICS),
    }
    own = [
        chart["properties"]
        for chart in json.loads(text)["widgets"]
        if chart["properties"]["title"].startswith("Airflow: ")
    ]
    entries = [entry for chart in own for entry in chart["metrics"]]
    names = {entry[1] for entry in entries if len(entry) > 1} | {
        name
        for entry in entries
        if len(entry) == 1
        for name in re.findall(r'MetricName="(\w+)"', entry[0]["expression"])
    }
    assert len(own) == 12
    assert {contract.IMPORT_ERRORS, "TasksQueued"} <= names <= known


def is_in_alarm(expression: str, connections: float) -> bool:
    """Evaluate the alarm's formula as CloudWatch does."""
    expression = expression.replace("databaseconnections", str(connections))
    return bool(eval(expression.replace(" OR ", " or ")))  # noqa: S307 - our own template


@pytest.mark.parametrize(
    ("minimum", "maximum"),
    [("1", "1"), ("1", "4"), ("2", "16"), ("2", "64"), ("0", "32"), ("0.5", "16")],
)
def test_connection_alarm_follows_the_capacity(minimum: str, maximum: str) -> None:
    # The number of connections follows the maximum capacity, and so must the alarm; a
    # separate parameter would be forgotten.
    alarm = alarms(DatabaseMinCapacity=minimum, DatabaseMaxCapacity=maximum)[
        "DatabaseConnections"
    ]
    (formula,) = [m["Expression"] for m in alarm["Metrics"] if "Expression" in m]
    admitted = max_connections(float(minimum), float(maximum))
    assert not is_in_alarm(formula, 0.79 * admitted)
    assert is_in_alarm(formula, 0.81 * admitted)
    assert alarm["Threshold"] == 0


def test_service_without_metrics_is_in_alarm() -> None:
    alarm = alarms()["SchedulerTasks"]
    assert alarm["TreatMissingData"] == "breaching"
    (formula,) = [m["Expression"] for m in alarm["Metrics"] if "Expression" in m]
    ids = {m["Id"] for m in alarm["Metrics"] if "MetricStat" in m}
    assert set(re.findall(r"[a-z]+", formula)) == ids


def test_dashboard_names_existing_alarms_and_metrics() -> None:
    for enable_replica in ("true", "false"):
        resources = stack(EnableCacheReplica=enable_replica).resources
        text = resources["Dashboard"]["Properties"]["DashboardBody"]
        body = json.loads(text)
        states, *charts = body["widgets"]
        for arn in states["properties"]["alarms"]:
            assert arn.strip("<>").removesuffix(".Arn") in resources
        assert charts
        for chart in charts:
            assert chart["properties"]["metrics"]
            assert chart["properties"]["region"] == "eu-central-1"
        # Metrics of a search are labelled with the service's name.
        assert "${PROP('Dim.ServiceName')}" in text
        assert "${PROP('Dim.Pool')}" in text


def test_autoscaler_metrics_are_on_the_dashboard() -> None:
    text = stack().resources["Dashboard"]["Properties"]["DashboardBody"]
    for name in contract.POOL_METRICS:
        assert f'ClusterName="<cluster>" MetricName="{name}"' in text.replace("\\", "")
    for name in contract.CLUSTER_METRICS:
        assert (
            f'["{contract.METRIC_NAMESPACE}", "{name}", "ClusterName", "<cluster>"]'
            in text
        )


def test_a_stale_bundle_rings_within_five_minutes() -> None:
    alarm = stack().resources["BundlesStale"]["Properties"]
    assert (alarm["MetricName"], alarm["Statistic"]) == ("StaleBundles", "Maximum")
    seconds = alarm["Period"] * alarm["EvaluationPeriods"]
    assert contract.STALE_BUNDLE_SECONDS + seconds <= 5 * 60
    # Nor for one refresh that failed.
    for interval in (RELEASE_SECONDS, FILES_SECONDS, GIT_SECONDS):
        assert 2 * interval < contract.STALE_BUNDLE_SECONDS


def test_charts_do_not_overlap() -> None:
    text = stack().resources["Dashboard"]["Properties"]["DashboardBody"]
    cells = [
        (widget["x"] + dx, widget["y"] + dy)
        for widget in json.loads(text)["widgets"]
        for dx in range(widget["width"])
        for dy in range(widget["height"])
    ]
    assert len(cells) == len(set(cells))
    # CloudWatch's grid is 24 cells wide.
    assert max(x for x, _ in cells) == 23
