"""What the tests' workers run."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import shared_task


@shared_task(name="hold")  # type: ignore[untyped-decorator]  # celery ships no types
def hold(folder: str, name: str, seconds: float) -> None:
    """Take some time; each run leaves one file at its start and one at its end."""
    run = f"{name}-{os.getpid()}-{time.time_ns()}"
    Path(folder, f"{run}.started").touch()
    time.sleep(seconds)
    Path(folder, f"{run}.ended").touch()
