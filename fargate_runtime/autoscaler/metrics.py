"""The metrics of a round, as the data of one PutMetricData call.

Only fresh values are published: an alarm without data does nothing, and the alarm of
the heartbeat raises the pool to its fallback minimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fargate_runtime.contract import (
    CLUSTER_DIMENSION,
    POOL_DIMENSION,
    STORAGE_RESOLUTION,
)


def metric_data(
    cluster: str,
    pools: Mapping[str, Mapping[str, int]],
    whole: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Return the metric data of each pool and of the whole cluster.

    They carry no time, so that CloudWatch sets its own: a wrong clock here cannot move
    a value out of its period.
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
