"""How much memory a tree of processes takes, each shared page counted once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from local.processes import descendants

PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
KIBIBYTES = 1024


def mebibytes(roots: Iterable[int]) -> float:
    """Return the proportional set size of processes and all below them, in MiB."""
    pids = {pid for root in roots for pid in (root, *descendants(root))}
    return sum(map(_pss, pids)) / KIBIBYTES


def _pss(pid: int) -> int:
    try:
        match = PSS.search(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except OSError:
        return 0
    return int(match[1]) if match else 0
