"""Scale-out and scale-in of the default pool by its own alarms, by one worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from acceptance.api import api
from acceptance.aws.environment import AwsEnvironment
from acceptance.check import CheckFailed, Pending, Skipped, until
from acceptance.checks import workers
from acceptance.checks.dags import HOLD

CONCURRENCY = "DefaultWorkersConcurrency"
MINIMUM, MAXIMUM = "DefaultWorkersMinimum", "DefaultWorkersMaximum"
CPU, MEMORY = "DefaultWorkersCpu", "DefaultWorkersMemory"
"""Parameters of the stack."""

ALARMS = ("Deficit", "Surplus")
"""Logical IDs of the pool's scaling alarms."""

TASK_SECONDS = 90.0
"""Of each task: the alarm looks every ten seconds, and the metric must reach it."""

STEADY_SECONDS = 30.0
GROWTH_SECONDS = 180.0
START_SECONDS = 420.0
"""For the new worker, which pulls its image; and for the tasks after it."""

SHRINKAGE_SECONDS = 900.0
"""For the delay of the pool, the drain and the alarm."""


class Watch:
    """The scaling checks, and how long the additional worker was there."""

    def __init__(self, environment: AwsEnvironment) -> None:
        self.environment = environment
        self._since = datetime.now(UTC)
        self.added_seconds = 0.0

    @property
    def vcpus(self) -> float:
        """Processors of one worker."""
        return int(self.environment.stack.parameters[CPU]) / 1024

    @property
    def gib(self) -> float:
        """Memory of one worker in GiB."""
        return int(self.environment.stack.parameters[MEMORY]) / 1024

    def by_one(self, environment: AwsEnvironment) -> str:
        """Occupy every slot and one more; see one worker come, work, and go again.

        The tasks are the only cause: the check sets no desired count.
        """
        parameters = environment.stack.parameters
        maximum, concurrency = int(parameters[MAXIMUM]), int(parameters[CONCURRENCY])
        if int(parameters[MINIMUM]) >= maximum:
            raise Skipped(f"the pool has {maximum} workers always")
        before = _settled(environment, maximum)
        tasks = concurrency * before + 1
        airflow, remedy = api(environment), environment.logs("scheduler", "worker")
        started = time.monotonic()
        run_id = airflow.trigger(HOLD, {"tasks": tasks, "seconds": TASK_SECONDS})
        _wait(
            environment,
            f"more than {before} workers to be desired",
            lambda pool: pool["desiredCount"] > before,
            GROWTH_SECONDS,
        )
        ordered = time.monotonic()
        try:
            _wait(
                environment,
                f"more than {before} workers to run",
                lambda pool: pool["runningCount"] > before,
                START_SECONDS,
            )
            running = time.monotonic()
            airflow.wait_for_run(HOLD, run_id, seconds=START_SECONDS, remedy=remedy)
            ended = time.monotonic()
            hosts = {
                task["hostname"]
                for task in airflow.tasks(HOLD, run_id)
                if task["task_id"] == "hold"
            }
            _wait(
                environment,
                f"no more than {before} workers to run",
                lambda pool: max(pool["desiredCount"], pool["runningCount"]) <= before,
                SHRINKAGE_SECONDS,
            )
        finally:
            self.added_seconds = time.monotonic() - ordered
        return (
            f"{tasks} tasks at {concurrency} a worker: {before} -> {before + 1} "
            f"desired after {ordered - started:.0f} s, running after "
            f"{running - started:.0f} s, tasks on {len(hosts)} workers; back to "
            f"{before} {time.monotonic() - ended:.0f} s after the tasks"
        )

    def acted(self, environment: AwsEnvironment) -> str:
        """See that alarms caused the changes: their actions, and the activities.

        The times tell how often an alarm repeats its action, and the activities what a
        step policy adds to.
        """
        if environment.is_local:
            raise Skipped("the local ECS agent evaluates the scaling alarms")
        if not self.added_seconds:
            raise Skipped("the pool did not grow")
        actions = [
            f"{item['Timestamp']:%H:%M:%S} {name}"
            for name in ALARMS
            for page in environment.aws.pages(
                "cloudwatch",
                "describe_alarm_history",
                name,
                AlarmName=environment.id_of(f"DefaultScaling/{name}"),
                HistoryItemType="Action",
                StartDate=self._since,
                EndDate=datetime.now(UTC),
            )
            for item in page["AlarmHistoryItems"]
        ]
        pool = workers.service(environment)
        cluster = environment.outputs["ClusterName"]
        activities = [
            activity
            for page in environment.aws.pages(
                "application-autoscaling",
                "describe_scaling_activities",
                "the default pool",
                ServiceNamespace="ecs",
                ResourceId=f"service/{cluster}/{pool['serviceName']}",
            )
            for activity in page["ScalingActivities"]
            if activity["StartTime"] >= self._since
        ]
        if not actions or not activities:
            raise CheckFailed(
                f"{len(actions)} actions of alarms and {len(activities)} activities of "
                "Application Auto Scaling are known.",
                "The desired count changed by something else: AWS CloudTrail names it.",
            )
        counts = ", ".join(
            f"{activity['StartTime']:%H:%M:%S} {activity['Description']}"
            for activity in reversed(activities)
        )
        return f"alarms acted {', '.join(sorted(actions))}; activities {counts}"


def _settled(environment: AwsEnvironment, maximum: int) -> int:
    """Return the workers of the pool once their number is below the maximum and stays.

    The checks before this one may have made it grow.
    """
    observed: tuple[int, float] = (-1, 0.0)

    def look() -> int | Pending:
        nonlocal observed
        pool = workers.service(environment)
        desired, running = int(pool["desiredCount"]), int(pool["runningCount"])
        if desired != observed[0]:
            observed = desired, time.monotonic()
        is_steady = time.monotonic() - observed[1] >= STEADY_SECONDS
        if desired == running and desired < maximum and is_steady:
            return desired
        return Pending(f"{desired} desired, {running} running")

    return until(
        f"the pool to have fewer than {maximum} workers, and no change",
        look,
        seconds=SHRINKAGE_SECONDS,
        remedy=environment.logs("scheduler", "worker"),
        pause=2.0,
    )


def _wait(
    environment: AwsEnvironment,
    what: str,
    good: Callable[[dict[str, Any]], bool],
    seconds: float,
) -> None:
    def look() -> bool | Pending:
        pool = workers.service(environment)
        return good(pool) or Pending(
            f"{pool['desiredCount']} desired, {pool['runningCount']} running"
        )

    until(
        what,
        look,
        seconds=seconds,
        remedy=environment.logs("scheduler", "worker"),
        pause=2.0,
    )
