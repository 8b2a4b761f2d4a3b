"""Log lines for the operator: changes, and outages with their duration."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

Log = Callable[[str], None]

REPEAT_SECONDS = 600.0
"""Interval at which a persisting problem is logged again."""

LONGEST_PAUSE_SECONDS = 30.0
"""Between attempts to reach an unavailable service: with a longer pause, a recovery
would go unnoticed for longer than a worker takes to start."""

FIRST_PAUSE_SECONDS = 5.0


def write(text: str) -> None:
    """Print one line at once; CloudWatch Logs adds the time."""
    sys.stdout.write(f"autoscaler: {' '.join(text.split())}\n")
    sys.stdout.flush()


class Outage:
    """Availability of one service that the autoscaler needs."""

    def __init__(self, service: str, log: Log) -> None:
        self._service = service
        self._log = log
        self._since: float | None = None
        self._since_text = ""
        self._pause = 0.0
        self._next_try = 0.0

    @property
    def is_due(self) -> bool:
        """Whether to call the service: always, except in the pause after a failure."""
        return self._since is None or time.monotonic() >= self._next_try

    def failed(self, reason: object) -> None:
        """Record and log a failure; the pauses grow."""
        now = time.monotonic()
        if self._since is None:
            self._since, self._since_text = now, datetime.now(UTC).strftime("%H:%M:%S")
            self._pause = FIRST_PAUSE_SECONDS
        else:
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        self._next_try = now + self._pause
        self._log(
            f"{self._service} unavailable since {self._since_text} UTC "
            f"({now - self._since:.0f} s); retrying in {self._pause:.0f} s: {reason}"
        )

    def answered(self) -> None:
        """Record a success; log how long the outage lasted."""
        if self._since is not None:
            lasted = time.monotonic() - self._since
            self._log(f"{self._service} available again after {lasted:.0f} s")
        self._since = None


class Notices:
    """Problems that would be logged every round: logged when new, then at intervals."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._logged: dict[str, float] = {}

    def log(self, texts: Iterable[str]) -> None:
        """Log what was not logged lately; forget what is not in ``texts``."""
        now = time.monotonic()
        present = dict.fromkeys(texts)
        for text in present:
            if now - self._logged.get(text, -REPEAT_SECONDS) >= REPEAT_SECONDS:
                self._logged[text] = now
                self._log(text)
        self._logged = {
            text: at for text, at in self._logged.items() if text in present
        }
