"""Workers that come and go with the tasks, for real, from none to many and back.

The brain, the compiled alarms and the step policies do it. The proofs share one burst,
in their order. Nothing here sets a desired count; what changed it is what the alarms
did, and a change without an alarm is a failure.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from local.agent.scheduler import Rollout
from local.rehearsal.api import api
from local.rehearsal.containers import logs
from local.rehearsal.pool import WORKER, Pool, killed
from local.rehearsal.predicted import Ran, history, predict
from local.rehearsal.proof import NotProven, Pending, Proof, until
from local.rehearsal.stage import Stage

DAGS = Path(__file__).with_name("scaling_dags")
BURST_DAG, FEW_DAG = "scaling_burst", "scaling_few"
TASKS, FEW = 200, 2

QUEUE = "default"
CONCURRENCY, MOST = 4, 3
"""A worker takes half a gigabyte, and three of them all of two cores."""

HOLD_SECONDS = 10
PARAMETERS = {
    "DefaultWorkersMinimum": "0",
    "DefaultWorkersMaximum": str(MOST),
    "DefaultWorkersConcurrency": str(CONCURRENCY),
    "DefaultWorkersHoldSeconds": str(HOLD_SECONDS),
}
"""What the proofs need of the default pool. A stage that is otherwise is launched
again with them, which takes a minute: give them as overrides where nothing forbids."""

MEMORY = "DefaultWorkersMemory"
OTHER_MEMORY = {"4096": "3072"}
"""A change that concerns the workers' task definition alone; else 4096."""

KNOWN_SECONDS = 150.0
STEADY_SECONDS = 240.0
REST_SECONDS = 180.0
GROWTH_SECONDS = 120.0
RUN_SECONDS = 420.0
"""Two hundred tasks of Airflow take two cores about as many seconds."""

REMEDY = ("brain", WORKER)
"""Whose logs tell why."""

SAME_SECONDS = 45.0
SAME_SHARE = 0.25
"""How far what was seen may be from what was predicted. The seconds are three of the
brain's rounds, an alarm's delay and the start of a worker on a busy machine."""


@dataclass
class Burst:
    """What is under way on one stage."""

    stage: Stage
    pool: Pool
    run_id: str = ""
    begun: float = 0
    at_rest: float = 0
    ran: list[Ran] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)

    def begin(self, dag_id: str) -> Path:
        """Start a run; return the file that ends its long tasks."""
        folder = self.stage.folder / "scaling"
        folder.mkdir(exist_ok=True)
        end = folder / f"end-{next(self._numbers)}"
        self.begun = time.time()
        self.run_id = api(self.stage).trigger(dag_id, {"end": str(end)})
        return end

    def states(self, dag_id: str) -> dict[str, int]:
        """Return how many tasks of the run are in which state."""
        found: dict[str, int] = {}
        for task in api(self.stage).tasks(dag_id, self.run_id):
            state = str(task["state"] or "waiting")
            found[state] = found.get(state, 0) + 1
        return found

    def wait(self, what: str, look: Callable[[], bool], seconds: float) -> None:
        """Wait for something of the pool."""

        def seen() -> bool | Pending:
            if look():
                return True
            desired, alive = self.pool.desired, len(self.pool.alive())
            return Pending(f"{desired} desired, {alive} alive")

        until(what, seen, seconds=seconds, remedy=logs(self.stage, *REMEDY))

    def rest(self) -> float:
        """Return when the pool has no worker left, and since when none was desired."""
        self.wait(
            "the pool to be empty",
            lambda: not self.pool.desired and not self.pool.alive(),
            REST_SECONDS,
        )
        changes = self.pool.changes(self.begun)
        return changes[-1].at if changes else self.begun

    def succeed(self, dag_id: str) -> list[Ran]:
        """Return the tasks of the run when all have succeeded at the first try."""
        api(self.stage).wait_for_run(
            dag_id, self.run_id, seconds=RUN_SECONDS, remedy=logs(self.stage, *REMEDY)
        )
        ran = history(self.stage, dag_id, self.run_id)
        wrong = [one for one in ran if one.state != "success" or one.tries != 1]
        if wrong:
            raise NotProven(
                f"{len(wrong)} of {len(ran)} tasks were not done at the first try.",
                logs(self.stage, *REMEDY),
            )
        return ran


_bursts: weakref.WeakKeyDictionary[Stage, Burst] = weakref.WeakKeyDictionary()


def _burst(stage: Stage) -> Burst:
    if stage not in _bursts:
        _bursts[stage] = Burst(stage, Pool(stage, QUEUE))
    return _bursts[stage]


def at_rest(stage: Stage) -> str:
    """See the pool fall asleep when nothing is to be done."""
    if any(stage.parameters.get(name) != PARAMETERS[name] for name in PARAMETERS):
        _launch(stage, PARAMETERS)
    airflow, remedy = api(stage), logs(stage, "dag-processor")
    if "scaling.py" not in _uploaded(stage):
        stage.put_dags(DAGS)
    airflow.wait_for_dag(BURST_DAG, seconds=KNOWN_SECONDS, remedy=remedy)
    burst = _burst(stage)
    burst.rest()
    return "no worker runs and none is desired: a pool with the minimum 0 sleeps"


def burst(stage: Stage) -> str:
    """Start two hundred tasks at once; see the pool grow and the short ones end."""
    one = _burst(stage)
    end = one.begin(BURST_DAG)
    one.wait("the pool to grow", lambda: one.pool.desired == MOST, GROWTH_SECONDS)
    remedy = logs(stage, *REMEDY)

    def look() -> bool | Pending:
        states = one.states(BURST_DAG)
        if states.get("failed"):
            raise NotProven(f"Tasks failed: {states}.", remedy)
        done = states.get("success", 0) == TASKS - FEW
        return (done and states.get("running") == FEW) or Pending(str(states))

    until("the short tasks to end", look, seconds=RUN_SECONDS, remedy=remedy)
    one.wait(
        "a worker to leave while the long tasks run",
        lambda: (
            any(two.after < two.before for two in one.pool.changes(one.begun))
            and len(one.pool.alive()) < MOST
        ),
        REST_SECONDS,
    )
    states = one.states(BURST_DAG)
    if states.get("running") != FEW:
        raise NotProven(f"A scale-in hit a long task: {states}.", remedy)
    left = len(one.pool.alive())
    end.touch()
    one.ran = one.succeed(BURST_DAG)
    one.at_rest = one.rest()
    changes = one.pool.changes(one.begun)
    if any(not change.cause.startswith("alarm ") for change in changes):
        raise NotProven(f"Somebody else changed the desired count: {changes}.")
    if bad := killed(one.pool.since(one.begun)):
        raise NotProven(f"{len(bad)} workers were killed: {'; '.join(bad)}.", remedy)
    counts = [changes[0].before, *(change.after for change in changes)]
    return (
        f"{TASKS} tasks once each; desired {' -> '.join(map(str, counts))} by alarms "
        f"alone; {left} workers stayed for {FEW} long tasks, 0 killed"
    )


def deployment(stage: Stage) -> str:
    """Deploy other workers under long tasks; see the old ones finish, then end."""
    one = _burst(stage)
    end = one.begin(FEW_DAG)
    remedy = logs(stage, *REMEDY)

    def under_way() -> bool | Pending:
        states = one.states(FEW_DAG)
        return states.get("running") == FEW or Pending(str(states))

    until("the long tasks to begin", under_way, seconds=GROWTH_SECONDS, remedy=remedy)
    old = one.pool.alive()
    before = old[0].definition.revision
    now = stage.parameters.get(MEMORY, "")
    _launch(stage, {MEMORY: OTHER_MEMORY.get(now, "4096")}, is_steady=False)

    def current() -> int:
        return sum(
            task.definition.revision != before and task.protection.is_on(time.time())
            for task in one.pool.alive()
        )

    one.wait("a new worker to be protected", lambda: current() > 0, STEADY_SECONDS)
    beside = [task for task in old if not task.is_over]
    if not beside or one.states(FEW_DAG).get("running") != FEW:
        raise NotProven("The deployment hit the long tasks.", remedy)
    end.touch()
    ran = one.succeed(FEW_DAG)
    one.wait(
        "the old workers to end",
        lambda: all(task.is_over for task in old),
        STEADY_SECONDS,
    )
    one.rest()
    service, tasks = one.pool.service()
    kept = stage.agent.services.kept[service.arn]
    if kept.primary.rollout is Rollout.FAILED:
        raise NotProven(f"The deployment failed: {kept.primary.reason}", remedy)
    if bad := killed([*old, *one.pool.since(one.begun)]):
        raise NotProven(f"{len(bad)} workers were killed: {'; '.join(bad)}.", remedy)
    after = {task.definition.revision for task in tasks} - {before}
    return (
        f"revision {before} finished {len(ran)} tasks beside {', '.join(sorted(after))}"
        " and ended; then the pool slept; 0 killed"
    )


def prediction(stage: Stage) -> str:
    """Hold what the burst did against what the simulation makes of the same tasks."""
    one = _burst(stage)
    if not one.ran:
        raise NotProven("There was no burst to compare with.")
    workers = [task for task in one.pool.since(one.begun) if task.created < one.at_rest]
    starts = []
    for task in workers:
        first = [ran.started for ran in one.ran if ran.host == task.place.address]
        starts += [min(first) - task.created] if first else []
    start_seconds = sum(starts) / len(starts)
    foreseen = predict(
        stage,
        one.ran,
        {
            "concurrency": CONCURRENCY,
            "minimum": 0,
            "maximum": MOST,
            "hold": HOLD_SECONDS,
            "start-seconds": round(start_seconds, 1),
        },
    )
    changes = one.pool.changes(one.begun)
    grown = [
        at for at, value in one.pool.published("WorkerDeficit", one.begun) if value
    ]
    seconds = sum(
        min(task.stopped, one.at_rest + SAME_SECONDS) - task.created for task in workers
    )
    compared = (
        ("peak", max(change.after for change in changes), foreseen["peak"], 0.0),
        ("workers", len(workers), foreseen["workers"], 1.0),
        (
            *("worker-seconds", seconds, foreseen["worker_seconds"]),
            SAME_SHARE * foreseen["worker_seconds"],
        ),
        (
            *("first order", grown[0] - one.begun),
            next(at for at, value in foreseen["deficit"] if value) - one.begun,
            SAME_SECONDS,
        ),
        (
            *("asleep after", one.at_rest - one.begun),
            (foreseen["at_rest"] or float("inf")) - one.begun,
            SAME_SECONDS,
        ),
    )
    text = "; ".join(
        f"{name} {seen:.0f}, foreseen {expected:.0f} (+-{margin:.0f})"
        for name, seen, expected, margin in compared
    )
    if any(abs(seen - expected) > margin for _, seen, expected, margin in compared):
        raise NotProven(
            f"It differs: {text}.",
            f"The trace is {stage.folder / 'scaling' / 'trace.csv'}; "
            "ask python -m simulation.trace.",
        )
    return f"{text}; workers start in {start_seconds:.0f} s"


def _uploaded(stage: Stage) -> set[str]:
    bucket = stage.outputs["DagBucketName"]
    found = stage.client("s3").list_objects_v2(Bucket=bucket)
    return {str(one["Key"]) for one in found.get("Contents", ())}


def _launch(stage: Stage, changes: dict[str, str], *, is_steady: bool = True) -> None:
    launched = stage.launch(changes)
    if not launched.is_good:
        raise NotProven(f"The launch with {changes} failed: {launched.text}")
    if is_steady:
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
