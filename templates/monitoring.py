"""Alarms on everything that can stop tasks, and one dashboard of the whole environment.

The alarms are entries of ``templates/resources/alarms.py``. Those of a worker pool are
in its scaling stack; the dashboard finds services and metrics of pools by searching.
Those on metrics of the autoscaler that are about no pool are here.
"""

from __future__ import annotations

from troposphere import Equals, If, Or, Ref, StackName, Sub, cloudwatch

from compiler.wiring import Interface, Template, about
from fargate_runtime import contract
from templates.checks.aurora import (
    CONNECTIONS_KEPT_BACK,
    CONNECTIONS_PER_UNIT,
    MOST_CONNECTIONS,
    MOST_CONNECTIONS_WHEN_SMALL,
    SMALLEST_FOR_ALL_CONNECTIONS,
    halves_below,
)
from templates.resources.alarms import (
    AIRFLOW,
    API_TARGETS,
    BROKER_FAILOVER,
    BROKER_NODE,
    BROKER_REPLICATION,
    BUNDLES,
    CONNECTIONS_SHARE,
    DATABASE_CLUSTER,
    DATABASE_CONNECTIONS,
    DATABASE_WRITER,
    LOAD_BALANCER,
    QUEUES,
    SERVICE,
    AlarmSpec,
    Dimensions,
)
from templates.resources.dashboard import (
    AIRFLOW_CHARTS,
    CHARTS,
    Chart,
    dashboard_body,
)
from templates.types import (
    AuroraCapacity,
    Boolean,
    CacheId,
    ClusterName,
    DatabaseId,
    LoadBalancerFullName,
    ServiceName,
    TargetGroupFullName,
    Text,
    TopicArn,
)


class Inputs(Interface):
    """Names and sizes of the monitored resources."""

    alarm_topic_arn: TopicArn = about("Topic of the alarms.")
    database_id: DatabaseId = about("The Aurora cluster.")
    database_min_capacity: AuroraCapacity = about("Fewest Aurora capacity units.")
    database_max_capacity: AuroraCapacity = about("Most Aurora capacity units.")
    cache_id: CacheId = about("The broker's replication group.")
    enable_cache_replica: Boolean = about("Whether the broker has a second node.")
    cluster_name: ClusterName = about("The ECS cluster.")
    airflow_metrics: Boolean = about("Whether Airflow's own metrics are published.")
    api_server_service_name: ServiceName = about("Service of the API server.")
    scheduler_service_name: ServiceName = about("Service of the scheduler.")
    dag_processor_service_name: ServiceName = about("Service of the DAG processor.")
    triggerer_service_name: ServiceName = about("Service of the triggerer.")
    load_balancer_name: LoadBalancerFullName = about("Load balancer of the Airflow UI.")
    api_target_group_name: TargetGroupFullName = about(
        "Target group of the API servers."
    )


class Outputs(Interface):
    """The dashboard."""

    dashboard_name: Text = about("Dashboard of the whole environment.", public=True)


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the alarms and the dashboard."""
    has_replica = t.condition("HasReplica", Equals(inputs.enable_cache_replica, "true"))
    has_metrics = t.condition(
        "HasAirflowMetrics", Equals(inputs.airflow_metrics, "true")
    )
    is_limited = t.condition(
        "IsLimited",
        Or(
            *(
                Equals(inputs.database_min_capacity, units)
                for units in halves_below(SMALLEST_FOR_ALL_CONNECTIONS)
            )
        ),
    )
    balancer = {"LoadBalancer": inputs.load_balancer_name}
    cluster = {"DBClusterIdentifier": inputs.database_id}
    writer = {**cluster, "Role": "WRITER"}
    # A node's number stays when its role changes.
    first = {"CacheClusterId": Sub("${CacheId}-001")}
    second = {"CacheClusterId": Sub("${CacheId}-002")}

    # In the order in which a request reaches them.
    always: tuple[tuple[str, tuple[AlarmSpec, ...], Dimensions], ...] = (
        ("Web", LOAD_BALANCER, balancer),
        ("Web", API_TARGETS, {"TargetGroup": inputs.api_target_group_name, **balancer}),
        *(
            (
                subject,
                SERVICE,
                {"ClusterName": inputs.cluster_name, "ServiceName": name},
            )
            for subject, name in (
                ("ApiServer", inputs.api_server_service_name),
                ("Scheduler", inputs.scheduler_service_name),
                ("DagProcessor", inputs.dag_processor_service_name),
                ("Triggerer", inputs.triggerer_service_name),
            )
        ),
        ("Tasks", QUEUES, {contract.CLUSTER_DIMENSION: inputs.cluster_name}),
        ("Bundles", BUNDLES, {contract.CLUSTER_DIMENSION: inputs.cluster_name}),
        ("Broker1", BROKER_NODE, first),
        ("Database", DATABASE_WRITER, writer),
        ("Database", DATABASE_CLUSTER, cluster),
    )
    with_replica: tuple[tuple[str, tuple[AlarmSpec, ...], Dimensions], ...] = (
        ("Broker1", (*BROKER_REPLICATION, *BROKER_FAILOVER), first),
        ("Broker2", (*BROKER_NODE, *BROKER_REPLICATION), second),
    )
    topic = inputs.alarm_topic_arn
    shown = [
        t.add(
            spec.alarm(dimensions, topic, subject=subject),
            spec.purpose,
            why=spec.why,
        )
        for subject, specs, dimensions in always
        for spec in specs
    ]
    for subject, specs, dimensions in with_replica:
        for spec in specs:
            t.add(
                spec.alarm(dimensions, topic, subject=subject, Condition=has_replica),
                spec.purpose,
                why=spec.why,
            )

    of_airflow = [
        t.add(
            spec.alarm(
                {contract.CLUSTER_DIMENSION: inputs.cluster_name},
                topic,
                subject="Airflow",
                Condition=has_metrics,
            ),
            spec.purpose,
            why=spec.why,
        )
        for spec in AIRFLOW
    ]

    used_up = Sub(
        f"(databaseconnections > {CONNECTIONS_SHARE} * ({CONNECTIONS_PER_UNIT} * "
        f"${{DatabaseMaxCapacity}} - {CONNECTIONS_KEPT_BACK})) OR "
        f"(databaseconnections > {CONNECTIONS_SHARE} * ${{Limit}})",
        Limit=If(is_limited, str(MOST_CONNECTIONS_WHEN_SMALL), str(MOST_CONNECTIONS)),
    )
    shown.append(
        t.add(
            DATABASE_CONNECTIONS.alarm(
                writer, topic, subject="Database", expression=used_up
            ),
            DATABASE_CONNECTIONS.purpose,
            why=DATABASE_CONNECTIONS.why,
        )
    )

    def body(charts: tuple[Chart, ...], alarms: list[cloudwatch.Alarm]) -> Sub:
        return Sub(
            dashboard_body(charts, [f"${{{alarm.title}.Arn}}" for alarm in alarms]),
            Database=inputs.database_id,
            Broker=inputs.cache_id,
            LoadBalancer=inputs.load_balancer_name,
            TargetGroup=inputs.api_target_group_name,
            Cluster=inputs.cluster_name,
        )

    dashboard = t.add(
        cloudwatch.Dashboard(
            "Dashboard",
            DashboardName=StackName,
            DashboardBody=If(
                has_metrics,
                body((*CHARTS, *AIRFLOW_CHARTS), [*shown, *of_airflow]),
                body(CHARTS, shown),
            ),
        ),
        "Shows all alarms, and metrics of requests, services, broker, database and "
        "Airflow.",
        why="The list at the top leaves out alarms of the replica: without a replica "
        "they do not exist, and CloudWatch would reject the dashboard.",
    )

    return Outputs(dashboard_name=Text(Ref(dashboard)))
