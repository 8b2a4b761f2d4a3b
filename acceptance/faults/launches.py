"""Launches of a stack under running tasks: unchanged, failing, and a new version."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

from acceptance.check import CheckFailed, Pending, until
from acceptance.faults import components, sabotage
from acceptance.faults.fault_run import FaultRun
from acceptance.shared_launch import SharedLaunch
from local.environment import LocalEnvironment
from local.launcher import LaunchResult

WIDTH = 4

IMAGE = "Image"
OTHER_TAG = "-other"
"""Ends the new version's image: another name for the same packages, as everything here
runs from one virtual environment. The templates go by the name."""

FAILED = "UPDATE_ROLLBACK_COMPLETE"

CALM_SECONDS = 2.0
"""How long nothing may restart after a launch that changes nothing."""

ROLLED_SECONDS = 150.0
"""Until every service has a healthy task of the new version, all starting at once."""

STOPPED_SECONDS = 120.0
"""Until the last old task is gone."""

AT_REST_SECONDS = 150.0
"""Until all services run what is desired. The check of scaling observes the same launch
and keeps an old and a new worker of its pool for about a minute longer."""


def same(environment: LocalEnvironment) -> str:
    """Launch the same version again: nothing happens."""
    known = len(components.migration_jobs(environment))
    with _unchanged(environment, "A second launch"):
        launched = environment.launch({})
        if not launched.is_good or launched.events:
            raise CheckFailed(f"It ended as {launched.status}. {launched.text}")
        time.sleep(CALM_SECONDS)
    if len(components.migration_jobs(environment)) != known:
        raise CheckFailed(
            "The migration job ran again.", environment.logs(components.MIGRATION)
        )
    return "nothing to change; no migration job, no restart, every secret as it was"


def newer_tables(environment: LocalEnvironment) -> str:
    """Launch a version whose Airflow is older than the tables: the update fails."""
    with (
        _unchanged(environment, "The failed update"),
        sabotage.schema_revision(environment),
    ):
        launched = environment.launch(other_version(environment))
    return refused(launched, "a newer Airflow than the image's has migrated")


def bad_secret(environment: LocalEnvironment) -> str:
    """Launch with a secret that is no JSON: ECS cannot start the migration job."""
    with (
        _unchanged(environment, "The failed update"),
        sabotage.admin_login(environment, "no JSON"),
    ):
        launched = environment.launch(other_version(environment))
    return refused(launched, "did not contain json key")


def update(environment: LocalEnvironment, launch: SharedLaunch) -> str:
    """Launch a new version under tasks: migrate, roll, and the tasks end well.

    Tasks that wait in an old worker end there, and those that follow run in a new one.
    """
    run = FaultRun.start(environment, width=WIDTH)
    before, secrets = components.main_processes(environment), environment.all_secrets()
    known = len(components.migration_jobs(environment))
    started = time.monotonic()
    try:
        launch(environment)
        migrated = time.monotonic() - started
        jobs = components.migration_jobs(environment)[known:]
        if [task.containers[0].exit_code for task in jobs] != [0]:
            raise CheckFailed(
                f"The migration job ran {len(jobs)} times, not once and well."
            )
        _wait_for_version(environment, environment.parameters[IMAGE])
    finally:
        # Whatever became of it: what waits now would be in the way later.
        run.go()
    run.finish()
    _wait_for_old_tasks(environment, before)
    rolled = time.monotonic() - started
    if environment.all_secrets() != secrets:
        raise CheckFailed("The update has changed a secret.")
    return (
        f"migrated after {migrated:.0f} s, all rolled after {rolled:.0f} s; "
        f"{2 * WIDTH + 3} tasks succeeded, each once and at the first try"
    )


def refused(launched: LaunchResult, reason: str) -> str:
    """Return the cause as ``diagnose`` names it.

    Raises CheckFailed unless the update failed, by the migration, with ``reason`` and
    a log.
    """
    if launched.status != FAILED:
        raise CheckFailed(f"The update ended as {launched.status}, not {FAILED}.")
    text = launched.text
    if reason not in text or "/Migration" not in text:
        raise CheckFailed(f"diagnose does not name the cause: {text}")
    if "Log: " not in text:
        raise CheckFailed(f"diagnose does not name the log: {text}")
    line = next(line.strip() for line in text.splitlines() if reason in line)
    return f"diagnose: {line}"


def other_version(environment: LocalEnvironment) -> dict[str, str]:
    """Return the parameters of the new version. A failed launch has set them, too."""
    image = environment.parameters[IMAGE]
    return {IMAGE: image if image.endswith(OTHER_TAG) else image + OTHER_TAG}


def _wait_for_version(environment: LocalEnvironment, image: str) -> None:
    """Return when every service has a healthy task of the new image."""

    def look() -> bool | Pending:
        services = components.services_without_image(environment, image)
        return not services or Pending(f"not yet: {', '.join(services)}")

    until(
        "every service to have a healthy task of the new version",
        look,
        seconds=ROLLED_SECONDS,
        remedy=environment.logs(),
    )


def _wait_for_old_tasks(
    environment: LocalEnvironment, before: Mapping[str, int]
) -> None:
    def look() -> bool | Pending:
        old = set(before) & set(components.main_processes(environment))
        return not old or Pending(f"{len(old)} old tasks run")

    until(
        "the old tasks to stop",
        look,
        seconds=STOPPED_SECONDS,
        remedy=environment.logs(),
    )
    components.wait_until_healthy(environment, AT_REST_SECONDS)


@contextlib.contextmanager
def _unchanged(environment: LocalEnvironment, what: str) -> Iterator[None]:
    """Raise CheckFailed unless every process and every secret is what it was."""
    processes = components.main_processes(environment)
    secrets = environment.all_secrets()
    yield
    if tasks := components.restarted(environment, processes):
        raise CheckFailed(
            f"{what} restarted {len(tasks)} running tasks.", environment.logs()
        )
    if environment.all_secrets() != secrets:
        raise CheckFailed(f"{what} has changed a secret.")
