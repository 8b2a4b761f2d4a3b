"""How the API servers grow and shrink: by workers, CPU and requests from outside.

All three policies are target tracking and the largest answer wins. The workers come
first: every running task reports to the Execution API, past the load balancer, and
their number is known before their first task starts. CPU covers what tasks ask beyond
that; requests cover browsers and clients, whose answers wait for the database more than
they compute.

Workers are those that the pools want, divided by the API servers that run. A quotient
says nothing while none runs, so there is always at least one. When the autoscaler is silent
there is no data, and on missing data nothing is ever taken away.

The CPU metric is the one of 20 seconds: it scales out after
about 86 s instead of 363 s, and the service must ask ECS for it
(``metrics.API_CPU_RESOLUTION_SECONDS``), or this stack is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troposphere import AWSHelperFn, Join, Ref
from troposphere import applicationautoscaling as scaling

from compiler.wiring import Interface, Template, about
from templates.airflow import metrics
from templates.types import ClusterName, Count, Percent, ResourceLabel, ServiceName

OUT_COOLDOWN_SECONDS = 60
"""About the start of a task, which then carries load that the next decision sees."""

IN_COOLDOWN_SECONDS = 300
"""A server that leaves takes warm caches and connections with it: never in haste."""


class Inputs(Interface):
    """Which service to scale, between which bounds and at which load."""

    cluster_name: ClusterName = about("Cluster of the API servers.")
    service_name: ServiceName = about("Service of the API servers.")
    minimum: Count = about("Fewest API servers.")
    maximum: Count = about("Most API servers.")
    cpu_percent: Percent = about("Average CPU to keep.")
    requests_per_minute: Count = about("Requests from outside a server and minute.")
    workers_each: Count = about("Workers that one server answers.")
    api_resource_label: ResourceLabel = about("Load balancer and API servers.")


class Outputs(Interface):
    """Nobody needs to know anything of it."""


def define(t: Template, given: Inputs) -> Outputs:
    """Make the scalable target and its three policies."""
    target = t.add(
        scaling.ScalableTarget(
            "ApiServers",
            ServiceNamespace="ecs",
            ScalableDimension="ecs:service:DesiredCount",
            ResourceId=Join("/", ["service", given.cluster_name, given.service_name]),
            MinCapacity=given.minimum,
            MaxCapacity=given.maximum,
        ),
        "Desired count of the API servers, and its bounds.",
        why="No role: Application Auto Scaling uses its service-linked one.",
    )
    t.add(
        _tracking(
            "Workers",
            target,
            given.workers_each,
            CustomizedMetricSpecification=scaling.CustomizedMetricSpecification(
                Metrics=[
                    _metric(
                        "workers",
                        metrics.NAMESPACE,
                        metrics.WORKERS,
                        {metrics.CLUSTER_DIMENSION: given.cluster_name},
                    ),
                    _metric(
                        "servers",
                        "ECS/ContainerInsights",
                        "RunningTaskCount",
                        {
                            "ClusterName": given.cluster_name,
                            "ServiceName": given.service_name,
                        },
                    ),
                    scaling.TargetTrackingMetricDataQuery(
                        Id="each",
                        Label="Workers that one API server answers",
                        Expression="workers / servers",
                        ReturnData=True,
                    ),
                ]
            ),
        ),
        "Keeps the number of workers that one API server answers.",
        why="A worker's tasks report as soon as it starts; CPU would show it when they "
        "wait already.",
    )
    t.add(
        _tracking(
            "Cpu",
            target,
            given.cpu_percent,
            PredefinedMetricSpecification=scaling.PredefinedMetricSpecification(
                PredefinedMetricType="ECSServiceAverageCPUUtilizationHighResolution"
            ),
        ),
        "Keeps the average CPU of the API servers.",
    )
    t.add(
        _tracking(
            "Requests",
            target,
            given.requests_per_minute,
            PredefinedMetricSpecification=scaling.PredefinedMetricSpecification(
                PredefinedMetricType="ALBRequestCountPerTarget",
                ResourceLabel=given.api_resource_label,
            ),
        ),
        "Keeps the number of requests that one API server gets from outside.",
    )
    return Outputs()


def _tracking(
    name: str,
    target: scaling.ScalableTarget,
    value: Count | Percent,
    **metric: Any,
) -> scaling.ScalingPolicy:
    """Return a policy that keeps one metric, predefined or customized, at a value."""
    return scaling.ScalingPolicy(
        name,
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        ScalingTargetId=Ref(target),
        TargetTrackingScalingPolicyConfiguration=(
            scaling.TargetTrackingScalingPolicyConfiguration(
                TargetValue=value,
                ScaleOutCooldown=OUT_COOLDOWN_SECONDS,
                ScaleInCooldown=IN_COOLDOWN_SECONDS,
                **metric,
            )
        ),
    )


def _metric(
    name: str, namespace: str, metric: str, dimensions: Mapping[str, AWSHelperFn]
) -> scaling.TargetTrackingMetricDataQuery:
    return scaling.TargetTrackingMetricDataQuery(
        Id=name,
        ReturnData=False,
        MetricStat=scaling.TargetTrackingMetricStat(
            Stat="Average",
            Metric=scaling.TargetTrackingMetric(
                Namespace=namespace,
                MetricName=metric,
                Dimensions=[
                    scaling.TargetTrackingMetricDimension(Name=key, Value=value)
                    for key, value in dimensions.items()
                ],
            ),
        ),
    )
