"""When a worker takes tasks, and how it lets go: a state machine without I/O.

The worker takes tasks only under protection that ECS granted. Told to drain, it takes
nothing new; once it has been idle for ``QUIET_SECONDS`` it asks ECS to end the
protection, and from that request on it never takes a task again, whatever the answer
and however often it comes: ECS may stop it at any moment.

Times are seconds of a clock that nobody sets and that counts on while the machine
sleeps (``CLOCK_BOOTTIME``). Whoever drives it asks ``due`` what to ask of ECS, reports
what came of it, and reports every second how many tasks run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from logging import Logger

from fargate_runtime.scaling_protocol import Phase

SHORTEST_MINUTES, LONGEST_MINUTES = 1, 2880
"""What ECS takes as the time of a protection."""

RENEW_SECONDS = 240
"""Age of a grant at which the next one is asked for."""

MARGIN_MINUTES = 10
"""Asked for beyond the longest task. Two renewals, so that a task taken just before a
renewal, and the one after it being refused, is still covered to its end."""

QUIET_SECONDS = 3
"""How long no task may be there before a draining worker lets go. A read from the
broker that was under way when it stopped consuming ends within one second; what it
brings goes back to the queue."""

FIRST_RETRY_SECONDS = 1
BARE_RETRY_SECONDS = 10
"""Longest pause while there is no protection: a worker idles meanwhile."""

COVERED_RETRY_SECONDS = 30
"""Longest pause while the protection still holds."""

REMIND_SECONDS = 60
"""How often the same trouble is written to the log."""


class Wish(Enum):
    """What the worker is to do. Each leads to the next; only draining leads back."""

    SERVE = auto()
    DRAIN = auto()
    LEAVE = auto()
    """ECS is being asked to end the protection; it may have done so already."""
    GONE = auto()


class Gone(Exception):  # noqa: N818 - an answer, not an error
    """The worker has let go, or is about to, and cannot be had back."""


@dataclass
class Life:
    """The life of one worker. ``minutes`` is what it asks for, None for no ECS."""

    minutes: int | None
    log: Logger
    chance: Callable[[], float]
    """Returns a number from 0 to 1, which spreads the retries of many workers."""

    running: int = 0
    """Tasks there when it was last told."""

    _wish: Wish = Wish.SERVE
    _until: float = -math.inf
    """When the protection that ECS granted ends."""
    _until_at_most: float = -math.inf
    """The same, counting requests whose answer never came."""
    _granted: float = -math.inf
    _is_refused: bool = False
    """Whether ECS said no since it last granted."""
    _tries: int = 0
    _next: float = -math.inf
    _idle_since: float | None = None
    _said: tuple[str, float] = field(default=("", -math.inf))

    # What it may do.

    def may_consume(self, now: float) -> bool:
        """Return whether the worker may take tasks."""
        return self._wish is Wish.SERVE and (
            self.minutes is None or self._is_covered(now)
        )

    def phase(self, now: float) -> Phase:
        """Return the state that the autoscaler is told."""
        if self._wish is Wish.GONE:
            return Phase.RELEASED
        if self._wish is not Wish.SERVE:
            return Phase.DRAINING
        return Phase.READY if self.may_consume(now) else Phase.WAITING

    def _is_covered(self, now: float) -> bool:
        # A refused renewal means that ECS is taking workers away, and a task taken
        # now may outlive what is left. No answer means no such thing: an outage of
        # ECS must not stop the work.
        is_fresh = now - self._granted <= 60 * MARGIN_MINUTES
        return now < self._until and (is_fresh or not self._is_refused)

    # What it is told.

    def drain(self) -> None:
        """Take no more tasks; again is the same."""
        if self._wish is Wish.SERVE:
            self._wish, self._idle_since = Wish.DRAIN, None
            self.log.info("Draining: takes no more tasks, %d run", self.running)

    def revive(self) -> None:
        """Take tasks again; raises Gone when it is too late."""
        if self._wish in {Wish.LEAVE, Wish.GONE}:
            raise Gone("it has let its protection go, and ECS may stop it")
        if self._wish is Wish.DRAIN:
            self._wish = Wish.SERVE
            self.log.info("Revived: takes tasks again")

    def observe(self, now: float, running: int) -> None:
        """Hear how many tasks are there, taken and not yet finished; every second."""
        self.running = running
        self._notice_lapse(now)
        if self._wish is not Wish.DRAIN:
            return
        if running:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since >= QUIET_SECONDS:
            self._wish, self._tries, self._next = Wish.LEAVE, 0, now
            if self.minutes is None or now >= self._until_at_most:
                self._go("nothing protects it")

    def _notice_lapse(self, now: float) -> None:
        if self._wish is Wish.LEAVE and now >= self._until_at_most:
            self._go("its protection has run out")
        if math.isinf(self._until) or now < self._until:
            return
        self._until = -math.inf
        if self.running:
            self.log.critical(
                "PROTECTION LAPSED under %d running tasks: ECS may stop this worker, "
                "and they would be killed. Takes no more tasks; asks on",
                self.running,
            )
        else:
            self.log.error("The protection has lapsed: takes no tasks; asks on")

    def _go(self, why: str) -> None:
        self._wish = Wish.GONE
        self._until = self._until_at_most = -math.inf
        self.log.info("Released: %s; waits for ECS to stop it", why)

    # What to ask of ECS, and what came of it.

    def due(self, now: float) -> bool | None:
        """Return the protection to ask for now, on or off; None for nothing now."""
        self._notice_lapse(now)
        is_leaving_soon = self._wish is Wish.DRAIN and not self.running
        if self.minutes is None or self._wish is Wish.GONE or now < self._next:
            return None
        return None if is_leaving_soon else self._wish is not Wish.LEAVE

    def pause(self, now: float) -> float:
        """Return for how many seconds ``due`` has nothing new to say, 1 to 60."""
        return min(max(self._next - now, 1), 60)

    def granted(self, now: float, *, asked_at: float, is_on: bool) -> None:
        """Hear that ECS did what it was asked for at ``asked_at``."""
        if not is_on:
            self._go("idle and no longer protected")
            return
        if not self._is_covered(now):
            self.log.info("Protected from scale-in for %s minutes", self.minutes)
        self._granted = asked_at
        self._until = asked_at + 60 * (self.minutes or 0)
        self._until_at_most = max(self._until, self._until_at_most)
        self._is_refused, self._tries, self._said = False, 0, ("", -math.inf)
        # It may have been told to leave while the answer was on its way.
        rest = RENEW_SECONDS * (0.8 + 0.2 * self.chance())
        self._next = now if self._wish is Wish.LEAVE else now + rest

    def refused(self, now: float, *, is_on: bool, why: str) -> None:
        """Hear that ECS said no, and did nothing."""
        self._is_refused = self._is_refused or is_on
        self._retry(now, is_on=is_on, why=why)

    def failed(self, now: float, *, asked_at: float, is_on: bool, why: str) -> None:
        """Hear that no answer came; what was asked for may be done or not."""
        if is_on:
            possible = asked_at + 60 * (self.minutes or 0)
            self._until_at_most = max(self._until_at_most, possible)
        self._retry(now, is_on=is_on, why=why)

    def _retry(self, now: float, *, is_on: bool, why: str) -> None:
        is_covered = self._is_covered(now)
        has_time = is_on and is_covered
        most = COVERED_RETRY_SECONDS if has_time else BARE_RETRY_SECONDS
        rest = min(FIRST_RETRY_SECONDS * 2 ** min(self._tries, 10), most)
        self._tries += 1
        self._next = now + rest * (0.5 + 0.5 * self.chance())
        said, when = self._said
        if said == why and now - when < REMIND_SECONDS:
            return
        self._said = (why, now)
        if not is_on:
            self.log.warning("Cannot let its protection go yet (%s); asks on", why)
        elif now >= self._until:
            self.log.warning("Takes no tasks: not protected (%s); asks on", why)
        else:
            self.log.warning(
                "Renewing the protection failed (%s); it holds for %.0f more minutes, "
                "%s; asks on",
                why,
                (self._until - now) / 60,
                "takes tasks" if is_covered else "takes no more tasks",
            )
