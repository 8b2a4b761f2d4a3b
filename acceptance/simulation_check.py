"""What the simulation says the pool would have done with the tasks that were run.

It is another program, for the rehearsal may not import it: it gets the tasks as their
real history, and how long workers took to start, and answers as JSON.
"""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acceptance.check import NotProven
from acceptance.containers import running
from acceptance.store_probe import rows
from local.environment import Stage

SECONDS = 60.0

TRACE = Path("scaling/trace.csv")
"""In the folder of the stage."""

SAME_SECONDS = 45.0
SAME_SHARE = 0.25
SAME_WORKERS = 1
"""How far what was seen may be from what was foreseen. The seconds are three rounds of
the autoscaler, the delay of an alarm and what a busy machine adds. Worker-seconds may differ
by the share and by those seconds of one worker: where the long tasks fall is chance,
and they keep one worker to their end, or two."""

HISTORY = """
SELECT ti.dag_id, ti.task_id, ti.run_id, ti.queue, dr.run_type,
       extract(epoch FROM ti.queued_dttm)::float8,
       extract(epoch FROM ti.start_date)::float8,
       extract(epoch FROM ti.end_date)::float8,
       ti.hostname, ti.state, ti.try_number
FROM task_instance ti JOIN dag_run dr USING (dag_id, run_id)
WHERE ti.dag_id = %s AND ti.run_id = %s
"""
COLUMNS = ("dag_id", "task_id", "run_id", "queue", "run_type")
TIMES = ("queued", "started", "ended")


@dataclass(frozen=True)
class Ran:
    """One task instance, as the metadata database has it; Unix times."""

    words: tuple[str, ...]
    queued: float
    started: float
    ended: float
    host: str
    state: str
    tries: int


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a pool did, really or in the simulation; Unix times."""

    peak: int
    """The most workers that were desired."""
    workers: int
    worker_seconds: float
    first_order: float
    """When the autoscaler first asked for workers."""
    at_rest: float
    """When no worker was desired any more; infinite for never."""

    @classmethod
    def of(cls, foreseen: Mapping[str, Any]) -> Seen:
        """Read a prediction."""
        orders = [at for at, value in foreseen["deficit"] if value]
        return cls(
            peak=foreseen["peak"],
            workers=foreseen["workers"],
            worker_seconds=foreseen["worker_seconds"],
            first_order=orders[0] if orders else math.inf,
            at_rest=foreseen["at_rest"] or math.inf,
        )


@dataclass(frozen=True)
class Compared:
    """A number twice, and how far the two may be apart."""

    name: str
    seen: float
    foreseen: float
    margin: float

    @property
    def is_alike(self) -> bool:
        """Whether they are near enough."""
        return abs(self.seen - self.foreseen) <= self.margin

    def __str__(self) -> str:
        """Return it for the table."""
        margin = f" (+-{self.margin:.0f})" if self.margin else ""
        return f"{self.name} {self.seen:.0f}, foreseen {self.foreseen:.0f}{margin}"


def compare(seen: Seen, foreseen: Seen, begun: float) -> list[Compared]:
    """Hold what was seen against what was foreseen; the run began at ``begun``."""
    pairs = (
        ("most workers", "peak", 0.0, 0.0),
        ("workers", "workers", 0.0, SAME_WORKERS),
        (
            *("worker-seconds", "worker_seconds", 0.0),
            SAME_SHARE * foreseen.worker_seconds + SAME_SECONDS,
        ),
        ("first order after", "first_order", begun, SAME_SECONDS),
        ("asleep after", "at_rest", begun, SAME_SECONDS),
    )
    return [
        Compared(
            title, getattr(seen, name) - since, getattr(foreseen, name) - since, margin
        )
        for title, name, since, margin in pairs
    ]


def history(stage: Stage, dag_id: str, run_id: str) -> list[Ran]:
    """Return every task instance of a run that is over."""
    scheduler = running(stage, "scheduler")[0]
    found = rows(scheduler.environment, HISTORY, dag_id, run_id)
    return [
        Ran(tuple(map(str, words)), queued, started, ended, host, state, tries)
        for *words, queued, started, ended, host, state, tries in found
    ]


def predict(
    stage: Stage, ran: Sequence[Ran], options: Mapping[str, object]
) -> dict[str, Any]:
    """Return what the simulation sees of the pool. Raises NotProven."""
    trace = stage.folder / TRACE
    _write(trace, ran)
    template = stage.folder / "dist" / "scaling.template.json"
    command = [sys.executable, "-m", "simulation.trace", trace, "--json"]
    command += ["--template", template]
    for name, value in options.items():
        command += [f"--{name}", value]
    asked = subprocess.run(  # noqa: S603 - our own program
        [str(word) for word in command],
        cwd=stage.project,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if asked.returncode:
        raise NotProven(
            f"The simulation does not take the trace: {asked.stderr.strip()}",
            f"The trace is {trace}.",
        )
    answer: dict[str, Any] = json.loads(asked.stdout)
    (pool,) = answer["pools"].values()
    return {**answer, **pool}


def _write(path: Path, ran: Sequence[Ran]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*COLUMNS, *TIMES))
        writer.writerows(
            (*one.words, one.queued, one.started, one.ended) for one in ran
        )
