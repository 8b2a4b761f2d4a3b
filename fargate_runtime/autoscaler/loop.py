"""When to do what: a round every ten seconds while this autoscaler leads.

The wall clock says only when to begin, because CloudWatch's periods follow it. How
long anything took is told by the monotonic clock, which no jump moves.
"""

from __future__ import annotations

import time
from threading import Event

from fargate_runtime.autoscaler.decide import PHASE_SECONDS, ROUND_SECONDS
from fargate_runtime.autoscaler.leader import TRY_SECONDS, Leader
from fargate_runtime.autoscaler.log import Say
from fargate_runtime.autoscaler.reconciler import Rounds, StaleError

SPEAK_SECONDS = 1.0
"""How often a leader at rest tells the database that it lives."""

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


def run(leader: Leader, rounds: Rounds, tell: Say, stop: Event) -> None:
    """Lead, or wait for it, until ``stop`` is set."""
    began = time.monotonic() - CLOSEST_SECONDS
    led = False
    while not stop.is_set():
        if not leader.leads():
            led = False
            stop.wait(TRY_SECONDS)
            continue
        if not led:
            rounds.forget()
            led = True
        left = pause(time.time(), time.monotonic() - began)
        if left > 0:
            stop.wait(min(left, SPEAK_SECONDS))
            if left > SPEAK_SECONDS:
                continue
        began = time.monotonic()
        try:
            rounds.round(leader.leads)
        except StaleError:
            tell("a round took too long or lost the lead; it published nothing")
    leader.resign()
