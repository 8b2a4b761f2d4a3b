"""The StatsD client that Airflow loads; nothing of it sends a packet."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from statsd import StatsClient

from fargate_runtime.airflow_metrics.publisher import recorder

IN_SECONDS = frozenset({"dag_processing.last_duration"})
"""Durations that Airflow gives as a number of seconds; all other numbers are
milliseconds."""

# Airflow would write into the log of each task that it has loaded this client.
for package in ("airflow", "airflow.sdk"):
    loader = logging.getLogger(f"{package}.observability.metrics.statsd_logger")
    loader.setLevel(logging.WARNING)


class MetricsClient(StatsClient):  # type: ignore[misc]  # statsd ships no types
    """What Airflow calls; a timer is the base class's, which calls ``timing``."""

    def __init__(self, *_: Any) -> None:
        # Not the base class's, which opens a socket.
        self._record = recorder()

    def incr(self, stat: str, count: int = 1, rate: float = 1) -> None:  # noqa: ARG002
        """Add to a counter."""
        self._record("count", stat, count)

    def gauge(
        self,
        stat: str,
        value: float,
        rate: float = 1,  # noqa: ARG002
        delta: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Set a gauge. Airflow changes none by a difference."""
        if not delta:
            self._record("gauge", stat, value)

    def timing(self, stat: str, delta: float | timedelta, rate: float = 1) -> None:  # noqa: ARG002
        """Add a duration, in milliseconds if it is a number."""
        if isinstance(delta, timedelta):
            seconds = delta.total_seconds()
        elif stat.partition(",")[0] in IN_SECONDS:
            seconds = delta
        else:
            seconds = delta / 1000
        self._record("time", stat, seconds)


def unchecked(stat: str) -> str:
    """Return a name as it is; Airflow would refuse one with a tag's characters."""
    return stat
