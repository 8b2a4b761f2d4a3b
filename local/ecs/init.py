"""The first process of a container: what ``InitProcessEnabled`` adds on Fargate.

Run as a script, with the command as arguments. It passes signals on to the command
alone, reaps what the command leaves behind, and when the command ends it kills whatever
is left, as the end of a container does. SIGHUP kills everything at once; it also
arrives when the agent dies, so that nothing outlives it.

Exit status: the command's, or 128 and the signal that ended it, as containers have it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
NOT_FOUND = 127

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1)


def children() -> list[int]:
    """Return the processes whose parent this one is."""
    pids: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            pids += map(int, (thread / "children").read_text().split())
    return pids


def kill_all() -> None:
    """Kill every child; orphans become children, so it repeats until none is left."""
    while children():
        for pid in children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def run(command: list[str], agent: int) -> int:
    """Run the command to its end and return its exit status."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    main = 0

    def on_kill(_number: int, _frame: FrameType | None) -> None:
        kill_all()
        os._exit(128 + signal.SIGKILL)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(main, number)

    signal.signal(signal.SIGHUP, on_kill)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0)
    if os.getppid() != agent:
        return 128 + signal.SIGKILL
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
    main = os.fork()
    if not main:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            os.execvp(command[0], command)  # noqa: S606 - no shell is the point
        except OSError as error:
            sys.stderr.write(f"cannot run {command[0]}: {error.strerror}\n")
            sys.stderr.flush()
            os._exit(NOT_FOUND)
    for number in PASSED_ON:
        signal.signal(number, on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == main:
            kill_all()
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(run(sys.argv[2:], int(sys.argv[1])))
