"""DAG bundles that the DAG processor cannot refresh.

Airflow's DAG processor logs a refresh that fails and goes on with the files that it
has, so nothing else tells that new DAG files no longer arrive. It records the time of
each refresh that succeeds, whatever the class of the bundle; the age of the last one is
the symptom of every cause: access denied, a bucket that is gone, a network without a
route, an object whose key is also the folder of another, or a DAG processor that hangs.
"""

from __future__ import annotations

from collections.abc import Sequence

from fargate_runtime.autoscaler.queries import BundleRefresh
from fargate_runtime.contract import STALE_BUNDLE_SECONDS


class BundleWatch:
    """Tells which bundles are stale; remembers since when it knows of each."""

    def __init__(self) -> None:
        self._known: dict[str, float] = {}

    def stale(self, now: float, bundles: Sequence[BundleRefresh]) -> list[str]:
        """Return a sentence on each bundle without a refresh for too long, by name.

        ``now`` is in seconds. A bundle that was never refreshed has the time to be so
        that any other has: a new one waits for those before it.
        """
        self._known = {
            bundle.name: self._known.get(bundle.name, now) for bundle in bundles
        }
        return [
            f"DAG bundle {bundle.name!r} was not refreshed for more than "
            f"{STALE_BUNDLE_SECONDS} s: new DAG files do not arrive. The log of the "
            f"DAG processor has the reason: 'Error refreshing bundle {bundle.name}' "
            f"or 'Error initializing bundle {bundle.name}'."
            for bundle in sorted(bundles)
            if self._age(bundle, now) > STALE_BUNDLE_SECONDS
        ]

    def _age(self, bundle: BundleRefresh, now: float) -> float:
        return now - self._known[bundle.name] if bundle.age is None else bundle.age
