"""One launch that several checks observe, as it takes a minute."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future

from acceptance.check import CheckFailed
from local.environment import LocalEnvironment
from local.launcher import LaunchResult

PATIENCE_SECONDS = 240.0
"""Until every check is ready. One that failed before never is."""


class SharedLaunch:
    """Changes some parameters once every check that observes it is ready."""

    def __init__(
        self,
        changes: Callable[[LocalEnvironment], Mapping[str, str]],
        *,
        observers: int,
    ) -> None:
        self._changes = changes
        self._barrier = threading.Barrier(max(1, observers), timeout=PATIENCE_SECONDS)
        self._result: Future[LaunchResult] = Future()

    def __call__(self, environment: LocalEnvironment) -> None:
        """Return when the stack is complete. Raises CheckFailed when it is not."""
        try:
            number = self._barrier.wait()
        except threading.BrokenBarrierError as error:
            raise CheckFailed("Another check of this launch was not ready.") from error
        if number == 0:
            try:
                self._result.set_result(environment.launch(self._changes(environment)))
            except BaseException as error:  # noqa: BLE001 - raised by result()
                self._result.set_exception(error)
        launched = self._result.result()
        if not launched.is_good:
            raise CheckFailed(f"It ended as {launched.status}. {launched.text}")
