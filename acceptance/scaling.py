"""Workers that come and go with the tasks, for real, from none to many and back.

The autoscaler, the compiled alarms and the step policies do it. The proofs share one burst,
in their order. Nothing here sets a desired count; what changed it is what the alarms
did, and a change without an alarm is a failure.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from acceptance.api import api
from acceptance.check import NotProven, Pending, Proof, until
from acceptance.containers import logs
from acceptance.pool import Pool, killed
from acceptance.scaling_runs import (
    BURST_DAG,
    DAG_FILE,
    FEW,
    FEW_DAG,
    REMEDY,
    RUN_SECONDS,
    TASKS,
    Run,
)
from acceptance.simulation_check import TRACE, Ran, Seen, compare, predict
from local.ecs.scheduler import RolloutState
from local.ecs.task import EcsTask
from local.environment import Stage

DAGS = Path(__file__).with_name("scaling_dags")

QUEUE = "default"
CONCURRENCY, MOST = 4, 3
"""A worker takes half a gigabyte, and three of them all of two cores."""

HOLD_SECONDS = 10
PARAMETERS = {
    "DefaultWorkersMinimum": "0",
    "DefaultWorkersMaximum": str(MOST),
    "DefaultWorkersConcurrency": str(CONCURRENCY),
    "DefaultWorkersScaleInDelaySeconds": str(HOLD_SECONDS),
}
"""What the proofs need of the default pool. A stage that is otherwise is launched
again with them, which takes a minute: give them as overrides where nothing forbids."""

MEMORY = "DefaultWorkersMemory"
OTHER_MEMORY = {"4096": "3072"}
"""A change that concerns the workers' task definition alone; else 4096."""

READ_SECONDS = 3.0
KNOWN_SECONDS = 150.0
STEADY_SECONDS = 240.0
REST_SECONDS = 180.0
GROWTH_SECONDS = 120.0


@dataclass(frozen=True)
class Done:
    """The burst, when it is over."""

    run: Run
    ran: list[Ran]
    at_rest: float


_done: weakref.WeakKeyDictionary[Stage, Done] = weakref.WeakKeyDictionary()


def at_rest(stage: Stage) -> str:
    """See the pool fall asleep when nothing is to be done."""
    if any(stage.parameters.get(name) != PARAMETERS[name] for name in PARAMETERS):
        _launch(stage, PARAMETERS)
        _wait_until_steady(stage)
    if DAG_FILE not in _uploaded(stage):
        stage.put_dags(DAGS)
    remedy = logs(stage, "dag-processor")
    api(stage).wait_for_dag(BURST_DAG, seconds=KNOWN_SECONDS, remedy=remedy)
    _rest(Pool(stage, QUEUE), time.time())
    return "no worker runs and none is desired: a pool with the minimum 0 sleeps"


def burst(stage: Stage) -> str:
    """Start two hundred tasks at once; see the pool grow, shrink and sleep."""
    pool = Pool(stage, QUEUE)
    run = Run.begin(stage, BURST_DAG)
    _wait(pool, "the pool to grow", lambda: pool.desired == MOST, GROWTH_SECONDS)
    run.reach("the short tasks to end", RUN_SECONDS, success=TASKS - FEW, running=FEW)

    def has_shrunk() -> bool:
        changes = pool.changes(run.begun)
        is_less = any(change.after < change.before for change in changes)
        return is_less and len(pool.alive()) < MOST

    _wait(pool, "a worker to leave the long tasks", has_shrunk, REST_SECONDS)
    left = len(pool.alive())
    if run.states()["running"] != FEW:
        raise NotProven("A scale-in hit a long task.", logs(stage, *REMEDY))
    run.end.touch()
    ran = run.succeed()
    _done[stage] = Done(run, ran, _rest(pool, run.begun))
    changes = pool.changes(run.begun)
    if any(not change.cause.startswith("alarm ") for change in changes):
        raise NotProven(f"Somebody else changed the desired count: {changes}.")
    _nobody_killed(pool, run.begun)
    counts = [changes[0].before, *(change.after for change in changes)]
    return (
        f"{TASKS} tasks once each; desired {' -> '.join(map(str, counts))} by alarms "
        f"alone; {left} of {MOST} workers stayed for {FEW} long tasks; 0 killed"
    )


def prediction(stage: Stage) -> str:
    """Hold what the burst did against what the simulation makes of the same tasks."""
    done = _done.get(stage)
    if done is None:
        raise NotProven("There was no burst to compare with.")
    pool, begun = Pool(stage, QUEUE), done.run.begun
    workers = [task for task in pool.since(begun) if task.created < done.at_rest]
    starts = [
        min(first) - task.created
        for task in workers
        if (
            first := [
                one.started for one in done.ran if one.host == task.sandbox.address
            ]
        )
    ]
    start_seconds = sum(starts) / len(starts)
    foreseen = predict(
        stage,
        done.ran,
        {
            "concurrency": CONCURRENCY,
            "minimum": 0,
            "maximum": MOST,
            "scale-in-delay-seconds": HOLD_SECONDS,
            "start-seconds": round(start_seconds, 1),
        },
    )
    orders = [at for at, value in pool.published("WorkerDeficit", begun) if value]
    seen = Seen(
        peak=max(change.after for change in pool.changes(begun)),
        workers=len(workers),
        worker_seconds=sum(task.stopped - task.created for task in workers),
        first_order=orders[0],
        at_rest=done.at_rest,
    )
    compared = compare(seen, Seen.of(foreseen), begun)
    text = "; ".join(map(str, compared))
    if not all(pair.is_alike for pair in compared):
        raise NotProven(
            f"It differs: {text}.",
            f"The trace is {stage.folder / TRACE}; ask python -m simulation.trace.",
        )
    return f"{text}; workers start in {start_seconds:.0f} s"


def deployment(stage: Stage) -> str:
    """Deploy under long tasks; see new workers take new tasks, and the old ones end."""
    pool, remedy = Pool(stage, QUEUE), logs(stage, *REMEDY)
    long = Run.begin(stage, FEW_DAG)
    long.reach("the long tasks to begin", GROWTH_SECONDS, running=FEW)
    old = pool.alive()
    before = old[0].definition.revision
    now = stage.parameters.get(MEMORY, "")
    _launch(stage, {MEMORY: OTHER_MEMORY.get(now, "4096")})

    def new() -> list[EcsTask]:
        return [one for one in pool.alive() if one.definition.revision != before]

    _wait(pool, "a worker of the new revision", lambda: bool(new()), STEADY_SECONDS)
    # The old ones work until a new one stands beside them. ECS protects that one only
    # when more are desired, and it is the autoscaler who asks for it.
    until(
        "the new workers to take new tasks",
        lambda: _taken_by(stage, new),
        seconds=STEADY_SECONDS,
        remedy=remedy,
    )
    if long.states()["running"] != FEW or any(task.is_over for task in old):
        raise NotProven("The deployment hit the long tasks.", remedy)
    long.end.touch()
    long.succeed()
    _wait(
        pool,
        "the old workers to end",
        lambda: all(task.is_over for task in old),
        STEADY_SECONDS,
    )
    _rest(pool, long.begun)
    service, tasks = pool.service()
    primary = stage.agent.registry.services[service.arn].primary
    if primary.rollout is not RolloutState.COMPLETED:
        raise NotProven(f"The deployment is {primary.rollout.value}.", remedy)
    _nobody_killed(pool, long.begun)
    after = {task.definition.revision for task in tasks if task.created > long.begun}
    return (
        f"new tasks ran on revision {max(after, key=int)} while revision {before} "
        f"finished {FEW} long ones and ended; then the pool slept; 0 killed"
    )


def _taken_by(stage: Stage, workers: Callable[[], list[EcsTask]]) -> bool | Pending:
    """Run a few tasks that end at once; return whether these workers ran all."""
    hosts = {one.host for one in Run.begin(stage, FEW_DAG, is_long=False).succeed()}
    others = hosts - {task.sandbox.address for task in workers()}
    return not others or Pending(f"{', '.join(others)} took tasks")


def _wait(pool: Pool, what: str, look: Callable[[], bool], seconds: float) -> None:
    def seen() -> bool | Pending:
        if look():
            return True
        return Pending(f"{pool.desired} desired, {len(pool.alive())} alive")

    until(what, seen, seconds=seconds, remedy=logs(pool.stage, *REMEDY))


def _rest(pool: Pool, since: float) -> float:
    """Return when the pool was empty, and more exactly when none was desired."""
    _wait(
        pool,
        "the pool to be empty",
        lambda: not pool.desired and not pool.alive(),
        REST_SECONDS,
    )
    changes = pool.changes(since)
    return changes[-1].at if changes else since


def _nobody_killed(pool: Pool, since: float) -> None:
    if bad := killed(pool.since(since)):
        raise NotProven(
            f"{len(bad)} workers were killed: {'; '.join(bad)}.",
            logs(pool.stage, *REMEDY),
        )


def _uploaded(stage: Stage) -> set[str]:
    bucket = stage.outputs["DagBucketName"]
    found = stage.client("s3").list_objects_v2(Bucket=bucket)
    return {str(one["Key"]) for one in found.get("Contents", ())}


def _launch(stage: Stage, changes: dict[str, str]) -> None:
    launched = stage.launch(changes)
    if not launched.is_good:
        raise NotProven(f"The launch with {changes} failed: {launched.text}")


def _wait_until_steady(stage: Stage) -> None:
    # The agent reads twice a second what was launched.
    time.sleep(READ_SECONDS)
    until(
        "every service to be steady",
        lambda: stage.agent.is_steady() or Pending("not yet"),
        seconds=STEADY_SECONDS,
        remedy=logs(stage, *REMEDY),
    )


SCALING = (
    Proof("A pool with the minimum 0 falls asleep", at_rest),
    Proof("200 tasks: 0 -> N -> 0, long tasks outlive it", burst, seconds=900.0),
    Proof("The simulation foresees what was seen", prediction),
    Proof("Long tasks outlive a deployment", deployment),
)
"""In the order in which they share the stage."""
