"""Processes by ID and start time: an ID alone may have passed to somebody else's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

ZOMBIE = "Z"
AFTER_NAME = {"state": 0, "started": 19}
"""Places of the fields of /proc/<pid>/stat, counted behind the process's name."""

POLL_SECONDS = 0.02


def started(pid: int) -> str | None:
    """Return when a living process started, in its system's words, if there is one."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # one of our own that has ended is gone
    proc = Path("/proc") / str(pid) / "stat"
    if Path("/proc/self/stat").exists():
        try:
            fields = proc.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        if fields[AFTER_NAME["state"]] == ZOMBIE:
            return None
        return fields[AFTER_NAME["started"]]
    seen = subprocess.run(  # noqa: S603 - a fixed command and a number
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split(maxsplit=1)
    if not seen or seen[0].startswith(ZOMBIE):
        return None
    return seen[1].strip()


def is_alive(pid: int, since: str) -> bool:
    """Whether the process of this ID is the one that started then."""
    return started(pid) == since


def end(pid: int, since: str, *, grace: float) -> None:
    """End a process and wait for it: asked first, forced when it does not listen."""
    for asked, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        if not is_alive(pid, since):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, asked)
        deadline = time.monotonic() + seconds
        while is_alive(pid, since) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def kill_group(leader: int) -> None:
    """End at once what is left of a group whose leader, and founder, has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
