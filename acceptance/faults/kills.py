"""Components killed in turn, and a worker stopped, under one run of tasks.

The run goes on from before the first kill until after the last: its tasks wait in the
workers, and one in the triggerer, while what they need is killed around them.

Airflow notices a killed worker by the age of its tasks' heartbeats, which takes longer
than the kills and launches that come next. The scheduler's kill comes after that: a
scheduler looks after its own tasks alone, and after another's once it finds that one
dead. Where ECS was quick to replace it, that may take
``orphaned_tasks_check_interval``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from acceptance.check import Check, CheckFailed, Pending, until
from acceptance.checks import workers
from acceptance.faults import components
from acceptance.faults.execution_record import TaskKey, label
from acceptance.faults.fault_run import FaultRun
from local.ecs.task import EcsTask
from local.environment import LocalEnvironment

WIDTH = 6

HEARTBEAT_TIMEOUT = "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"
HEARTBEAT_SECONDS = 75
"""Instead of 300. Well above the time without heartbeats while the API server restarts:
15 s on two idle cores, and it must not be longer than this on busy ones, or tasks that
run well are given up."""

NOTICED_SECONDS = HEARTBEAT_SECONDS + 45.0
"""Airflow looks every 10 s; then the task is queued and starts."""

HELD = "tasks wait in workers for the kills"
KILLED_WORKER = "kill -9 of a worker with tasks: healthy again"
"""Titles of the first checks."""

CALM_SECONDS = 5.0
"""How long a worker that is told to stop must leave its tasks alone, to count."""

STOP_SECONDS = 110.0
"""Until a worker whose tasks are over is gone. On Fargate it has 120 s in all."""


@dataclass
class Kills:
    """State that these checks share."""

    run: FaultRun | None = None
    killed: dict[str, float] = field(default_factory=dict)
    """Address of a killed worker -> when it was killed."""
    orphans: set[TaskKey] = field(default_factory=set)
    """Tasks that ran on killed workers."""

    def hold(self, environment: LocalEnvironment) -> str:
        """Start the run; return when all its tasks wait."""
        workers.ask_for_two(environment)
        self.run = FaultRun.start(environment, width=WIDTH)
        return f"{WIDTH} tasks wait in workers, and one in the triggerer"

    def kill_worker(self, environment: LocalEnvironment) -> str:
        """Kill a worker with tasks running; another takes its place."""
        components.ensure_two_workers(environment)
        victim = self._busiest_worker(environment)
        address = victim.sandbox.address
        self.orphans = {
            entry.task for entry in self._run().held() if entry.host == address
        }
        self.killed[address] = time.time()
        seconds = _kill_and_wait(environment, victim)
        return f"healthy after {seconds:.0f} s; {len(self.orphans)} tasks ran on it"

    def check(self, component: str) -> Check[LocalEnvironment]:
        """Return the check that kills a component."""
        return Check(
            kill_title(component),
            partial(self.kill, component=component),
            needs=(KILLED_WORKER,),
        )

    def kill(self, environment: LocalEnvironment, component: str) -> str:
        """Kill every task of a component; others take their places."""
        self._run()
        victims = components.tasks_of(environment, component)
        if not victims:
            raise CheckFailed(f"No {component} runs.", environment.logs(component))
        seconds = _kill_and_wait(environment, *victims)
        return f"healthy after {seconds:.0f} s"

    def retried(self, environment: LocalEnvironment) -> str:
        """Wait until the killed worker's tasks have started again elsewhere."""
        run = self._run()

        def look() -> float | Pending:
            again = {entry.task: entry.at for entry in run.held() if entry.attempt > 1}
            if set(again) != self.orphans:
                return Pending(f"{_names(again)}, not {_names(self.orphans)}")
            return max(again.values())

        started = until(
            "the killed worker's tasks to start again",
            look,
            seconds=NOTICED_SECONDS,
            remedy=environment.logs("scheduler"),
        )
        seconds = started - min(self.killed.values())
        return (
            f"{_names(self.orphans)} started again {seconds:.0f} s after the kill "
            f"(heartbeat timeout {HEARTBEAT_SECONDS} s here, 300 s in the templates)"
        )

    def stop_worker(self, environment: LocalEnvironment) -> str:
        """Stop a worker as a scale-in does; its tasks end well and then it goes."""
        run, remedy = self._run(), environment.logs(components.WORKER)
        victim = self._busiest_worker(environment)
        address = victim.sandbox.address

        def tasks() -> set[TaskKey]:
            return {entry.task for entry in run.held() if entry.host == address}

        before = tasks()
        environment.client("ecs").stop_task(
            cluster=victim.cluster_arn, task=victim.arn, reason="As a scale-in does"
        )
        time.sleep(CALM_SECONDS)
        if victim.is_over or tasks() != before:
            raise CheckFailed(f"The worker gave up {_names(before - tasks())}.", remedy)
        run.go()
        components.wait_until_stopped(environment, [victim], STOP_SECONDS)
        container = victim.containers[0]
        if container.exit_code != 0:
            raise CheckFailed(
                f"It ended with exit code {container.exit_code} {container.reason}",
                remedy,
            )
        return f"{len(before)} tasks ran on and ended well; exit code 0"

    def settle(self, environment: LocalEnvironment) -> str:
        """Compare the record with Airflow once everything has ended."""
        run = self._run()
        # An earlier check may have failed, and what waits would wait on.
        run.go()
        again = run.finish(self.killed)
        if set(again) != self.orphans:
            raise CheckFailed(
                f"Tried again: {_names(again)}; on the killed worker: "
                f"{_names(self.orphans)}.",
                environment.logs("scheduler"),
            )
        components.wait_until_healthy(environment)
        return (
            f"{2 * WIDTH + 3} tasks succeeded, each once; a second try only for the "
            f"{len(again)} of the killed worker"
        )

    def _run(self) -> FaultRun:
        if self.run is None:
            raise CheckFailed(f"The run of tasks did not start; see: {HELD}.")
        return self.run

    def _busiest_worker(self, environment: LocalEnvironment) -> EcsTask:
        """Return the worker on which most of the waiting tasks are."""
        hosts = [entry.host for entry in self._run().held()]
        running = components.tasks_of(environment, components.WORKER)
        busiest = max(running, key=lambda worker: hosts.count(worker.sandbox.address))
        if busiest.sandbox.address not in hosts:
            raise CheckFailed("No worker runs a task.", environment.logs("worker"))
        return busiest


def kill_title(component: str) -> str:
    """Return the title of the check that kills a component."""
    return f"kill -9 of the {component}: healthy again"


def _names(tasks: Iterable[TaskKey]) -> str:
    return ", ".join(map(label, sorted(tasks))) or "none"


def _kill_and_wait(environment: LocalEnvironment, *victims: EcsTask) -> float:
    started = time.monotonic()
    for task in victims:
        components.kill(task)
    components.wait_until_stopped(environment, victims, seconds=10)
    components.wait_until_healthy(environment)
    return time.monotonic() - started
