"""The service scheduler of ECS: launch, stop, deploy, refuse protection."""

from __future__ import annotations

import math
from random import Random

from simulation.pool import SimPool, SimWorker

MINIMUM_HEALTHY_PERCENT, MAXIMUM_PERCENT = 100, 200
"""Deployment configuration of the workers' service; a test holds it to the template."""


def refuses_protection(pool: SimPool) -> bool:
    """Return whether every call to protect fails: DEPLOYMENT_BLOCKED."""
    if len(pool.workers) <= pool.desired:
        return False
    return sum(worker.protected for worker in pool.workers) >= pool.desired


def reconcile(pool: SimPool, random: Random) -> tuple[int, list[SimWorker]]:
    """Return how many workers to launch now, and which to stop."""
    old = pool.outdated
    if old:
        return _deploy(pool, old)
    surplus = len(pool.workers) - pool.desired
    if surplus <= 0:
        return -surplus, []
    free = [worker for worker in pool.workers if not worker.protected]
    return 0, random.sample(free, min(surplus, len(free)))


def _deploy(pool: SimPool, old: list[SimWorker]) -> tuple[int, list[SimWorker]]:
    """Launch new workers within the maximum; stop old ones while enough are healthy."""
    most = pool.desired * MAXIMUM_PERCENT // 100
    missing = pool.desired - (len(pool.workers) - len(old))
    least = math.ceil(pool.desired * MINIMUM_HEALTHY_PERCENT / 100)
    spare = max(0, sum(worker.booted for worker in pool.workers) - least)
    stop = [worker for worker in old if not worker.booted]
    stop += [worker for worker in old if worker.booted and not worker.protected][:spare]
    return max(0, min(missing, most - len(pool.workers))), stop
