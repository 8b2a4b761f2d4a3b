"""A container's health, by its own check, as Docker and ECS count it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import IO

from local.ecs.model import ContainerHealthCheck
from local.ecs.processes import in_control_group

SHOWN_CHARACTERS = 500
"""Of a failed check's output."""


class HealthStatus(Enum):
    """Health of a container or a task, as ECS reports it."""

    UNKNOWN = "UNKNOWN"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"


class HealthChecker:
    """Runs a container's health check at its interval, without blocking."""

    def __init__(
        self,
        check: ContainerHealthCheck,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        started: float,
        probe_seconds: float | None,
        control_group: Path | None = None,
    ) -> None:
        """Take times on a monotonic clock; ``started`` is the container's start."""
        self._check = check
        self._command = in_control_group(command, control_group)
        self._environment = dict(environment)
        self._folder = folder
        self._started = started
        self._probe_seconds = probe_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._check_started = 0.0
        self._failures = 0
        self.health = HealthStatus.UNKNOWN
        self._next = started + self._pause(started)
        self.output = ""
        """The output of the last check that failed."""

    def step(self, now: float) -> None:
        """Start a check that is due, or take the result of one that ended."""
        if self._process is None:
            if now >= self._next:
                self._begin(now)
            return
        code = self._process.poll()
        is_late = now - self._check_started > self._check.timeout
        if code is None and not is_late:
            return
        if code is None:
            self._kill()
        output = self._take_output()
        self._count(
            now, is_good=code == 0, output=output if code is not None else "timeout"
        )
        # Health checks must not keep a busy machine from the work itself.
        self._next = now + max(self._pause(now), now - self._check_started)

    def stop(self) -> None:
        """End a running check."""
        if self._process is not None:
            self._kill()
            self._take_output()

    def _pause(self, now: float) -> float:
        is_new = now - self._started < self._check.start_period
        is_probed = is_new and self.health is not HealthStatus.HEALTHY
        if self._probe_seconds is not None and is_probed:
            return min(self._probe_seconds, self._check.interval)
        return self._check.interval

    def _begin(self, now: float) -> None:
        self._check_started = now
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the check
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the container's own check
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
            )
        except OSError as error:
            self._count(now, is_good=False, output=str(error))
            self._output.close()
            self._next = now + self._pause(now)

    def _count(self, now: float, *, is_good: bool, output: str) -> None:
        if is_good:
            self._failures = 0
            self.health = HealthStatus.HEALTHY
            return
        self.output = output
        # In the start period a failure does not count.
        if now - self._started < self._check.start_period and (
            self.health is not HealthStatus.HEALTHY
        ):
            return
        self._failures += 1
        if self._failures >= self._check.retries:
            self.health = HealthStatus.UNHEALTHY

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _take_output(self) -> str:
        self._process = None
        if self._output is None:
            return ""
        self._output.seek(0)
        text = self._output.read().decode(errors="replace").strip()
        self._output.close()
        return text[-SHOWN_CHARACTERS:]
