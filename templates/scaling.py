"""Scales one pool of workers; nothing else sets its desired count.

The autoscaler beside the scheduler publishes worker deficit and surplus every ten
seconds; here Application Auto Scaling acts on them. It adds as many workers as the
deficit says and removes as many as the surplus says, and the surplus counts only
workers that are drained, idle and unprotected. Nothing else ever scales the pool in: no
CPU metric, because a worker full of waiting tasks uses none, and no queue length, which
leaves out the tasks that run.

A missing metric never scales, but CloudWatch reads older values before it treats a
metric as missing: an order published just before the autoscaler ended can be carried
out a second time. It adds a worker too many, or stops an idle one.

When the autoscaler has not reported for three minutes an alarm notifies operators, and
the pool is raised to its fallback minimum if it is below. That takes an expression: a
step policy needs the distance of a metric from its threshold, which a missing heartbeat
does not have; an exact capacity would also shrink a larger pool under its running
tasks.

With the minimum equal to the maximum all this remains and has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass

from troposphere import Equals, GetAtt, Join, Not, Ref, Sub, cloudwatch
from troposphere import applicationautoscaling as scaling

from compiler.wiring import Interface, Template, about
from fargate_runtime import contract
from templates.airflow import metrics
from templates.airflow.pools import WorkerPool
from templates.resources.alarms import POOL
from templates.resources.stack_tag import stack_tag
from templates.types import ClusterName, ServiceName, TopicArn

THRESHOLD = 0.5
"""Between no worker and one, whatever the rounding."""

MOST_STEPS = 20
"""Application Auto Scaling's limit of steps a policy; of more workers, 20 at once."""

NO_REPORT_MINUTES = 3

STALLED_MINUTES = 15
"""Longer than a pool takes to start from zero, and half of what Airflow lets a task
wait in a queue."""


@dataclass(frozen=True, kw_only=True)
class StepScaling:
    """A step policy, one step a worker, and the alarm that triggers it.

    ``change`` is 1 to add workers and -1 to remove them. Where two autoscalers overlap
    for a moment, ``statistic`` says whose metric counts.
    """

    policy: str
    alarm: str
    metric: str
    change: int
    statistic: str
    cooldown_seconds: int
    purpose: str
    why: str


STEPS = (
    StepScaling(
        policy="ScaleOut",
        alarm="Deficit",
        metric=contract.WORKER_DEFICIT,
        change=1,
        statistic="Maximum",
        cooldown_seconds=30,
        purpose="Adds as many workers as the deficit says.",
        why="Within the cooldown, added workers count: the same deficit twice adds "
        "them once, a larger one adds the difference.",
    ),
    StepScaling(
        policy="ScaleIn",
        alarm="Surplus",
        metric=contract.WORKER_SURPLUS,
        change=-1,
        statistic="Minimum",
        cooldown_seconds=0,
        purpose="Removes as many workers as are released.",
        why="No cooldown: the workers of the surplus are idle and unprotected already.",
    ),
)
FALLBACK = StepScaling(
    policy="RaiseToFallbackMinimum",
    alarm="BelowFallbackMinimum",
    metric="shortfall",
    change=1,
    statistic="Maximum",
    cooldown_seconds=600,
    purpose="Adds the workers missing to the fallback minimum.",
    why="Container Insights reports the desired count minutes late; within the "
    "cooldown, added workers count.",
)


class Inputs(Interface):
    """The pool's service and settings."""

    cluster_name: ClusterName = about("Cluster of the pool's service.")
    service_name: ServiceName = about("The pool's service.")
    pool: WorkerPool = about("Settings of the pool.")
    alarm_topic_arn: TopicArn = about("Topic of the alarms.")


class Outputs(Interface):
    """No outputs."""


def define(t: Template, inputs: Inputs) -> Outputs:
    """Add the scalable target, its policies, and the alarms on the autoscaler."""
    of_pool = {
        contract.CLUSTER_DIMENSION: inputs.cluster_name,
        contract.POOL_DIMENSION: inputs.pool.name,
    }
    pool_dimensions = metrics.dimensions(of_pool)
    target = t.add(
        scaling.ScalableTarget(
            "Workers",
            ServiceNamespace="ecs",
            ScalableDimension="ecs:service:DesiredCount",
            ResourceId=Join("/", ["service", inputs.cluster_name, inputs.service_name]),
            MinCapacity=inputs.pool.minimum,
            MaxCapacity=inputs.pool.maximum,
            Tags=stack_tag(),
        ),
        "Desired count of the pool's service, and its bounds.",
        why="No role: Application Auto Scaling uses its service-linked one.",
    )

    # Deficit and surplus.
    for step in STEPS:
        policy = t.add(
            _step_policy(step, target),
            step.purpose,
            why=step.why,
        )
        t.add(
            cloudwatch.Alarm(
                step.alarm,
                AlarmDescription="Triggers worker scaling. No action needed.",
                Namespace=contract.METRIC_NAMESPACE,
                MetricName=step.metric,
                Dimensions=pool_dimensions,
                Statistic=step.statistic,
                Period=contract.ROUND_SECONDS,
                EvaluationPeriods=1,
                DatapointsToAlarm=1,
                ComparisonOperator="GreaterThanThreshold",
                Threshold=THRESHOLD,
                TreatMissingData="notBreaching",
                AlarmActions=[GetAtt(policy, "Arn")],
            ),
            f"Triggers the policy by {step.metric} within ten seconds.",
        )

    # An autoscaler that does not report, and workers that do not work.
    t.add(
        cloudwatch.Alarm(
            "Heartbeat",
            AlarmDescription="The autoscaler does not report: this pool no longer "
            "scales by its demand. See the log of the schedulers.",
            Namespace=contract.METRIC_NAMESPACE,
            MetricName=contract.AUTOSCALER_HEARTBEAT,
            Dimensions=pool_dimensions,
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=NO_REPORT_MINUTES,
            DatapointsToAlarm=NO_REPORT_MINUTES,
            ComparisonOperator="LessThanThreshold",
            Threshold=1,
            TreatMissingData="breaching",
            AlarmActions=[inputs.alarm_topic_arn],
            OKActions=[inputs.alarm_topic_arn],
        ),
        "Notifies operators when the autoscaler does not report.",
        why="A dead publisher would stop scaling unnoticed.",
    )
    t.add(
        cloudwatch.Alarm(
            "Stalled",
            AlarmDescription="Tasks of this pool wait and none runs. Its workers do "
            "not start or take no tasks: see the service's events and their log.",
            Namespace=contract.METRIC_NAMESPACE,
            MetricName=contract.STALLED_TASKS,
            Dimensions=pool_dimensions,
            Statistic="Minimum",
            Period=60,
            EvaluationPeriods=STALLED_MINUTES,
            DatapointsToAlarm=STALLED_MINUTES,
            ComparisonOperator="GreaterThanThreshold",
            Threshold=0,
            TreatMissingData="notBreaching",
            AlarmActions=[inputs.alarm_topic_arn],
            OKActions=[inputs.alarm_topic_arn],
        ),
        "Notifies operators when tasks wait and none runs.",
        why="No other alarm sees workers that are healthy and idle. The heartbeat "
        "alarm covers an autoscaler that does not report.",
    )
    for spec in POOL:
        t.add(spec.alarm(of_pool, inputs.alarm_topic_arn), spec.purpose)
    has_fallback = t.condition(
        "HasFallbackMinimum", Not(Equals(inputs.pool.fallback_minimum, "0"))
    )
    fallback = t.add(_step_policy(FALLBACK, target), FALLBACK.purpose, why=FALLBACK.why)
    fallback.Condition = has_fallback
    t.add(
        cloudwatch.Alarm(
            FALLBACK.alarm,
            Condition=has_fallback,
            AlarmDescription="The autoscaler does not report and the pool is below "
            "its fallback minimum.",
            Metrics=[
                cloudwatch.MetricDataQuery(
                    Id=FALLBACK.metric,
                    Label="Workers missing to the fallback minimum",
                    Expression=Sub(
                        "IF(FILL(heartbeats, 0) > 0, 0, ${FallbackMinimum} - desired)",
                        FallbackMinimum=inputs.pool.fallback_minimum,
                    ),
                    ReturnData=True,
                ),
                cloudwatch.MetricDataQuery(
                    Id="heartbeats",
                    ReturnData=False,
                    MetricStat=cloudwatch.MetricStat(
                        Metric=cloudwatch.Metric(
                            Namespace=contract.METRIC_NAMESPACE,
                            MetricName=contract.AUTOSCALER_HEARTBEAT,
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
                                    "ClusterName": inputs.cluster_name,
                                    "ServiceName": inputs.service_name,
                                }
                            ),
                        ),
                        Period=60,
                        Stat="Average",
                    ),
                ),
            ],
            EvaluationPeriods=NO_REPORT_MINUTES,
            DatapointsToAlarm=NO_REPORT_MINUTES,
            ComparisonOperator="GreaterThanThreshold",
            Threshold=THRESHOLD,
            TreatMissingData="notBreaching",
            AlarmActions=[GetAtt(fallback, "Arn"), inputs.alarm_topic_arn],
        ),
        "Raises the pool to its fallback minimum while the autoscaler does not report.",
        why="Only the heartbeat is filled with zeros: a missing desired count must not "
        "count as zero, or an outage of the metrics would add workers forever.",
    )

    return Outputs()


def _step_policy(
    step_scaling: StepScaling, target: scaling.ScalableTarget
) -> scaling.ScalingPolicy:
    """Return a policy that adds or removes as many workers as the metric says."""
    steps = [
        scaling.StepAdjustment(
            MetricIntervalLowerBound=workers - 1,
            MetricIntervalUpperBound=workers,
            ScalingAdjustment=step_scaling.change * workers,
        )
        for workers in range(1, MOST_STEPS)
    ]
    last = scaling.StepAdjustment(
        MetricIntervalLowerBound=MOST_STEPS - 1,
        ScalingAdjustment=step_scaling.change * MOST_STEPS,
    )
    return scaling.ScalingPolicy(
        step_scaling.policy,
        PolicyName=step_scaling.policy,
        PolicyType="StepScaling",
        ScalingTargetId=Ref(target),
        StepScalingPolicyConfiguration=scaling.StepScalingPolicyConfiguration(
            AdjustmentType="ChangeInCapacity",
            MetricAggregationType=step_scaling.statistic,
            Cooldown=step_scaling.cooldown_seconds,
            StepAdjustments=[*steps, last],
        ),
    )
