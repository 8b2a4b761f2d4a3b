"""Print what ``make bench`` measures: medians of whole processes, beside their floors.

A floor is the work that is left when ours is taken away: loading the libraries, or
running cfn-lint alone over the same files. Figures and floors come from the same run,
so that a busy or a slow machine shows in both; the ratio is what to compare.

Limits are for two cores. Nothing fails here: a busy machine is no defect.

``python -m benchmarks autoscaler`` takes the figures of the autoscaler alone,
``templates`` those of the compiler and of delivery, ``bundles`` the start of a task
with 2,000 DAG files, ``environment`` those of a whole
environment on this machine.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import autoscaler, dag_bundles, local_environment
from benchmarks.figures import ROOT, Figure, output, spent

RUNS = 5
"""Whole processes a figure is the median of."""

POOLS = (10, 25, 50)

NOTHING_TO_CHANGE = 4
"""How plan ends when a stack is as it should be."""

LOAD_CLIENTS = (
    "import boto3; "
    "[boto3.client(name, 'us-east-1') for name in ('s3', 'sts', 'cloudformation')]"
)

CFN_LINT = (
    *(sys.executable, "-c", "from cfnlint.runner import main; main()"),
    *("--include-checks", "I", "--include-experimental", "--ignore-checks"),
    *("W3002", "--regions", "us-east-1", "--non-zero-exit-code", "none", "--template"),
)


def main() -> None:
    """Measure and print."""
    groups = sys.argv[1:] or list(GROUPS)
    if {"-h", "--help"} & set(groups):
        sys.stdout.write(f"{__doc__}\nGroups: {', '.join(GROUPS)}.\n")
        return
    if unknown := set(groups) - set(GROUPS):
        sys.exit(f"{', '.join(sorted(unknown))}: choose from {', '.join(GROUPS)}.")
    figures = [figure for group in groups for figure in GROUPS[group]()]
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="bold")
    for heading in ("What", "Seconds", "Limit", "Floor", "Ratio", "The floor is"):
        table.add_column(heading, justify="left" if heading[0] in "WT" else "right")
    for figure in figures:
        is_over = figure.limit is not None and figure.seconds > figure.limit
        table.add_row(
            figure.what,
            f"[bold red]{figure.seconds:.2f}[/]"
            if is_over
            else f"{figure.seconds:.2f}",
            "" if figure.limit is None else f"{figure.limit:.2f}",
            "" if figure.floor is None else f"{figure.floor:.2f}",
            "" if figure.floor is None else f"{figure.seconds / figure.floor:.2f}",
            figure.floor_is,
        )
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    console.print(table)
    console.print(
        f"\nMedians of {RUNS} whole processes, of an environment one run; "
        f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}. CPU is user and "
        "system time of a process and its children."
    )


def of_templates() -> list[Figure]:
    """Measure compiling and delivery in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder))


def measure(folder: Path) -> list[Figure]:
    """Take every figure of the templates, each beside its floor."""
    load = cpu([sys.executable, "-c", output(work("libraries"))])
    loading = "loading the libraries"
    figures = [
        Figure(
            what="Compile alone, CPU",
            seconds=cpu(work("compile")),
            limit=0.6,
            floor=load,
            floor_is=loading,
        )
    ]

    names = iter(range(1000))
    cold = wall(lambda: make(folder / f"cold{next(names)}"))
    dist = folder / "cold0"
    templates = sorted(file.name for file in dist.glob("*.template.json"))
    figures += [
        Figure(
            what="Cold make templates, wall",
            seconds=cold,
            limit=6,
            floor=wall(lambda: [*CFN_LINT, *templates], cwd=dist),
            floor_is="cfn-lint alone, once over the same templates",
        ),
        Figure(
            what="Unchanged make templates, wall",
            seconds=wall(lambda: make(dist)),
            limit=0.7,
            floor=wall(lambda: [sys.executable, "-c", "import click, rich.console"]),
            floor_is="loading click and rich",
        ),
    ]

    seconds = {count: cpu(work("pools", str(count))) for count in POOLS}
    figures += [
        Figure(
            what=f"Compile {count} worker pools, CPU",
            seconds=seconds[count],
            limit=2 if count == max(POOLS) else None,
            floor=load,
            floor_is=loading,
        )
        for count in POOLS
    ]
    grown = json.loads(output(work("growth", *map(str, POOLS))))
    few, some, many = POOLS
    more, before = (
        1000 * (grown[str(high)] - grown[str(low)]) / (high - low)
        for low, high in ((some, many), (few, some))
    )
    figures.append(
        Figure(
            what=f"One pool more, {some} to {many}, milliseconds",
            seconds=more,
            floor=before,
            floor_is=f"one pool more, {few} to {some}; linear is 1",
        )
    )
    return [*figures, *measure_locally(folder, dist)]


def measure_locally(folder: Path, dist: Path) -> list[Figure]:
    """Take the figures of a launch in the emulator, each run in an empty one."""
    (folder / "dist").symlink_to(dist)
    emulator = ("emulator", str(folder))
    deliver = ("deliver", str(folder))
    runs: dict[str, list[float]] = {"start": [], "launch": [], "plan": []}
    # Whatever has to be installed first is not what is measured.
    spent(work(*emulator, "start"), ROOT)
    try:
        for _ in range(RUNS):
            spent(work(*emulator, "erase"), ROOT)
            runs["start"].append(spent(work(*emulator, "start"), ROOT).wall)
            launch = work(*deliver, "launch", "dev", "--yes")
            runs["launch"].append(spent(launch, ROOT).wall)
            plan = work(*deliver, "plan", "dev")
            runs["plan"].append(spent(plan, ROOT, NOTHING_TO_CHANGE).wall)
    finally:
        spent(work(*emulator, "erase"), ROOT)
    load = wall(lambda: [sys.executable, "-c", LOAD_CLIENTS])
    return [
        Figure(
            what=what,
            seconds=median(runs[name]),
            limit=limit,
            floor=load,
            floor_is="loading boto3 and three of its clients",
        )
        for name, what, limit in (
            ("start", "Emulator up, wall", 3),
            ("launch", "Launch dev --emulator, publish included, wall", 5),
            ("plan", "Plan of an unchanged dev --emulator, wall", 2),
        )
    ]


def work(*arguments: str) -> list[str]:
    """Return the command for a piece of work."""
    return [sys.executable, "-m", "benchmarks.work", *arguments]


def make(dist: Path) -> list[str]:
    """Return the command of a person who builds."""
    return ["make", "--silent", "templates", f"DIST={dist}"]


def wall(command: Callable[[], Sequence[str]], cwd: Path = ROOT) -> float:
    """Return the median of the time that passes."""
    return median(spent(command(), cwd).wall for _ in range(RUNS))


def cpu(command: Sequence[str]) -> float:
    """Return the median of the processor time."""
    return median(spent(command, ROOT).cpu for _ in range(RUNS))


GROUPS: Mapping[str, Callable[[], list[Figure]]] = {
    "templates": of_templates,
    "autoscaler": autoscaler.measure,
    "bundles": dag_bundles.measure,
    "environment": local_environment.measure,
}
"""What can be measured, by the name of its part."""


if __name__ == "__main__":
    main()
