"""What a container measured in a minute, and the lines that tell it to CloudWatch."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from fargate_runtime.contract import (
    AIRFLOW_METRICS,
    CLUSTER_DIMENSION,
    COUNT,
    METRIC_NAMESPACE,
    MOST_DIMENSION_VALUES,
    OPEN_SLOTS,
    OTHERS,
    POOL_DIMENSION,
    QUEUE_DIMENSION,
    SCHEDULED_SLOTS,
    SLOT_POOL_DIMENSION,
    STARVING_POOLS,
)

VALUES_PER_LINE = 100
"""CloudWatch takes no more values of a metric from one line."""

MOST_VALUES = 10_000
"""Values of a metric in a minute that are kept; they bound memory and log."""

TAG_OF = {QUEUE_DIMENSION: "queue", SLOT_POOL_DIMENSION: "pool_name"}
"""Dimension -> Airflow's tag."""


class Row(NamedTuple):
    """A metric of the table."""

    name: str
    stat: str
    unit: str
    dimension: str


ROWS = {row.stat: row for row in map(Row._make, AIRFLOW_METRICS)}
UNITS = {STARVING_POOLS: COUNT, **{row.name: row.unit for row in ROWS.values()}}


class Key(NamedTuple):
    """A metric of a queue or a pool, or of the whole cluster."""

    name: str
    dimension: str = ""
    value: str = ""


class Aggregate:
    """Adds up measurements; ``lines`` returns a minute's, and begins the next.

    A gauge keeps its value until it is set again: Airflow sets some of them less often
    than once a minute. Those of one key are added up, as Airflow counts tasks by DAG.
    """

    def __init__(self, cluster: str, worker_pool: str = "") -> None:
        self._cluster, self._worker_pool = cluster, worker_pool
        self._counts: defaultdict[Key, float] = defaultdict(float)
        self._values: defaultdict[Key, list[float]] = defaultdict(list)
        self._gauges: defaultdict[Key, dict[str, float]] = defaultdict(dict)
        self._known: defaultdict[str, set[str]] = defaultdict(set)

    def count(self, stat: str, number: float) -> None:
        """Add to a counter."""
        if key := self._key(stat):
            self._counts[key] += number

    def time(self, stat: str, seconds: float) -> None:
        """Add a duration."""
        if (key := self._key(stat)) and len(self._values[key]) < MOST_VALUES:
            self._values[key].append(seconds)

    def gauge(self, stat: str, value: float) -> None:
        """Set a gauge."""
        if key := self._key(stat):
            self._gauges[key][stat] = value
            # What has gone stays a zero of its metric, not a name in memory.
            if not value:
                del self._gauges[key][stat]

    def lines(self, begin: float) -> list[str]:
        """Return the lines of the minute that began at that Unix time."""
        totals = {key: sum(parts.values()) for key, parts in self._gauges.items()}
        totals |= _starving(totals)
        totals |= self._counts
        values, self._values = self._values, defaultdict(list)
        self._counts.clear()
        lines: list[str] = []
        for where in sorted({key[1:] for key in (*totals, *values)}):
            parts: list[dict[str, float | list[float]]] = [
                {key.name: total for key, total in totals.items() if key[1:] == where}
            ]
            for key in (key for key in values if key[1:] == where):
                for place, part in enumerate(_parts(values[key])):
                    if place == len(parts):
                        parts.append({})
                    parts[place][key.name] = part
            lines += [self._line(begin, where, part) for part in parts if part]
        return lines

    def _line(
        self,
        begin: float,
        where: tuple[str, ...],
        metrics: dict[str, float | list[float]],
    ) -> str:
        dimension, value = where
        dimensions = {CLUSTER_DIMENSION: self._cluster}
        if dimension:
            dimensions[dimension] = value
        directive = {
            "Namespace": METRIC_NAMESPACE,
            "Dimensions": [list(dimensions)],
            "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in metrics],
        }
        return json.dumps(
            {
                "_aws": {
                    "Timestamp": int(begin * 1000),
                    "CloudWatchMetrics": [directive],
                },
                **dimensions,
                **metrics,
            },
            separators=(",", ":"),
        )

    def _key(self, stat: str) -> Key | None:
        name, *pairs = stat.split(",")
        tags = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        row = ROWS.get(name) or ROWS.get(f"{name}={tags.get('state')}")
        if row is None:
            return None
        if not row.dimension:
            return Key(row.name)
        if row.dimension == POOL_DIMENSION:
            return Key(row.name, POOL_DIMENSION, self._worker_pool)
        value = tags.get(TAG_OF[row.dimension], OTHERS)
        return Key(row.name, row.dimension, self._bounded(row.dimension, value))

    def _bounded(self, dimension: str, value: str) -> str:
        known = self._known[dimension]
        if len(known) < MOST_DIMENSION_VALUES:
            known.add(value)
        return value if value in known else OTHERS


def _starving(totals: dict[Key, float]) -> dict[Key, float]:
    """Return the number of pools that starve, if anything is known of pools."""
    pools = {key.value for key in totals if key.name == OPEN_SLOTS}
    if not pools:
        return {}
    starving = sum(
        totals[Key(OPEN_SLOTS, SLOT_POOL_DIMENSION, pool)] <= 0
        and totals.get(Key(SCHEDULED_SLOTS, SLOT_POOL_DIMENSION, pool), 0) > 0
        for pool in pools
    )
    return {Key(STARVING_POOLS): float(starving)}


def _parts(values: list[float]) -> Iterator[list[float]]:
    for start in range(0, len(values), VALUES_PER_LINE):
        yield [round(value, 3) for value in values[start : start + VALUES_PER_LINE]]
