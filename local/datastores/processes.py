"""Child processes that end with the one that started them, and nothing else ends.

A Ctrl-C in the terminal reaches a whole process group, and would stop the database
before what uses it; so each engine has a session of its own. A ``keeper`` between the
two stops the engine as soon as its own standard input ends, which the operating system
sees to however this process dies.
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

KEEPER = Path(__file__).with_name("supervisor.py")

PORTS = range(20000, 32768)
"""Below what Linux gives to outgoing connections: nobody takes a port of ours while
the engine behind it restarts."""

PLAIN_USER = "65534"
"""nobody. PostgreSQL refuses to run as root."""

STOP_SECONDS = 20
TAIL_LINES = 5


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    while True:
        port = random.choice(PORTS)  # noqa: S311 - chance, not secrecy
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def is_root() -> bool:
    """Whether this process would be root, under which PostgreSQL does not start."""
    return os.geteuid() == 0


def unprivileged(command: Sequence[str]) -> list[str]:
    """Return ``command`` so that it runs as a plain user, if we are root.

    One capability stays: to read what root's folders hide, such as a checkout in
    ``/root``. So nothing has to be copied or opened to others.
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
    """Make ``folder`` and everything in it the plain user's, if we are root."""
    if is_root():
        for path in (folder, *folder.rglob("*")):
            os.chown(path, int(PLAIN_USER), int(PLAIN_USER))


class Kept:
    """A running program; it ends at the latest when this process does."""

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
            self._keeper = subprocess.Popen(  # noqa: S603 - our own programs
                [
                    *(sys.executable, "-I", "-S", str(KEEPER)),
                    *(str(int(stop_signal)), str(STOP_SECONDS), *command),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=environ,
                start_new_session=True,
            )
        assert self._keeper.stdout is not None  # noqa: S101 - we asked for a pipe
        first = self._keeper.stdout.readline()
        if not first:
            self.stop()
            raise DatastoreError(f"{command[0]} cannot be run: {self.last_words()}")
        self.pid = int(first)

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended."""
        return self._keeper.poll() is None

    def last_words(self) -> str:
        """Return the end of the log on one line."""
        lines = self.log.read_text(errors="replace").splitlines()
        return " / ".join(lines[-TAIL_LINES:]) or "it said nothing"

    def stop(self) -> None:
        """Ask it to end, insist after ``STOP_SECONDS``, return when it is gone."""
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            if pipe:
                pipe.close()
        self._keeper.wait()

    def kill(self) -> None:
        """End it as a crash would, without a word."""
        if self.is_running:
            os.kill(self.pid, signal.SIGKILL)
        self.stop()
