"""Celery bootstep: consume tasks only while ECS task protection is active.

``AIRFLOW__CELERY__EXTRA_CELERY_CONFIG`` names this module under ``imports``, and Celery
imports it before it builds a worker. The bootstep wraps the method by which Celery's
consumer begins to consume. Celery calls it at the start, after each reconnection to the
broker, and when an operator adds a queue; it has no effect while tasks must not be
consumed.

Messages that the broker had delivered when consumption stopped are run: with late
acknowledgement and a prefetch of one, a worker holds no more messages than it has
processes. One that is in flight goes back to the queue; kombu sees to that.

SIGTERM is Celery's: the worker accepts nothing new and ends when its last task has. The
container must give the signal to the main process alone (``DUMB_INIT_SETSID=0``).
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from billiard.process import current_process
from celery import bootsteps, signals
from celery.utils.log import get_logger
from celery.worker import state as requests
from celery.worker.control import control_command, inspect_command

from fargate_runtime import scaling_protocol
from fargate_runtime.airflow_metrics import publisher
from fargate_runtime.contract import Env
from fargate_runtime.env import EnvError
from fargate_runtime.worker.log_handover import LogHandover
from fargate_runtime.worker.protection_state import AlreadyReleased
from fargate_runtime.worker.task_limits import TaskLimits
from fargate_runtime.worker.task_protection import (
    ProtectionSettings,
    ProtectionThread,
    now,
)
from fargate_runtime.worker.task_records import RecordFolder

TICK_SECONDS = 1

log = get_logger(__name__)
"""Below Celery's own logger, so that it goes where a worker's lines go."""

BUSY = mmap.mmap(-1, mmap.PAGESIZE)
"""Shared with the pool's processes: byte i is 1 while process i runs a task.

Celery clears its own state when it loses the broker, and a worker that still runs
tasks then must not look idle. A page has room for 4,096 processes.
"""

RECORDS = RecordFolder()
"""The pool's processes write to it; its folder is made before they are forked."""


class ConsumptionControl(bootsteps.StartStopStep):  # type: ignore[misc]  # celery ships no types
    """Starts and stops the consumption of tasks, across reconnections."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    of_this_worker: ConsumptionControl | None = None

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        try:
            settings = ProtectionSettings.from_environ(os.environ)
        except EnvError as error:
            raise SystemExit(f"fargate_runtime.worker.bootsteps: {error}") from error
        if consumer.hub is None:
            raise SystemExit(
                "fargate_runtime.worker.bootsteps: unsupported Celery pool; use prefork"
            )
        self._tasks: Any = None
        self._consume: Any = None
        self._is_open = False
        self._protection = ProtectionThread(settings, log)
        self._limits = TaskLimits(
            RECORDS,
            longest_minutes=settings.longest_task_minutes,
            log_folder=_log_folder,
            handover=LogHandover(Path(tempfile.mkdtemp(prefix="task-logs-")), log),
            log=log,
        )
        self._is_started = False
        ConsumptionControl.of_this_worker = self

    def start(self, consumer: Any) -> None:
        """Wrap a new connection's consumer, before it consumes."""
        self._tasks = consumer.task_consumer
        self._consume, self._tasks.consume = self._tasks.consume, self._open
        self._is_open = False
        _restore_busy_processes(consumer.pool)
        # Not earlier: the pool's processes are forked before.
        if not self._is_started:
            self._is_started = True
            self._protection.start()

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Forget the consumer of a lost connection, or of a worker that ends."""
        self._tasks = None

    def register_with_event_loop(
        self,
        consumer: Any,  # noqa: ARG002 - Celery's signature
        hub: Any,
    ) -> None:
        """Check every second; Celery forgets its timers with each connection."""
        hub.call_repeatedly(TICK_SECONDS, self._tick)
        hub.call_repeatedly(TICK_SECONDS, lambda: self._limits.look(now()))

    def drain(self) -> dict[str, Any]:
        """Stop consuming now, release protection when idle; return the report."""
        self._protection.observe(held_tasks())
        self._protection.drain()
        self._close()
        return self.report()

    def revive(self) -> dict[str, Any]:
        """Consume again, or return why not."""
        try:
            self._protection.revive()
        except AlreadyReleased as error:
            return {"error": str(error)}
        if self._tasks is not None:
            self._open()
        return self.report()

    def report(self) -> dict[str, Any]:
        """Return the report that the autoscaler requests."""
        self._protection.observe(held_tasks())
        report = self._protection.report(overdue=self._limits.overdue)
        return report.reply() if report else {"error": "task identity not known yet"}

    def hand_over(self) -> None:
        """Hand over what no supervisor will: the worker has no tasks any more."""
        self._limits.close(now())

    def _tick(self) -> None:
        # While the pool empties, Celery calls this from a thread; the consumer is gone.
        if self._tasks is None:
            return
        if not self._protection.may_consume():
            self._close()
        elif not self._is_open:
            self._open()
        self._protection.observe(held_tasks())

    def _open(self, no_ack: bool | None = None) -> None:  # noqa: FBT001 - kombu's own
        if self._protection.may_consume():
            self._is_open = True
            self._consume(no_ack=no_ack)

    def _close(self) -> None:
        if self._is_open and self._tasks is not None:
            self._tasks.cancel()
            self._is_open = False


def held_tasks() -> int:
    """Return how many tasks the worker holds, running or about to run."""
    return max(len(requests.reserved_requests), BUSY[:].count(1))


def _restore_busy_processes(pool: Any) -> None:
    """Tell Celery again which of its processes run a task.

    Celery 5.6.3 forgets it with each connection, and gives the next task to a process
    whose task may run for hours, while another is free (celery #10346, fixed later).
    """
    async_pool = pool._pool  # noqa: SLF001 - Celery has no public access
    busy = getattr(async_pool, "_busy_workers", None)
    if busy is not None:
        processes = async_pool._pool  # noqa: SLF001 - as above
        busy.update(process.inqW_fd for process in processes if BUSY[process.index])


def _log_folder() -> Path:
    """Return the folder of Airflow's task logs."""
    conf = import_module("airflow.configuration").conf
    return Path(conf.get("logging", "base_log_folder")).expanduser()


def _install(sender: Any, **_: Any) -> None:
    """Add the bootstep to a worker that is about to be built."""
    RECORDS.create()
    if os.environ.get(Env.AIRFLOW_METRICS) == "true":
        # Before any task, whose processes hand their metrics over.
        publisher.recorder()
    sender.app.steps["consumer"].add(ConsumptionControl)


def _mark(*, is_busy: bool) -> Callable[..., None]:
    """Return a receiver that marks this pool process as busy or idle."""

    def mark(**_: Any) -> None:
        BUSY[current_process().index] = is_busy

    return mark


def _begin(task: Any, args: Any, **_: Any) -> None:
    RECORDS.begin(task.name, args, began=now())


def _end(**_: Any) -> None:
    RECORDS.end()


def _hand_over(**_: Any) -> None:
    if ConsumptionControl.of_this_worker is not None:
        ConsumptionControl.of_this_worker.hand_over()


def _command(
    act: Callable[[ConsumptionControl], dict[str, Any]],
) -> Callable[..., dict[str, Any]]:
    """Return a handler of a remote control command."""

    def answer(_state: Any, **_: Any) -> dict[str, Any]:
        if ConsumptionControl.of_this_worker is None:
            return {"error": "the worker is not built yet"}
        return act(ConsumptionControl.of_this_worker)

    return answer


# A receiver that raises is logged and ignored, so the bootstep is built later, with the
# worker, where an error ends it.
signals.worker_init.connect(_install)
signals.worker_shutdown.connect(_hand_over)
signals.task_prerun.connect(_begin)
signals.task_postrun.connect(_end)

# The mark of a process that dies stays until its successor clears it.
for signal, is_busy in (
    (signals.task_prerun, True),
    (signals.task_postrun, False),
    (signals.worker_process_init, False),
):
    signal.connect(_mark(is_busy=is_busy), weak=False)

inspect_command(name=scaling_protocol.STATE)(_command(ConsumptionControl.report))
control_command(name=scaling_protocol.DRAIN)(_command(ConsumptionControl.drain))
control_command(name=scaling_protocol.REVIVE)(_command(ConsumptionControl.revive))
