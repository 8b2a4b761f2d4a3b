"""What Celery loads into a worker: it takes tasks only while it may.

``AIRFLOW__CELERY__EXTRA_CELERY_CONFIG`` names this module under ``imports``, and Celery
imports it before it builds a worker. There is one gate between the worker and its
queues, the method by which Celery's consumer begins to consume. Celery calls it at the
start, after each reconnection to the broker, and when somebody adds a queue by hand;
closed, it stays without effect each time.

What the broker had handed over when the gate closed is run: with late acknowledgement
and a prefetch of one, a worker holds no more messages than it has processes. One that
is on its way goes back to the queue, which is kombu's doing.

SIGTERM is Celery's: it takes nothing new and ends when the last task has. The container
must give the signal to the main process alone (``DUMB_INIT_SETSID=0``).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from typing import Any

from billiard.process import current_process
from celery import bootsteps, signals
from celery.utils.log import get_logger
from celery.worker import state as requests
from celery.worker.control import control_command, inspect_command

from fargate_runtime import scaling_protocol
from fargate_runtime.env import PartError
from fargate_runtime.worker.protection_state import Gone
from fargate_runtime.worker.task_protection import Guard, Surroundings

TICK_SECONDS = 1

log = get_logger(__name__)
"""Below Celery's own logger, so that it goes where a worker's lines go."""

SLOTS = mmap.mmap(-1, mmap.PAGESIZE)
"""Shared with the pool's processes: byte i is 1 while process i runs a task.

Celery clears its own books when it loses the broker, and a worker that still runs
tasks then must not look idle. A page is room for 4,096 processes.
"""


class Gate(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
    """Stands between a worker and its queues, from one connection to the next."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    of_this_worker: Gate | None = None

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        try:
            given = Surroundings.of(os.environ)
        except PartError as error:
            raise SystemExit(f"fargate_runtime.worker.bootsteps: {error}") from error
        if consumer.hub is None:
            raise SystemExit(
                "fargate_runtime.worker.bootsteps: only Celery's prefork pool is known"
            )
        self._tasks: Any = None
        self._consume: Any = None
        self._is_open = False
        self._guard = Guard(given, log)
        self._is_started = False
        Gate.of_this_worker = self

    def start(self, consumer: Any) -> None:
        """Take hold of a new connection's consumer, before it consumes."""
        self._tasks = consumer.task_consumer
        self._consume, self._tasks.consume = self._tasks.consume, self._open
        self._is_open = False
        _remember_busy(consumer.pool)
        # Not earlier: the pool's processes are forked before.
        if not self._is_started:
            self._is_started = True
            self._guard.start()

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Leave a connection that is gone, or a worker that ends."""
        self._tasks = None

    def register_with_event_loop(
        self,
        consumer: Any,  # noqa: ARG002 - Celery's signature
        hub: Any,
    ) -> None:
        """Look every second; Celery forgets its timers with each connection."""
        hub.call_repeatedly(TICK_SECONDS, self._tick)

    def drain(self) -> dict[str, Any]:
        """Stop consuming at once, and let go when idle. Return the report."""
        self._guard.observe(held())
        self._guard.drain()
        self._shut()
        return self.report()

    def revive(self) -> dict[str, Any]:
        """Consume again, or return why not."""
        try:
            self._guard.revive()
        except Gone as why:
            return {"error": str(why)}
        if self._tasks is not None:
            self._open()
        return self.report()

    def report(self) -> dict[str, Any]:
        """Return what the autoscaler asks for."""
        self._guard.observe(held())
        report = self._guard.report()
        return report.reply() if report else {"error": "who it is, is not yet known"}

    def _tick(self) -> None:
        # While the pool empties, Celery calls this from a thread; the gate is gone.
        if self._tasks is None:
            return
        if not self._guard.may_consume():
            self._shut()
        elif not self._is_open:
            self._open()
        self._guard.observe(held())

    def _open(self, no_ack: bool | None = None) -> None:  # noqa: FBT001 - kombu's own
        if self._guard.may_consume():
            self._is_open = True
            self._consume(no_ack=no_ack)

    def _shut(self) -> None:
        if self._is_open and self._tasks is not None:
            self._tasks.cancel()
            self._is_open = False


def held() -> int:
    """Return how many tasks the worker holds, running or about to."""
    return max(len(requests.reserved_requests), SLOTS[:].count(1))


def _remember_busy(pool: Any) -> None:
    """Tell Celery again which of its processes run a task.

    Celery 5.6.3 forgets it with each connection, and hands the next task to a process
    whose task may run for hours, while another is free (celery #10346, mended later).
    """
    processes = pool._pool  # noqa: SLF001 - Celery has no other way to it
    busy = getattr(processes, "_busy_workers", None)
    if busy is not None:
        running = (one for one in processes._pool if SLOTS[one.index])  # noqa: SLF001 - as above
        busy.update(one.inqW_fd for one in running)


def _install(sender: Any, **_: Any) -> None:
    """Put the gate into a worker that is about to be built."""
    sender.app.steps["consumer"].add(Gate)


def _mark(*, is_busy: bool) -> Callable[..., None]:
    """Return what tells the main process whether this pool process is busy."""

    def tell(**_: Any) -> None:
        SLOTS[current_process().index] = is_busy

    return tell


def _command(act: Callable[[Gate], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return what Celery calls for a remote control command."""

    def answer(_state: Any, **_: Any) -> dict[str, Any]:
        if Gate.of_this_worker is None:
            return {"error": "the worker is not yet built"}
        return act(Gate.of_this_worker)

    return answer


# A receiver that raises is logged and forgotten, so the gate itself is built later,
# with the worker, where an error ends it.
signals.worker_init.connect(_install)

# A process that dies leaves its mark, until the one that takes its place clears it.
for signal, is_busy in (
    (signals.task_prerun, True),
    (signals.task_postrun, False),
    (signals.worker_process_init, False),
):
    signal.connect(_mark(is_busy=is_busy), weak=False)

inspect_command(name=scaling_protocol.STATE)(_command(Gate.report))
control_command(name=scaling_protocol.DRAIN)(_command(Gate.drain))
control_command(name=scaling_protocol.REVIVE)(_command(Gate.revive))
