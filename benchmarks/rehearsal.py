"""How long an environment takes to come up on this machine: a rehearsal without proofs.

Run as ``python -m benchmarks.rehearsal [ENVIRONMENT...]``, dev without one. Everything
is installed and ``dist/`` built before the clock starts. The limits are those of a
machine with two cores that does nothing else; ``make rehearse`` measures the rest.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import build
from local.airflow_environment import airflow_environment
from local.engines.programs import installed
from local.rehearsal.report import LIMITS
from local.rehearsal.stage import Stage

ROOT = Path(__file__).resolve().parents[1]


def phases(environment: str) -> Mapping[str, float]:
    """Return the end of each phase, in seconds from the beginning."""
    airflow_environment()
    installed("engines")
    with Stage(ROOT, environment, begun_at=time.monotonic()) as stage:
        return stage.seconds


def main() -> None:
    """Print a line for each phase of each environment, and how busy the machine was."""
    build.bring_up_to_date()
    for environment in sys.argv[1:] or ["dev"]:
        for phase, seconds in phases(environment).items():
            limit = f"  limit {LIMITS[phase]} s" if phase in LIMITS else ""
            sys.stdout.write(f"{seconds:6.1f} s  {environment}: {phase}{limit}\n")
        load = os.getloadavg()[0]
        sys.stdout.write(f"{load:6.1f}    processes wanted a core in the last minute\n")


if __name__ == "__main__":
    main()
