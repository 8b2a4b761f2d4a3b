"""What the autoscaler publishes and the alarms read: one contract, written once.

The autoscaler in ``runtime/`` runs in a container and imports nothing of ours, so it
holds the same words; a test compares the two. A metric of a pool carries two
dimensions, the ECS cluster, whose name CloudFormation makes unique, and the pool; one
of all pools the cluster alone. It is stored at one-second resolution, because an alarm
on ten seconds reads nothing else. A zero is published too, and nothing that is stale.
"""

from __future__ import annotations

from collections.abc import Mapping

from troposphere import AWSHelperFn, cloudwatch

NAMESPACE = "AirflowOnFargate"
"""The only namespace that the autoscaler's role may write to."""

WORKER_DEFICIT = "WorkerDeficit"
"""Workers to add now, beyond those that start already and those that were revived."""

WORKER_SURPLUS = "WorkerSurplus"
"""Workers that are drained, idle and unprotected: those that may be taken away."""

BRAIN_HEARTBEAT = "BrainHeartbeat"
"""1 for every round in which the autoscaler read fresh numbers for the pool."""

STALLED_TASKS = "StalledTasks"
"""Tasks that wait in the queue of a pool in which no task runs."""

UNKNOWN_QUEUE_TASKS = "UnknownQueueTasks"
"""Tasks that wait in queues which no pool serves."""

WORKERS = "Workers"
"""Workers that all pools together want: the sum of their desired counts."""

OF_A_POOL = (WORKER_DEFICIT, WORKER_SURPLUS, BRAIN_HEARTBEAT, STALLED_TASKS)
OF_ALL_POOLS = (UNKNOWN_QUEUE_TASKS, WORKERS)

CLUSTER_DIMENSION = "ClusterName"
POOL_DIMENSION = "Pool"

ROUND_SECONDS = 10
"""How often the autoscaler decides and publishes; the period of the scaling alarms."""

STORAGE_RESOLUTION = 1
"""``StorageResolution`` of PutMetricData; 60 would make a ten-second alarm blind."""

API_CPU_RESOLUTION_SECONDS = 20
"""Resolution of the API server's CPU metric, which its service must ask ECS for.

Target tracking on it scales out after about 86 s instead of 363 s.
"""


def dimensions(
    values: Mapping[str, str | AWSHelperFn],
) -> list[cloudwatch.MetricDimension]:
    """Return dimensions as an alarm takes them."""
    return [
        cloudwatch.MetricDimension(Name=name, Value=value)
        for name, value in values.items()
    ]
