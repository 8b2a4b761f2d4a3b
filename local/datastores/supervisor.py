"""Run a command until it ends, or until standard input does; then stop it.

``supervisor.py SIGNAL SECONDS COMMAND...`` prints the command's process ID. It imports
only the standard library, so that it starts within hundredths of a second. (It is not
the init of ``local.ecs``: that one kills its command at once when the *thread* that
started it ends, and a datastore may be started from any thread.)
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys


def main() -> int:
    """Return the exit status of the command."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Only the end of standard input counts. Ignored signals would stay ignored
        # in the command; handled ones do not.
        signal.signal(number, lambda *_: None)
    stop_signal, seconds, *command = sys.argv[1:]
    child = subprocess.Popen(  # noqa: S603 - running it is the purpose
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr
    )
    ended = os.pidfd_open(child.pid)
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    select.select([sys.stdin, ended], [], [])
    if child.poll() is None:
        child.send_signal(int(stop_signal))
        try:
            child.wait(float(seconds))
        except subprocess.TimeoutExpired:
            child.kill()
    return child.wait()


if __name__ == "__main__":
    sys.exit(main())
