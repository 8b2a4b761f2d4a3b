"""Fault-injection checks, run under a DAG that records every task execution.

Each fault strikes while a run of ``fault_dags`` is under way. Afterwards the executions
that its tasks recorded are compared with what Airflow says: see ``execution_record``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from acceptance.check import Check
from acceptance.faults import failing_migrations, kills, launches, outages
from local.environment import LocalEnvironment

ENVIRONMENT = {kills.HEARTBEAT_TIMEOUT: str(kills.HEARTBEAT_SECONDS)}
"""Set in every container, so that a killed worker is noticed sooner than on AWS. The
report names it as a deviation."""

KILLED_FIRST = ("dag-processor", "triggerer", "api-server")
"""While the heartbeats of the killed worker's tasks grow old."""


def checks(
    update_parameters: Mapping[str, str],
) -> tuple[list[Check[LocalEnvironment]], list[Check[LocalEnvironment]]]:
    """Return the faults in their order, and those that are looked at last of all.

    ``update_parameters`` are changed together with the version.
    """
    killing, migrations = kills.Kills(), failing_migrations.FailingMigrations()
    database = "failing migration: a database that never comes up"
    faults = [
        Check(f"{database}, started", migrations.start_without_database),
        Check("kill -9 of a worker with tasks: healthy again", killing.kill_worker),
        *(kills.kill(killing, component) for component in KILLED_FIRST),
        # These wait for the same heartbeats, and restart nothing.
        Check("second launch of the same version: nothing happens", launches.same),
        Check("update to an Airflow older than the tables", launches.newer_tables),
        Check("update with a secret that is not JSON", launches.bad_secret),
        Check(
            "failing migration: wrong digest of the runtime",
            failing_migrations.wrong_digest,
            is_alone=False,
        ),
        Check(
            "failing migration: an unsupported Airflow",
            failing_migrations.other_airflow,
            is_alone=False,
        ),
        Check(
            "kill -9: tasks of a killed worker are tried again",
            killing.retried,
            is_alone=False,
        ),
        kills.kill(killing, "scheduler"),
        Check(
            "scale-in: a worker that is told to stop lets its tasks end",
            killing.stop_worker,
        ),
        Check("kills and scale-in: nothing lost, nothing twice", killing.settle),
        Check("PostgreSQL stopped and started under tasks", outages.postgres),
        Check("Valkey stopped and started under tasks", outages.valkey),
        Check(
            "update to another version under tasks",
            partial(launches.update, also=update_parameters),
        ),
    ]
    return faults, [Check(database, migrations.gave_up)]
