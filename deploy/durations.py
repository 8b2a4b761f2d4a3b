"""How long the creation of an environment took here before, as an estimate.

Updates are not remembered: one may take a minute, and the next an hour.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from deploy.aws import Aws
from deploy.dist import Dist
from deploy.events import StackWatcher

FILE = Path(".cache/creation-seconds.json")
"""Beside dist/."""


def estimate(aws: Aws, dist: Dist) -> timedelta | None:
    """Return how long the last creation took; None if none is known."""
    try:
        seconds = json.loads((dist.folder.parent / FILE).read_text())
        return timedelta(seconds=float(seconds[_place(aws)]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(aws: Aws, dist: Dist, watcher: StackWatcher) -> None:
    """Write how long a creation took that has succeeded, if the disk allows it."""
    if watcher.started is None or watcher.root.ended is None:
        return
    path = dist.folder.parent / FILE
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        known = {}
    span = watcher.root.ended - watcher.started
    others = known if isinstance(known, dict) else {}
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**others, _place(aws): span.total_seconds()}))


def _place(aws: Aws) -> str:
    return "emulator" if aws.is_local else "AWS"
