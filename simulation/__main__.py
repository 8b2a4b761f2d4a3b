"""Compare policies over simulated days: ``python -m simulation``.

Prints a table for every kind of day and for all of them, and writes one chart a kind
and policy of ours. The templates must have been compiled: our policy runs with the
alarms and step policies that they hold.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from fargate_runtime.autoscaler.settings import SettingsError
from simulation import history, step_scaling
from simulation.charts import DAY_HOURS
from simulation.comparison import (
    OURS,
    POLICIES,
    Job,
    Options,
    Outcome,
    by_kind,
    by_variant,
    every,
)
from simulation.scenarios import VARIANTS
from simulation.tasks import Shape
from simulation.workloads import KINDS

TUNED_SEEDS = (1, 2)
"""Days that were looked at while the decision was made; never measure on them."""

UNSEEN_SEEDS = (301, 302, 303, 304, 305)


def say(text: str) -> None:
    """Print a line at once: a day takes a moment, and somebody waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def jobs(asked: argparse.Namespace) -> list[Job]:
    """Return the days to run, those of one kind together."""
    if asked.history:
        return [Job("history", 0, asked.policies, history=asked.history)]
    if asked.variants:
        mine = [name for name in asked.policies if name in OURS]
        return [
            Job(kind, seed, mine, variant)
            for variant in VARIANTS
            for kind in asked.kinds
            for seed in asked.seeds
        ]
    return [
        Job(kind, seed, asked.policies) for kind in asked.kinds for seed in asked.seeds
    ]


def drawn(outcomes: Iterable[Outcome], folder: Path | None) -> Iterator[Outcome]:
    """Write the drawings of the first day of every kind on the way."""
    seen = set()
    for outcome in outcomes:
        kind = outcome.job.kind
        if folder and kind not in seen:
            for name, drawing in outcome.drawings.items():
                (folder / f"{kind}-{name}.svg").write_text(drawing)
        seen.add(kind)
        yield outcome


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=UNSEEN_SEEDS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=POLICIES)
    parser.add_argument(
        "--template", type=Path, default=Path("dist/scaling.template.json")
    )
    parser.add_argument("--charts", type=Path, help="folder for drawings")
    parser.add_argument(
        "--hours", type=float, nargs=2, default=DAY_HOURS, help="the part to draw"
    )
    parser.add_argument("--objective", type=float, help="seconds a task may wait")
    parser.add_argument("--hold", type=float, help="seconds before one is drained")
    parser.add_argument("--no-predictive-scaling", action="store_true")
    parser.add_argument(
        "--variants", action="store_true", help="ours alone, in other worlds"
    )
    parser.add_argument("--history", type=Path, help="a CSV of your own tasks")
    parser.add_argument("--concurrency", type=int, default=8, help="with --history")
    parser.add_argument("--minimum", type=int, default=1, help="with --history")
    parser.add_argument("--maximum", type=int, default=25, help="with --history")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    asked = options().parse_args(arguments)
    begun = time.monotonic()
    if asked.charts:
        asked.charts.mkdir(parents=True, exist_ok=True)
    chosen = Options(
        template=asked.template,
        objective=asked.objective,
        hold=asked.hold,
        predictive_scaling=not asked.no_predictive_scaling,
        shape=Shape(asked.concurrency, asked.minimum, asked.maximum),
        hours=tuple(asked.hours) if asked.charts else None,
    )
    try:
        outcomes = drawn(every(jobs(asked), chosen), asked.charts)
        for text in (by_variant if asked.variants else by_kind)(outcomes):
            say(text)
    except (step_scaling.TemplateError, history.HistoryError, SettingsError) as error:
        sys.stderr.write(f"simulation: {error}\n")
        return 1
    sys.stderr.write(f"\n{time.monotonic() - begun:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
