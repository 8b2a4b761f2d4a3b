"""Published metrics, as far as alarms read them.

High-resolution data is stored by the second, everything else by the minute; an alarm on
less than a minute does not see the latter. Data older than three hours is dropped, as
CloudWatch drops its seconds.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

KEPT_SECONDS = 3 * 3600
MINUTE = 60


@dataclass(frozen=True)
class Metric:
    """A metric: its name and every dimension belong to its identity."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, document: Mapping[str, Any], namespace: str = "") -> Metric:
        """Read ``MetricName`` and ``Dimensions`` as every API spells them."""
        return cls(
            namespace=namespace or str(document["Namespace"]),
            name=str(document["MetricName"]),
            dimensions=frozenset(
                (str(dimension["Name"]), str(dimension["Value"]))
                for dimension in document.get("Dimensions") or ()
            ),
        )


class Datum(NamedTuple):
    """Values that were published together."""

    at: float
    """Unix time, cut to the resolution."""
    samples: float
    total: float
    least: float
    most: float
    resolution: int = 1
    """Seconds: 1, or 60 for an ordinary metric."""

    @classmethod
    def of(cls, value: float, at: float, resolution: int = 1) -> Datum:
        """Return one value at a Unix time."""
        return cls(at // resolution * resolution, 1, value, value, value, resolution)


STATISTICS: Mapping[str, Callable[[Sequence[Datum]], float]] = {
    "Average": lambda data: sum(d.total for d in data) / sum(d.samples for d in data),
    "Maximum": lambda data: max(d.most for d in data),
    "Minimum": lambda data: min(d.least for d in data),
    "SampleCount": lambda data: sum(d.samples for d in data),
    "Sum": lambda data: sum(d.total for d in data),
}


class MetricStore:
    """Every published metric; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._data: dict[Metric, deque[Datum]] = {}

    def put(self, metric: Metric, datum: Datum) -> None:
        """Add a published datum."""
        with self._lock:
            data = self._data.setdefault(metric, deque())
            data.append(datum)
            while data[0].at < datum.at - KEPT_SECONDS:
                data.popleft()

    def data(self, metric: Metric) -> list[Datum]:
        """Return everything of one metric, in the order of its arrival."""
        with self._lock:
            return list(self._data.get(metric, ()))

    def statistic(
        self, metric: Metric, statistic: str, begin: float, period: int
    ) -> float | None:
        """Return a statistic of the period that begins then; None without data."""
        data = [
            datum
            for datum in self.data(metric)
            if begin <= datum.at < begin + period
            and (period >= MINUTE or datum.resolution < MINUTE)
        ]
        return STATISTICS[statistic](data) if data else None
