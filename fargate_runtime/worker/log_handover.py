"""Uploads task logs that no supervisor will: ``python -m`` with a folder of logs.

A supervisor uploads the log when its task has ended; the log of one that was killed
stays on the worker's disk, and goes with it. The worker moves such logs out of
Airflow's folder at once, where the end of a later try would delete them with its own,
and uploads them by Airflow's remote log handler: to the key that the UI reads, after
what is there already.

In a process of its own: Airflow and boto3 stay out of the main process of Celery, which
forks the processes of its pool.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import import_module
from logging import Logger
from pathlib import Path
from typing import Any

RETRY_SECONDS = 60.0

FINISH_SECONDS = 30.0
"""How long a worker that ends waits for an upload; ECS gives it 120 s in all."""


def command(folder: Path) -> list[str]:
    """Return the command that uploads what is in ``folder``."""
    return [sys.executable, "-m", "fargate_runtime.worker.log_handover", str(folder)]


class LogHandover:
    """Collects logs and has them uploaded. Not thread-safe."""

    def __init__(
        self,
        folder: Path,
        log: Logger,
        upload: Callable[[Path], list[str]] = command,
    ) -> None:
        """Collect in ``folder``; ``upload`` returns the command that uploads it."""
        self._folder = folder
        self._log = log
        self._upload = upload
        self._process: subprocess.Popen[bytes] | None = None
        self._due = -math.inf

    def take(self, path: Path, name: str) -> None:
        """Take over the log at ``path``, whose name in the bucket is ``name``."""
        if not path.is_file():
            return
        # Each in a folder of its own: an upload may be under way.
        target = Path(tempfile.mkdtemp(dir=self._folder)) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        self._due = -math.inf
        self._log.info("Uploading the log %s in place of its supervisor.", name)

    def look(self, now: float) -> None:
        """Start an upload that is due; log one that has failed."""
        if self._process is not None and self._process.poll() is not None:
            if self._process.returncode:
                self._due = now + RETRY_SECONDS
                self._log.error(
                    "Cannot upload task logs (exit code %d); retrying in %.0f s.",
                    *(self._process.returncode, RETRY_SECONDS),
                )
            self._process = None
        if self._process is None and now >= self._due and any(self._folder.iterdir()):
            self._process = subprocess.Popen(self._upload(self._folder))  # noqa: S603

    def finish(self) -> None:
        """Upload what is there, and wait for it."""
        # The upload under way may have begun before the last log came.
        for _ in range(2):
            self._wait()
            self.look(math.inf)
        self._wait()
        if left := [path for path in self._folder.rglob("*") if path.is_file()]:
            self._log.error("%d task logs are lost: not uploaded.", len(left))

    def _wait(self) -> None:
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(FINISH_SECONDS)


def upload(folder: Path, handler: Any) -> bool:
    """Upload every log in ``folder`` and delete it; return whether none is left."""
    for root in sorted(folder.iterdir()):
        handler.base_log_folder = root
        handler.delete_local_copy = True
        for path in [path for path in root.rglob("*") if path.is_file()]:
            handler.upload(str(path.relative_to(root)))
        if not any(path.is_file() for path in root.rglob("*")):
            shutil.rmtree(root)
    return not any(folder.iterdir())


def main(arguments: Sequence[str]) -> int:
    """Return 0 when everything is uploaded, else 1."""
    (folder,) = arguments
    handler = import_module("airflow.sdk.log").load_remote_log_handler()
    if handler is None:
        sys.stderr.write(f"{__name__}: Airflow has no remote log handler\n")
        return 1
    return 0 if upload(Path(folder), handler) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
