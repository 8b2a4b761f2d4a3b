"""How long an environment takes to come up on this machine, and to be proven.

A rehearsal of ``dev`` without faults and scaling. Everything is installed and
``dist/`` built before the clock starts. The limits are those of a machine with two
cores that does nothing else.
"""

from __future__ import annotations

import sys
import time

from acceptance import check
from acceptance.checks import FIRST_RUN, CHECKS
from acceptance.checks.start import FIRST_RUN_SECONDS, RUNTIME_SECONDS, start_up_costs
from acceptance.report import LIMITS, MEBIBYTES, PROVEN
from acceptance.suites import overrides, parts
from benchmarks.figures import ROOT, Figure, spent
from cli import product
from deploy.dist import Dist
from local.airflow_environment import airflow_environment
from local.datastores.venvs import installed
from local.environment import LocalEnvironment

ENVIRONMENT = "dev"
MILLISECONDS = 1000


def measure() -> list[Figure]:
    """Bring the environment up, prove it once, and return what that took."""
    product.build_if_changed()
    installed("datastores")
    python = str(airflow_environment().python)
    floor = min(
        # The first of two may have to read everything from the disk.
        spent((python, "-m", "airflow", "version"), cwd=ROOT).wall
        for _ in range(2)
    )
    begun_at = time.monotonic()
    environment = LocalEnvironment(
        ROOT,
        ENVIRONMENT,
        overrides=overrides(Dist.read(ROOT / "dist").environment(ENVIRONMENT)),
        dags=parts(has_faults=False, has_scaling=False).dags,
        begun_at=begun_at,
    )
    with environment:
        ends = dict(environment.seconds)
        results = check.run(environment, CHECKS, lambda _line: None)
        ends[PROVEN] = time.monotonic() - begun_at
        slowest = max(cost.worked for cost in start_up_costs(environment).values())
        peak = environment.peak_mebibytes
    for failed in (result for result in results if not result.passed):
        sys.stderr.write(f"{check.line(failed)}\n")
    (first,) = (result.seconds for result in results if result.title == FIRST_RUN)
    return [
        *(
            Figure(
                what=f"{ENVIRONMENT}, from the command to: {phase}",
                seconds=seconds,
                limit=LIMITS.get(phase),
                floor=floor,
                floor_is="`airflow version`: loading Airflow once",
            )
            for phase, seconds in ends.items()
        ),
        Figure(
            what="First DAG run from then on",
            seconds=first,
            limit=FIRST_RUN_SECONDS,
            floor=floor,
            floor_is="as above",
        ),
        Figure(
            what="Our part of a container's start, milliseconds of CPU",
            seconds=slowest * MILLISECONDS,
            limit=RUNTIME_SECONDS * MILLISECONDS,
            floor=floor * MILLISECONDS,
            floor_is="as above",
        ),
        Figure(
            what="Memory of all processes at most, MiB", seconds=peak, limit=MEBIBYTES
        ),
    ]
