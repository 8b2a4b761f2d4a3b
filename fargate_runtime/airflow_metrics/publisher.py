"""What a process does with a measurement: it publishes it, or hands it over.

The container's main process adds up, and a thread prints once a minute. Any other
process writes to the main process's pipe. A measurement that cannot be handed over is
lost: measuring never makes a task wait or fail.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fargate_runtime.airflow_metrics.aggregate import Aggregate
from fargate_runtime.contract import Env

MINUTE = 60.0

READ_BYTES = 65536

Record = Callable[[str, str, float], None]
"""Takes a kind (``count``, ``gauge`` or ``time``), Airflow's name and the value."""


def recorder() -> Record:
    """Return what this process does with a measurement."""
    pipe = os.environ.get(Env.METRICS_PIPE, "")
    if os.environ.get(Env.METRICS_PROCESS) == str(os.getpid()):
        return Publisher.of_this_process(pipe).record
    return PipeWriter(pipe).record


class Publisher:
    """Adds up what the processes of the container measure, and prints it."""

    _only: Publisher | None = None

    def __init__(self, pipe: str, aggregate: Aggregate, output: int = 1) -> None:
        self._aggregate, self._output = aggregate, output
        self._lock = threading.Lock()
        self._rest = b""
        Path(pipe).unlink(missing_ok=True)
        os.mkfifo(pipe, 0o600)
        # Open for writing too, so that reading does not end with the first writer.
        self._pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    @classmethod
    def of_this_process(cls, pipe: str) -> Publisher:
        """Return the publisher, started with the first call."""
        if cls._only is None:
            cluster = os.environ.get(Env.CLUSTER_NAME, "")
            pool = os.environ.get(Env.WORKER_POOL, "")
            cls._only = cls(pipe, Aggregate(cluster, pool))
            threading.Thread(target=cls._only.run, name="metrics", daemon=True).start()
            atexit.register(cls._only.publish_rest, os.getpid())
        return cls._only

    def record(self, kind: str, stat: str, value: float) -> None:
        """Add a measurement."""
        with self._lock:
            getattr(self._aggregate, kind)(stat, value)

    def run(self) -> None:
        """Print at the end of each minute, for as long as the process lives."""
        begin = time.time() // MINUTE * MINUTE
        while True:
            left = begin + MINUTE - time.time()
            if left > 0:
                if select.select([self._pipe], [], [], left)[0]:
                    self.read()
                continue
            self.publish(begin)
            begin = time.time() // MINUTE * MINUTE

    def read(self) -> None:
        """Take in what the pipe holds."""
        try:
            data = self._rest + os.read(self._pipe, READ_BYTES)
        except BlockingIOError:
            return
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            match line.decode(errors="replace").split(" ", 2):
                case ["count" | "gauge" | "time" as kind, number, stat]:
                    # Whatever runs in the container may write to the pipe.
                    with contextlib.suppress(ValueError):
                        self.record(kind, stat, float(number))

    def publish(self, begin: float) -> None:
        """Print the lines of the minute that began then."""
        with self._lock:
            lines = self._aggregate.lines(begin)
        for line in lines:
            # In one piece, past every stream that Airflow or Celery has replaced.
            # What cannot be written is lost; the next minute has its own lines.
            with contextlib.suppress(OSError):
                os.write(self._output, f"{line}\n".encode())

    def publish_rest(self, process: int) -> None:
        """Print what is left when the process ends, unless this is a copy of it."""
        if os.getpid() == process:
            self.read()
            self.publish(time.time() // MINUTE * MINUTE)


class PipeWriter:
    """Hands measurements to the container's main process."""

    def __init__(self, pipe: str) -> None:
        self._pipe = pipe
        self._file = -1

    def record(self, kind: str, stat: str, value: float) -> None:
        """Write a line, short enough to arrive in one piece; without a reader, none."""
        try:
            if self._file < 0:
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC
                self._file = os.open(self._pipe, flags)
            os.write(self._file, f"{kind} {value:.6f} {stat}\n".encode())
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EBADF):
                self._file = -1
