"""A DAG bundle that cannot be refreshed: an alarm tells, the other bundle goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from acceptance.check import CheckFailed, Pending, until
from fargate_runtime.contract import (
    CLUSTER_DIMENSION,
    METRIC_NAMESPACE,
    RELEASE_POINTER,
    STALE_BUNDLES,
)
from local.ecs.metrics import Metric
from local.environment import LocalEnvironment

BUNDLE = "releases"
POINTER = f"{BUNDLE}/{RELEASE_POINTER}"

ALARM = "/BundlesStale"
ALARM_SECONDS = 300.0
"""What an operator is promised."""

FRESH_SECONDS = 60.0
"""Until the bundle is refreshed and the autoscaler has seen it."""


def told(environment: LocalEnvironment) -> str:
    """Write a pointer that is no JSON; see the alarm, and its end when it is gone."""
    remedy = environment.logs("autoscaler", "dag-processor")
    started = time.time()
    with _broken_pointer(environment):
        until(
            "the alarm on the bundle",
            lambda: _state(environment) == "ALARM" or Pending(_state(environment)),
            seconds=ALARM_SECONDS,
            remedy=remedy,
        )
        seconds = time.time() - started
    if (most := max(_published(environment, started))) != 1:
        raise CheckFailed(f"{most:.0f} bundles were stale, not {BUNDLE} alone.", remedy)

    def look() -> bool | Pending:
        last = _published(environment, started)[-1]
        return last == 0 or Pending(f"{last:.0f} bundles")

    until("the bundle to be refreshed", look, seconds=FRESH_SECONDS, remedy=remedy)
    return f"alarm {seconds:.0f} s after the pointer broke; the other bundle was fresh"


@contextmanager
def _broken_pointer(environment: LocalEnvironment) -> Iterator[None]:
    bucket, s3 = environment.outputs["ReleaseBucketName"], environment.client("s3")
    before = _content(s3, bucket)
    s3.put_object(Bucket=bucket, Key=POINTER, Body=b"no JSON")
    try:
        yield
    finally:
        if before is None:
            s3.delete_object(Bucket=bucket, Key=POINTER)
        else:
            s3.put_object(Bucket=bucket, Key=POINTER, Body=before)


def _content(s3: Any, bucket: str) -> bytes | None:
    try:
        content: bytes = s3.get_object(Bucket=bucket, Key=POINTER)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    return content


def _state(environment: LocalEnvironment) -> str:
    states = environment.agent.autoscaler.states()
    return next((states[name] for name in states if name.endswith(ALARM)), "no alarm")


def _published(environment: LocalEnvironment, since: float) -> list[float]:
    cluster = environment.outputs["ClusterName"]
    key = Metric(
        METRIC_NAMESPACE, STALE_BUNDLES, frozenset({CLUSTER_DIMENSION: cluster}.items())
    )
    data = environment.agent.autoscaler.metrics.data(key)
    return [point.total for point in data if point.at >= since]
