"""One launch that several checks observe, as it takes a minute."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

from acceptance.check import CheckFailed
from local.environment import LocalEnvironment
from local.launcher import LaunchResult

PATIENCE_SECONDS = 240.0
"""Until every check is ready. One that failed before never is."""


Changes = Callable[[LocalEnvironment], Mapping[str, str]]
"""Returns the parameters that a launch changes."""


class SharedLaunch:
    """Changes some parameters once every check that observes it is ready."""

    def __init__(self) -> None:
        self._changes: Sequence[Changes] = ()
        self._barrier = threading.Barrier(1)
        self._result: Future[LaunchResult] = Future()

    def expect(self, changes: Sequence[Changes]) -> None:
        """Have the launch make these changes, each for a check that observes it."""
        self._changes = changes
        self._barrier = threading.Barrier(
            max(1, len(changes)), timeout=PATIENCE_SECONDS
        )

    def __call__(self, environment: LocalEnvironment) -> None:
        """Return when the stack is complete. Raises CheckFailed when it is not."""
        try:
            number = self._barrier.wait()
        except threading.BrokenBarrierError as error:
            raise CheckFailed("Another check of this launch was not ready.") from error
        if number == 0:
            try:
                changes = {
                    name: value
                    for change in self._changes
                    for name, value in change(environment).items()
                }
                self._result.set_result(environment.launch(changes))
            except BaseException as error:  # noqa: BLE001 - raised by result()
                self._result.set_exception(error)
        launched = self._result.result()
        if not launched.is_good:
            raise CheckFailed(f"It ended as {launched.status}. {launched.text}")
