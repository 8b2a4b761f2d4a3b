"""A folder for each local environment, so that any number of them run side by side.

The process that holds the lock of a folder owns it. The lock goes with its process,
however that ends, so a folder without one was left by a crash, or kept for its logs.
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
"""Marks a folder that is kept."""


@dataclass
class Claim:
    """A folder that no other process uses until it is given up."""

    folder: Path
    _lock: IO[str]

    def clear(self) -> None:
        """Delete the contents of the folder."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()

    def keep(self) -> None:
        """Leave everything in place."""
        (self.folder / KEPT).touch()
        self._lock.close()

    def give_up(self) -> None:
        """Delete the folder and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def claim(parent: Path, name: str) -> Claim:
    """Return the first of ``name-1``, ``name-2`` and so on that is free.

    The folder comes as it is: the caller clears what a crash has left in it.
    """
    for number in itertools.count(1):
        folder = parent / f"{name}-{number}"
        if not (folder / KEPT).exists() and (claimed := _lock(folder)):
            return claimed
    raise AssertionError  # there is always another number


def claim_this(folder: Path) -> Claim | None:
    """Return a folder by its path, unless another environment runs in it."""
    (folder / KEPT).unlink(missing_ok=True)
    return _lock(folder)


def is_claimed(folder: Path) -> bool:
    """Whether a process uses a folder that exists; nothing is claimed."""
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _lock(folder: Path) -> Claim | None:
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
