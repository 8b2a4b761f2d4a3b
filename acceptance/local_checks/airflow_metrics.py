"""Airflow's own metrics: a failed run and a broken file alarm, heartbeats arrive."""

from __future__ import annotations

import time

from acceptance.api import OVER, api, patiently
from acceptance.check import CheckFailed, Pending, until
from acceptance.checks.dags import FAILURE
from fargate_runtime import contract
from local.ecs.metrics import Datum, Metric
from local.environment import LocalEnvironment

ALARM_SECONDS = 120.0
"""From the failure, or the import error, to the alarm."""

RUN_SECONDS = 120.0

HEARTBEATS = (
    contract.SCHEDULER_HEARTBEAT,
    contract.DAG_PROCESSOR_HEARTBEAT,
    contract.TRIGGERER_HEARTBEAT,
)


def alarmed(environment: LocalEnvironment) -> str:
    """Fail a DAG run; see its alarm, that of the broken file, and the metrics."""
    remedy = environment.logs("scheduler", "dag-processor", "worker")
    airflow = api(environment)
    run_id = airflow.trigger(FAILURE)
    begun = time.monotonic()
    _wait_for_alarm(environment, contract.IMPORT_ERRORS, remedy)

    def over() -> str | Pending:
        state = str(airflow.run(FAILURE, run_id)["state"])
        return state if state in OVER else Pending(state)

    state = until(
        f"run {run_id} of {FAILURE} to end",
        lambda: patiently(over),
        seconds=RUN_SECONDS,
        remedy=remedy,
    )
    if state != "failed":
        raise CheckFailed(f"The run that had to fail ended as {state}.", remedy)
    _wait_for_alarm(environment, "FailedDagRuns", remedy)
    seconds = time.monotonic() - begun
    minutes = [len(_data(environment, name, {})) for name in HEARTBEATS]
    if not all(minutes):
        raise CheckFailed(f"Minutes with heartbeats: {minutes}.", remedy)
    pool = {contract.POOL_DIMENSION: contract.DEFAULT_QUEUE}
    queue = {contract.QUEUE_DIMENSION: contract.DEFAULT_QUEUE}
    for name, dimension in (("TasksFailed", pool), ("TasksQueued", queue)):
        if not _data(environment, name, dimension):
            raise CheckFailed(f"Nothing is published of {name}, {dimension}.", remedy)
    return (
        f"both alarms {seconds:.0f} s after the import error and the trigger of the "
        f"run; heartbeats in {min(minutes)} to {max(minutes)} minutes"
    )


def _wait_for_alarm(environment: LocalEnvironment, name: str, remedy: str) -> None:
    ending = f"/Airflow{name}"

    def look() -> bool | Pending:
        states = environment.agent.autoscaler.states()
        state = next((states[a] for a in states if a.endswith(ending)), "no alarm")
        return state == "ALARM" or Pending(state)

    until(f"the alarm {name}", look, seconds=ALARM_SECONDS, remedy=remedy)


def _data(
    environment: LocalEnvironment, name: str, dimensions: dict[str, str]
) -> list[Datum]:
    cluster = {contract.CLUSTER_DIMENSION: environment.outputs["ClusterName"]}
    key = frozenset((cluster | dimensions).items())
    return environment.agent.autoscaler.metrics.data(
        Metric(contract.METRIC_NAMESPACE, name, key)
    )
