"""Container logs: a file each, shipped to the emulator's log groups.

The container writes to the file itself, so no output is lost when the agent stops, and
nothing waits for CloudWatch, as with the compiled ``mode: non-blocking``.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.ecs import embedded_metrics
from local.ecs.emulator_client import AWS_ERRORS
from local.ecs.metrics import MetricStore

LINES_AT_ONCE = 1000
BYTES_AT_ONCE = 200_000
LONGEST_LINE = 200_000
"""CloudWatch takes 256 KiB an event."""


class LogWriter(Protocol):
    """The destination of log lines."""

    def write(self, group: str, stream: str, lines: list[str]) -> None:
        """Append lines to a log stream."""


@dataclass
class LogStream:
    """The log of one container: a file and how much of it is delivered."""

    path: Path
    group: str = ""
    name: str = ""
    _at: int = 0

    def read(self, *, is_over: bool) -> list[str]:
        """Return new whole lines, and the last one too when the container is gone."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                data = file.read(BYTES_AT_ONCE)
        except OSError:
            return []
        if len(data) < LONGEST_LINE and not is_over:
            data = data[: data.rfind(b"\n") + 1]
        self._at += len(data)
        lines = data.decode(errors="replace").splitlines()
        return [line for line in lines if line.strip()]


class LogShipper:
    """Delivers to the log groups on a thread of its own."""

    def __init__(
        self,
        writer: LogWriter,
        on_error: Callable[[str], None],
        metrics: MetricStore,
    ) -> None:
        """``metrics`` gets what lines in the embedded metric format publish."""
        self._writer, self._metrics = writer, metrics
        self._on_error = on_error
        self._waiting: queue.Queue[tuple[str, str, list[str]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def ship(self, stream: LogStream, *, is_over: bool = False) -> None:
        """Queue the new lines of a container's file."""
        while stream.group and (lines := stream.read(is_over=is_over)):
            for start in range(0, len(lines), LINES_AT_ONCE):
                batch = lines[start : start + LINES_AT_ONCE]
                self._waiting.put((stream.group, stream.name, batch))

    def close(self) -> None:
        """Deliver what is left and end the thread."""
        self._waiting.put(None)
        self._thread.join(5)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            for metric, datum in embedded_metrics.read(item[2]):
                self._metrics.put(metric, datum)
            try:
                self._writer.write(*item)
            except AWS_ERRORS as error:
                self._on_error(f"cannot write the log {item[0]} {item[1]}: {error}")
