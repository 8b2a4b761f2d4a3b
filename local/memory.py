"""How much memory a tree of processes takes, each shared page counted once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
KIBIBYTES = 1024


def mebibytes(roots: Iterable[int]) -> float:
    """Return the proportional set size of processes and all below them, in MiB."""
    return sum(_pss(pid) for pid in set(_trees(roots))) / KIBIBYTES


def _trees(roots: Iterable[int]) -> Iterator[int]:
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        yield pid
        try:
            for thread in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
        except OSError:
            continue  # it has ended


def _pss(pid: int) -> int:
    try:
        found = PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0
