"""Waits that have a bound, name what they waited for, and end with the environment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from local.errors import EnvironmentStopped, LocalEnvironmentError

POLL_SECONDS = 0.1

T = TypeVar("T")


class Waiting:
    """Waits of one environment, until it is over."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def end(self) -> None:
        """End every wait."""
        self._over.set()

    def sleep(self, seconds: float) -> None:
        """Wait; raises EnvironmentStopped when the environment stops meanwhile."""
        if self._over.wait(seconds):
            raise EnvironmentStopped

    def until(
        self,
        look: Callable[[], T | None],
        seconds: float,
        what: str,
        why: Callable[[], str] = lambda: "",
    ) -> T:
        """Return what ``look`` finds. Raises LocalEnvironmentError after that time."""
        deadline = time.monotonic() + seconds
        while not (value := look()):
            if time.monotonic() > deadline:
                raise LocalEnvironmentError(
                    f"Waited {seconds:.0f} s for {what}.",
                    why(),
                    "Try again when this machine is less busy.",
                )
            self.sleep(POLL_SECONDS)
        return value


def in_thread(work: Callable[[], T], name: str) -> Future[T]:
    """Start work in a thread that does not outlive the process."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised by result()
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def for_ever(work: Callable[[], None], seconds: float) -> None:
    """Work every so many seconds until a signal raises KeyboardInterrupt."""
    while True:
        work()
        time.sleep(seconds)
