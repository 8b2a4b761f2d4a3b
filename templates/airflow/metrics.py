"""CloudWatch metrics as alarms and services take them; their names are in the contract.

A metric of a pool has two dimensions, the ECS cluster, whose name CloudFormation makes
unique, and the pool; a metric of all pools has the cluster alone. It is stored at
one-second resolution, because an alarm on ten seconds reads nothing else. A zero is
published too, and nothing that is stale.
"""

from __future__ import annotations

from collections.abc import Mapping

from troposphere import AWSHelperFn, cloudwatch

API_CPU_RESOLUTION_SECONDS = 20
"""Resolution of the API servers' CPU metric, which their service must request of ECS.

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
