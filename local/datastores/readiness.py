"""What the datastores share: an endpoint, and waiting until it is ready."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.datastores.processes import SupervisedProcess
from local.errors import DatastoreError

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class DatastoreEndpoint:
    """Address of a datastore, and the certificate authority to trust."""

    host: str
    port: int
    ca_path: Path


def wait_until(
    is_ready: Callable[[], bool],
    process: SupervisedProcess,
    *,
    what: str,
    seconds: float,
) -> None:
    """Wait for ``is_ready``. Raises DatastoreError if it takes too long or fails."""
    deadline = time.monotonic() + seconds
    while not is_ready():
        if not process.is_running:
            raise DatastoreError(f"{what} does not start: {process.last_words()}")
        if time.monotonic() > deadline:
            process.kill()
            raise DatastoreError(
                f"{what} is not ready after {seconds:.0f} s: {process.last_words()}"
            )
        time.sleep(POLL_SECONDS)


def quoted(settings: Mapping[str, str]) -> str:
    """Return settings as lines ``name = 'value'``, as PostgreSQL reads them."""
    return "".join(
        "{} = '{}'\n".format(name, value.replace("\\", "\\\\").replace("'", "''"))
        for name, value in settings.items()
    )
