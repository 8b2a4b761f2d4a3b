"""DAG bundles that the DAG processor cannot refresh.

Airflow's DAG processor logs a refresh that fails and goes on with the files that it
has, so nothing else tells that new DAG files no longer arrive. It records the time of
each refresh that succeeds, whatever the class of the bundle; the age of the last one is
the symptom of every cause: access denied, a bucket that is gone, a network without a
route, an object whose key is also the folder of another, or a DAG processor that hangs.
"""

from __future__ import annotations

from collections.abc import Iterable

from fargate_runtime.autoscaler.queries import BundleRefresh
from fargate_runtime.contract import STALE_BUNDLE_SECONDS


def stale_bundles(bundles: Iterable[BundleRefresh]) -> list[str]:
    """Return a sentence on each bundle without a refresh for too long, by name."""
    return [
        f"DAG bundle {bundle.name!r} {_since(bundle.age)}: new DAG files do not "
        "arrive. The log of the DAG processor has the reason: "
        f"'Error refreshing bundle {bundle.name}' or 'Error initializing "
        f"bundle {bundle.name}'."
        for bundle in sorted(bundles)
        if bundle.age is None or bundle.age > STALE_BUNDLE_SECONDS
    ]


def _since(age: float | None) -> str:
    if age is None:
        return "was never refreshed"
    return f"was not refreshed for more than {STALE_BUNDLE_SECONDS} s"
