"""How one pool of workers grows and shrinks: the only actor on its desired count.

The autoscaler beside the scheduler decides and publishes its metrics every ten seconds
(``metrics.py``); here Application Auto Scaling acts on them. It adds as many workers
as the deficit says and takes away as many as the surplus says, and the surplus counts
only workers that are drained, idle and unprotected. Nothing else ever shrinks the
pool: no CPU, which a worker full of waiting tasks does not use, and no queue length,
which forgets the tasks that run.

A metric that is missing never scales. When the autoscaler is silent for three minutes
somebody is told, and the pool is raised to its safe floor if it stands below. That
takes an expression: a step policy sees how far the metric lies beyond the threshold,
and a missing heartbeat lies nowhere; an exact capacity would also shrink a larger pool
under its running tasks.

With the minimum equal to the maximum all this stays and finds nothing to do.

What it costs a month in us-east-1: $2.59 for publishing and $0.70 for what all pools
have in common, however many there are, and $2.20 a pool (four metrics $1.20, two alarms
on ten seconds $0.60, two others $0.20, the floor's formula $0.20).
"""

from __future__ import annotations

from dataclasses import dataclass

from troposphere import Equals, GetAtt, Join, Not, Ref, Sub, cloudwatch
from troposphere import applicationautoscaling as scaling

from compiler.wiring import Interface, Template, about
from templates.airflow import metrics
from templates.types import ClusterName, Count, ServiceName, Text, TopicArn

THRESHOLD = 0.5
"""Between no worker and one, whatever the rounding."""

BANDS = 20
"""Application Auto Scaling's limit of steps a policy. Of more, 20 go at once."""

SILENT_MINUTES = 3

STALLED_MINUTES = 15
"""Longer than a pool takes to grow from nothing, and half of what Airflow lets a task
wait in a queue."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A step policy, one band a worker, and the alarm that sets it off.

    ``step`` is 1 to add workers and -1 to take them away. Where two autoscalers overlap
    for a moment, ``statistic`` says whose word counts.
    """

    policy: str
    alarm: str
    metric: str
    step: int
    statistic: str
    cooldown_seconds: int
    purpose: str
    why: str


ORDERS = (
    Order(
        policy="Grow",
        alarm="Deficit",
        metric=metrics.WORKER_DEFICIT,
        step=1,
        statistic="Maximum",
        cooldown_seconds=30,
        purpose="Adds as many workers as are missing.",
        why="Within the cooldown what was added counts: a deficit seen twice is met "
        "once, a larger one passes.",
    ),
    Order(
        policy="Shrink",
        alarm="Surplus",
        metric=metrics.WORKER_SURPLUS,
        step=-1,
        statistic="Minimum",
        cooldown_seconds=0,
        purpose="Takes away as many workers as have let go.",
        why="No cooldown: what the surplus counts is idle and unprotected already.",
    ),
)
FLOOR = Order(
    policy="RaiseToFloor",
    alarm="BelowFloor",
    metric="shortfall",
    step=1,
    statistic="Maximum",
    cooldown_seconds=600,
    purpose="Adds what is missing to the safe floor.",
    why="Container Insights reports the desired count minutes late; within the "
    "cooldown what was added counts.",
)


class Inputs(Interface):
    """Which service to scale and between which bounds."""

    cluster_name: ClusterName = about("Cluster of the pool's service.")
    service_name: ServiceName = about("The pool's service.")
    pool: Text = about("Name of the pool, as the autoscaler publishes it.")
    minimum: Count = about("Fewest workers; 0 lets the pool sleep.")
    maximum: Count = about("Most workers.")
    fallback_minimum: Count = about(
        "Workers to run while the autoscaler is silent; 0 for none."
    )
    alarm_topic_arn: TopicArn = about("Who is told when the autoscaler is silent.")


class Outputs(Interface):
    """Nobody needs to know anything of it."""


def define(t: Template, given: Inputs) -> Outputs:
    """Make the scalable target, what changes it, and what watches the autoscaler."""
    pool_dimensions = metrics.dimensions(
        {
            metrics.CLUSTER_DIMENSION: given.cluster_name,
            metrics.POOL_DIMENSION: given.pool,
        }
    )
    target = t.add(
        scaling.ScalableTarget(
            "Workers",
            ServiceNamespace="ecs",
            ScalableDimension="ecs:service:DesiredCount",
            ResourceId=Join("/", ["service", given.cluster_name, given.service_name]),
            MinCapacity=given.minimum,
            MaxCapacity=given.maximum,
        ),
        "Desired count of the pool's service, and its bounds.",
        why="No role: Application Auto Scaling uses its service-linked one.",
    )

    # What the autoscaler orders.
    for order in ORDERS:
        policy = t.add(_step_policy(order, target), order.purpose, why=order.why)
        t.add(
            cloudwatch.Alarm(
                order.alarm,
                AlarmDescription="An order to the pool of workers, not a fault.",
                Namespace=metrics.NAMESPACE,
                MetricName=order.metric,
                Dimensions=pool_dimensions,
                Statistic=order.statistic,
                Period=metrics.ROUND_SECONDS,
                EvaluationPeriods=1,
                DatapointsToAlarm=1,
                ComparisonOperator="GreaterThanThreshold",
                Threshold=THRESHOLD,
                TreatMissingData="notBreaching",
                AlarmActions=[GetAtt(policy, "Arn")],
            ),
            f"Carries the order of {order.metric} within ten seconds.",
        )

    # A silent autoscaler.
    t.add(
        cloudwatch.Alarm(
            "Heartbeat",
            AlarmDescription="The autoscaler is silent: this pool no longer follows "
            "its demand. See the log of the schedulers.",
            Namespace=metrics.NAMESPACE,
            MetricName=metrics.BRAIN_HEARTBEAT,
            Dimensions=pool_dimensions,
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=SILENT_MINUTES,
            DatapointsToAlarm=SILENT_MINUTES,
            ComparisonOperator="LessThanThreshold",
            Threshold=1,
            TreatMissingData="breaching",
            AlarmActions=[given.alarm_topic_arn],
            OKActions=[given.alarm_topic_arn],
        ),
        "Tells somebody when the autoscaler is silent.",
        why="A dead publisher would freeze scaling without a sign.",
    )
    t.add(
        cloudwatch.Alarm(
            "Stalled",
            AlarmDescription="Tasks of this pool wait and none runs. Its workers do "
            "not start or take nothing: see the service's events and their log.",
            Namespace=metrics.NAMESPACE,
            MetricName=metrics.STALLED_TASKS,
            Dimensions=pool_dimensions,
            Statistic="Minimum",
            Period=60,
            EvaluationPeriods=STALLED_MINUTES,
            DatapointsToAlarm=STALLED_MINUTES,
            ComparisonOperator="GreaterThanThreshold",
            Threshold=0,
            TreatMissingData="notBreaching",
            AlarmActions=[given.alarm_topic_arn],
            OKActions=[given.alarm_topic_arn],
        ),
        "Tells somebody when tasks wait and none runs.",
        why="Workers that are healthy and idle show nowhere else. That the autoscaler is "
        "silent is for the heartbeat to tell.",
    )
    has_floor = t.condition(
        "HasFallbackMinimum", Not(Equals(given.fallback_minimum, "0"))
    )
    raise_floor = t.add(_step_policy(FLOOR, target), FLOOR.purpose, why=FLOOR.why)
    raise_floor.Condition = has_floor
    t.add(
        cloudwatch.Alarm(
            FLOOR.alarm,
            Condition=has_floor,
            AlarmDescription="The autoscaler is silent and the pool stands below "
            "its safe floor.",
            Metrics=[
                cloudwatch.MetricDataQuery(
                    Id=FLOOR.metric,
                    Label="Workers missing to the safe floor",
                    Expression=Sub(
                        "IF(FILL(beats, 0) > 0, 0, ${Floor} - desired)",
                        Floor=given.fallback_minimum,
                    ),
                    ReturnData=True,
                ),
                cloudwatch.MetricDataQuery(
                    Id="beats",
                    ReturnData=False,
                    MetricStat=cloudwatch.MetricStat(
                        Metric=cloudwatch.Metric(
                            Namespace=metrics.NAMESPACE,
                            MetricName=metrics.BRAIN_HEARTBEAT,
                            Dimensions=pool_dimensions,
                        ),
                        Period=60,
                        Stat="Sum",
                    ),
                ),
                cloudwatch.MetricDataQuery(
                    Id="desired",
                    ReturnData=False,
                    MetricStat=cloudwatch.MetricStat(
                        Metric=cloudwatch.Metric(
                            Namespace="ECS/ContainerInsights",
                            MetricName="DesiredTaskCount",
                            Dimensions=metrics.dimensions(
                                {
                                    "ClusterName": given.cluster_name,
                                    "ServiceName": given.service_name,
                                }
                            ),
                        ),
                        Period=60,
                        Stat="Average",
                    ),
                ),
            ],
            EvaluationPeriods=SILENT_MINUTES,
            DatapointsToAlarm=SILENT_MINUTES,
            ComparisonOperator="GreaterThanThreshold",
            Threshold=THRESHOLD,
            TreatMissingData="notBreaching",
            AlarmActions=[GetAtt(raise_floor, "Arn"), given.alarm_topic_arn],
        ),
        "Sees a silent autoscaler and a pool below its floor.",
        why="Only the heartbeat is filled with zeros: an unknown desired count must "
        "not look like none, or an outage of the metrics would add workers for ever.",
    )

    return Outputs()


def _step_policy(order: Order, target: scaling.ScalableTarget) -> scaling.ScalingPolicy:
    """Return a policy that adds or takes away as many workers as the metric says."""
    bands = [
        scaling.StepAdjustment(
            MetricIntervalLowerBound=workers - 1,
            MetricIntervalUpperBound=workers,
            ScalingAdjustment=order.step * workers,
        )
        for workers in range(1, BANDS)
    ]
    open_ended = scaling.StepAdjustment(
        MetricIntervalLowerBound=BANDS - 1, ScalingAdjustment=order.step * BANDS
    )
    return scaling.ScalingPolicy(
        order.policy,
        PolicyName=order.policy,
        PolicyType="StepScaling",
        ScalingTargetId=Ref(target),
        StepScalingPolicyConfiguration=scaling.StepScalingPolicyConfiguration(
            AdjustmentType="ChangeInCapacity",
            MetricAggregationType=order.statistic,
            Cooldown=order.cooldown_seconds,
            StepAdjustments=[*bands, open_ended],
        ),
    )
