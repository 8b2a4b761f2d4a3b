"""How long the creation of an environment took here before, as an estimate.

Updates are not remembered: one may take a minute, and the next an hour.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from deploy.aws import Aws
from deploy.dist import Dist
from deploy.events import StackWatcher

FILE = Path(".cache/creation-seconds.json")
"""Beside dist/."""


def estimate(aws: Aws, dist: Dist) -> timedelta | None:
    """Return how long the last creation took; None if none is known."""
    try:
        return timedelta(seconds=float(_known(dist)[_place(aws)]))
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def remember(aws: Aws, dist: Dist, watcher: StackWatcher) -> None:
    """Write how long a creation took that has succeeded, if the disk allows it."""
    if watcher.started is None or watcher.root.ended is None:
        return
    path = dist.folder.parent / FILE
    span = watcher.root.ended - watcher.started
    durations = {**_known(dist), _place(aws): span.total_seconds()}
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(durations))


def _known(dist: Dist) -> dict[str, Any]:
    """Return what was written; nothing where it cannot be read."""
    path = dist.folder.parent / FILE
    try:
        # Reading a named pipe would block.
        content = json.loads(path.read_text()) if path.is_file() else {}
    except (OSError, RecursionError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _place(aws: Aws) -> str:
    return "emulator" if aws.is_local else "AWS"
