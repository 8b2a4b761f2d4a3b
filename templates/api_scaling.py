"""How the API servers grow and shrink: by their CPU and by requests from outside.

Both policies are target tracking and the larger answer wins. CPU covers what the
workers ask of the Execution API, which grows with their number and never passes the
load balancer; requests cover browsers and clients, whose answers wait for the database
more than they compute. The CPU metric is the one of 20 seconds: it scales out after
about 86 s instead of 363 s, and the service must ask ECS for it
(``metrics.API_CPU_RESOLUTION_SECONDS``), or this stack is refused.
"""

from __future__ import annotations

from troposphere import Join, Ref
from troposphere import applicationautoscaling as scaling

from compiler.wiring import Interface, Page, about
from templates.kinds import ClusterName, Count, Percent, ResourceLabel, ServiceName

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
    api_resource_label: ResourceLabel = about("Load balancer and API servers.")


class Outputs(Interface):
    """Nobody needs to know anything of it."""


def define(t: Page, given: Inputs) -> Outputs:
    """Make the scalable target and its two policies."""
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
            "Cpu",
            target,
            given.cpu_percent,
            scaling.PredefinedMetricSpecification(
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
            scaling.PredefinedMetricSpecification(
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
    metric: scaling.PredefinedMetricSpecification,
) -> scaling.ScalingPolicy:
    return scaling.ScalingPolicy(
        name,
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        ScalingTargetId=Ref(target),
        TargetTrackingScalingPolicyConfiguration=(
            scaling.TargetTrackingScalingPolicyConfiguration(
                PredefinedMetricSpecification=metric,
                TargetValue=value,
                ScaleOutCooldown=OUT_COOLDOWN_SECONDS,
                ScaleInCooldown=IN_COOLDOWN_SECONDS,
            )
        ),
    )
