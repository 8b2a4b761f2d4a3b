"""A store that goes away under running tasks and comes back.

Tasks wait in the workers as it goes. While it is away they are told to end: their
success has to be told, and what follows to be queued, to a store that is not there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from acceptance.check import Proof
from acceptance.faults import components
from acceptance.faults.load import Run
from local.environment import Stage

WIDTH = 6

AWAY_SECONDS = 8.0
"""Long enough for every client to notice, and to try in vain."""

NOTICED_SECONDS = 1.0
"""Then tasks begin to end, with nobody to tell."""


def outage(
    stage: Stage,
    *,
    stop: Callable[[Stage], object],
    restart: Callable[[Stage], object],
) -> str:
    """Stop a store, let the tasks end meanwhile, start it again."""
    run = Run.begin(stage, width=WIDTH)
    try:
        stop(stage)
        time.sleep(NOTICED_SECONDS)
        run.go()
        time.sleep(AWAY_SECONDS - NOTICED_SECONDS)
    finally:
        restart(stage)
    seconds = components.wait_until_well(stage)
    run.finish()
    return (
        f"away for {AWAY_SECONDS:.0f} s, all healthy {seconds:.0f} s later; "
        f"{2 * WIDTH + 3} tasks succeeded, each once and at the first try"
    )


def proofs() -> tuple[Proof, ...]:
    """Return the lines of this page, in their order."""
    postgres = partial(
        outage,
        stop=lambda stage: stage.postgres.stop(),
        restart=lambda stage: stage.postgres.restart(),
    )
    valkey = partial(
        outage,
        stop=lambda stage: stage.valkey.stop(),
        restart=lambda stage: stage.valkey.restart(),
    )
    return (
        Proof("PostgreSQL stopped and started under tasks", postgres),
        Proof("Valkey stopped and started under tasks", valkey),
    )
