"""Log lines in the embedded metric format, as the local CloudWatch reads them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fargate_runtime.airflow_metrics.aggregate import Aggregate
from local.ecs import embedded_metrics
from local.ecs.logs import LogShipper, LogStream
from local.ecs.metrics import Metric, MetricStore

BEGIN = 1_800_000_000.0


def test_a_line_publishes_what_was_measured() -> None:
    aggregate = Aggregate("airflow", "default")
    aggregate.count("ti.finish,state=failed", 3)
    aggregate.time("task.duration", 1.5)
    aggregate.time("task.duration", 4.5)
    store = MetricStore()
    for metric, datum in embedded_metrics.read(aggregate.lines(BEGIN)):
        store.put(metric, datum)

    def statistic(name: str, of: str) -> float | None:
        where = frozenset({("ClusterName", "airflow"), ("Pool", "default")})
        return store.statistic(Metric("AirflowOnFargate", name, where), of, BEGIN, 60)

    assert statistic("TasksFailed", "Sum") == 3
    assert statistic("TaskSeconds", "Average") == 3
    assert statistic("TaskSeconds", "SampleCount") == 2


EVENT = {
    "_aws": {
        "Timestamp": BEGIN * 1000,
        "CloudWatchMetrics": [
            {"Namespace": "N", "Dimensions": [[]], "Metrics": [{"Name": "m"}]}
        ],
    },
    "m": 1,
}


@pytest.mark.parametrize(
    "line",
    [
        "a line of a log",
        'a line with "CloudWatchMetrics"',
        '["CloudWatchMetrics"]',
        json.dumps({**EVENT, "m": "many"}),
        json.dumps({**EVENT, "m": list(range(101))}),
        json.dumps({"_aws": {"CloudWatchMetrics": []}}),
    ],
)
def test_other_lines_publish_nothing(line: str) -> None:
    assert [*embedded_metrics.read([json.dumps(EVENT), line])] == [
        *embedded_metrics.read([json.dumps(EVENT)])
    ]


def test_delivered_logs_publish_their_metrics(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"begin\n{json.dumps(EVENT)}\n")
    store, lines = MetricStore(), Lines()
    shipper = LogShipper(lines, print, store)
    shipper.ship(LogStream(tmp_path / "log", "group", "stream"))
    shipper.close()
    assert len(lines.written) == 2
    assert len(store.data(Metric("N", "m", frozenset()))) == 1


class Lines:
    """A log group."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, group: str, stream: str, lines: list[str]) -> None:  # noqa: ARG002
        """Keep the lines."""
        self.written += lines
