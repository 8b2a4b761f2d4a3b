"""What the service scheduler of ECS does: launch, stop, deploy, refuse to protect."""

from __future__ import annotations

import math
from random import Random

from simulation.fleet import Fleet, Worker

MINIMUM_HEALTHY_PERCENT, MAXIMUM_PERCENT = 100, 200
"""Deployment configuration of the workers' service; a test holds it to the template."""


def refuses_protection(fleet: Fleet) -> bool:
    """Return whether every call to protect fails: DEPLOYMENT_BLOCKED."""
    if len(fleet.workers) <= fleet.desired:
        return False
    return sum(worker.protected for worker in fleet.workers) >= fleet.desired


def reconcile(fleet: Fleet, random: Random) -> tuple[int, list[Worker]]:
    """Return how many workers to launch now, and which to stop."""
    old = fleet.outdated
    if old:
        return _deploy(fleet, old)
    surplus = len(fleet.workers) - fleet.desired
    if surplus <= 0:
        return -surplus, []
    free = [worker for worker in fleet.workers if not worker.protected]
    return 0, random.sample(free, min(surplus, len(free)))


def _deploy(fleet: Fleet, old: list[Worker]) -> tuple[int, list[Worker]]:
    """Launch the new within the maximum; stop who may go while enough are healthy."""
    most = fleet.desired * MAXIMUM_PERCENT // 100
    missing = fleet.desired - (len(fleet.workers) - len(old))
    least = math.ceil(fleet.desired * MINIMUM_HEALTHY_PERCENT / 100)
    spare = max(0, sum(worker.booted for worker in fleet.workers) - least)
    stop = [worker for worker in old if not worker.booted]
    stop += [worker for worker in old if worker.booted and not worker.protected][:spare]
    return max(0, min(missing, most - len(fleet.workers))), stop
