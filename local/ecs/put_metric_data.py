"""Parses PutMetricData requests, as boto3 sends them to CloudWatch: in JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from local.ecs.metrics import MINUTE, Datum, Metric


class UnreadableMetricsError(ValueError):
    """A request that CloudWatch would refuse, or one in a form not read here."""


def read(body: Mapping[str, Any], now: float) -> list[tuple[Metric, Datum]]:
    """Return what a request publishes. Raises UnreadableError."""
    try:
        return list(_read(body, now))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableMetricsError(
            f"this is no PutMetricData in JSON: {type(error).__name__}: {error}"
        ) from error


def _read(body: Mapping[str, Any], now: float) -> Iterator[tuple[Metric, Datum]]:
    for entry in body["MetricData"]:
        metric = Metric.of(entry, str(body["Namespace"]))
        resolution = int(entry.get("StorageResolution") or MINUTE)
        timestamp = entry.get("Timestamp")
        at = float(timestamp or now)
        if "StatisticValues" in entry:
            statistics = entry["StatisticValues"]
            yield (
                metric,
                Datum(
                    at=at // resolution * resolution,
                    samples=float(statistics["SampleCount"]),
                    total=float(statistics["Sum"]),
                    least=float(statistics["Minimum"]),
                    most=float(statistics["Maximum"]),
                    resolution=resolution,
                ),
            )
            continue
        values = entry["Values"] if "Values" in entry else [entry["Value"]]
        counts = entry.get("Counts") or [1] * len(values)
        for value, count in zip(values, counts, strict=True):
            datum = Datum.of(float(value), at, resolution)
            yield (
                metric,
                datum._replace(samples=float(count), total=float(value) * float(count)),
            )
