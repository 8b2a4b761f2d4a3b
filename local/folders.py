"""A folder for each rehearsal, so that any number of them run side by side.

Who holds the lock of a folder owns it. The lock goes with its process, however that
ends, so a folder without one is a crash's leftover, or was kept for somebody to read.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LOCK = "lock"
KEPT = "kept"
"""Says that what is left is to be read, not cleared away."""


@dataclass
class Claim:
    """A folder that nobody else uses until it is given up."""

    folder: Path
    _lock: IO[str]

    def clear(self) -> None:
        """Delete what somebody before left."""
        for left in self.folder.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left.name != LOCK:
                left.unlink()

    def keep(self) -> None:
        """Leave everything for somebody to read."""
        (self.folder / KEPT).touch()
        self._lock.close()

    def give_up(self) -> None:
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def claim(parent: Path, name: str) -> Claim:
    """Return the first of ``name-1``, ``name-2`` and so on that is free.

    What a crash left there is for the caller to clear: the folder comes as it is.
    """
    for number in itertools.count(1):
        folder = parent / f"{name}-{number}"
        if not (folder / KEPT).exists() and (found := _taken(folder)):
            return found
    raise AssertionError  # there is always another number


def claim_this(folder: Path) -> Claim | None:
    """Return the folder that somebody named, unless another rehearsal runs in it."""
    (folder / KEPT).unlink(missing_ok=True)
    return _taken(folder)


def _taken(folder: Path) -> Claim | None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = (folder / LOCK).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Deleted by its owner between the two lines above, or not.
        if os.fstat(lock.fileno()).st_ino == (folder / LOCK).stat().st_ino:
            return Claim(folder, lock)
    except (BlockingIOError, FileNotFoundError):
        pass
    lock.close()
    return None
