"""Reads metrics out of log lines in the embedded metric format, as CloudWatch does.

A line that is not in the format, or not wholly, is a log line and no more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from local.ecs.metrics import MINUTE, Datum, Metric

MARK = '"CloudWatchMetrics"'
MOST_VALUES = 100
"""Values of a metric in one line; CloudWatch refuses a line with more."""


def read(lines: Iterable[str]) -> Iterator[tuple[Metric, Datum]]:
    """Yield what the lines publish."""
    for line in lines:
        if MARK not in line:
            continue
        try:
            yield from list(_read(json.loads(line)))
        except (AttributeError, KeyError, TypeError, ValueError):
            continue


def _read(event: Mapping[str, Any]) -> Iterator[tuple[Metric, Datum]]:
    at = float(event["_aws"]["Timestamp"]) / 1000
    for directive in event["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = frozenset((str(name), str(event[name])) for name in names)
            for entry in directive["Metrics"]:
                metric = Metric(
                    str(directive["Namespace"]), str(entry["Name"]), dimensions
                )
                values = event[metric.name]
                values = values if isinstance(values, list) else [values]
                if len(values) > MOST_VALUES:
                    raise ValueError(metric.name)
                resolution = int(entry.get("StorageResolution") or MINUTE)
                for value in values:
                    yield metric, Datum.of(float(value), at, resolution)
