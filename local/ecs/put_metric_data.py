"""Reads a request of PutMetricData, as boto3 sends it to CloudWatch: in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from local.ecs.metrics import MINUTE, Datum, Metric


class UnreadableError(ValueError):
    """A request that CloudWatch would refuse, or one in a form not read here."""


def read(body: Mapping[str, Any], now: float) -> list[tuple[Metric, Datum]]:
    """Return what a request publishes. Raises UnreadableError."""
    try:
        return list(_read(body, now))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableError(
            f"this is no PutMetricData in JSON: {type(error).__name__}: {error}"
        ) from error


def _read(body: Mapping[str, Any], now: float) -> Iterator[tuple[Metric, Datum]]:
    for one in body["MetricData"]:
        metric = Metric.of(one, str(body["Namespace"]))
        resolution = int(one.get("StorageResolution") or MINUTE)
        given = one.get("Timestamp")
        at = float(given or now)
        if "StatisticValues" in one:
            found = one["StatisticValues"]
            yield (
                metric,
                Datum(
                    at=at // resolution * resolution,
                    samples=float(found["SampleCount"]),
                    total=float(found["Sum"]),
                    least=float(found["Minimum"]),
                    most=float(found["Maximum"]),
                    resolution=resolution,
                ),
            )
            continue
        values = one["Values"] if "Values" in one else [one["Value"]]
        counts = one.get("Counts") or [1] * len(values)
        for value, count in zip(values, counts, strict=True):
            single = Datum.of(float(value), at, resolution)
            yield (
                metric,
                single._replace(
                    samples=float(count), total=float(value) * float(count)
                ),
            )
