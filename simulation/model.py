"""Discrete-event simulation of a broker, workers, and the ECS features for scaling.

Times are seconds of the day. Every few seconds ECS compares the desired count of each
pool with its workers: it launches missing ones, and stops surplus ones, chosen at
random among the unprotected. How workers use protection is the policy's ``Discipline``.
All random numbers come from one seed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from random import Random
from typing import Any, Protocol

from fargate_runtime.autoscaler.state import RunningTask
from simulation import ecs
from simulation.pool import Discipline, ImageStartUp, SimPool, SimWorker
from simulation.tasks import DAY_SECONDS, Day, SimRun, SimStage, SimTask

TICK_SECONDS = 5
SAMPLE_SECONDS = 10
OVERTIME_SECONDS = 6 * 3600
"""How long after the day unfinished tasks may still run."""

STAGE_SECONDS = 2.0
GRACE_SECONDS = 120.0
REQUEUE_SECONDS = 300.0
"""Until Airflow notices that a task has died."""

SHORTEST_BILL_SECONDS = 60.0
RETRY_PROTECTION_SECONDS = 10.0


class ScalingPolicy(Protocol):
    """Changes the desired counts."""

    name: str
    discipline: Discipline

    def begin(self, simulation: Simulation) -> None:
        """Prepare for a day."""

    def sample(self, simulation: Simulation) -> None:
        """Observe the simulation, every ten seconds."""


class Simulation:
    """One day under one policy.

    At each time of ``deployments`` every pool gets a new deployment. ``grace`` is how
    long a worker may finish its tasks after SIGTERM, in seconds. ``interruptions`` is
    how often AWS reclaims a worker, as it does with Spot capacity, a worker-hour.
    """

    def __init__(
        self,
        day: Day,
        policy: ScalingPolicy,
        *,
        seed: int = 0,
        image: ImageStartUp | None = None,
        seconds: float = DAY_SECONDS,
        deployments: Sequence[float] = (),
        grace: float = GRACE_SECONDS,
        interruptions: float = 0.0,
    ) -> None:
        day.reset()
        self.day = day
        self.policy = policy
        self.image = image or ImageStartUp()
        self.deployments = deployments
        self.grace = grace
        self.interruptions = interruptions
        self.random = Random(f"world {seed}")  # noqa: S311 - repeatable, not secret
        self.now = 0.0
        self.seconds = seconds
        self.pools: Mapping[str, SimPool] = {
            name: SimPool(name, shape) for name, shape in day.pools.items()
        }
        self.active: dict[SimRun, None] = {}
        """Runs of which some stage is not queued yet."""

        self.left = len(day.tasks())
        self.next_run = 0
        self.end = 0.0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._number = count()

    def at(self, time: float, act: Callable[..., None], *arguments: Any) -> None:
        """Schedule an event."""
        heapq.heappush(self._events, (time, next(self._number), act, arguments))

    def run(self) -> Simulation:
        """Run the day, and on until all tasks have ended or time is up."""
        for pool in self.pools.values():
            for _ in range(pool.shape.minimum):
                self._add_warm(pool)
        self.policy.begin(self)
        for time in self.deployments:
            self.at(time, self._deploy)
        self.at(0.0, self._tick)
        self._await_run()
        limit = self.seconds + OVERTIME_SECONDS
        while self._events:
            time, _, act, arguments = heapq.heappop(self._events)
            if time > limit or (time >= self.seconds and self._done):
                self.now = max(self.seconds, min(time, limit))
                break
            self.now = time
            act(*arguments)
        self.end = self.now
        for pool in self.pools.values():
            for worker in [*pool.workers]:
                self.end_worker(pool, worker)
        return self

    @property
    def _done(self) -> bool:
        return not self.left and not any(f.deploying for f in self.pools.values())

    # Tasks.

    def _await_run(self) -> None:
        if self.next_run < len(self.day.runs):
            self.at(self.day.runs[self.next_run].at, self._arrive)

    def _arrive(self) -> None:
        run = self.day.runs[self.next_run]
        self.next_run += 1
        self._await_run()
        self.active[run] = None
        for stage in run.stages:
            if not stage.parents:
                self._release(stage)

    def _release(self, stage: SimStage) -> None:
        stage.run.waiting -= 1
        if not stage.run.waiting:
            del self.active[stage.run]
        for task in stage.tasks:
            task.queued_at = self.now
            self.pools[task.pool].queue.append(task)
        for pool in sorted({task.pool for task in stage.tasks}):
            self.dispatch(self.pools[pool])

    def dispatch(self, pool: SimPool) -> None:
        """Assign waiting tasks to consuming workers with a free slot."""
        most = pool.shape.concurrency
        while pool.queue:
            worker = next((w for w in pool.ring if len(w.running) < most), None)
            if worker is None:
                return
            pool.ring.remove(worker)
            pool.ring.append(worker)
            self._start(pool, worker, pool.queue.popleft())

    def _start(self, pool: SimPool, worker: SimWorker, task: SimTask) -> None:
        task.started_at = self.now
        if task.first_started_at < 0:
            task.first_started_at = self.now
        if self.policy.discipline is Discipline.BUSY and not worker.running:
            delay = self.random.uniform(0.3, 1.0)
            self.at(self.now + delay, self._protect_busy, pool, worker)
        worker.running[task] = RunningTask(self.now, task.estimate)
        worker.cpu += task.cpu
        self.at(self.now + task.duration, self._finish, pool, worker, task, self.now)

    def _finish(
        self,
        pool: SimPool,
        worker: SimWorker,
        task: SimTask,
        started: float,
    ) -> None:
        if task.started_at != started or task not in worker.running:
            return
        self._leave(worker, task)
        task.ended_at = self.now
        self.left -= 1
        for child in task.stage.children:
            child.unfinished -= 1
            if not child.unfinished:
                self.at(self.now + STAGE_SECONDS, self._release, child)
        if not worker.running:
            self._idle(pool, worker)
        if worker.consuming:
            self.dispatch(pool)

    def _leave(self, worker: SimWorker, task: SimTask) -> None:
        del worker.running[task]
        worker.cpu -= task.cpu

    def _idle(self, pool: SimPool, worker: SimWorker) -> None:
        worker.idle_since = self.now
        if worker.stopping and not worker.consuming:
            self.end_worker(pool, worker)
        elif worker.draining:
            self._start_release(worker)
        elif self.policy.discipline is Discipline.BUSY:
            delay = self.random.uniform(0.5, 10.0)
            self.at(self.now + delay, self._unprotect_idle, worker)

    # Protection.

    def _protect_busy(self, pool: SimPool, worker: SimWorker) -> None:
        if not worker.running or worker.stopping:
            return
        if ecs.refuses_protection(pool):
            self.at(
                self.now + RETRY_PROTECTION_SECONDS, self._protect_busy, pool, worker
            )
        else:
            worker.protected = True

    def _unprotect_idle(self, worker: SimWorker) -> None:
        if not worker.running:
            worker.protected = False

    def _protect_first(self, pool: SimPool, worker: SimWorker) -> None:
        if worker.stopping:
            return
        if ecs.refuses_protection(pool):
            self.at(
                self.now + RETRY_PROTECTION_SECONDS, self._protect_first, pool, worker
            )
        else:
            worker.protected = True
            self.consume(pool, worker)

    def drain(self, pool: SimPool, worker: SimWorker) -> None:
        """Drain a worker: it releases its protection when it has no tasks."""
        self.at(self.now + self.random.uniform(0.1, 1.0), self._drain, pool, worker)

    def _drain(self, pool: SimPool, worker: SimWorker) -> None:
        if worker.stopping or worker.draining:
            return
        worker.draining = True
        self.pause(pool, worker)
        if not worker.running:
            self._start_release(worker)

    def _start_release(self, worker: SimWorker) -> None:
        delay = self.random.uniform(0.3, 1.0)
        self.at(self.now + delay, self._release_worker, worker)

    def _release_worker(self, worker: SimWorker) -> None:
        if worker.draining and not worker.running:
            worker.protected = False
            worker.released = True

    def revive(self, pool: SimPool, worker: SimWorker) -> None:
        """Revive a draining worker; has no effect once it is released."""
        self.at(self.now + self.random.uniform(0.1, 1.0), self._revive, pool, worker)

    def _revive(self, pool: SimPool, worker: SimWorker) -> None:
        if worker.draining and not worker.released and not worker.stopping:
            worker.draining = False
            self.consume(pool, worker)

    # Workers.

    def _add_warm(self, pool: SimPool) -> None:
        worker = SimWorker(self._name(pool), 0.0, pool.deployment, billed_from=0.0)
        worker.booted = worker.ready = True
        pool.workers.append(worker)
        self._await_interruption(pool, worker)
        worker.protected = self.policy.discipline is Discipline.DRAIN
        self.consume(pool, worker)

    def _name(self, pool: SimPool) -> str:
        pool.launches += 1
        return f"{pool.name}-{pool.launches:05}"

    def _launch(self, pool: SimPool) -> None:
        worker = SimWorker(self._name(pool), self.now, pool.deployment)
        pool.workers.append(worker)
        placed, started = self.image.seconds(self.random)
        self.at(self.now + placed, self._pull, pool, worker, started)

    def _pull(self, pool: SimPool, worker: SimWorker, started: float) -> None:
        if worker.ended:
            return
        worker.billed_from = self.now
        self.at(self.now + started, self._boot, pool, worker)

    def _boot(self, pool: SimPool, worker: SimWorker) -> None:
        if worker.ended:
            return
        worker.booted = True
        self._await_interruption(pool, worker)
        if self.policy.discipline is Discipline.DRAIN:
            delay = self.random.uniform(0.3, 1.0)
            self.at(self.now + delay, self._protect_first, pool, worker)
        else:
            self.consume(pool, worker)

    def consume(self, pool: SimPool, worker: SimWorker) -> None:
        """Start or resume a worker's consumption of tasks."""
        if not worker.ready:
            pool.start_seconds.append(self.now - worker.launched_at)
        worker.ready = worker.consuming = True
        worker.idle_since = self.now
        pool.ring.insert(0, worker)
        self.dispatch(pool)

    def pause(self, pool: SimPool, worker: SimWorker) -> None:
        """Stop a worker's consumption of tasks."""
        if worker.consuming:
            worker.consuming = False
            pool.ring.remove(worker)

    def _await_interruption(self, pool: SimPool, worker: SimWorker) -> None:
        if self.interruptions:
            hours = self.random.expovariate(self.interruptions)
            self.at(self.now + 3600 * hours, self._interrupt, pool, worker)

    def _interrupt(self, pool: SimPool, worker: SimWorker) -> None:
        if not (worker.ended or worker.stopping):
            self.stop(pool, worker)

    def stop(self, pool: SimPool, worker: SimWorker) -> None:
        """Stop a worker; one that starts ends at once."""
        worker.stopping = True
        pool.workers.remove(worker)
        if not worker.booted:
            self.end_worker(pool, worker)
            return
        self.at(self.now + self.random.uniform(1, 5), self._terminate, pool, worker)

    def _terminate(self, pool: SimPool, worker: SimWorker) -> None:
        if worker.ended:
            return
        self.pause(pool, worker)
        if not worker.running:
            self.end_worker(pool, worker)
        else:
            self.at(self.now + self.grace, self._kill, pool, worker)

    def _kill(self, pool: SimPool, worker: SimWorker) -> None:
        if worker.ended:
            return
        for task in [*worker.running]:
            self._leave(worker, task)
            task.kills += 1
            task.started_at = -1.0
            pool.kills += 1
            self.at(self.now + REQUEUE_SECONDS, self._requeue, pool, task)
        self.end_worker(pool, worker)

    def _requeue(self, pool: SimPool, task: SimTask) -> None:
        pool.queue.append(task)
        self.dispatch(pool)

    def end_worker(self, pool: SimPool, worker: SimWorker) -> None:
        """End a worker now."""
        if worker.ended:
            return
        worker.ended = True
        self.pause(pool, worker)
        if worker in pool.workers:
            pool.workers.remove(worker)
        if worker.billed_from <= self.now:
            end = max(self.now, worker.billed_from + SHORTEST_BILL_SECONDS)
            pool.cost += end - worker.billed_from
            pool.lives.append((worker.billed_from, end))

    # ECS.

    def _tick(self) -> None:
        if self.now % SAMPLE_SECONDS == 0:
            self._record()
            self.policy.sample(self)
        for pool in self.pools.values():
            self._reconcile(pool)
        self.at(self.now + TICK_SECONDS, self._tick)

    def _record(self) -> None:
        for pool in self.pools.values():
            pool.supply.append(len(pool.ring))
            pool.demand.append(len(pool.queue) + pool.running)
            pool.alive.append(len(pool.workers))

    def _deploy(self) -> None:
        for pool in self.pools.values():
            pool.deployment += 1
            pool.deployments.append((self.now, math.inf))

    def _reconcile(self, pool: SimPool) -> None:
        settled = len(pool.workers) == pool.desired
        if pool.deploying and settled and not pool.outdated:
            # One that began meanwhile ends together with those before it.
            pool.deployments = [
                (begun, min(ended, self.now)) for begun, ended in pool.deployments
            ]
        launch, stop = ecs.reconcile(pool, self.random)
        for _ in range(launch):
            self._launch(pool)
        if self.policy.discipline is not Discipline.EXIT:
            for worker in stop:
                self.stop(pool, worker)
        pool.most_alive = max(pool.most_alive, len(pool.workers))
