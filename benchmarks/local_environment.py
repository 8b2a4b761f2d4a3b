"""Time until a local environment is up and has passed its checks, and its memory.

``verify dev --local`` without faults and scaling. Everything is installed and
``dist/`` built before the clock starts. The limits are those of two cores
that do nothing else.
"""

from __future__ import annotations

import sys
import time

from acceptance import suites
from acceptance.check import Outcome
from acceptance.checks import first_run
from acceptance.local_checks.start_up import RUNTIME_SECONDS, start_up_costs
from acceptance.report import LIMITS, MEBIBYTES
from benchmarks.figures import ROOT, Figure, spent
from cli import product
from deploy.dist import Dist
from local.airflow_environment import airflow_environment
from local.datastores.venvs import installed
from local.environment import LocalEnvironment

ENVIRONMENT = "dev"
MILLISECONDS = 1000


def measure() -> list[Figure]:
    """Bring the environment up, run its checks once, and return what that took."""
    product.build_if_changed(ENVIRONMENT)
    installed("datastores")
    python = str(airflow_environment().python)
    floor = min(
        # The first of two may have to read everything from the disk.
        spent((python, "-m", "airflow", "version"), cwd=ROOT).wall
        for _ in range(2)
    )
    started = time.monotonic()
    selected = suites.select(has_faults=False, has_scaling=False)
    launched = Dist.read(ROOT / "dist").environment(ENVIRONMENT)
    environment = LocalEnvironment(
        ROOT,
        ENVIRONMENT,
        overrides=selected.overrides(launched),
        dags=selected.dags,
        begun_at=started,
    )
    with environment:
        phases = dict(environment.seconds)
        results, ends = selected.run(environment, lambda _line: None, started)
        slowest = max(cost.cpu for cost in start_up_costs(environment).values())
        peak = environment.peak_mebibytes
    for result in results:
        if result.outcome is Outcome.FAILED:
            sys.stderr.write(f"{result}\n")
    (first,) = (
        result.seconds for result in results if result.title == suites.FIRST_RUN
    )
    return [
        *(
            Figure(
                what=f"{ENVIRONMENT}, from the command to: {phase}",
                seconds=seconds,
                limit=LIMITS.get(phase),
                floor=floor,
                floor_is="`airflow version`: loading Airflow once",
            )
            for phase, seconds in (phases | ends).items()
        ),
        Figure(
            what="First DAG run from then on",
            seconds=first,
            limit=first_run.MAXIMUM_SECONDS,
            floor=floor,
            floor_is="as above",
        ),
        Figure(
            what="The runtime's part of a container's start, milliseconds of CPU",
            seconds=slowest * MILLISECONDS,
            limit=RUNTIME_SECONDS * MILLISECONDS,
            floor=floor * MILLISECONDS,
            floor_is="as above",
        ),
        Figure(
            what="Memory of all processes, peak, MiB", seconds=peak, limit=MEBIBYTES
        ),
    ]
