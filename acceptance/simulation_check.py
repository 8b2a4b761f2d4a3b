"""Compares what a pool did with what the simulation predicts for the same tasks.

The simulation is another program, as acceptance may not import it: it gets the real
task history and the time that workers took to start, and answers as JSON.
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

from acceptance.check import CheckFailed
from acceptance.containers import running_containers
from acceptance.store_probe import probe
from local.environment import LocalEnvironment

SECONDS = 60.0

TRACE = Path("scaling/trace.csv")
"""In the folder of the environment."""

SAME_SECONDS = 45.0
SAME_SHARE = 0.25
SAME_WORKERS = 1
"""How far an observation may be from the prediction. The seconds are three rounds of
the autoscaler, the delay of an alarm and what a busy machine adds. Worker-seconds may
differ by the share and by those seconds of one worker: where the long tasks fall is
chance, and they hold one worker to their end, or two."""

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
class TaskRecord:
    """One task instance, as the metadata database has it; Unix times."""

    columns: tuple[str, ...]
    queued: float
    started: float
    ended: float
    host: str
    state: str
    tries: int


@dataclass(frozen=True, kw_only=True)
class PoolHistory:
    """What a pool did, observed or predicted; Unix times."""

    peak: int
    """The most workers that were desired."""
    workers: int
    worker_seconds: float
    first_deficit: float
    """When the autoscaler first published a deficit of workers."""
    at_rest: float
    """When no worker was desired any more; infinite for never."""

    @classmethod
    def of(cls, prediction: Mapping[str, Any]) -> PoolHistory:
        """Return what the simulation printed."""
        deficits = [at for at, value in prediction["deficit"] if value]
        return cls(
            peak=prediction["peak"],
            workers=prediction["workers"],
            worker_seconds=prediction["worker_seconds"],
            first_deficit=deficits[0] if deficits else math.inf,
            at_rest=prediction["at_rest"] or math.inf,
        )


@dataclass(frozen=True)
class Comparison:
    """A number as observed and as predicted, and how far the two may be apart."""

    name: str
    observed: float
    predicted: float
    margin: float

    @property
    def is_close(self) -> bool:
        """Whether they are near enough."""
        return abs(self.observed - self.predicted) <= self.margin

    def __str__(self) -> str:
        """Return it for the table."""
        margin = f" (+-{self.margin:.0f})" if self.margin else ""
        return (
            f"{self.name} {self.observed:.0f}, predicted {self.predicted:.0f}{margin}"
        )


def compare(
    observed: PoolHistory, predicted: PoolHistory, started: float
) -> list[Comparison]:
    """Compare each number; the run was started at a Unix time."""
    rows = (
        ("most workers", "peak", 0.0, 0.0),
        ("workers", "workers", 0.0, SAME_WORKERS),
        (
            *("worker-seconds", "worker_seconds", 0.0),
            SAME_SHARE * predicted.worker_seconds + SAME_SECONDS,
        ),
        ("first deficit after", "first_deficit", started, SAME_SECONDS),
        ("at rest after", "at_rest", started, SAME_SECONDS),
    )
    return [
        Comparison(
            title,
            getattr(observed, name) - since,
            getattr(predicted, name) - since,
            margin,
        )
        for title, name, since, margin in rows
    ]


def history(
    environment: LocalEnvironment, dag_id: str, run_id: str
) -> list[TaskRecord]:
    """Return every task instance of a run that is over."""
    scheduler = running_containers(environment, "scheduler")[0]
    (rows,) = probe(("rows", scheduler.environ, [HISTORY, [dag_id, run_id]]))
    return [
        TaskRecord(tuple(map(str, columns)), queued, started, ended, host, state, tries)
        for *columns, queued, started, ended, host, state, tries in rows
    ]


def predict(
    environment: LocalEnvironment,
    records: Sequence[TaskRecord],
    options: Mapping[str, object],
) -> dict[str, Any]:
    """Return what the simulation predicts for the pool. Raises CheckFailed."""
    trace = environment.folder / TRACE
    _write(trace, records)
    template = environment.folder / "dist" / "scaling.template.json"
    command = [sys.executable, "-m", "simulation.trace", trace, "--json"]
    command += ["--template", template]
    for name, value in options.items():
        command += [f"--{name}", value]
    done = subprocess.run(  # noqa: S603 - our own program
        [str(word) for word in command],
        cwd=environment.project,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        raise CheckFailed(
            f"The simulation does not take the trace: {done.stderr.strip()}",
            f"The trace is {trace}.",
        )
    prediction: dict[str, Any] = json.loads(done.stdout)
    (pool,) = prediction["pools"].values()
    return {**prediction, **pool}


def _write(path: Path, records: Sequence[TaskRecord]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((*COLUMNS, *TIMES))
        writer.writerows(
            (*record.columns, record.queued, record.started, record.ended)
            for record in records
        )
