"""The loop: a round every ten seconds while this autoscaler is the leader.

The wall clock tells only when to begin, because CloudWatch's periods follow it. The
monotonic clock, which never jumps, measures durations.
"""

from __future__ import annotations

import time
from threading import Event

from fargate_runtime.autoscaler.decide import PHASE_SECONDS
from fargate_runtime.autoscaler.leader import TRY_SECONDS, Leader
from fargate_runtime.autoscaler.log import Log
from fargate_runtime.autoscaler.reconciler import Reconciler, StaleRoundError
from fargate_runtime.contract import ROUND_SECONDS

KEEP_ALIVE_SECONDS = 1.0
"""How often an idle leader sends a statement to keep its session."""

CLOSEST_SECONDS = ROUND_SECONDS / 2
FARTHEST_SECONDS = 1.5 * ROUND_SECONDS
"""Between the beginnings of two rounds, whatever the wall clock does."""


def pause(wall: float, since: float) -> float:
    """Return how long to wait for the next round.

    ``wall`` is the Unix time, ``since`` how long ago the last round began, in seconds.
    """
    left = (PHASE_SECONDS - wall) % ROUND_SECONDS
    if since + left < CLOSEST_SECONDS:
        left += ROUND_SECONDS
    return max(0.0, min(left, FARTHEST_SECONDS - since))


def run(leader: Leader, reconciler: Reconciler, log: Log, stop: Event) -> None:
    """Run rounds as the leader, or stand by, until ``stop`` is set."""
    began = time.monotonic() - CLOSEST_SECONDS
    was_leader = False
    while not stop.is_set():
        if not leader.is_leader():
            was_leader = False
            stop.wait(TRY_SECONDS)
            continue
        if not was_leader:
            reconciler.reset()
            was_leader = True
        left = pause(time.time(), time.monotonic() - began)
        if left > 0:
            stop.wait(min(left, KEEP_ALIVE_SECONDS))
            if left > KEEP_ALIVE_SECONDS:
                continue
        began = time.monotonic()
        try:
            reconciler.reconcile(leader.is_leader)
        except StaleRoundError:
            log("Round took too long or lost leadership; nothing published.")
    leader.resign()
