"""What the scaling brain publishes and the alarms read: one contract, written once.

The brain in ``runtime/`` runs in a container and imports nothing of ours, so it
holds the same words; a test compares the two. Every metric carries both dimensions:
the ECS cluster, whose name CloudFormation makes unique, and the pool. It is stored
at one-second resolution, because an alarm on ten seconds reads nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

from troposphere import AWSHelperFn, cloudwatch

NAMESPACE = "AirflowOnFargate"
"""The only namespace that the brain's role may write to."""

WORKER_DEFICIT = "WorkerDeficit"
"""Workers to add now, beyond those that start already and those that were revived."""

WORKER_SURPLUS = "WorkerSurplus"
"""Workers that are drained, idle and unprotected: those that may be taken away."""

BRAIN_HEARTBEAT = "BrainHeartbeat"
"""1 for every round in which the brain read fresh numbers for the pool."""

CLUSTER_DIMENSION = "ClusterName"
POOL_DIMENSION = "Pool"

ROUND_SECONDS = 10
"""How often the brain decides and publishes; the period of the scaling alarms."""

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
