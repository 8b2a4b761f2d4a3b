"""Processes by ID and start time, for an ID is used again, and those below them."""

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
    if Path("/proc/self/stat").exists():
        fields = _stat(pid)
        if not fields or fields[AFTER_NAME["state"]] == ZOMBIE:
            return None
        return fields[AFTER_NAME["started"]]
    columns = subprocess.run(  # noqa: S603 - a fixed command and a number
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split(maxsplit=1)
    if not columns or columns[0].startswith(ZOMBIE):
        return None
    return columns[1].strip()


def command(pid: int) -> str:
    """Return the command line of a process; nothing when there is none."""
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        return ""
    return subprocess.run(  # noqa: S603 - a fixed command and a number
        ["/bin/ps", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def works_in(pid: int, folder: Path) -> bool:
    """Whether a folder is the working directory of a process; true where unknown."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:
        return not Path("/proc/self/cwd").exists()


def is_alive(pid: int, since: str) -> bool:
    """Whether the process of this ID is the one that started then."""
    return started(pid) == since


def end(pid: int, since: str, *, grace: float) -> None:
    """End a process and wait for it: asked first, forced when it does not listen."""
    for signal_number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        if not is_alive(pid, since):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
        deadline = time.monotonic() + seconds
        while is_alive(pid, since) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks of Linux; 0 when there is none.

    A process that has ended and was not waited for is one, too.
    """
    fields = _stat(pid)
    return int(fields[AFTER_NAME["started"]]) if fields else 0


def children(pid: int) -> list[int]:
    """Return the processes whose parent this one is; none when it has ended."""
    pids: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            pids += map(int, (thread / "children").read_text().split())
    return pids


def descendants(pid: int) -> list[int]:
    """Return every process below one, a parent before its children."""
    pids: dict[int, None] = {}
    waiting = children(pid)
    while waiting:
        child = waiting.pop(0)
        if child not in pids:
            pids[child] = None
            waiting += children(child)
    return list(pids)


def kill_group(leader: int) -> None:
    """End at once what is left of a group whose leader, and founder, has ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat behind the process's name, if any."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()
