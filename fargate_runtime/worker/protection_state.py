"""Worker scale-in protection and draining: a state machine without I/O.

The worker accepts tasks only under protection that ECS granted. When it is drained, it
accepts nothing new; once it has been idle for ``IDLE_SECONDS`` it requests the end of
its protection, and from that request on it never accepts a task again, whatever the
response: ECS may stop it at any moment.

Times are seconds of a clock that cannot be set and that counts on while the machine
sleeps (``CLOCK_BOOTTIME``). The caller sends ECS the request that ``due`` returns,
passes on its result, and passes on every second how many tasks run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from logging import Logger

from fargate_runtime.contract import PROTECTION_MARGIN_MINUTES
from fargate_runtime.scaling_protocol import WorkerState

RENEW_SECONDS = 240
"""Age of a grant at which the next one is requested."""

IDLE_SECONDS = 3
"""How long a draining worker must have no task before it releases its protection. A
read from the broker that was under way when it stopped consuming ends within one
second; its message goes back to the queue."""

FIRST_RETRY_SECONDS = 1
UNPROTECTED_RETRY_SECONDS = 10
"""Longest pause between requests without protection: the worker idles meanwhile."""

PROTECTED_RETRY_SECONDS = 30
"""Longest pause between requests while the protection is active."""

REMIND_SECONDS = 60
"""How often the same problem is logged."""


class Intent(Enum):
    """What the worker is to do. Each leads to the next; only draining leads back."""

    SERVE = auto()
    DRAIN = auto()
    RELEASE = auto()
    """The end of the protection is requested; ECS may have ended it already."""
    RELEASED = auto()


class AlreadyReleased(Exception):  # noqa: N818 - an answer, not an error
    """The worker has released its protection, or is about to: it cannot be revived."""


@dataclass
class ProtectionState:
    """Protection of one worker. ``minutes`` is its duration, None without ECS."""

    minutes: int | None
    log: Logger
    jitter: Callable[[], float]
    """Returns a number from 0 to 1, which spreads the retries of many workers."""

    running: int = 0
    """Tasks at the last observation."""

    _intent: Intent = Intent.SERVE
    _until: float = -math.inf
    """When the protection that ECS granted ends."""
    _until_at_most: float = -math.inf
    """The same, counting requests without a response."""
    _granted: float = -math.inf
    _is_refused: bool = False
    """Whether ECS refused since it last granted."""
    _tries: int = 0
    _next_request: float = -math.inf
    _idle_since: float | None = None
    _last_warning: tuple[str, float] = field(default=("", -math.inf))

    def may_consume(self, now: float) -> bool:
        """Return whether the worker may accept tasks."""
        return self._intent is Intent.SERVE and (
            self.minutes is None or self._is_protected(now)
        )

    def worker_state(self, now: float) -> WorkerState:
        """Return the state for the worker's report."""
        if self._intent is Intent.RELEASED:
            return WorkerState.RELEASED
        if self._intent is not Intent.SERVE:
            return WorkerState.DRAINING
        return WorkerState.READY if self.may_consume(now) else WorkerState.WAITING

    def _is_protected(self, now: float) -> bool:
        # A refused renewal means that ECS is stopping workers, and a task accepted now
        # may outlive the rest of the protection. No response does not mean that: an
        # outage of ECS must not stop the work.
        is_fresh = now - self._granted <= 60 * PROTECTION_MARGIN_MINUTES
        return now < self._until and (is_fresh or not self._is_refused)

    def drain(self) -> None:
        """Accept no more tasks. Idempotent."""
        if self._intent is Intent.SERVE:
            self._intent, self._idle_since = Intent.DRAIN, None
            self.log.info("Draining: not accepting tasks, %d running.", self.running)

    def revive(self) -> None:
        """Accept tasks again; raises AlreadyReleased when it is too late."""
        if self._intent in {Intent.RELEASE, Intent.RELEASED}:
            raise AlreadyReleased(
                "protection already released; ECS may stop this worker"
            )
        if self._intent is Intent.DRAIN:
            self._intent = Intent.SERVE
            self.log.info("Revived: accepting tasks.")

    def observe(self, now: float, running: int) -> None:
        """Record the number of unfinished tasks; call every second."""
        self.running = running
        self._check_expiry(now)
        if self._intent is not Intent.DRAIN:
            return
        if running:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= IDLE_SECONDS:
            self._intent, self._tries, self._next_request = Intent.RELEASE, 0, now
            if self.minutes is None or now >= self._until_at_most:
                self._release("no protection to remove")

    def _check_expiry(self, now: float) -> None:
        if self._intent is Intent.RELEASE and now >= self._until_at_most:
            self._release("protection expired")
        if math.isinf(self._until) or now < self._until:
            return
        self._until = -math.inf
        if self.running:
            self.log.critical(
                "Task protection expired with %d tasks running; ECS may stop this "
                "worker. Not accepting tasks; retrying.",
                self.running,
            )
        else:
            self.log.error("Task protection expired. Not accepting tasks; retrying.")

    def _release(self, reason: str) -> None:
        self._intent = Intent.RELEASED
        self._until = self._until_at_most = -math.inf
        self.log.info("Released (%s); waiting for ECS to stop this worker.", reason)

    def due(self, now: float) -> bool | None:
        """Return the protection to request now, on or off; None for no request."""
        self._check_expiry(now)
        is_idle_and_draining = self._intent is Intent.DRAIN and not self.running
        if (
            self.minutes is None
            or self._intent is Intent.RELEASED
            or now < self._next_request
        ):
            return None
        return None if is_idle_and_draining else self._intent is not Intent.RELEASE

    def pause(self, now: float) -> float:
        """Return for how many seconds ``due`` returns None, 1 to 60."""
        return min(max(self._next_request - now, 1), 60)

    def granted(self, now: float, *, requested_at: float, is_on: bool) -> None:
        """Record that ECS executed the request sent at ``requested_at``."""
        if not is_on:
            self._release("idle, protection removed")
            return
        if not self._is_protected(now):
            self.log.info("Protected from scale-in for %s minutes.", self.minutes)
        self._granted = requested_at
        self._until = requested_at + 60 * (self.minutes or 0)
        self._until_at_most = max(self._until, self._until_at_most)
        self._is_refused, self._tries = False, 0
        self._last_warning = ("", -math.inf)
        # It may have become idle while the response was on its way.
        rest = RENEW_SECONDS * (0.8 + 0.2 * self.jitter())
        self._next_request = now if self._intent is Intent.RELEASE else now + rest

    def refused(self, now: float, *, is_on: bool, reason: str) -> None:
        """Record that ECS refused and changed nothing."""
        self._is_refused = self._is_refused or is_on
        self._retry(now, is_on=is_on, reason=reason)

    def failed(
        self, now: float, *, requested_at: float, is_on: bool, reason: str
    ) -> None:
        """Record that no response came; ECS may have executed the request or not."""
        if is_on:
            possible = requested_at + 60 * (self.minutes or 0)
            self._until_at_most = max(self._until_at_most, possible)
        self._retry(now, is_on=is_on, reason=reason)

    def _retry(self, now: float, *, is_on: bool, reason: str) -> None:
        is_protected = self._is_protected(now)
        has_time = is_on and is_protected
        most = PROTECTED_RETRY_SECONDS if has_time else UNPROTECTED_RETRY_SECONDS
        rest = min(FIRST_RETRY_SECONDS * 2 ** min(self._tries, 10), most)
        self._tries += 1
        self._next_request = now + rest * (0.5 + 0.5 * self.jitter())
        last_reason, last_time = self._last_warning
        if last_reason == reason and now - last_time < REMIND_SECONDS:
            return
        self._last_warning = (reason, now)
        if not is_on:
            self.log.warning("Cannot release task protection (%s); retrying.", reason)
        elif now >= self._until:
            self.log.warning(
                "Not accepting tasks: no task protection (%s); retrying.", reason
            )
        else:
            self.log.warning(
                "Cannot renew task protection (%s); it expires in %.0f minutes. "
                "%s; retrying.",
                reason,
                (self._until - now) / 60,
                "Accepting tasks" if is_protected else "Not accepting tasks",
            )
