"""What the benchmarks have in common: a line of the table, and what a process took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a process took, its children included."""

    wall: float
    cpu: float


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table; seconds, unless ``what`` says another unit."""

    what: str
    seconds: float
    limit: float | None = None
    floor: float | None = None
    floor_is: str = ""


def output(command: Sequence[str], environ: Mapping[str, str] | None = None) -> str:
    """Return what a process prints."""
    return subprocess.run(  # noqa: S603 - our own module
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def spent(
    command: Sequence[str],
    cwd: Path,
    expected: int = 0,
    environ: Mapping[str, str] | None = None,
) -> Spent:
    """Run a process to its end and return what it took."""
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own commands
        command,
        cwd=cwd,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    passed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != expected:
        sys.exit(f"{' '.join(command)} failed:\n{said}")
    return Spent(wall=passed, cpu=usage.ru_utime + usage.ru_stime)
