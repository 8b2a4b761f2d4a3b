"""The world: a broker, workers, and ECS as far as scaling meets it. Discrete events.

Times are seconds of the day. Every few seconds ECS compares the desired count of each
pool with what lives: it launches what is missing, and stops what is too much, choosing
at random among unprotected tasks. What a worker does about protection is its policy's
``Discipline``. What is chance comes from one seed.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from random import Random
from typing import Any, Protocol

from fargate_runtime.autoscaler.state import Running
from simulation import ecs
from simulation.fleet import Discipline, Fleet, Image, Worker
from simulation.tasks import DAY_SECONDS, Day, Run, Stage, Task

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


class Policy(Protocol):
    """What changes the desired counts."""

    name: str
    discipline: Discipline

    def begin(self, world: World) -> None:
        """Prepare for a day."""

    def sample(self, world: World) -> None:
        """Look at the world, every ten seconds."""


class World:
    """One day under one policy.

    At each time of ``deployments`` every pool gets a new revision. ``grace`` is how
    long a worker may finish its tasks after SIGTERM, in seconds. ``interruptions`` is
    how often AWS takes a worker back as it does with Spot capacity, a worker-hour.
    """

    def __init__(
        self,
        day: Day,
        policy: Policy,
        *,
        seed: int = 0,
        image: Image | None = None,
        seconds: float = DAY_SECONDS,
        deployments: Sequence[float] = (),
        grace: float = GRACE_SECONDS,
        interruptions: float = 0.0,
    ) -> None:
        day.reset()
        self.day = day
        self.policy = policy
        self.image = image or Image()
        self.deployments = deployments
        self.grace = grace
        self.interruptions = interruptions
        self.random = Random(f"world {seed}")  # noqa: S311 - repeatable, not secret
        self.now = 0.0
        self.seconds = seconds
        self.fleets: Mapping[str, Fleet] = {
            name: Fleet(name, shape) for name, shape in day.pools.items()
        }
        self.active: dict[Run, None] = {}
        """Runs of which some stage is not queued yet."""

        self.left = len(day.tasks())
        self.next_run = 0
        self.end = 0.0
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._number = count()

    def at(self, time: float, act: Callable[[Any], None], what: Any = None) -> None:
        """Let something happen then."""
        heapq.heappush(self._events, (time, next(self._number), act, what))

    def run(self) -> World:
        """Run the day, and on until all tasks have ended or time is up."""
        for fleet in self.fleets.values():
            for _ in range(fleet.shape.minimum):
                self._add_warm(fleet)
        self.policy.begin(self)
        for time in self.deployments:
            self.at(time, self._deploy)
        self.at(0.0, self._tick)
        self._await_run(None)
        limit = self.seconds + OVERTIME_SECONDS
        while self._events:
            time, _, act, what = heapq.heappop(self._events)
            if time > limit or (time >= self.seconds and self._done):
                self.now = max(self.seconds, min(time, limit))
                break
            self.now = time
            act(what)
        self.end = self.now
        for fleet in self.fleets.values():
            for worker in [*fleet.workers]:
                self._end(fleet, worker)
        return self

    @property
    def _done(self) -> bool:
        return not self.left and not any(f.deploying for f in self.fleets.values())

    # Tasks.

    def _await_run(self, _: None) -> None:
        if self.next_run < len(self.day.runs):
            self.at(self.day.runs[self.next_run].at, self._arrive)

    def _arrive(self, _: None) -> None:
        run = self.day.runs[self.next_run]
        self.next_run += 1
        self._await_run(None)
        self.active[run] = None
        for stage in run.stages:
            if not stage.parents:
                self._release(stage)

    def _release(self, stage: Stage) -> None:
        stage.run.waiting -= 1
        if not stage.run.waiting:
            del self.active[stage.run]
        for task in stage.tasks:
            task.queued_at = self.now
            self.fleets[task.pool].queue.append(task)
        for pool in sorted({task.pool for task in stage.tasks}):
            self.dispatch(self.fleets[pool])

    def dispatch(self, fleet: Fleet) -> None:
        """Give waiting tasks to whoever consumes and has a slot."""
        most = fleet.shape.concurrency
        while fleet.queue:
            worker = next((w for w in fleet.ring if len(w.running) < most), None)
            if worker is None:
                return
            fleet.ring.remove(worker)
            fleet.ring.append(worker)
            self._start(fleet, worker, fleet.queue.popleft())

    def _start(self, fleet: Fleet, worker: Worker, task: Task) -> None:
        task.started_at = self.now
        if task.first_started_at < 0:
            task.first_started_at = self.now
        if self.policy.discipline is Discipline.BUSY and not worker.running:
            delay = self.random.uniform(0.3, 1.0)
            self.at(self.now + delay, self._protect_busy, (fleet, worker))
        worker.running[task] = Running(self.now, task.estimate)
        worker.cpu += task.cpu
        self.at(self.now + task.duration, self._finish, (fleet, worker, task, self.now))

    def _finish(self, what: tuple[Fleet, Worker, Task, float]) -> None:
        fleet, worker, task, started = what
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
            self._idle(fleet, worker)
        if worker.consuming:
            self.dispatch(fleet)

    def _leave(self, worker: Worker, task: Task) -> None:
        del worker.running[task]
        worker.cpu -= task.cpu

    def _idle(self, fleet: Fleet, worker: Worker) -> None:
        worker.idle_since = self.now
        if worker.stopping and not worker.consuming:
            self._end(fleet, worker)
        elif worker.draining:
            self._let_go(fleet, worker)
        elif self.policy.discipline is Discipline.BUSY:
            delay = self.random.uniform(0.5, 10.0)
            self.at(self.now + delay, self._unprotect_idle, worker)

    # Protection.

    def _protect_busy(self, what: tuple[Fleet, Worker]) -> None:
        fleet, worker = what
        if not worker.running or worker.stopping:
            return
        if ecs.refuses_protection(fleet):
            self.at(self.now + RETRY_PROTECTION_SECONDS, self._protect_busy, what)
        else:
            worker.protected = True

    def _unprotect_idle(self, worker: Worker) -> None:
        if not worker.running:
            worker.protected = False

    def _protect_first(self, what: tuple[Fleet, Worker]) -> None:
        fleet, worker = what
        if worker.stopping:
            return
        if ecs.refuses_protection(fleet):
            self.at(self.now + RETRY_PROTECTION_SECONDS, self._protect_first, what)
        else:
            worker.protected = True
            self._consume(fleet, worker)

    def drain(self, fleet: Fleet, worker: Worker) -> None:
        """Tell a worker to take no more tasks; it lets go when it has none."""
        self.at(self.now + self.random.uniform(0.1, 1.0), self._drain, (fleet, worker))

    def _drain(self, what: tuple[Fleet, Worker]) -> None:
        fleet, worker = what
        if worker.stopping or worker.draining:
            return
        worker.draining = True
        self._mute(fleet, worker)
        if not worker.running:
            self._let_go(fleet, worker)

    def _let_go(self, fleet: Fleet, worker: Worker) -> None:
        delay = self.random.uniform(0.3, 1.0)
        self.at(self.now + delay, self._release_worker, (fleet, worker))

    def _release_worker(self, what: tuple[Fleet, Worker]) -> None:
        _, worker = what
        if worker.draining and not worker.running:
            worker.protected = False
            worker.released = True

    def revive(self, fleet: Fleet, worker: Worker) -> None:
        """Tell a draining worker to take tasks again; in vain once it has let go."""
        self.at(self.now + self.random.uniform(0.1, 1.0), self._revive, (fleet, worker))

    def _revive(self, what: tuple[Fleet, Worker]) -> None:
        fleet, worker = what
        if worker.draining and not worker.released and not worker.stopping:
            worker.draining = False
            self._consume(fleet, worker)

    # Workers.

    def _add_warm(self, fleet: Fleet) -> None:
        worker = Worker(self._name(fleet), 0.0, fleet.revision, billed_from=0.0)
        worker.booted = worker.ready = True
        fleet.workers.append(worker)
        self._await_interruption(fleet, worker)
        worker.protected = self.policy.discipline is Discipline.DRAIN
        self._consume(fleet, worker)

    def _name(self, fleet: Fleet) -> str:
        fleet.launches += 1
        return f"{fleet.name}-{fleet.launches:05}"

    def _launch(self, fleet: Fleet) -> None:
        worker = Worker(self._name(fleet), self.now, fleet.revision)
        fleet.workers.append(worker)
        placed, started = self.image.seconds(self.random)
        self.at(self.now + placed, self._pull, (fleet, worker, started))

    def _pull(self, what: tuple[Fleet, Worker, float]) -> None:
        fleet, worker, started = what
        if worker.ended:
            return
        worker.billed_from = self.now
        self.at(self.now + started, self._boot, (fleet, worker))

    def _boot(self, what: tuple[Fleet, Worker]) -> None:
        fleet, worker = what
        if worker.ended:
            return
        worker.booted = True
        self._await_interruption(fleet, worker)
        if self.policy.discipline is Discipline.DRAIN:
            delay = self.random.uniform(0.3, 1.0)
            self.at(self.now + delay, self._protect_first, what)
        else:
            self._consume(fleet, worker)

    def _consume(self, fleet: Fleet, worker: Worker) -> None:
        if not worker.ready:
            fleet.start_seconds.append(self.now - worker.launched_at)
        worker.ready = worker.consuming = True
        worker.idle_since = self.now
        fleet.ring.insert(0, worker)
        self.dispatch(fleet)

    def _mute(self, fleet: Fleet, worker: Worker) -> None:
        if worker.consuming:
            worker.consuming = False
            fleet.ring.remove(worker)

    def _await_interruption(self, fleet: Fleet, worker: Worker) -> None:
        if self.interruptions:
            hours = self.random.expovariate(self.interruptions)
            self.at(self.now + 3600 * hours, self._interrupt, (fleet, worker))

    def _interrupt(self, what: tuple[Fleet, Worker]) -> None:
        fleet, worker = what
        if not (worker.ended or worker.stopping):
            self.stop(fleet, worker)

    def stop(self, fleet: Fleet, worker: Worker) -> None:
        """Choose a worker to stop; one that starts vanishes at once."""
        worker.stopping = True
        fleet.workers.remove(worker)
        if not worker.booted:
            self._end(fleet, worker)
            return
        self.at(self.now + self.random.uniform(1, 5), self._terminate, (fleet, worker))

    def _terminate(self, what: tuple[Fleet, Worker]) -> None:
        fleet, worker = what
        if worker.ended:
            return
        self._mute(fleet, worker)
        if not worker.running:
            self._end(fleet, worker)
        else:
            self.at(self.now + self.grace, self._kill, what)

    def _kill(self, what: tuple[Fleet, Worker]) -> None:
        fleet, worker = what
        if worker.ended:
            return
        for task in [*worker.running]:
            self._leave(worker, task)
            task.kills += 1
            task.started_at = -1.0
            fleet.kills += 1
            self.at(self.now + REQUEUE_SECONDS, self._requeue, (fleet, task))
        self._end(fleet, worker)

    def _requeue(self, what: tuple[Fleet, Task]) -> None:
        fleet, task = what
        fleet.queue.append(task)
        self.dispatch(fleet)

    def _end(self, fleet: Fleet, worker: Worker) -> None:
        if worker.ended:
            return
        worker.ended = True
        self._mute(fleet, worker)
        if worker in fleet.workers:
            fleet.workers.remove(worker)
        if worker.billed_from <= self.now:
            end = max(self.now, worker.billed_from + SHORTEST_BILL_SECONDS)
            fleet.cost += end - worker.billed_from
            fleet.lives.append((worker.billed_from, end))

    def pause(self, fleet: Fleet, worker: Worker) -> None:
        """Let a worker take no more tasks."""
        self._mute(fleet, worker)

    def resume(self, fleet: Fleet, worker: Worker) -> None:
        """Let it take tasks again."""
        self._consume(fleet, worker)

    def retire(self, fleet: Fleet, worker: Worker) -> None:
        """Let an idle worker leave by itself."""
        self._end(fleet, worker)

    # ECS.

    def _tick(self, _: None) -> None:
        if self.now % SAMPLE_SECONDS == 0:
            self._record()
            self.policy.sample(self)
        for fleet in self.fleets.values():
            self._reconcile(fleet)
        self.at(self.now + TICK_SECONDS, self._tick)

    def _record(self) -> None:
        for fleet in self.fleets.values():
            fleet.supply.append(len(fleet.ring))
            fleet.demand.append(len(fleet.queue) + fleet.running)
            fleet.alive.append(len(fleet.workers))

    def _deploy(self, _: None) -> None:
        for fleet in self.fleets.values():
            fleet.revision += 1
            fleet.deployments.append((self.now, math.inf))

    def _reconcile(self, fleet: Fleet) -> None:
        settled = len(fleet.workers) == fleet.desired
        if fleet.deploying and settled and not fleet.outdated:
            # One that began meanwhile ends together with those before it.
            fleet.deployments = [
                (begun, min(ended, self.now)) for begun, ended in fleet.deployments
            ]
        launch, stop = ecs.reconcile(fleet, self.random)
        for _ in range(launch):
            self._launch(fleet)
        if self.policy.discipline is not Discipline.EXIT:
            for worker in stop:
                self.stop(fleet, worker)
        fleet.most_alive = max(fleet.most_alive, len(fleet.workers))
