"""Scales the API servers by workers, CPU and requests from outside.

All three policies are target tracking, and the largest capacity wins. The workers come
first: every running task reports to the Execution API, past the load balancer, and
their number is known before their first task starts. CPU covers further requests of
tasks; requests cover browsers and clients, whose answers wait for the database more
than they compute.

Workers are the desired counts of all pools, divided by the API servers that run. There
is no quotient while none runs, so there is always at least one. While the autoscaler
does not report there is no data, and on missing data nothing scales in.

The CPU metric has a resolution of 20 seconds: it scales out after about 86 s instead of
363 s, and the service must request it of ECS (``metrics.API_CPU_RESOLUTION_SECONDS``),
or this stack is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from troposphere import AWSHelperFn, Join, Ref
from troposphere import applicationautoscaling as scaling

from compiler.wiring import Interface, Template, about
from fargate_runtime import contract
from templates.resources.stack_tag import stack_tag
from templates.types import ClusterName, Count, Percent, ResourceLabel, ServiceName

OUT_COOLDOWN_SECONDS = 60
"""About the start of a task, whose load the next decision then sees."""

IN_COOLDOWN_SECONDS = 300
"""A server that stops loses warm caches and connections, so scale in slowly."""


class Inputs(Interface):
    """The service to scale, its bounds and its load."""

    cluster_name: ClusterName = about("Cluster of the API servers.")
    service_name: ServiceName = about("Service of the API servers.")
    minimum: Count = about("Fewest API servers.")
    maximum: Count = about("Most API servers.")
    cpu_percent: Percent = about("Average CPU to keep.")
    requests_per_minute: Count = about("Requests from outside per server and minute.")
    workers_each: Count = about("Workers per server.")
    api_resource_label: ResourceLabel = about("Load balancer and API servers.")


class Outputs(Interface):
    """No outputs."""


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the scalable target and its three policies."""
    target = t.add(
        scaling.ScalableTarget(
            "ApiServers",
            ServiceNamespace="ecs",
            ScalableDimension="ecs:service:DesiredCount",
            ResourceId=Join("/", ["service", inputs.cluster_name, inputs.service_name]),
            MinCapacity=inputs.minimum,
            MaxCapacity=inputs.maximum,
            Tags=stack_tag(),
        ),
        "Desired count of the API servers, and its bounds.",
        why="No role: Application Auto Scaling uses its service-linked one.",
    )
    t.add(
        _tracking(
            "Workers",
            target,
            inputs.workers_each,
            CustomizedMetricSpecification=scaling.CustomizedMetricSpecification(
                Metrics=[
                    _metric(
                        "workers",
                        contract.METRIC_NAMESPACE,
                        contract.WORKERS,
                        {contract.CLUSTER_DIMENSION: inputs.cluster_name},
                    ),
                    _metric(
                        "servers",
                        "ECS/ContainerInsights",
                        "RunningTaskCount",
                        {
                            "ClusterName": inputs.cluster_name,
                            "ServiceName": inputs.service_name,
                        },
                    ),
                    scaling.TargetTrackingMetricDataQuery(
                        Id="each",
                        Label="Workers per API server",
                        Expression="workers / servers",
                        ReturnData=True,
                    ),
                ]
            ),
        ),
        "Keeps the number of workers per API server.",
        why="A worker's tasks report as soon as it starts; CPU would show it only when "
        "they wait already.",
    )
    t.add(
        _tracking(
            "Cpu",
            target,
            inputs.cpu_percent,
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
            inputs.requests_per_minute,
            PredefinedMetricSpecification=scaling.PredefinedMetricSpecification(
                PredefinedMetricType="ALBRequestCountPerTarget",
                ResourceLabel=inputs.api_resource_label,
            ),
        ),
        "Keeps the number of requests from outside per API server.",
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
