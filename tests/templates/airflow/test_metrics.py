"""What the autoscaler publishes is what alarms, policies and dashboard read."""

from __future__ import annotations

from fargate_runtime.autoscaler import metrics as published
from templates.airflow import metrics


def test_the_autoscaler_and_the_alarms_use_the_same_words() -> None:
    # The wall keeps the two from importing each other, so the words stand twice.
    shared = [name for name in vars(published) if name.isupper()]
    assert len(shared) >= 10
    for name in shared:
        assert getattr(published, name) == getattr(metrics, name), name
    for name in (*metrics.OF_A_POOL, *metrics.OF_ALL_POOLS):
        assert name in vars(published).values(), f"nobody publishes {name}"
