"""The options by which Airflow measures, and what it passes on."""

from __future__ import annotations

import re

from fargate_runtime.contract import AIRFLOW_METRICS

TAGS = ("queue", "pool_name", "state", "dag_id", "task_id")
"""Tags that are passed on: the dimensions, and what tells apart two gauges that are
added up to one metric."""

NAMES = sorted({stat.partition("=")[0] for _, stat, _, _ in AIRFLOW_METRICS})

METRICS_OPTIONS = {
    "metrics.statsd_on": "True",
    "metrics.statsd_custom_client_path": (
        "fargate_runtime.airflow_metrics.client.MetricsClient"
    ),
    # The only way in which Airflow passes tags to such a client: behind the name.
    "metrics.statsd_influxdb_enabled": "True",
    "metrics.stat_name_handler": "fargate_runtime.airflow_metrics.client.unchecked",
    # Airflow splits both lists at commas and searches for each as an expression.
    "metrics.statsd_disabled_tags": f"^(?!({'|'.join(TAGS)})$)",
    "metrics.metrics_allow_list": f"^({'|'.join(map(re.escape, NAMES))})(?![\\w.])",
    # Without it each metric would be sent twice, by its old name too.
    "metrics.legacy_names_on": "False",
}
"""Option -> value. Operators may replace them, as all options."""
