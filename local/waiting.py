"""Waits that have a bound, say what they waited for, and end with the stage."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from local.errors import EnvironmentStopped, LocalEnvironmentError

POLL_SECONDS = 0.1

Found = TypeVar("Found")


class Waiting:
    """Waits of one stage, until it is over."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def end(self) -> None:
        """Let everybody who waits give up."""
        self._over.set()

    def sleep(self, seconds: float) -> None:
        """Wait; raises EnvironmentStopped when the stage stops meanwhile."""
        if self._over.wait(seconds):
            raise EnvironmentStopped

    def until(
        self,
        look: Callable[[], Found | None],
        seconds: float,
        what: str,
        why: Callable[[], str] = lambda: "",
    ) -> Found:
        """Return what ``look`` finds. Raises LocalEnvironmentError after some seconds."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise LocalEnvironmentError(
                    f"Waited {seconds:.0f} s for {what}.",
                    why(),
                    "Try again when this machine is less busy.",
                )
            self.sleep(POLL_SECONDS)
        return found


def begun(work: Callable[[], Found], name: str) -> Future[Found]:
    """Begin work in a thread that nobody has to wait for at the end."""
    future: Future[Found] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - who asks for the result gets it
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def for_ever() -> None:
    """Return never; a signal ends it."""
    while True:
        signal.pause()
