"""Set-up tasks that were given something bad, each run once beside what runs well.

Every one ends by itself, in a bounded time, with a line that says why. The gate makes
the reason of the stack's event of it, which is what ``diagnose`` shows; so the reason
is asked of the gate's own code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from acceptance.check import NotProven, Pending, Proof, until
from acceptance.containers import logs
from acceptance.faults import components
from fargate_runtime import contract
from fargate_runtime.migration import custom_resource
from local.datastores.processes import free_port
from local.ecs.task import Task
from local.environment import Stage

OTHER_AIRFLOW = "3.9.0"

REFUSED_SECONDS = 60.0
"""Until a task that cannot start has said so; the bootstrap tries for 15 s."""

GIVEN_UP_SECONDS = contract.DATABASE_WAIT_SECONDS + 60.0
"""Until set-up no longer waits for a database."""


@dataclass
class BadInput:
    """Tasks that were begun, to be looked at later."""

    begun: dict[str, Task] = field(default_factory=dict)

    def begin(self, stage: Stage, name: str, variables: Mapping[str, str]) -> None:
        """Run the migration job with some variables changed."""
        before = _good(stage)
        overrides = {
            "name": components.MIGRATION,
            "environment": [
                {"name": variable, "value": value}
                for variable, value in variables.items()
            ],
        }
        answer = stage.client("ecs").run_task(
            cluster=before.cluster_arn,
            taskDefinition=before.definition.arn,
            overrides={"containerOverrides": [overrides]},
        )
        number = answer["tasks"][0]["taskArn"].rpartition("/")[2]
        with stage.agent.lock:
            self.begun[name] = stage.agent.tasks[number]

    def no_database(self, stage: Stage) -> str:
        """Begin a set-up whose database never comes up."""
        self.begin(stage, "database", {"METADATA_PORT": str(free_port())})
        return f"begun; it may wait for {contract.DATABASE_WAIT_SECONDS} s"

    def gave_up(self, stage: Stage) -> str:
        """See that it does not wait for ever."""
        if "database" not in self.begun:
            raise NotProven("That set-up did not begin; see the first of these.")
        task = self.begun["database"]
        left = GIVEN_UP_SECONDS - (time.time() - task.created)
        told = _ended(stage, task, "no connection as", seconds=max(left, 0))
        return f"after {task.stopped - task.created:.0f} s: {told}"

    def wrong_digest(self, stage: Stage) -> str:
        """Expect another archive than the one in the bucket."""
        self.begin(stage, "digest", {"RUNTIME_SHA256": "0" * 64})
        return _ended(stage, self.begun["digest"], "SHA-256 is", REFUSED_SECONDS)

    def other_airflow(self, stage: Stage) -> str:
        """Start in an image that holds another Airflow, by what its packages say."""
        folder = stage.folder / "faults" / "other-airflow"
        told = folder / f"apache_airflow_core-{OTHER_AIRFLOW}.dist-info"
        told.mkdir(parents=True, exist_ok=True)
        (told / "METADATA").write_text(
            f"Metadata-Version: 2.4\nName: {contract.AIRFLOW_DISTRIBUTION}\nVersion: {OTHER_AIRFLOW}\n"
        )
        before = _good(stage)
        archive = before.containers[0].definition.environment["RUNTIME_PATH"]
        # Relative: as a whole path it might begin like one inside the container.
        home = before.place.folders.outside(stage.agent.settings.image.home)
        path = f"{os.path.relpath(folder, home)}:{archive}"
        self.begin(stage, "airflow", {"PYTHONPATH": path})
        words = f"holds Airflow {OTHER_AIRFLOW}"
        return _ended(stage, self.begun["airflow"], words, REFUSED_SECONDS)


def _good(stage: Stage) -> Task:
    """Return the last set-up that passed."""
    return next(
        task
        for task in reversed(components.set_ups(stage))
        if task.containers[0].exit_code == 0
    )


def _ended(stage: Stage, task: Task, words: str, seconds: float) -> str:
    """Return what the gate says of a task that had to fail with ``words``."""
    remedy = logs(stage, components.MIGRATION)
    until(
        "the set-up to give up",
        lambda: task.is_over or Pending(task.status),
        seconds=seconds,
        remedy=remedy,
    )
    reason = reason_of(stage, task)
    if words not in reason:
        raise NotProven(f"The gate says: {reason or 'nothing'}", remedy)
    log = task.containers[0].stream.path.read_text()
    if words not in log or "Traceback" in log:
        raise NotProven("The log does not say it in a plain line.", remedy)
    return reason


def reason_of(stage: Stage, task: Task) -> str:
    """Return the reason that the gate finds for a task, nothing for a success."""
    container = task.containers[0]
    log = container.definition.log
    wanted = {
        "Cluster": task.cluster_arn,
        "Container": container.definition.name,
        "LogGroup": log.group if log else "",
        "LogStreamPrefix": log.prefix if log else "",
    }
    ecs, written = stage.client("ecs"), stage.client("logs")
    clients = custom_resource.AwsClients(
        ecs=ecs, logs=written, functions=None, stacks=None
    )
    state: dict[str, Any] = custom_resource.describe_task(task.arn, wanted, clients)
    try:
        custom_resource.check_result(state, wanted, clients)
    except custom_resource.MigrationFailedError as error:
        return str(error)
    return ""


def proofs() -> tuple[Proof, tuple[Proof, ...]]:
    """Return the line that comes before all faults, and those that come after."""
    shared = BadInput()
    together = partial(Proof, is_alone=False)
    return (
        Proof("bad input: a database that never comes up, begun", shared.no_database),
        (
            together("bad input: wrong digest of the runtime", shared.wrong_digest),
            together("bad input: an unsupported Airflow", shared.other_airflow),
            together("bad input: a database that never comes up", shared.gave_up),
        ),
    )
