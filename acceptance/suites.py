"""The acceptance checks in their order, and what they need of the local environment."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from acceptance import faults, scaling
from acceptance.check import Check, CheckResult, Outcome, Tell, run_checks
from acceptance.checks import dags, first_run, login, task_logs
from acceptance.faults.fault_run import DAGS as FAULT_DAGS
from acceptance.local_checks import (
    connections,
    encryption,
    health,
    passwords,
    permissions,
    secret_matrix,
    start_up,
)
from deploy.dist import Environment
from local.environment import LocalEnvironment

MINIMUM_WORKERS = "DefaultWorkersMinimum"

WITHOUT_FAULTS = "all checks without faults"
"""The first suite. Its end has a limit."""

FIRST_RUN = "The first DAG run is over within 20 s"

CHECKS: tuple[Check[LocalEnvironment], ...] = (
    # These are alone because they measure.
    Check("Every component is healthy", health.components),
    Check(FIRST_RUN, first_run.first_run),
    Check("The runtime adds at most 300 ms to a start", start_up.start_up_cost),
    # These run together: each waits for something else, and two cores are enough.
    *(
        Check(title, run, is_alone=False)
        for title, run in (
            ("Fifty mapped tasks, and XComs between workers", dags.fan_out),
            ("Plain tasks", dags.plain),
            ("A deferrable sensor waits in the triggerer", dags.deferred),
            ("An asset starts the DAG that waits for it", dags.assets),
            ("A new DAG file in the bucket is picked up", dags.late),
            ("A DAG with a syntax error is reported", dags.broken),
            ("Connection and variable are encrypted", encryption.at_rest),
            ("Login over the API", login.token),
            ("Login by the web form", login.form),
            ("Login in a real browser, with a finished run", login.in_browser),
            ("Flower answers behind its login", connections.flower),
            ("The tasks' API is closed to the public", connections.execution_api),
            ("Each process holds its own secrets only", secret_matrix.exact),
            ("A worker cannot enter the metadata", secret_matrix.metadata_closed),
            ("Passwords of every printable character", passwords.every_character),
        )
    ),
    # This one takes a worker away.
    Check("Logs outlive their worker", task_logs.after_its_worker),
    # After everything else, as it looks at every call.
    Check("The permissions of every role suffice", permissions.sufficient),
)


@dataclass(frozen=True)
class Suite:
    """Checks that are run or skipped together."""

    title: str
    checks: Sequence[Check[LocalEnvironment]]
    skipped_by: str = ""
    """The option that skips it."""

    def run(self, environment: LocalEnvironment, tell: Tell) -> list[CheckResult]:
        """Return a result for each check."""
        if not self.skipped_by:
            return run_checks(environment, self.checks, tell)
        why = f"{self.skipped_by} was given."
        return [
            CheckResult(check.title, Outcome.SKIPPED, 0.0, why) for check in self.checks
        ]


@dataclass(frozen=True)
class Suites:
    """Suites in their order, and the environment that they need."""

    suites: Sequence[Suite]
    extra_environment: Mapping[str, str]
    """Variables of every container beyond its task definition."""
    dags: Sequence[Path]
    """Folders of DAG files that are in the bucket from the beginning."""

    def run(
        self, environment: LocalEnvironment, tell: Tell, started: float
    ) -> tuple[list[CheckResult], dict[str, float]]:
        """Return all results, and the seconds from ``started`` to each suite's end.

        ``started`` is on the monotonic clock.
        """
        results: list[CheckResult] = []
        ends: dict[str, float] = {}
        for suite in self.suites:
            results += suite.run(environment, tell)
            if not suite.skipped_by:
                ends[suite.title] = time.monotonic() - started
        return results, ends


def overrides(environment: Environment) -> dict[str, str]:
    """Return the parameters that must differ from an environment's own for the checks.

    Flower, which costs a small container; and a worker that does not sleep, because a
    first run is timed from when all is healthy, and waking one up takes longer.
    """
    own = environment.parameters
    needed = {"EnableFlower": "true"}
    if own.get(MINIMUM_WORKERS) == "0":
        needed[MINIMUM_WORKERS] = "1"
    return {name: text for name, text in needed.items() if own.get(name) != text}


def select(*, has_faults: bool, has_scaling: bool) -> Suites:
    """Return the suites; one that is not wanted names the option."""
    no_faults = "" if has_faults else "--no-faults"
    # One update for both suites: it takes a minute.
    parameters = scaling.PARAMETERS if has_scaling else {}
    fault_checks, late_fault_checks = faults.checks(parameters)
    return Suites(
        (
            Suite(WITHOUT_FAULTS, CHECKS),
            Suite("faults", fault_checks, no_faults),
            Suite("scaling", scaling.CHECKS, "" if has_scaling else "--no-scaling"),
            Suite("faults that take minutes", late_fault_checks, no_faults),
        ),
        faults.ENVIRONMENT if has_faults else {},
        (
            dags.DAGS,
            *((FAULT_DAGS,) if has_faults else ()),
            *((scaling.DAGS,) if has_scaling else ()),
        ),
    )
