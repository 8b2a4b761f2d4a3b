"""What keeps a worker protected: a thread of the worker's main process.

A thread, because Celery's own loop stands still while the broker is away and while a
stopping worker waits for its tasks, and a protection runs out meanwhile. What the
worker does with it is in ``worker_life``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from logging import Logger
from random import SystemRandom

from fargate_runtime.env import PartError, part
from fargate_runtime.health import own_address
from fargate_runtime.scaling_protocol import Report
from fargate_runtime.worker import ecs_agent_client
from fargate_runtime.worker.ecs_agent_client import AgentError, Identity, RefusedError
from fargate_runtime.worker.protection_state import (
    LONGEST_MINUTES,
    MARGIN_MINUTES,
    SHORTEST_MINUTES,
    Life,
)

AGENT_URI = "ECS_AGENT_URI"
METADATA_URI = "ECS_CONTAINER_METADATA_URI_V4"

NOWHERE = "local:0"
"""The revision of a worker that ECS does not run."""

MISTAKE_SECONDS = 5
"""The pause after what should not happen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What the environment tells a worker."""

    pool: str
    minutes: int | None
    """For how long to ask for protection; None where ECS does not run it."""
    agent_uri: str = ""
    metadata_uri: str = ""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Surroundings:
        """Read them. Raises PartError, which names the variable."""
        pool = part(environ, "WORKER_POOL")
        if not environ.get(AGENT_URI):
            return cls(pool=pool, minutes=None)
        text = part(environ, "LONGEST_TASK_MINUTES")
        if not (text.isdecimal() and SHORTEST_MINUTES <= int(text) <= LONGEST_MINUTES):
            raise PartError(
                f"LONGEST_TASK_MINUTES is {text!r}, not a number from "
                f"{SHORTEST_MINUTES} to {LONGEST_MINUTES}"
            )
        return cls(
            pool=pool,
            minutes=min(int(text) + MARGIN_MINUTES, LONGEST_MINUTES),
            agent_uri=part(environ, AGENT_URI),
            metadata_uri=part(environ, METADATA_URI),
        )


def now() -> float:
    """Return seconds that no setting of the clock moves, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Guard:
    """Keeps one worker protected, and answers for it. Any thread may call it."""

    def __init__(self, surroundings: Surroundings, log: Logger) -> None:
        self._given = surroundings
        self._log = log
        self._life = Life(surroundings.minutes, log, SystemRandom().random)
        self._identity: Identity | None = None
        self._address = ""
        self._since = time.time()
        self._wake = threading.Event()
        self._lock = threading.RLock()
        # A pool process is a fork of this one. It must not inherit a lock, of the
        # log for instance, that the thread holds at that moment: nobody would ever
        # release it there. So a fork waits until the thread holds none.
        os.register_at_fork(
            before=self._lock.acquire,
            after_in_parent=self._lock.release,
            after_in_child=self._lock.release,
        )

    def start(self) -> None:
        """Begin; returns at once."""
        if self._life.minutes is None:
            self._log.info("No %s: nothing protects, nothing has to", AGENT_URI)
        threading.Thread(target=self._run, name="protection", daemon=True).start()

    def may_consume(self) -> bool:
        """Return whether the worker may take tasks."""
        with self._lock:
            return bool(self._address) and self._life.may_consume(now())

    def observe(self, running: int) -> None:
        """Hear how many tasks are there; every second."""
        with self._lock:
            self._life.observe(now(), running)
            if self._life.due(now()) is not None:
                self._wake.set()

    def drain(self) -> None:
        """Take no more tasks, and let go when idle."""
        with self._lock:
            self._life.drain()

    def revive(self) -> None:
        """Take tasks again. Raises worker_life.Gone."""
        with self._lock:
            self._life.revive()

    def report(self) -> Report | None:
        """Return what the autoscaler asks for, or None while it is not known."""
        with self._lock:
            if not self._identity:
                return None
            # Whoever does not know its own address takes no tasks either.
            phase = self._life.phase(now())
            return Report(
                pool=self._given.pool,
                task=self._identity.task,
                revision=self._identity.revision,
                host=self._address,
                state=phase,
                running=self._life.running,
                since=self._since,
                created=self._identity.created,
            )

    def _run(self) -> None:
        while True:
            try:
                rest = self._step() if self._identity else self._introduce()
            except Exception:  # noqa: BLE001 - this thread must never end
                with self._lock:
                    self._log.exception("The protection: a mistake of ours; asks on")
                rest = MISTAKE_SECONDS
            self._wake.wait(rest)
            self._wake.clear()

    def _introduce(self) -> float:
        """Learn who the worker is; nothing else before. Return when to go on."""
        try:
            address = own_address()
            found = (
                ecs_agent_client.identity(self._given.metadata_uri)
                if self._given.metadata_uri
                else Identity(task=address, revision=NOWHERE, created=None)
            )
        except (AgentError, OSError) as error:
            with self._lock:
                self._log.warning("Takes no tasks: who it is, is unknown: %s", error)
            return MISTAKE_SECONDS
        with self._lock:
            self._identity, self._address = found, address
        return 0

    def _step(self) -> float:
        with self._lock:
            asked_at = now()
            is_on = self._life.due(asked_at)
            if is_on is None:
                return self._life.pause(asked_at)
        try:
            if is_on:
                ecs_agent_client.protect(
                    self._given.agent_uri, minutes=self._given.minutes or 0
                )
            else:
                ecs_agent_client.unprotect(self._given.agent_uri)
        except RefusedError as error:
            with self._lock:
                self._life.refused(now(), is_on=is_on, why=str(error))
        except AgentError as error:
            with self._lock:
                self._life.failed(now(), asked_at=asked_at, is_on=is_on, why=str(error))
        else:
            with self._lock:
                self._life.granted(now(), asked_at=asked_at, is_on=is_on)
        with self._lock:
            return self._life.pause(now())
