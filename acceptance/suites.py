"""The acceptance checks in their order, and what they need of the local environment."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from acceptance import faults, scaling
from acceptance.check import Check, CheckResult, CheckRunner, Tell
from acceptance.checks import dags, first_run, login, task_logs
from acceptance.faults import (
    failing_migrations,
    launches,
    outages,
    stale_bundles,
    task_limits,
)
from acceptance.faults.fault_run import DAGS as FAULT_DAGS
from acceptance.faults.kills import HELD, KILLED_WORKER, Kills, kill_title
from acceptance.local_checks import (
    airflow_metrics,
    connections,
    dag_egress,
    dag_releases,
    encryption,
    health,
    operator_commands,
    operator_settings,
    packages,
    passwords,
    permissions,
    secret_matrix,
    secrets_manager,
    security_groups,
    single_sign_on,
    start_up,
    team_permissions,
)
from acceptance.local_checks.single_sign_on import SingleSignOn
from acceptance.selection import OPTION, chosen
from acceptance.shared_launch import SharedLaunch
from deploy.dist import Environment
from local.environment import LocalEnvironment
from local.outside_server import OutsideServer

LocalCheck = Check[LocalEnvironment]

MINIMUM_WORKERS = "DefaultWorkersMinimum"

SECOND_DATABASE = "A DAG reaches a database only by its egress list"

SIGN_ON = "Login through an OIDC provider"
SECRETS_MANAGER = "Secrets Manager holds connections and variables"

NO_FAULTS, NO_SCALING = "--no-faults", "--no-scaling"
"""Options that leave out a part of the checks."""

WITHOUT_FAULTS = "all checks without faults"
"""The first suite. Its end has a limit."""

FIRST_RUN = "The first DAG run is over within 20 s"
BROKEN = "A DAG with a syntax error is reported"
RELEASES = "A run ends with the release it began with"
FAN_OUT = "Fifty mapped tasks, and XComs between workers"
LIMITS = "a task that hangs and one without its supervisor: ended, told and retried"
RETRIED = "kill -9: tasks of a killed worker are tried again"
SCALED_IN = "scale-in: a worker that is told to stop lets its tasks end"
UPDATE = "update to another version under tasks"
DEPLOYMENT = "Long tasks outlive a deployment"

MEASURING: tuple[LocalCheck, ...] = (
    Check("Every component is healthy", health.components),
    Check(FIRST_RUN, first_run.first_run),
    Check("The runtime adds at most 300 ms to a start", start_up.start_up_cost),
)
"""These are alone, and first."""

CHECKS: tuple[LocalCheck, ...] = (
    # These wait for the next looks into the bucket, each up to a minute away.
    *(
        Check(title, run, is_background=True)
        for title, run in (
            ("A new DAG file in the bucket is picked up", dags.late),
            (BROKEN, dags.broken),
            (RELEASES, dag_releases.during_a_run),
        )
    ),
    Check(
        "A failed run and a broken DAG file: an alarm within two minutes",
        airflow_metrics.alarmed,
        is_background=True,
        needs=(BROKEN,),
    ),
    # These run together: each waits for something else.
    *(
        Check(title, run, is_alone=False)
        for title, run in (
            (FAN_OUT, dags.fan_out),
            ("Plain tasks", dags.plain),
            ("A deferrable sensor waits in the triggerer", dags.deferred),
            ("An asset starts the DAG that waits for it", dags.assets),
            ("Connection and variable are encrypted", encryption.at_rest),
            ("Login over the API", login.token),
            ("Login by the web form", login.form),
            ("Flower answers behind its login", connections.flower),
            ("The tasks' API is closed to the public", connections.execution_api),
            ("Each process holds its own secrets only", secret_matrix.exact),
            ("A worker cannot enter the metadata", secret_matrix.metadata_closed),
            ("Settings agree in every container", operator_settings.agree),
            (SECRETS_MANAGER, secrets_manager.used),
            ("Passwords of every printable character", passwords.every_character),
            (SECOND_DATABASE, dag_egress.second_database),
            (
                "A pool is refused what another pool's lists allow",
                team_permissions.separated,
            ),
            ("An operator's Airflow command, and logs", operator_commands.answered),
            ("A team's package, its plugin, and a version refused", packages.used),
        )
    ),
    Check(
        "Login in a real browser, with a finished run",
        login.in_browser,
        is_alone=False,
        needs=(FIRST_RUN,),
    ),
)

AFTERWARDS: tuple[LocalCheck, ...] = (
    # This one takes a worker away.
    Check("Logs outlive their worker", task_logs.after_its_worker, needs=(FAN_OUT,)),
    # After these, as they look at every call and every connection.
    Check("Tasks connect to nothing beyond the table", security_groups.unused),
    Check("Each component reaches what the table names", security_groups.exact),
    Check("The permissions of every role suffice", permissions.sufficient),
)

SCALING: tuple[LocalCheck, ...] = (
    Check(scaling.AT_REST, scaling.at_rest, is_background=True),
    Check(
        *(scaling.GROWTH, scaling.growth),
        is_background=True,
        needs=(scaling.AT_REST,),
        seconds=900.0,
    ),
    Check(
        *(scaling.SHRINKAGE, scaling.shrinkage),
        is_background=True,
        needs=(scaling.GROWTH,),
    ),
)
"""The pool that scales is not the one of the faults, which run while it scales in.

Not beside the DAG runs of the checks: together they took 858 s instead of 745 on two
cores, and 7,958 MiB at most instead of 4,812. It takes twenty seconds until workers
have come, in which the checks after these runs end.
"""

PREDICTION: LocalCheck = Check(
    "The simulation predicts what was observed",
    scaling.prediction,
    needs=(scaling.SHRINKAGE,),
)


KILLED = ("dag-processor", "triggerer", "api-server", "scheduler")
"""Components that are killed beside a worker."""

FAILING_MIGRATIONS: tuple[LocalCheck, ...] = (
    Check(
        "failing migration: wrong digest of the runtime",
        failing_migrations.wrong_digest,
        is_background=True,
        after=(scaling.GROWTH,),
    ),
    Check(
        "failing migration: an unsupported Airflow",
        failing_migrations.other_airflow,
        is_background=True,
        after=(scaling.GROWTH,),
    ),
    Check(
        "failing migration: the Fernet key of another environment",
        failing_migrations.foreign_fernet_key,
        is_background=True,
        after=(scaling.GROWTH,),
    ),
)
"""They have jobs of their own and wait more than they work, so the kills run beside
them. The launches count migration jobs, and wait for their end."""


def faults_beside_scaling(kills: Kills) -> tuple[LocalCheck, ...]:
    """Return the faults that stop nothing that the pool that scales needs."""
    return (
        *FAILING_MIGRATIONS,
        Check(HELD, kills.hold, is_background=True),
        # While two hundred tasks take both cores, a component starts too slowly.
        # The tasks of the releases have one try.
        Check(
            *(KILLED_WORKER, kills.kill_worker),
            needs=(HELD,),
            after=(scaling.GROWTH, RELEASES),
        ),
        # The next ones fill the time until the killed worker is noticed, and until an
        # alarm on the minute rings.
        Check(LIMITS, task_limits.ended, is_background=True),
        kills.check("dag-processor"),
        kills.check("triggerer"),
        Check(
            "second launch of the same version: nothing happens",
            launches.same,
            after=tuple(check.title for check in FAILING_MIGRATIONS),
        ),
        Check("update to an Airflow older than the tables", launches.newer_tables),
        Check("update with a secret that is not JSON", launches.bad_secret),
        # The autoscaler asks the workers through it, and may not act meanwhile.
        Check(
            "Valkey stopped and started under tasks",
            outages.valkey,
            after=(scaling.SHRINKAGE, LIMITS),
        ),
        Check(RETRIED, kills.retried, needs=(KILLED_WORKER,)),
    )


def faults_alone(kills: Kills) -> tuple[LocalCheck, ...]:
    """Return the faults that would disturb the scaling.

    While the API server restarts, tasks cannot report. With two cores full of tasks,
    that may take longer than ``kills.HEARTBEAT_SECONDS``.
    """
    return (
        replace(kills.check("api-server"), after=(scaling.SHRINKAGE,)),
        Check("PostgreSQL stopped and started under tasks", outages.postgres),
        # What follows may stop the worker of the task that hangs.
        replace(kills.check("scheduler"), after=(LIMITS,)),
    )


def end_of_kills(kills: Kills) -> tuple[LocalCheck, ...]:
    """Return the scale-in that ends the run of the kills, and its result."""
    return (
        Check(SCALED_IN, kills.stop_worker, needs=(RETRIED,)),
        Check(
            "kills and scale-in: nothing lost, nothing twice",
            kills.settle,
            needs=(*map(kill_title, KILLED), SCALED_IN),
        ),
    )


@dataclass(frozen=True)
class Selection:
    """Suites of checks in their order, and the environment that they need."""

    suites: Mapping[str, Sequence[LocalCheck]]
    parameters: Mapping[str, str]
    """Parameters that a part of the checks needs."""
    extra_environment: Mapping[str, str]
    """Variables of every container beyond its task definition."""
    secrets: Mapping[str, str]
    """Secrets that the parameters name, by name: their values."""
    policies: Mapping[str, Mapping[str, Any]]
    """Managed policies that the parameters name, by name."""
    dags: Sequence[Path]
    """Folders of DAG files that are in the bucket from the beginning."""
    sign_on: SingleSignOn
    """The provider that users log in with."""

    @property
    def outside_servers(self) -> Sequence[OutsideServer]:
        """Servers outside the VPC that must be there before the launch."""
        return (self.sign_on.provider,) if self.sign_on.is_possible else ()

    def overrides(self, environment: Environment) -> dict[str, str]:
        """Return the parameters that must differ from the environment's own.

        Flower, which costs a small container; a line of DagEgress for the second
        database; settings and secrets of an operator; a policy and a role of one pool;
        single sign-on; and a worker that does not sleep, because a first run is timed
        from when all is healthy, and waking one up takes longer.
        """
        own = environment.parameters
        needed = {
            "EnableFlower": "true",
            **operator_settings.PARAMETERS,
            **team_permissions.PARAMETERS,
            **secrets_manager.PARAMETERS,
        }
        if self.sign_on.is_possible:
            needed |= single_sign_on.PARAMETERS
        listed = filter(None, (own.get(dag_egress.PARAMETER), dag_egress.ENTRY))
        needed[dag_egress.PARAMETER] = ", ".join(listed)
        if own.get(MINIMUM_WORKERS) == "0":
            needed[MINIMUM_WORKERS] = "1"
        changed = {name: text for name, text in needed.items() if own.get(name) != text}
        return {**changed, **self.parameters}

    def run(
        self, environment: LocalEnvironment, tell: Tell, started: float
    ) -> tuple[list[CheckResult], dict[str, float]]:
        """Return all results, and the seconds from ``started`` to each suite's end.

        ``started`` is on the monotonic clock.
        """
        runner = CheckRunner(environment, tell)
        ends: dict[str, float] = {}
        for title, checks in self.suites.items():
            runner.run(checks)
            ends[title] = time.monotonic() - started
        results = runner.results()
        return results, {**ends, "all checks": time.monotonic() - started}


def select(
    *, has_faults: bool = True, has_scaling: bool = True, only: Sequence[str] = ()
) -> Selection:
    """Return the checks; those that are not wanted name the option that skips them.

    ``only`` are parts of titles. Raises UsageError for one that is in no title.
    """
    launch, sign_on = SharedLaunch(), SingleSignOn()
    suites = _suites(launch, sign_on)
    left_out = {NO_FAULTS: not has_faults, NO_SCALING: not has_scaling}
    checks = [check for suite in suites.values() for check in suite]
    allowed = [check for check in checks if not left_out.get(check.option)]
    titles = chosen({check.title: check.needs for check in allowed}, only)
    launch.expect([change for title, change in LAUNCHED.items() if title in titles])
    skipped = {
        check.title: OPTION if check in allowed else check.option
        for check in checks
        if check.title not in titles
    }
    options = {check.option for check in checks if check.title in titles}
    return Selection(
        {
            name: [
                replace(check, skipped_by=skipped.get(check.title, ""))
                for check in suite
            ]
            for name, suite in suites.items()
        },
        {
            **(scaling.PARAMETERS if NO_SCALING in options else {}),
            **(faults.PARAMETERS if NO_FAULTS in options else {}),
        },
        faults.ENVIRONMENT if NO_FAULTS in options else {},
        {
            **operator_settings.SECRETS,
            **secrets_manager.SECRETS,
            **single_sign_on.SECRETS,
        },
        team_permissions.POLICIES,
        (
            dags.DAGS,
            packages.DAGS,
            *((FAULT_DAGS,) if NO_FAULTS in options else ()),
            *((scaling.DAGS,) if NO_SCALING in options else ()),
        ),
        sign_on,
    )


LAUNCHED = {UPDATE: launches.other_version, DEPLOYMENT: scaling.other_spot_share}
"""Check -> what it needs the shared launch to change."""


def _suites(launch: SharedLaunch, sign_on: SingleSignOn) -> dict[str, list[LocalCheck]]:
    kills = Kills()

    def mark(option: str, *checks: LocalCheck) -> list[LocalCheck]:
        return [replace(check, option=option) for check in checks]

    no_faults, no_scaling = partial(mark, NO_FAULTS), partial(mark, NO_SCALING)
    first = [
        *MEASURING,
        *no_faults(
            Check(
                "failing migration: a database that never comes up",
                failing_migrations.no_database,
                is_background=True,
            )
        ),
        *CHECKS,
        Check(SIGN_ON, sign_on.log_in, is_alone=False),
        *no_scaling(*SCALING),
        *AFTERWARDS,
    ]
    second = [
        *no_faults(
            Check(
                "a DAG bundle that cannot be refreshed: an alarm within five minutes",
                stale_bundles.told,
                is_background=True,
                after=(RELEASES,),
            )
        ),
        *no_faults(*faults_beside_scaling(kills)),
        *no_scaling(PREDICTION),
        *no_faults(*faults_alone(kills)),
        # Its long tasks start beside the next checks; then it waits for the launch.
        *no_scaling(
            Check(
                DEPLOYMENT,
                partial(scaling.deployment, launch=launch),
                is_background=True,
            )
        ),
        *no_faults(
            *end_of_kills(kills), Check(UPDATE, partial(launches.update, launch=launch))
        ),
    ]
    return {WITHOUT_FAULTS: first, "faults and scaling": second}
