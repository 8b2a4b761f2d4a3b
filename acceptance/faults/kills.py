"""Components killed in turn, and a worker asked to stop, under one run of tasks.

The run goes on from before the first kill until after the last: its tasks wait in the
workers, and one in the triggerer, while what they need is killed around them.

What a killed worker ran is noticed by the age of its heartbeats, which takes longer
than the kills that come next. The scheduler's comes after that: Airflow has a scheduler
look after its own tasks alone, and after another's once it finds that one dead. Where
ECS was quick to replace it, that may take ``orphaned_tasks_check_interval``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from acceptance.check import NotProven, Pending, Proof, until
from acceptance.containers import logs
from acceptance.faults import components
from acceptance.faults.ledger import Name, label
from acceptance.faults.load import Run
from local.ecs.task import EcsTask
from local.environment import Stage

WIDTH = 6

HEARTBEAT_TIMEOUT = "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"
HEARTBEAT_SECONDS = 75
"""Instead of 300. Well above the time without heartbeats while the API server restarts:
15 s on two idle cores, and it must not be longer than this on busy ones, or tasks that
are well are given up."""

NOTICED_SECONDS = HEARTBEAT_SECONDS + 45.0
"""Airflow looks every 10 s; then the task is queued and begins."""

CALM_SECONDS = 5.0
"""How long a worker that was asked to stop must leave its tasks alone, to count."""

STOP_SECONDS = 110.0
"""Until a worker whose tasks are over is gone. On Fargate it has 120 s in all."""

MEANWHILE = ("dag-processor", "triggerer", "api-server")
"""Killed while the heartbeats of the killed worker grow old."""


@dataclass
class Kills:
    """What the proofs of this page share."""

    run: Run | None = None
    killed: dict[str, float] = field(default_factory=dict)
    """Address of a killed worker -> when it was killed."""
    orphans: set[Name] = field(default_factory=set)
    """What ran on killed workers."""

    def kill_worker(self, stage: Stage) -> str:
        """Kill a worker with tasks running; another takes its place."""
        components.have_workers(stage, 2)
        self.run = Run.begin(stage, width=WIDTH)
        victim = self._busiest(stage)
        address = victim.sandbox.address
        self.orphans = {one.name for one in self.run.held() if one.host == address}
        self.killed[address] = time.time()
        seconds = _kill_and_wait(stage, victim)
        return f"healthy after {seconds:.0f} s; {len(self.orphans)} tasks ran on it"

    def kill(self, stage: Stage, component: str) -> str:
        """Kill every task of a component; others take their places."""
        self._run()
        victims = components.tasks_of(stage, component)
        if not victims:
            raise NotProven(f"No {component} runs.", logs(stage, component))
        seconds = _kill_and_wait(stage, *victims)
        return f"healthy after {seconds:.0f} s"

    def tried_again(self, stage: Stage) -> str:
        """Wait until what the killed worker ran has begun again elsewhere."""
        run = self._run()

        def look() -> float | Pending:
            again = {one.name: one.at for one in run.held() if one.attempt > 1}
            if set(again) != self.orphans:
                return Pending(f"{_names(again)}, not {_names(self.orphans)}")
            return max(again.values())

        began = until(
            "the killed worker's tasks to begin again",
            look,
            seconds=NOTICED_SECONDS,
            remedy=logs(stage, "scheduler"),
        )
        seconds = began - min(self.killed.values())
        return (
            f"{_names(self.orphans)} began again {seconds:.0f} s after the kill "
            f"(heartbeat timeout {HEARTBEAT_SECONDS} s here, 300 s in the templates)"
        )

    def stop_worker(self, stage: Stage) -> str:
        """Stop a worker as a scale-in does; its tasks end well and then it goes."""
        run = self._run()
        victim = self._busiest(stage)
        own = {one.name for one in run.held() if one.host == victim.sandbox.address}
        stage.client("ecs").stop_task(
            cluster=victim.cluster_arn, task=victim.arn, reason="Scale-in, rehearsed"
        )
        time.sleep(CALM_SECONDS)
        left = {one.name for one in run.held() if one.host == victim.sandbox.address}
        if victim.is_over or left != own:
            raise NotProven(
                f"The worker gave up {_names(own - left)}.",
                logs(stage, components.WORKER),
            )
        run.go()
        components.wait_until_over(stage, [victim], STOP_SECONDS)
        container = victim.containers[0]
        if container.exit_code != 0:
            raise NotProven(
                f"It ended with exit code {container.exit_code} {container.reason}",
                logs(stage, components.WORKER),
            )
        return f"{len(own)} tasks ran on and ended well; exit code 0"

    def settle(self, stage: Stage) -> str:
        """Hold the ledger against Airflow once everything has ended."""
        run = self._run()
        # A fault before may have failed, and what waits would wait on.
        run.go()
        again = run.finish(self.killed)
        if set(again) != self.orphans:
            raise NotProven(
                f"Tried again: {_names(again)}; on the killed worker: "
                f"{_names(self.orphans)}.",
                logs(stage, "scheduler"),
            )
        components.wait_until_well(stage)
        return (
            f"{2 * WIDTH + 3} tasks succeeded, each once; a second try only for the "
            f"{len(again)} of the killed worker"
        )

    def _run(self) -> Run:
        if self.run is None:
            raise NotProven("The run of tasks did not begin; see the first of these.")
        return self.run

    def _busiest(self, stage: Stage) -> EcsTask:
        """Return the worker on which most of the waiting tasks are."""
        hosts = [one.host for one in self._run().held()]
        workers = components.tasks_of(stage, components.WORKER)
        found = max(workers, key=lambda one: hosts.count(one.sandbox.address))
        if found.sandbox.address not in hosts:
            raise NotProven("No worker runs a task.", logs(stage, "worker"))
        return found


def _names(tasks: Iterable[Name]) -> str:
    return ", ".join(map(label, sorted(tasks))) or "none"


def _kill_and_wait(stage: Stage, *victims: EcsTask) -> float:
    began = time.monotonic()
    for one in victims:
        components.kill(one)
    components.wait_until_over(stage, victims, seconds=10)
    components.wait_until_well(stage)
    return time.monotonic() - began


def proofs() -> tuple[Proof, ...]:
    """Return the lines of this page, in their order."""
    shared = Kills()

    def of(component: str) -> Proof:
        return Proof(
            f"kill -9 of the {component}: healthy again",
            partial(shared.kill, component=component),
        )

    again = "what a killed worker ran is tried again"
    stopped = "a worker that is told to stop lets its tasks end"
    return (
        Proof("kill -9 of a worker with tasks: healthy again", shared.kill_worker),
        *(of(component) for component in MEANWHILE),
        Proof(f"kill -9: {again}", shared.tried_again),
        of("scheduler"),
        Proof(f"scale-in: {stopped}", shared.stop_worker),
        Proof("kills and scale-in: nothing lost, nothing twice", shared.settle),
    )
