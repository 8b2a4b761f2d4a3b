"""Child processes that end with their parent, and not before.

Ctrl-C in a terminal reaches a whole process group and would stop the database before
its clients, so each datastore has its own session. A supervisor between the two stops
the datastore when its standard input ends, which happens however this process dies.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.errors import DatastoreError

SUPERVISOR = Path(__file__).with_name("supervisor.py")

PORTS = range(20000, 32768)
"""Below the range of outgoing connections on Linux: no other process takes the port
while its datastore restarts."""

PLAIN_USER = "65534"
"""The user "nobody": PostgreSQL refuses to run as root."""

STOP_SECONDS = 20
TAIL_LINES = 5


def free_port() -> int:
    """Return a free port of the loopback."""
    while True:
        port = random.choice(PORTS)  # noqa: S311 - chance, not secrecy
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def is_root() -> bool:
    """Return whether this process runs as root, which PostgreSQL refuses."""
    return os.geteuid() == 0


def unprivileged(command: Sequence[str]) -> list[str]:
    """Return ``command`` so that it runs as a plain user, if this process is root.

    It keeps the capability to read root's folders, such as a checkout in ``/root``, so
    nothing has to be copied or made readable to others.
    """
    if not is_root():
        return list(command)
    return [
        *("setpriv", f"--reuid={PLAIN_USER}", f"--regid={PLAIN_USER}"),
        *("--clear-groups", "--inh-caps=-all,+dac_override"),
        *("--ambient-caps=-all,+dac_override", "--bounding-set=-all,+dac_override"),
        *("--", *command),
    ]


def owned(folder: Path) -> None:
    """Give ``folder`` and its content to the plain user, if this process is root."""
    if is_root():
        for path in (folder, *folder.rglob("*")):
            os.chown(path, int(PLAIN_USER), int(PLAIN_USER))


class SupervisedProcess:
    """A running program that ends at the latest with this process."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._supervisor = subprocess.Popen(  # noqa: S603 - our own programs
                [
                    *(sys.executable, "-I", "-S", str(SUPERVISOR)),
                    *(str(int(stop_signal)), str(STOP_SECONDS), *command),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environ,
                start_new_session=True,
            )
        assert self._supervisor.stdout is not None  # noqa: S101 - we asked for a pipe
        first = self._supervisor.stdout.readline()
        if not first:
            self.stop()
            raise DatastoreError(f"{command[0]} cannot be run: {self.last_words()}")
        self.pid = int(first)

    @property
    def is_running(self) -> bool:
        """Whether the program runs."""
        return self._supervisor.poll() is None

    def last_words(self) -> str:
        """Return the end of the log on one line."""
        lines = self.log.read_text(errors="replace").splitlines()
        return " / ".join(lines[-TAIL_LINES:]) or "its log is empty"

    def stop(self) -> None:
        """Stop it, by SIGKILL after ``STOP_SECONDS``; return when it has ended."""
        for pipe in (self._supervisor.stdin, self._supervisor.stdout):
            if pipe:
                pipe.close()
        self._supervisor.wait()

    def kill(self) -> None:
        """End it as a crash would, by SIGKILL."""
        if self.is_running:
            os.kill(self.pid, signal.SIGKILL)
        self.stop()
