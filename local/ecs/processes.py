"""The processes of a container: start, signal, and end without leftovers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.processes import children, descendants, start_ticks

INIT = Path(__file__).with_name("init.py")
KILLED = 128 + signal.SIGKILL
LOOK_SECONDS = 1.0
"""How often the processes of a container are looked up. All containers together have
some seventy, and each takes a tenth of a millisecond."""

GIVE_UP_SECONDS = 5.0
"""How long the container's init may take to kill everything below it."""


class ContainerProcesses:
    """The process tree of one container, below its own init process."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        output: Path,
        control_group: Path | None = None,
    ) -> None:
        """Start the command; its output is appended to a file."""
        init = [sys.executable, "-I", "-S", str(INIT), str(os.getpid()), *command]
        with output.open("ab") as log:
            self._init = subprocess.Popen(  # noqa: S603 - running it is the purpose
                in_control_group(init, control_group),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._known: dict[int, int] = {}
        self._looked = float("-inf")

    @property
    def main(self) -> int | None:
        """The process id of the command, or None when it is gone."""
        return next(iter(children(self._init.pid)), None)

    def exit_code(self) -> int | None:
        """Return the exit status, or None while the container runs."""
        code = self._init.poll()
        if code is None:
            now = time.monotonic()
            if not self._known or now >= self._looked + LOOK_SECONDS:
                self._known, self._looked = _descendants(self._init.pid), now
            return None
        if code < 0:
            # The init itself was killed, so it could not clean up.
            self._kill_known()
            return 128 - code
        return code

    def terminate(self) -> None:
        """Ask the command to end."""
        with contextlib.suppress(ProcessLookupError):
            self._init.send_signal(signal.SIGTERM)

    def kill(self) -> int:
        """End every process now and return the exit status."""
        if self._init.poll() is None:
            self._known = _descendants(self._init.pid)
            self._init.send_signal(signal.SIGHUP)
            try:
                self._init.wait(GIVE_UP_SECONDS)
            except subprocess.TimeoutExpired:
                self._init.kill()
                self._init.wait()
                self._kill_known()
        return self.exit_code() or 0

    def _kill_known(self) -> None:
        """Kill the processes that were last seen below the init, and their children."""
        alive = {
            pid for pid, started in self._known.items() if started == start_ticks(pid)
        }
        for pid in {
            *alive,
            *(child for parent in alive for child in descendants(parent)),
        }:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._known = {}


def in_control_group(command: Sequence[str], group: Path | None) -> list[str]:
    """Return a command that joins a control group first, if there is one."""
    if group is None:
        return [*command]
    join = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
    return ["/bin/sh", "-c", join, str(group), *command]


def _descendants(pid: int) -> dict[int, int]:
    """Return the start time of every process below one."""
    return {descendant: start_ticks(descendant) for descendant in descendants(pid)}
