"""Migration jobs that must fail, run beside the environment.

Every one ends by itself, in a bounded time, with a line that says why. The migration
custom resource makes the reason of the stack event of it, which is what ``diagnose``
shows; so the reason is read by the custom resource's own code.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any

from acceptance.api import api
from acceptance.check import CheckFailed, Pending, until
from acceptance.faults import components
from fargate_runtime import contract
from fargate_runtime.migration import custom_resource
from local.datastores.processes import free_port
from local.ecs.task import EcsTask
from local.environment import LocalEnvironment

OTHER_AIRFLOW = "3.9.0"

REFUSED_SECONDS = 60.0
"""Until a task that cannot start has said so; the bootstrap tries for 15 s."""

GIVEN_UP_SECONDS = contract.DATABASE_WAIT_SECONDS + 60.0
"""Until a job no longer waits for a database."""


def no_database(environment: LocalEnvironment) -> str:
    """Start a job whose database never comes up; it does not wait for ever."""
    job = _start(environment, {"METADATA_PORT": str(free_port())})
    reason = _failure(environment, job, "no connection as", GIVEN_UP_SECONDS)
    return f"after {job.stopped - job.created:.0f} s: {reason}"


def wrong_digest(environment: LocalEnvironment) -> str:
    """Expect another archive than the one in the bucket."""
    job = _start(environment, {"RUNTIME_SHA256": "0" * 64})
    return _failure(environment, job, "SHA-256 is", REFUSED_SECONDS)


def other_airflow(environment: LocalEnvironment) -> str:
    """Start in an image that holds another Airflow, by the metadata of its packages."""
    folder = environment.folder / "faults" / "other-airflow"
    package = folder / f"apache_airflow_core-{OTHER_AIRFLOW}.dist-info"
    package.mkdir(parents=True, exist_ok=True)
    (package / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {contract.AIRFLOW_DISTRIBUTION}\n"
        f"Version: {OTHER_AIRFLOW}\n"
    )
    before = _last_success(environment)
    archive = before.containers[0].definition.environment["RUNTIME_PATH"]
    # Relative: as a whole path it might begin like one inside the container.
    home = before.sandbox.folders.outside(environment.agent.settings.image.home)
    path = f"{os.path.relpath(folder, home)}:{archive}"
    job = _start(environment, {"PYTHONPATH": path})
    return _failure(environment, job, f"holds Airflow {OTHER_AIRFLOW}", REFUSED_SECONDS)


def foreign_fernet_key(environment: LocalEnvironment) -> str:
    """Start with another Fernet key than the one that encrypted a variable."""
    airflow = api(environment)
    variable = f"check_{secrets.token_hex(4)}"
    airflow.post("/variables", {"key": variable, "value": "encrypted"})
    try:
        job = _start(environment, {"FERNET_SECRET": secrets.token_urlsafe(48)})
        words = "the Fernet key does not fit this database"
        return _failure(environment, job, words, REFUSED_SECONDS)
    finally:
        airflow.delete(f"/variables/{variable}")


def _start(environment: LocalEnvironment, variables: Mapping[str, str]) -> EcsTask:
    """Run the migration job with some variables changed."""
    before = _last_success(environment)
    overrides = {
        "name": components.MIGRATION,
        "environment": [
            {"name": variable, "value": value} for variable, value in variables.items()
        ],
    }
    answer = environment.client("ecs").run_task(
        cluster=before.cluster_arn,
        taskDefinition=before.definition.arn,
        overrides={"containerOverrides": [overrides]},
    )
    task_id = answer["tasks"][0]["taskArn"].rpartition("/")[2]
    with environment.agent.lock:
        return environment.agent.tasks[task_id]


def _last_success(environment: LocalEnvironment) -> EcsTask:
    return next(
        task
        for task in reversed(components.migration_jobs(environment))
        if task.containers[0].exit_code == 0
    )


def _failure(
    environment: LocalEnvironment, job: EcsTask, words: str, seconds: float
) -> str:
    """Return the reason of a job that had to fail with ``words``."""
    remedy = environment.logs(components.MIGRATION)
    until(
        "the migration job to give up",
        lambda: job.is_over or Pending(job.status),
        seconds=seconds,
        remedy=remedy,
    )
    reason = _reason(environment, job)
    if words not in reason:
        raise CheckFailed(f"The reason is: {reason or 'none'}", remedy)
    log = job.containers[0].stream.path.read_text()
    if words not in log or "Traceback" in log:
        raise CheckFailed("The log does not say it in a plain line.", remedy)
    return reason


def _reason(environment: LocalEnvironment, job: EcsTask) -> str:
    """Return the reason that the custom resource finds, nothing for a success."""
    container = job.containers[0]
    log = container.definition.log
    properties = {
        "Cluster": job.cluster_arn,
        "Container": container.definition.name,
        "LogGroup": log.group if log else "",
        "LogStreamPrefix": log.prefix if log else "",
    }
    clients = custom_resource.AwsClients(
        ecs=environment.client("ecs"),
        logs=environment.client("logs"),
        functions=None,
        stacks=None,
    )
    state: dict[str, Any] = custom_resource.describe_task(job.arn, properties, clients)
    try:
        custom_resource.check_result(state, properties, clients)
    except custom_resource.MigrationFailedError as error:
        return str(error)
    return ""
