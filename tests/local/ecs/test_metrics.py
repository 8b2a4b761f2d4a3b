"""Published metrics, as alarms read them."""

from __future__ import annotations

from typing import Any

import pytest

from local.ecs.metrics import KEPT_SECONDS, Datum, Metric, MetricStore
from local.ecs.put_metric_data import UnreadableMetricsError, read

POOL = {"Name": "Pool", "Value": "default"}
CLUSTER = {"Name": "ClusterName", "Value": "airflow"}
DEFICIT = Metric.of({"MetricName": "Deficit", "Dimensions": [POOL, CLUSTER]}, "Own")


def published(**changes: Any) -> list[tuple[Metric, Datum]]:
    datum = {"MetricName": "Deficit", "Dimensions": [CLUSTER, POOL], **changes}
    return read({"Namespace": "Own", "MetricData": [datum]}, now=1006.7)


def test_dimensions_identify_a_metric() -> None:
    (result,) = published(Value=2.0)
    assert result[0] == DEFICIT
    other = Metric.of({"MetricName": "Deficit", "Dimensions": [POOL]}, "Own")
    assert result[0] != other


def test_times_are_cut_to_the_resolution() -> None:
    assert published(Value=2.0)[0][1].at == 960
    assert published(Value=2.0, StorageResolution=1)[0][1].at == 1006
    assert published(Value=2.0, StorageResolution=1, Timestamp=1234.9)[0][1].at == 1234


def test_statistics_of_a_period() -> None:
    metrics = MetricStore()
    for at, value in ((999, 9.0), (1000, 1.0), (1006, 4.0), (1010, 7.0)):
        metrics.put(DEFICIT, Datum.of(value, at))
    statistics = {
        statistic: metrics.statistic(DEFICIT, statistic, 1000, 10)
        for statistic in ("Average", "Maximum", "Minimum", "SampleCount", "Sum")
    }
    assert statistics == {
        "Average": 2.5,
        "Maximum": 4.0,
        "Minimum": 1.0,
        "SampleCount": 2.0,
        "Sum": 5.0,
    }
    assert metrics.statistic(DEFICIT, "Sum", 1020, 10) is None


def test_short_periods_do_not_see_standard_resolution() -> None:
    # Without StorageResolution 1 nothing would ever scale on AWS.
    metrics = MetricStore()
    for metric, datum in published(Value=2.0):
        metrics.put(metric, datum)
    assert metrics.statistic(DEFICIT, "Maximum", 960, 10) is None
    assert metrics.statistic(DEFICIT, "Maximum", 960, 60) == 2.0


def test_values_with_counts_and_sets_of_statistics() -> None:
    metrics = MetricStore()
    several = [
        *published(Values=[1.0, 5.0], Counts=[3.0, 1.0], StorageResolution=1),
        *published(
            StatisticValues={"SampleCount": 2, "Sum": 4, "Minimum": 0, "Maximum": 4},
            StorageResolution=1,
        ),
    ]
    for metric, datum in several:
        metrics.put(metric, datum)
    assert metrics.statistic(DEFICIT, "Sum", 1000, 10) == 12
    assert metrics.statistic(DEFICIT, "SampleCount", 1000, 10) == 6
    assert metrics.statistic(DEFICIT, "Minimum", 1000, 10) == 0
    assert metrics.statistic(DEFICIT, "Maximum", 1000, 10) == 5


def test_old_data_is_dropped() -> None:
    metrics = MetricStore()
    metrics.put(DEFICIT, Datum.of(1.0, 0))
    metrics.put(DEFICIT, Datum.of(1.0, KEPT_SECONDS + 1))
    assert [datum.at for datum in metrics.data(DEFICIT)] == [KEPT_SECONDS + 1]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Namespace": "Own", "MetricData": [{"Value": 1.0}]},
        {"Namespace": "Own", "MetricData": [{"MetricName": "a"}]},
        {"Namespace": "Own", "MetricData": [{"MetricName": "a", "Value": "x"}]},
        # The query protocol, which no client here uses.
        {"Namespace": "Own", "MetricData.member.1.MetricName": "a"},
    ],
)
def test_unreadable_request_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(UnreadableMetricsError, match="PutMetricData"):
        read(body, now=0)
