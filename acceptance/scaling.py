"""Scaling of real workers with the tasks: from none to many and back.

The autoscaler, the compiled alarms and the step policies do it. The checks set no
desired count; every change of it must come from an alarm. Their pool is not the default
one, so that other checks run beside them.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from acceptance.api import api
from acceptance.check import CheckFailed, Pending, until
from acceptance.pool import Pool, killed
from acceptance.scaling_runs import (
    BURST_DAG,
    FEW,
    FEW_DAG,
    REMEDY,
    RUN_SECONDS,
    TASKS,
    ScalingRun,
)
from acceptance.shared_launch import SharedLaunch
from acceptance.simulation_check import (
    TRACE,
    PoolHistory,
    TaskRecord,
    compare,
    predict,
)
from local.ecs.scheduler import RolloutState
from local.ecs.task import EcsTask
from local.environment import LocalEnvironment

DAGS = Path(__file__).with_name("scaling_dags")

POOL = "spot"
"""Its name and its queue, as in ``templates/airflow/pools.py`` and ``scaling_dags``."""

CONCURRENCY, MAXIMUM = 4, 3
"""A worker takes half a gigabyte, and three of them all of two cores."""

SCALE_IN_DELAY_SECONDS = 10
PARAMETERS = {
    "SpotWorkersMinimum": "0",
    "SpotWorkersMaximum": str(MAXIMUM),
    "SpotWorkersConcurrency": str(CONCURRENCY),
    "SpotWorkersScaleInDelaySeconds": str(SCALE_IN_DELAY_SECONDS),
    "Parallelism": "256",
}
"""What the checks need of the pool; and parallelism for all tasks of the burst, which
would leave none to the checks that run meanwhile."""

SPOT_SHARE = "SpotWorkersSpotPercent"
OTHER_SPOT_SHARE = {"100": "90"}
"""A change that concerns the workers' service alone; else 100. Launched alone it keeps
the revision; in a whole run the version changes with it, and so does the revision."""

AT_REST = "A pool with the minimum 0 sleeps"
GROWTH = "200 tasks: 0 -> N, each runs once"
SHRINKAGE = "200 tasks: N -> 0, long tasks outlive it"

KNOWN_SECONDS = 150.0
STEADY_SECONDS = 240.0
REST_SECONDS = 180.0
GROWTH_SECONDS = 120.0


@dataclass
class Burst:
    """The burst of one environment, as far as it has come."""

    run: ScalingRun
    tasks: Sequence[TaskRecord] = ()
    at_rest: float = 0.0


_bursts: weakref.WeakKeyDictionary[LocalEnvironment, Burst] = (
    weakref.WeakKeyDictionary()
)


def other_spot_share(environment: LocalEnvironment) -> dict[str, str]:
    """Return a parameter whose change deploys new workers of the pool."""
    share = environment.parameters.get(SPOT_SHARE, "")
    return {SPOT_SHARE: OTHER_SPOT_SHARE.get(share, "100")}


def at_rest(environment: LocalEnvironment) -> str:
    """See the pool without a worker while there are no tasks for it."""
    parameters = environment.parameters
    if wrong := [name for name in PARAMETERS if parameters[name] != PARAMETERS[name]]:
        raise CheckFailed(f"{', '.join(wrong)} must be as in {PARAMETERS}.")
    remedy = environment.logs("dag-processor")
    api(environment).wait_for_dag(BURST_DAG, seconds=KNOWN_SECONDS, remedy=remedy)
    _wait_for_rest(Pool(environment, POOL), time.time())
    return "no worker runs and none is desired"


def growth(environment: LocalEnvironment) -> str:
    """Start two hundred tasks at once; see the pool grow and the short tasks end."""
    pool = Pool(environment, POOL)
    run = ScalingRun.start(environment, BURST_DAG)
    try:
        _wait(pool, "the pool to grow", lambda: pool.desired == MAXIMUM, GROWTH_SECONDS)
        run.wait_for(
            "the short tasks to end", RUN_SECONDS, success=TASKS - FEW, running=FEW
        )
    except CheckFailed:
        # What waits now would be in the way later.
        run.end.touch()
        raise
    _bursts[environment] = Burst(run)
    return f"{MAXIMUM} workers; {TASKS - FEW} tasks succeeded, {FEW} long ones run on"


def shrinkage(environment: LocalEnvironment) -> str:
    """See the pool shrink to the workers of the long tasks, and then sleep."""
    pool, burst = Pool(environment, POOL), _burst(environment)
    run = burst.run

    def has_shrunk() -> bool:
        changes = pool.changes(run.started)
        is_less = any(change.after < change.before for change in changes)
        return is_less and len(pool.alive()) < MAXIMUM

    try:
        _wait(pool, "a worker without a long task to stop", has_shrunk, REST_SECONDS)
        left = len(pool.alive())
        if run.count("running") != FEW:
            raise CheckFailed("A scale-in hit a long task.", run.remedy)
    finally:
        run.end.touch()
    burst.tasks = run.succeed()
    burst.at_rest = _wait_for_rest(pool, run.started)
    changes = pool.changes(run.started)
    if any(not change.cause.startswith("alarm ") for change in changes):
        raise CheckFailed(f"The desired count changed without an alarm: {changes}.")
    _raise_if_killed(pool, run.started)
    counts = [changes[0].before, *(change.after for change in changes)]
    return (
        f"{TASKS} tasks once each; desired {' -> '.join(map(str, counts))} by alarms "
        f"alone; {left} of {MAXIMUM} workers stayed for {FEW} long tasks; 0 killed"
    )


def _burst(environment: LocalEnvironment) -> Burst:
    if environment not in _bursts:
        raise CheckFailed("The burst did not get so far.")
    return _bursts[environment]


def prediction(environment: LocalEnvironment) -> str:
    """Compare the burst with what the simulation predicts for the same tasks."""
    burst = _burst(environment)
    if not burst.at_rest:
        raise CheckFailed("The pool did not come to rest.")
    pool, started = Pool(environment, POOL), burst.run.started
    workers = [task for task in pool.since(started) if task.created < burst.at_rest]
    start_seconds = _mean_start_seconds(workers, burst.tasks)
    predicted = predict(
        environment,
        burst.tasks,
        {
            "concurrency": CONCURRENCY,
            "minimum": 0,
            "maximum": MAXIMUM,
            "scale-in-delay-seconds": SCALE_IN_DELAY_SECONDS,
            "start-seconds": round(start_seconds, 1),
        },
    )
    deficits = [at for at, value in pool.published("WorkerDeficit", started) if value]
    observed = PoolHistory(
        peak=max(change.after for change in pool.changes(started)),
        workers=len(workers),
        worker_seconds=sum(task.stopped - task.created for task in workers),
        first_deficit=deficits[0],
        at_rest=burst.at_rest,
    )
    comparisons = compare(observed, PoolHistory.of(predicted), started)
    text = "; ".join(map(str, comparisons))
    if not all(comparison.is_close for comparison in comparisons):
        raise CheckFailed(
            f"It differs: {text}.",
            f"Run python -m simulation.trace {environment.folder / TRACE}.",
        )
    return f"{text}; workers start in {start_seconds:.0f} s"


def _mean_start_seconds(workers: list[EcsTask], tasks: Sequence[TaskRecord]) -> float:
    """Return how long workers took from their creation to their first task."""
    seconds = []
    for worker in workers:
        started = [
            task.started for task in tasks if task.host == worker.sandbox.address
        ]
        if started:
            seconds.append(min(started) - worker.created)
    return sum(seconds) / len(seconds)


def deployment(environment: LocalEnvironment, launch: SharedLaunch) -> str:
    """Deploy under long tasks; see new workers take new tasks, and the old ones end."""
    pool = Pool(environment, POOL)
    run = ScalingRun.start(environment, FEW_DAG)
    try:
        return _deployment(pool, run, launch)
    finally:
        run.end.touch()


def _deployment(pool: Pool, run: ScalingRun, launch: SharedLaunch) -> str:
    environment = pool.environment
    run.wait_for("the long tasks to start", GROWTH_SECONDS, running=FEW)
    old = pool.alive()
    before = {task.deployment_id for task in old}
    launch(environment)

    def new() -> list[EcsTask]:
        return [task for task in pool.alive() if task.deployment_id not in before]

    _wait(pool, "a worker of the new deployment", lambda: bool(new()), STEADY_SECONDS)
    revisions = {task.definition.revision for task in (*old, *new())}
    # The old ones work until a new one stands beside them. ECS protects that one only
    # when more are desired, and it is the autoscaler that asks for it.
    until(
        "the new workers to take new tasks",
        lambda: _taken_by(environment, new),
        seconds=STEADY_SECONDS,
        remedy=run.remedy,
    )
    if run.count("running") != FEW or any(task.is_over for task in old):
        raise CheckFailed("The deployment hit the long tasks.", run.remedy)
    run.end.touch()
    run.succeed()
    _wait(
        pool,
        "the old workers to end",
        lambda: all(task.is_over for task in old),
        STEADY_SECONDS,
    )
    _wait_for_rest(pool, run.started)
    service, _ = pool.service()
    primary = environment.agent.registry.services[service.arn].primary
    if primary.rollout is not RolloutState.COMPLETED:
        raise CheckFailed(f"The deployment is {primary.rollout.value}.", run.remedy)
    _raise_if_killed(pool, run.started)
    revision = "the same" if len(revisions) == 1 else "another"
    return (
        f"new workers of {revision} revision ran new tasks while the old ones finished "
        f"{FEW} long ones and ended; then the pool slept; 0 killed"
    )


def _taken_by(
    environment: LocalEnvironment, workers: Callable[[], list[EcsTask]]
) -> bool | Pending:
    """Run a few tasks that end at once; return whether these workers ran all."""
    tasks = ScalingRun.start(environment, FEW_DAG, is_long=False).succeed()
    others = {task.host for task in tasks} - {
        worker.sandbox.address for worker in workers()
    }
    return not others or Pending(f"{', '.join(others)} took tasks")


def _wait(pool: Pool, what: str, look: Callable[[], bool], seconds: float) -> None:
    until(
        what,
        lambda: look() or Pending(f"{pool.desired} desired, {len(pool.alive())} alive"),
        seconds=seconds,
        remedy=pool.environment.logs(*REMEDY),
    )


def _wait_for_rest(pool: Pool, since: float) -> float:
    """Return when the pool was empty, and more exactly when none was desired."""
    _wait(
        pool,
        "the pool to be empty",
        lambda: not pool.desired and not pool.alive(),
        REST_SECONDS,
    )
    changes = pool.changes(since)
    return changes[-1].at if changes else since


def _raise_if_killed(pool: Pool, since: float) -> None:
    if workers := killed(pool.since(since)):
        raise CheckFailed(
            f"{len(workers)} workers were killed: {'; '.join(workers)}.",
            pool.environment.logs(*REMEDY),
        )
