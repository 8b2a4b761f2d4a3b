"""Reconciler of the real loop against a full database: ``python -m benchmarks.rounds``.

Runs in Airflow's virtual environment with the autoscaler's variables. The
database is real; the clients of the broker and of AWS are loaded and made as in the
process, but 500 workers and 50 services answer from memory.

Prints milliseconds of processor time, of this process and of the server's together,
for the statements of a round and for as many that ask nothing, for each statement, for
the round's own work; and the megabytes that the process took at most.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from fargate_runtime.autoscaler import queries
from fargate_runtime.autoscaler.__main__ import prepare
from fargate_runtime.autoscaler.database import DatabaseSession, Row
from fargate_runtime.autoscaler.remote_control import WorkerReplies
from fargate_runtime.autoscaler.services import PoolService
from fargate_runtime.env import autoscaler_login
from fargate_runtime.scaling_protocol import WorkerReport, WorkerState

ROUNDS = 8
"""As many as it takes until every DAG is known: each reads the most a round ever does.
"""
REPEATS = 10
POOLS, WORKERS = 50, 500


class Counted:
    """The database, with the processor time that its statements take."""

    def __init__(self, database: DatabaseSession) -> None:
        self._database = database
        ((pid,),) = database.rows("SELECT pg_backend_pid()")
        # Nanoseconds on a processor come first.
        self._server = Path(f"/proc/{pid}/schedstat")
        self.seconds = 0.0
        self.statements = 0

    def rows(self, statement: str, values: Sequence[object] = ()) -> list[Row]:
        """Return what a statement finds, and note how long it took."""
        began = self._time()
        fetched = self._database.rows(statement, values)
        self.seconds += self._time() - began
        self.statements += 1
        return fetched

    def milliseconds(self, statement: str, values: Sequence[object]) -> float:
        """Return the median time of a statement."""
        taken = []
        for _ in range(REPEATS):
            before = self.seconds
            self.rows(statement, values)
            taken.append(1000 * (self.seconds - before))
        return median(taken)

    def _time(self) -> float:
        server = int(self._server.read_text().split()[0])
        return time.process_time() + server / 1e9


class Answering:
    """Workers, services and CloudWatch that answer at once."""

    def reports(self, _: int) -> WorkerReplies:
        """Return what every worker would say."""
        return WorkerReplies(
            [
                (
                    f"celery@{number}",
                    WorkerReport(
                        pool=f"queue_{number % POOLS}",
                        task=f"{number:032x}",
                        host=f"10.0.{number % POOLS}.1",
                        state=WorkerState.READY,
                        running=0,
                        since=0.0,
                    ),
                )
                for number in range(WORKERS)
            ],
            [],
        )

    def pools(self, _: object) -> tuple[dict[str, PoolService], list[str]]:
        """Return what ECS would say."""
        each = WORKERS // POOLS
        service = PoolService(
            desired=each, running=each, pending=0, deployment="ecs-svc/1"
        )
        return {f"queue_{number}": service for number in range(POOLS)}, []

    def deployments(self, tasks: Iterable[str]) -> dict[str, str]:
        """Return the only deployment for each task."""
        return dict.fromkeys(tasks, "ecs-svc/1")

    def send(self, *_: object) -> None:
        """Take a command."""

    def put_metric_data(self, **_: object) -> None:
        """Take the numbers."""


def main() -> None:
    """Measure."""
    _, reconciler = prepare(os.environ)
    database = Counted(DatabaseSession(autoscaler_login(os.environ)))
    answering: Any = Answering()
    reconciler.clients = replace(
        reconciler.clients,
        database=database,
        workers=answering,
        services=answering,
        cloudwatch=answering,
    )
    lines: list[str] = []
    reconciler.log = lines.append
    query_seconds, floors, own = [], [], []
    for _ in range(ROUNDS):
        database.seconds, database.statements = 0.0, 0
        began = time.process_time()
        reconciler.reconcile(lambda: True)
        own.append(time.process_time() - began)
        query_seconds.append(database.seconds)
        count, database.seconds = database.statements, 0.0
        for _ in range(count):
            database.rows("SELECT 1")
        floors.append(database.seconds)
    dags = [f"dag_{number}" for number in range(25)]
    each = {
        name: database.milliseconds(statement, values)
        for name, statement, values in (
            ("queued", queries.QUEUED, ("default",)),
            ("running", queries.RUNNING, ("default",)),
            ("waiting", queries.UNSCHEDULED, ()),
            ("under way", queries.ACTIVE, ()),
            ("announced", queries.ANNOUNCED, ()),
            ("structures", queries.STRUCTURES, ("default", dags)),
            ("history", queries.HISTORY, (dags,)),
        )
    }
    if not reconciler.memories:
        sys.exit("no round came to a decision: " + "; ".join(lines))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    sys.stdout.write(
        json.dumps(
            {
                "statements": 1000 * median(query_seconds),
                "floor": 1000 * median(floors),
                "round": 1000 * median(own),
                "megabytes": peak,
                "each": each,
            }
        )
    )


if __name__ == "__main__":
    main()
