"""Lines for the operator: what changed, and what is away since when."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

Say = Callable[[str], None]

REPEAT_SECONDS = 600.0
"""What stays as it is gets said again after as long."""

LONGEST_PAUSE_SECONDS = 30.0
"""Between attempts to reach what is away: beyond it, a recovery would go unnoticed
for longer than a worker takes to start."""

FIRST_PAUSE_SECONDS = 5.0


def say(text: str) -> None:
    """Print one line at once; CloudWatch Logs adds the time."""
    sys.stdout.write(f"autoscaler: {' '.join(text.split())}\n")
    sys.stdout.flush()


class Outage:
    """Whether one of the services that the autoscaler needs is away, and since when."""

    def __init__(self, service: str, tell: Say) -> None:
        self._service = service
        self._tell = tell
        self._since: float | None = None
        self._wall = ""
        self._pause = 0.0
        self._again = 0.0

    @property
    def is_due(self) -> bool:
        """Whether to try: always, but for a pause after a failure."""
        return self._since is None or time.monotonic() >= self._again

    def failed(self, reason: object) -> None:
        """Remember a failure, and say so; the pauses grow."""
        now = time.monotonic()
        if self._since is None:
            self._since, self._wall = now, datetime.now(UTC).strftime("%H:%M:%S")
            self._pause = FIRST_PAUSE_SECONDS
        else:
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        self._again = now + self._pause
        self._tell(
            f"{self._service} is away since {self._wall} UTC "
            f"({now - self._since:.0f} s), tried again after {self._pause:.0f} s: "
            f"{reason}"
        )

    def answered(self) -> None:
        """Forget the failures, and say how long they lasted."""
        if self._since is not None:
            lasted = time.monotonic() - self._since
            self._tell(f"{self._service} is back after {lasted:.0f} s")
        self._since = None


class Notices:
    """Lines that would come every round: said when new, and then now and again."""

    def __init__(self, tell: Say) -> None:
        self._tell = tell
        self._said: dict[str, float] = {}

    def tell(self, texts: Iterable[str]) -> None:
        """Say what was not said lately; what is not in ``texts`` is over."""
        now = time.monotonic()
        present = dict.fromkeys(texts)
        for text in present:
            if now - self._said.get(text, -REPEAT_SECONDS) >= REPEAT_SECONDS:
                self._said[text] = now
                self._tell(text)
        self._said = {text: at for text, at in self._said.items() if text in present}
