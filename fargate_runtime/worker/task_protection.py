"""Thread that requests and renews the ECS task protection of a worker.

A thread, because Celery's own loop stands still while the broker is unavailable and
while a stopping worker waits for its tasks, and the protection would expire meanwhile.
``protection_state`` holds the rules.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from logging import Logger
from random import SystemRandom

from fargate_runtime.contract import (
    LONGEST_PROTECTION_MINUTES,
    PROTECTION_MARGIN_MINUTES,
    SHORTEST_PROTECTION_MINUTES,
    Env,
)
from fargate_runtime.env import EnvError, required
from fargate_runtime.health import own_address
from fargate_runtime.scaling_protocol import WorkerReport
from fargate_runtime.worker import ecs_agent_client
from fargate_runtime.worker.ecs_agent_client import (
    EcsAgentError,
    ProtectionDeniedError,
    TaskIdentity,
)
from fargate_runtime.worker.protection_state import ProtectionState

AGENT_URI = "ECS_AGENT_URI"
METADATA_URI = "ECS_CONTAINER_METADATA_URI_V4"

ERROR_RETRY_SECONDS = 5
"""The pause after an unexpected error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProtectionSettings:
    """Settings of a worker's protection, and how long its tasks may run."""

    pool: str
    minutes: int | None
    """Duration of the protection; None where ECS does not run the worker."""
    longest_task_minutes: int | None = None
    """Beyond it a task is ended; None where ECS does not run the worker."""
    agent_uri: str = ""
    metadata_uri: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ProtectionSettings:
        """Read the environment. Raises EnvError, which names the variable."""
        pool = required(environ, Env.WORKER_POOL)
        if not environ.get(AGENT_URI):
            return cls(pool=pool, minutes=None)
        shortest, longest = SHORTEST_PROTECTION_MINUTES, LONGEST_PROTECTION_MINUTES
        text = required(environ, Env.LONGEST_TASK_MINUTES)
        if not (text.isdecimal() and shortest <= int(text) <= longest):
            raise EnvError(
                f"{Env.LONGEST_TASK_MINUTES} is {text!r}, not a number from "
                f"{shortest} to {longest}"
            )
        return cls(
            pool=pool,
            minutes=min(int(text) + PROTECTION_MARGIN_MINUTES, longest),
            longest_task_minutes=int(text),
            agent_uri=required(environ, AGENT_URI),
            metadata_uri=required(environ, METADATA_URI),
        )


def now() -> float:
    """Return seconds of a clock that cannot be set and includes sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ProtectionThread:
    """Keeps one worker protected and reports on it. Thread-safe."""

    def __init__(self, settings: ProtectionSettings, log: Logger) -> None:
        self._settings = settings
        self._log = log
        self._state = ProtectionState(settings.minutes, log, SystemRandom().random)
        self._identity: TaskIdentity | None = None
        self._address = ""
        self._since = time.time()
        self._wake = threading.Event()
        self._lock = threading.RLock()
        # A pool process is a fork of this one. It must not inherit a lock, of the
        # log for instance, that the thread holds at that moment: no thread would ever
        # release it there. So a fork waits until the thread holds none.
        os.register_at_fork(
            before=self._lock.acquire,
            after_in_parent=self._lock.release,
            after_in_child=self._lock.release,
        )

    def start(self) -> None:
        """Begin; returns at once."""
        if self._state.minutes is None:
            self._log.info("%s is not set: running without protection.", AGENT_URI)
        threading.Thread(target=self._run, name="protection", daemon=True).start()

    def may_consume(self) -> bool:
        """Return whether the worker may accept tasks."""
        with self._lock:
            return bool(self._address) and self._state.may_consume(now())

    def observe(self, running: int) -> None:
        """Record the number of unfinished tasks; call every second."""
        with self._lock:
            self._state.observe(now(), running)
            if self._state.due(now()) is not None:
                self._wake.set()

    def drain(self) -> None:
        """Accept no more tasks, and release the protection when idle."""
        with self._lock:
            self._state.drain()

    def revive(self) -> None:
        """Accept tasks again. Raises AlreadyReleased."""
        with self._lock:
            self._state.revive()

    def report(self, *, overdue: int = 0) -> WorkerReport | None:
        """Return the worker's report, or None while its identity is unknown.

        ``overdue`` is how many tasks run for too long.
        """
        with self._lock:
            if not self._identity:
                return None
            state = self._state.worker_state(now())
            return WorkerReport(
                pool=self._settings.pool,
                task=self._identity.task,
                host=self._address,
                state=state,
                running=self._state.running,
                overdue=overdue,
                since=self._since,
                created=self._identity.created,
            )

    def _run(self) -> None:
        while True:
            try:
                rest = self._step() if self._identity else self._identify()
            except Exception:  # noqa: BLE001 - this thread must never end
                with self._lock:
                    self._log.exception(
                        "Unexpected error in task protection; retrying."
                    )
                rest = ERROR_RETRY_SECONDS
            self._wake.wait(rest)
            self._wake.clear()

    def _identify(self) -> float:
        """Learn the worker's identity first. Return the pause until the next step."""
        try:
            address = own_address()
            identity = (
                ecs_agent_client.task_identity(self._settings.metadata_uri)
                if self._settings.metadata_uri
                else TaskIdentity(task=address, created=None)
            )
        except (EcsAgentError, OSError) as error:
            with self._lock:
                self._log.warning(
                    "Not accepting tasks: task identity unknown (%s); retrying.", error
                )
            return ERROR_RETRY_SECONDS
        with self._lock:
            self._identity, self._address = identity, address
        return 0

    def _step(self) -> float:
        with self._lock:
            requested_at = now()
            is_on = self._state.due(requested_at)
            if is_on is None:
                return self._state.pause(requested_at)
        try:
            if is_on:
                ecs_agent_client.protect(
                    self._settings.agent_uri, minutes=self._settings.minutes or 0
                )
            else:
                ecs_agent_client.unprotect(self._settings.agent_uri)
        except ProtectionDeniedError as error:
            with self._lock:
                self._state.refused(now(), is_on=is_on, reason=str(error))
        except EcsAgentError as error:
            with self._lock:
                self._state.failed(
                    now(), requested_at=requested_at, is_on=is_on, reason=str(error)
                )
        else:
            with self._lock:
                self._state.granted(now(), requested_at=requested_at, is_on=is_on)
        with self._lock:
            return self._state.pause(now())
