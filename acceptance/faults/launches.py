"""Launches of the same stack over running tasks: the same, bad ones, and a new version.

The run of tasks goes on from before the first launch until the last has rolled every
service: what waits in an old worker ends there, what follows it begins in a new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from acceptance.check import NotProven, Pending, Proof, until
from acceptance.containers import logs
from acceptance.faults import components, sabotage
from acceptance.faults.load import Run
from local.environment import Stage
from local.launcher import Launched

WIDTH = 4

IMAGE = "Image"
OTHER_TAG = "-rehearsed"
"""Ends the new version's image: another name for the same packages, as everything here
runs from one environment. That they differ is what the templates go by."""

FAILED = "UPDATE_ROLLBACK_COMPLETE"

ROLLED_SECONDS = 150.0
"""Until every service has a healthy task of the new version, all starting at once."""

STOPPED_SECONDS = 120.0
"""Until the last old task is gone."""


@dataclass
class Launches:
    """What the proofs of this page share."""

    run: Run | None = None
    image: str = ""
    """Of the environment."""

    def same(self, stage: Stage) -> str:
        """Launch the same version again: nothing happens."""
        self.image = stage.parameters[IMAGE]
        self.run = Run.begin(stage, width=WIDTH)
        known = len(components.set_ups(stage))
        with _unchanged(stage, "A second launch"):
            launched = stage.launch({})
            if not launched.is_good or launched.events:
                raise NotProven(f"It ended as {launched.status}. {launched.text}")
            time.sleep(2)
        if len(components.set_ups(stage)) != known:
            raise NotProven("The set-up ran again.", logs(stage, components.MIGRATION))
        return "nothing to change; no set-up, no restart, every secret as it was"

    def newer_tables(self, stage: Stage) -> str:
        """Launch a version whose Airflow is older than the tables: the gate fails."""
        image = self._other()
        with _unchanged(stage, "The failed update"), sabotage.tables(stage):
            launched = stage.launch({IMAGE: image})
        return refused(launched, "a newer Airflow than the image's has migrated")

    def bad_secret(self, stage: Stage) -> str:
        """Launch with a secret that is no JSON: ECS cannot start the set-up."""
        image = self._other()
        with (
            _unchanged(stage, "The failed update"),
            sabotage.admin_login(stage, "no JSON"),
        ):
            launched = stage.launch({IMAGE: image})
        return refused(launched, "did not contain json key")

    def update(self, stage: Stage) -> str:
        """Launch a new version: gate, roll, and the tasks of the old one end well."""
        run, image = self._run(), self._other()
        before, secrets = components.of_services(stage), _digests(stage)
        began = time.monotonic()
        try:
            self._pass_the_gate(stage, image)
            passed = time.monotonic() - began
            self._wait_for_version(stage, image)
        finally:
            # Whatever became of it: what waits now would be in the way later.
            run.go()
        run.finish()
        self._wait_for_the_old(stage, before)
        rolled = time.monotonic() - began
        if _digests(stage) != secrets:
            raise NotProven("The update has changed a secret.")
        return (
            f"gate passed after {passed:.0f} s, all rolled after {rolled:.0f} s; "
            f"{2 * WIDTH + 3} tasks succeeded, each once and at the first try"
        )

    def _run(self) -> Run:
        if self.run is None:
            raise NotProven("The run of tasks did not begin; see the second launch.")
        return self.run

    def _other(self) -> str:
        self._run()
        return self.image + OTHER_TAG

    def _pass_the_gate(self, stage: Stage, image: str) -> None:
        known = len(components.set_ups(stage))
        launched = stage.launch({IMAGE: image})
        if not launched.is_good:
            raise NotProven(f"It ended as {launched.status}. {launched.text}")
        ran = components.set_ups(stage)[known:]
        if [task.containers[0].exit_code for task in ran] != [0]:
            raise NotProven(f"The set-up ran {len(ran)} times, not once and well.")

    def _wait_for_version(self, stage: Stage, image: str) -> None:
        """Return when every service has a healthy task of the new image."""

        def look() -> bool | Pending:
            left = components.without_image(stage, image)
            return not left or Pending(f"not yet: {', '.join(left)}")

        until(
            "every service to have a healthy task of the new version",
            look,
            seconds=ROLLED_SECONDS,
            remedy=logs(stage),
        )

    def _wait_for_the_old(self, stage: Stage, before: dict[str, int]) -> None:
        def look() -> bool | Pending:
            left = set(before) & set(components.of_services(stage))
            return not left or Pending(f"{len(left)} old tasks run")

        until("the old tasks to go", look, seconds=STOPPED_SECONDS, remedy=logs(stage))
        components.wait_until_well(stage)


@contextlib.contextmanager
def _unchanged(stage: Stage, what: str) -> Iterator[None]:
    """Raise NotProven unless every process and every secret is what it was."""
    processes, secrets = components.of_services(stage), _digests(stage)
    yield
    if gone := components.ended(stage, processes):
        raise NotProven(f"{what} restarted {len(gone)} running tasks.", logs(stage))
    if _digests(stage) != secrets:
        raise NotProven(f"{what} has changed a secret.")


def refused(launched: Launched, reason: str) -> str:
    """Return the cause as ``diagnose`` names it.

    Raises NotProven unless the update failed, by the gate, with ``reason`` and a log.
    """
    if launched.status != FAILED:
        raise NotProven(f"The update ended as {launched.status}, not {FAILED}.")
    told = launched.text
    if reason not in told or "/Gate" not in told:
        raise NotProven(f"diagnose does not name the cause: {told}")
    if "Log: " not in told:
        raise NotProven(f"diagnose does not name the log: {told}")
    line = next(line.strip() for line in told.splitlines() if reason in line)
    return f"diagnose: {line}"


def _digests(stage: Stage) -> dict[str, str]:
    """Return every secret of the stack, by ARN, as a digest of its value."""
    client = stage.client("secretsmanager")
    found: dict[str, str] = {}
    for page in client.get_paginator("list_secrets").paginate():
        for one in page["SecretList"]:
            value = client.get_secret_value(SecretId=one["ARN"])["SecretString"]
            found[one["ARN"]] = hashlib.sha256(value.encode()).hexdigest()
    return found


def proofs() -> tuple[Proof, ...]:
    """Return the lines of this page, in their order."""
    shared = Launches()
    return (
        Proof("second launch of the same version: nothing happens", shared.same),
        Proof("update to an Airflow older than the tables", shared.newer_tables),
        Proof("update with a secret that is not JSON", shared.bad_secret),
        Proof("update to another version under tasks", shared.update),
    )
