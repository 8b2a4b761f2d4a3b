"""What the autoscaler publishes: numbers that alarms act on, in one call a round.

The names are those of ``templates/airflow/metrics.py``, of which a container knows nothing; a
test compares the two. A number is published only when it is fresh: an alarm that gets
none does nothing, and the heartbeat's alarm raises the pool to its safe floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMESPACE = "AirflowOnFargate"

WORKER_DEFICIT = "WorkerDeficit"
WORKER_SURPLUS = "WorkerSurplus"
BRAIN_HEARTBEAT = "BrainHeartbeat"
STALLED_TASKS = "StalledTasks"
"""Of each pool. The last: tasks that wait while none of the queue runs."""

UNKNOWN_QUEUE_TASKS = "UnknownQueueTasks"
WORKERS = "Workers"
"""Of the cluster: tasks in queues that no pool serves; desired workers of all pools."""

CLUSTER_DIMENSION = "ClusterName"
POOL_DIMENSION = "Pool"

STORAGE_RESOLUTION = 1
"""Seconds; alarms on ten seconds read nothing coarser."""


def data(
    cluster: str,
    pools: Mapping[str, Mapping[str, int]],
    whole: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Return the metric data of one round, of each pool and of the whole cluster.

    They carry no time, so that CloudWatch puts its own: no wrong clock of ours moves
    a number out of its period.
    """
    return [
        *(
            _datum(name, value, {CLUSTER_DIMENSION: cluster, POOL_DIMENSION: pool})
            for pool, values in pools.items()
            for name, value in values.items()
        ),
        *(
            _datum(name, value, {CLUSTER_DIMENSION: cluster})
            for name, value in whole.items()
        ),
    ]


def _datum(name: str, value: int, dimensions: Mapping[str, str]) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [
            {"Name": key, "Value": text} for key, text in dimensions.items()
        ],
        "Value": float(value),
        "Unit": "Count",
        "StorageResolution": STORAGE_RESOLUTION,
    }
