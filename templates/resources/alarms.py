"""The alarms as data, each with its reason.

An entry has a metric and a threshold; its dimensions (which node, which service) come
from the stack that adds the alarm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from troposphere import cloudwatch

from fargate_runtime import contract
from templates.types import TopicArn

MINUTE = 60
GREATER = "GreaterThanThreshold"
LESS = "LessThanThreshold"

MEBIBYTE = 2**20

Dimensions = Mapping[str, object]


@dataclass(frozen=True, kw_only=True)
class AlarmSpec:
    """A metric, a threshold and a reason; ``missing`` says what no data means.

    All of ``periods`` must breach, or ``datapoints`` of them, of ``period`` seconds
    each. With ``expression`` the alarm evaluates a formula over ``metrics``, whose IDs
    are the metrics' names in lower case. ``when`` completes "Warns when ...".
    """

    name: str
    namespace: str
    metrics: tuple[str, ...]
    threshold: float
    when: str
    why: str
    statistic: str = "Average"
    comparison: str = GREATER
    expression: str = ""
    period: int = MINUTE
    periods: int = 5
    datapoints: int | None = None
    missing: str = "missing"

    @property
    def purpose(self) -> str:
        """What the alarm is for, as a sentence."""
        return f"Warns when {self.when}."

    def alarm(
        self,
        dimensions: Dimensions,
        topic_arn: TopicArn,
        *,
        subject: str = "",
        expression: object = None,
        **attributes: Any,
    ) -> cloudwatch.Alarm:
        """Return the alarm for ``subject``.

        ``expression`` replaces the entry's own where it contains a parameter.
        """
        return cloudwatch.Alarm(
            f"{subject}{self.name}",
            AlarmDescription=f"{self.when[0].upper()}{self.when[1:]}. {self.why}",
            AlarmActions=[topic_arn],
            OKActions=[topic_arn],
            ComparisonOperator=self.comparison,
            Threshold=self.threshold,
            EvaluationPeriods=self.periods,
            DatapointsToAlarm=self.datapoints or self.periods,
            TreatMissingData=self.missing,
            **self._metric(dimensions, expression or self.expression),
            **attributes,
        )

    def _metric(self, dimensions: Dimensions, expression: object) -> dict[str, Any]:
        named = [
            cloudwatch.MetricDimension(Name=name, Value=value)
            for name, value in dimensions.items()
        ]
        if not expression:
            (metric,) = self.metrics
            return {
                "Namespace": self.namespace,
                "MetricName": metric,
                "Dimensions": named,
                "Statistic": self.statistic,
                "Period": self.period,
            }
        return {
            "Metrics": [
                cloudwatch.MetricDataQuery(
                    Id="watched", Expression=expression, Label=self.name
                ),
                *(self._query(metric, named) for metric in self.metrics),
            ]
        }

    def _query(
        self, metric: str, named: Sequence[cloudwatch.MetricDimension]
    ) -> cloudwatch.MetricDataQuery:
        return cloudwatch.MetricDataQuery(
            Id=metric.lower(),
            ReturnData=False,
            MetricStat=cloudwatch.MetricStat(
                Metric=cloudwatch.Metric(
                    Namespace=self.namespace, MetricName=metric, Dimensions=named
                ),
                Period=self.period,
                Stat=self.statistic,
            ),
        )


DATABASE_WRITER = (
    AlarmSpec(
        name="Cpu",
        namespace="AWS/RDS",
        metrics=("CPUUtilization",),
        threshold=90,
        periods=15,
        when="the database has been busy for a quarter of an hour",
        why="Schedulers slow down. Performance Insights shows the query; more capacity "
        "helps if the query is necessary.",
    ),
    AlarmSpec(
        name="Memory",
        namespace="AWS/RDS",
        metrics=("FreeableMemory",),
        statistic="Minimum",
        threshold=128 * MEBIBYTE,
        comparison=LESS,
        when="the database has little memory left",
        why="On a serverless instance free memory is what is left at the maximum "
        "capacity, so more than that is needed.",
    ),
)

DATABASE_CLUSTER = (
    AlarmSpec(
        name="Capacity",
        namespace="AWS/RDS",
        metrics=("ACUUtilization",),
        threshold=90,
        periods=15,
        when="the database has been at its maximum capacity for a quarter of an hour",
        why="It cannot grow further: raise the most capacity units.",
    ),
    AlarmSpec(
        name="TransactionIds",
        namespace="AWS/RDS",
        metrics=("MaximumUsedTransactionIDs",),
        statistic="Maximum",
        threshold=1_000_000_000,
        period=5 * MINUTE,
        when="PostgreSQL has used half of its transaction IDs without a vacuum",
        why="At two billion it stops writing. Look for a transaction that "
        "has been open for days.",
    ),
)

DATABASE_CONNECTIONS = AlarmSpec(
    name="Connections",
    namespace="AWS/RDS",
    metrics=("DatabaseConnections",),
    statistic="Maximum",
    threshold=0,
    when="more than 80 % of the database's connections are in use",
    why="At 100 % Airflow fails with 'remaining connection slots are reserved'. Their "
    "number follows the most capacity units after a reboot.",
)
CONNECTIONS_SHARE = 0.8
"""The share of the connections that the alarm allows, and the parameter check too."""

BROKER_NODE = (
    AlarmSpec(
        name="Memory",
        namespace="AWS/ElastiCache",
        metrics=("DatabaseMemoryUsagePercentage",),
        statistic="Maximum",
        threshold=80,
        when="a broker node is filling up",
        why="When it is full it refuses new tasks, since nothing may be evicted. Look "
        "for a queue that no worker reads.",
    ),
    AlarmSpec(
        name="Cpu",
        namespace="AWS/ElastiCache",
        metrics=("EngineCPUUtilization",),
        threshold=90,
        when="the CPU of a broker node is saturated",
        why="Valkey runs commands on one core: a larger node helps only by a faster "
        "core. Look into the slow log.",
    ),
    AlarmSpec(
        name="Evictions",
        namespace="AWS/ElastiCache",
        metrics=("Evictions",),
        statistic="Sum",
        threshold=0,
        periods=1,
        missing="notBreaching",
        when="the broker has dropped messages: tasks are lost",
        why="This cannot happen with noeviction: the parameter group was changed.",
    ),
)

BROKER_REPLICATION = (
    AlarmSpec(
        name="Lag",
        namespace="AWS/ElastiCache",
        metrics=("ReplicationLag",),
        statistic="Maximum",
        threshold=30,
        missing="notBreaching",
        when="a broker replica is half a minute behind",
        why="A failover now would lose the messages in between. The current primary "
        "reports nothing here.",
    ),
)

BROKER_FAILOVER = (
    AlarmSpec(
        name="Failover",
        namespace="AWS/ElastiCache",
        metrics=("IsMaster",),
        statistic="Maximum",
        expression="ABS(DIFF(ismaster))",
        threshold=0,
        datapoints=1,
        missing="notBreaching",
        when="the broker's nodes have changed roles",
        why="Workers may hold connections to the old primary: check that tasks run. "
        "ElastiCache cannot publish this event itself.",
    ),
)

SERVICE = (
    AlarmSpec(
        name="Tasks",
        namespace="ECS/ContainerInsights",
        metrics=("DesiredTaskCount", "RunningTaskCount"),
        expression="desiredtaskcount - runningtaskcount",
        threshold=0,
        periods=10,
        missing="breaching",
        when="fewer tasks run than desired",
        why="They do not start or they stop: see the service's events and the stopped "
        "tasks' reasons. No data counts as no tasks.",
    ),
    AlarmSpec(
        name="Memory",
        namespace="AWS/ECS",
        metrics=("MemoryUtilization",),
        statistic="Maximum",
        threshold=90,
        when="a task is running out of memory",
        why="At 100 % it is killed with exit code 137. Give it more memory, or look "
        "for growth over days.",
    ),
)

POOL = (
    AlarmSpec(
        name="Overdue",
        namespace=contract.METRIC_NAMESPACE,
        metrics=(contract.OVERDUE_TASKS,),
        statistic="Maximum",
        threshold=0,
        periods=1,
        missing="notBreaching",
        when=f"a task has run for longer than {contract.LONGEST_TASK_PARAMETER}",
        why=f"Its worker ends it after {contract.LONG_TASK_GRACE_MINUTES} more "
        "minutes: it keeps the worker, and blocks each update. The worker's log names "
        f"the task. Raise {contract.LONGEST_TASK_PARAMETER} if the task needs longer; "
        "otherwise give it an execution_timeout, and look where it hangs.",
    ),
)

QUEUES = (
    AlarmSpec(
        name="UnknownQueue",
        namespace=contract.METRIC_NAMESPACE,
        metrics=(contract.UNKNOWN_QUEUE_TASKS,),
        statistic="Minimum",
        threshold=0,
        missing="notBreaching",
        when="tasks wait in a queue that no pool serves",
        why="They wait forever: the autoscaler's log names the queues. Correct the "
        "DAG, or add a pool for the queue.",
    ),
)

BUNDLES = (
    AlarmSpec(
        name="Stale",
        namespace=contract.METRIC_NAMESPACE,
        metrics=(contract.STALE_BUNDLES,),
        statistic="Maximum",
        threshold=0,
        periods=1,
        missing="notBreaching",
        when="a DAG bundle cannot be refreshed",
        why="New DAG files do not arrive. Runs of releases go on; a task of a bundle "
        "of files needs its bucket to start. The autoscaler's log names the bundle, "
        "the DAG processor's the reason: access to the bucket, the network, or an "
        "object whose key is also the folder of another.",
    ),
)

HEARTBEAT_MINUTES = 3
"""Without a heartbeat. ECS replaces a component that died in less."""

HEARTBEATS = tuple(
    AlarmSpec(
        name=name,
        namespace=contract.METRIC_NAMESPACE,
        metrics=(name,),
        statistic="Sum",
        threshold=1,
        comparison=LESS,
        periods=HEARTBEAT_MINUTES,
        missing="breaching",
        when=f"no {component} has beaten for {HEARTBEAT_MINUTES} minutes",
        why=f"{effect} Its log says why; so do the stopped tasks of its service.",
    )
    for name, component, effect in (
        (
            contract.SCHEDULER_HEARTBEAT,
            "scheduler",
            "It starts no task and no DAG run.",
        ),
        (
            contract.DAG_PROCESSOR_HEARTBEAT,
            "DAG processor",
            "New and changed DAGs do not arrive.",
        ),
        (
            contract.TRIGGERER_HEARTBEAT,
            "triggerer",
            "Deferred tasks do not go on.",
        ),
    )
)

STARVING_MINUTES = 60
"""A pool of Airflow's is there to hold tasks back: minutes of it are no fault."""

AIRFLOW = (
    *HEARTBEATS,
    AlarmSpec(
        name="ImportErrors",
        namespace=contract.METRIC_NAMESPACE,
        metrics=(contract.IMPORT_ERRORS,),
        statistic="Maximum",
        threshold=0,
        periods=1,
        missing="notBreaching",
        when="a DAG file cannot be imported",
        why="Its DAGs stay as they were, or are missing. The Airflow UI and the DAG "
        "processor's log show file and line.",
    ),
    AlarmSpec(
        name="FailedDagRuns",
        namespace=contract.METRIC_NAMESPACE,
        metrics=(contract.FAILED_RUN_SECONDS,),
        statistic="SampleCount",
        threshold=0,
        periods=3,
        datapoints=1,
        missing="notBreaching",
        when="a DAG run has failed",
        why="The Airflow UI lists failed runs; the log of the failed task has the "
        "reason. The alarm ends three minutes after the last failure.",
    ),
    AlarmSpec(
        name="StarvingPools",
        namespace=contract.METRIC_NAMESPACE,
        metrics=(contract.STARVING_POOLS,),
        statistic="Minimum",
        threshold=0,
        periods=STARVING_MINUTES,
        missing="notBreaching",
        when=f"a pool of Airflow's had no open slot for {STARVING_MINUTES} minutes "
        "while tasks wait for it",
        why="Give it more slots in the Airflow UI (Admin, Pools), or look for a task "
        "that holds them. No number of workers helps.",
    ),
)
"""On Airflow's own metrics; without AirflowMetrics there are none."""

LOAD_BALANCER = (
    AlarmSpec(
        name="Errors",
        namespace="AWS/ApplicationELB",
        metrics=("HTTPCode_ELB_5XX_Count",),
        statistic="Sum",
        threshold=10,
        missing="notBreaching",
        when="the load balancer returns errors of its own",
        why="It finds no healthy API server, or none that answers in time.",
    ),
    AlarmSpec(
        name="ApiErrors",
        namespace="AWS/ApplicationELB",
        metrics=("HTTPCode_Target_5XX_Count",),
        statistic="Sum",
        threshold=10,
        missing="notBreaching",
        when="the API servers return errors",
        why="Their log has the tracebacks; a database they cannot reach is the usual "
        "cause.",
    ),
)

API_TARGETS = (
    AlarmSpec(
        name="Unhealthy",
        namespace="AWS/ApplicationELB",
        metrics=("UnHealthyHostCount",),
        statistic="Maximum",
        threshold=0,
        missing="notBreaching",
        when="an API server fails the load balancer's health check",
        why="ECS replaces it; if that repeats, look into its log.",
    ),
)

BACKUP_HOURS = 30
"""A day between two backups, their start window, and the time that one takes."""

BACKUP = (
    AlarmSpec(
        name="Failed",
        namespace="AWS/Backup",
        metrics=("NumberOfBackupJobsFailed",),
        statistic="Sum",
        threshold=0,
        period=60 * MINUTE,
        periods=1,
        missing="notBreaching",
        when="a backup of the database has failed",
        why="The job in the AWS Backup console shows the reason.",
    ),
    AlarmSpec(
        name="Expired",
        namespace="AWS/Backup",
        metrics=("NumberOfBackupJobsExpired",),
        statistic="Sum",
        threshold=0,
        period=60 * MINUTE,
        periods=1,
        missing="notBreaching",
        when="a backup of the database did not start within its window",
        why="The database was busy with a backup or maintenance of its own.",
    ),
    AlarmSpec(
        name="Missing",
        namespace="AWS/Backup",
        metrics=("NumberOfBackupJobsCompleted",),
        statistic="Sum",
        threshold=1,
        comparison=LESS,
        period=60 * MINUTE,
        periods=BACKUP_HOURS,
        missing="breaching",
        when=f"no backup of the database has completed in {BACKUP_HOURS} hours",
        why="Look whether Aurora is turned on in this region's AWS Backup settings: "
        "otherwise the plan starts no job, and nothing fails. After a first launch "
        "this lasts until the first daily backup.",
    ),
)
