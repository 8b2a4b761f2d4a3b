"""Many short tasks at once, and a few that run until a file is made."""

from __future__ import annotations

import time
from pathlib import Path

from airflow.sdk import dag, get_current_context, task

QUEUE = "spot"
BURST = 200
FEW = 2
PATIENCE_SECONDS = 900.0


@task(retries=0, queue=QUEUE)
def work(number: int) -> None:
    """Return at once; the first few wait for the file that the run names."""
    conf = get_current_context()["dag_run"].conf or {}
    if number >= FEW:
        return
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not Path(conf["end"]).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{conf['end']} was not made")
        time.sleep(0.5)


@dag(schedule=None, is_paused_upon_creation=False, max_active_tasks=1000)
def scaling_burst() -> None:
    """Run all at once."""
    work.expand(number=list(range(BURST)))


@dag(schedule=None, is_paused_upon_creation=False)
def scaling_few() -> None:
    """Run those that wait, and no other."""
    work.expand(number=list(range(FEW)))


scaling_burst()
scaling_few()
