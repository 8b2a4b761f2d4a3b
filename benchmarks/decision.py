"""How much processor time ``decide`` takes: ``python -m benchmarks.decision TASKS...``.

The tasks wait in 200 DAGs and 50 pools, of which each has ten workers that are busy.
Prints the median of milliseconds for each number of tasks.
"""

from __future__ import annotations

import json
import sys
import time
from random import Random
from statistics import median

from fargate_runtime.autoscaler.dag_metadata import DagMetadataStore
from fargate_runtime.autoscaler.decide import decide
from fargate_runtime.autoscaler.demand import DemandEstimator
from fargate_runtime.autoscaler.queries import Observation, QueuedTasks, TaskHistory
from fargate_runtime.autoscaler.settings import AutoscalerSettings, PoolSettings
from fargate_runtime.autoscaler.state import (
    PoolMemory,
    PoolStatus,
    RunningTask,
    Snapshot,
    Worker,
)
from fargate_runtime.scaling_protocol import WorkerState

DAGS, POOLS, WORKERS, CONCURRENCY = 200, 50, 500, 8
TASKS_OF_DAG = 20
NOW = 1_000_000.0
REPEATS = 30

SETTINGS = AutoscalerSettings(
    tuple(
        PoolSettings(
            name=f"queue_{number}",
            queue=f"queue_{number}",
            concurrency=CONCURRENCY,
            minimum=0,
            maximum=100,
        )
        for number in range(POOLS)
    )
)


def observed(tasks: int, random: Random) -> Observation:
    """Return what the database would tell: every task of a DAG waits, in groups."""
    groups = DAGS * TASKS_OF_DAG
    return Observation(
        now=NOW,
        queued=[
            QueuedTasks(
                queue=f"queue_{group % POOLS}",
                dag_id=f"dag_{group % DAGS}",
                task_id=f"task_{group // DAGS}",
                since=NOW - random.randrange(0, 300, 5),
                tasks=tasks // groups,
            )
            for group in range(groups)
        ],
        running=[],
        unscheduled=[],
        active=[],
        announced=[],
        active_runs={},
        slots={},
        bundles=[],
    )


def measure(tasks: int) -> dict[str, float]:
    """Return the milliseconds of the decision, and of laying out its demand."""
    random = Random(tasks)  # noqa: S311 - repeatable, not secret
    metadata = DagMetadataStore("default")
    dags = [f"dag_{number}" for number in range(DAGS)]
    past = [
        TaskHistory(dag, f"task_{number}", random.lognormvariate(4, 1), 1, 0)
        for dag in dags
        for number in range(TASKS_OF_DAG)
    ]
    metadata.update(dags, (), past, {})
    observation = observed(tasks, random)
    estimator = DemandEstimator(metadata)
    pools = {
        pool.name: PoolStatus(
            desired=WORKERS // POOLS,
            workers=[
                Worker(
                    f"{pool.name}-{number}",
                    WorkerState.READY,
                    [
                        RunningTask(
                            NOW - random.uniform(0, 60), random.uniform(10, 300)
                        )
                        for _ in range(CONCURRENCY)
                    ],
                )
                for number in range(WORKERS // POOLS)
            ],
        )
        for pool in SETTINGS.pools
    }
    laid_out, decided = [], []
    memories: dict[str, PoolMemory] = {}
    for _ in range(REPEATS):
        began = time.process_time()
        queues = estimator.demand(observation)
        middle = time.process_time()
        decision = decide(Snapshot(NOW, queues, pools, memories), SETTINGS)
        decided.append(time.process_time() - middle)
        laid_out.append(middle - began)
        memories = {name: pool.memory for name, pool in decision.pools.items()}
    if not all(pool.needed > WORKERS // POOLS for pool in decision.pools.values()):
        sys.exit("the decision asked for no workers; that is not what to measure")
    return {"decide": 1000 * median(decided), "demand": 1000 * median(laid_out)}


if __name__ == "__main__":
    sys.stdout.write(
        json.dumps({number: measure(int(number)) for number in sys.argv[1:]})
    )
