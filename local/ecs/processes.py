"""A container's processes: start, signal, and make sure that none is left."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.processes import children, descendants, start_ticks

INIT = Path(__file__).with_name("init.py")
KILLED = 128 + signal.SIGKILL
GIVE_UP_SECONDS = 5.0
"""How long the container's init may take to kill everything below it."""


class Processes:
    """The process tree of one container, below an init of its own."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        output: Path,
    ) -> None:
        """Start the command; its output is appended to a file."""
        with output.open("ab") as log:
            self._init = subprocess.Popen(  # noqa: S603 - running it is the purpose
                [sys.executable, "-I", "-S", str(INIT), str(os.getpid()), *command],
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._seen: dict[int, int] = {}

    @property
    def main(self) -> int | None:
        """The process id of the command, or None when it is gone."""
        return next(iter(children(self._init.pid)), None)

    def exit_code(self) -> int | None:
        """Return the exit status, or None while the container runs."""
        code = self._init.poll()
        if code is None:
            self._seen = _below(self._init.pid)
            return None
        if code < 0:
            # The init itself was killed, so it could not clean up.
            self._kill_the_seen()
            return 128 - code
        return code

    def terminate(self) -> None:
        """Ask the command to end."""
        with contextlib.suppress(ProcessLookupError):
            self._init.send_signal(signal.SIGTERM)

    def kill(self) -> int:
        """End every process now and return the exit status."""
        if self._init.poll() is None:
            self._seen = _below(self._init.pid)
            self._init.send_signal(signal.SIGHUP)
            try:
                self._init.wait(GIVE_UP_SECONDS)
            except subprocess.TimeoutExpired:
                self._init.kill()
                self._init.wait()
                self._kill_the_seen()
        return self.exit_code() or 0

    def _kill_the_seen(self) -> None:
        """Kill what was below the init when it was last looked at, and its children."""
        left = {pid for pid, born in self._seen.items() if born == start_ticks(pid)}
        for pid in {*left, *(child for one in left for child in descendants(one))}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._seen = {}


def _below(pid: int) -> dict[int, int]:
    """Return every process below one, with when it started."""
    return {below: start_ticks(below) for below in descendants(pid)}
