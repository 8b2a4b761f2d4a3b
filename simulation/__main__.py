"""Compare policies over simulated days: ``python -m simulation``.

Prints a table for every kind of day and for all of them, and writes one chart for each
kind of day and shipped policy. The templates must have been compiled: the shipped
policy runs with their alarms and step policies.
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
    POLICIES,
    SHIPPED,
    DayResult,
    Options,
    SimulationJob,
    by_kind,
    by_scenario,
    every,
)
from simulation.scenarios import SCENARIOS
from simulation.tasks import PoolShape
from simulation.workloads import KINDS

TUNED_SEEDS = (1, 2)
"""Days used while the decision was developed; never measure on them."""

UNSEEN_SEEDS = (301, 302, 303, 304, 305)


def say(text: str) -> None:
    """Print a line at once: a day takes a moment."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def jobs(arguments: argparse.Namespace) -> list[SimulationJob]:
    """Return the days to run, those of one kind together."""
    if arguments.history:
        return [
            SimulationJob("history", 0, arguments.policies, history=arguments.history)
        ]
    if arguments.scenarios:
        shipped = [name for name in arguments.policies if name in SHIPPED]
        return [
            SimulationJob(kind, seed, shipped, scenario)
            for scenario in SCENARIOS
            for kind in arguments.kinds
            for seed in arguments.seeds
        ]
    return [
        SimulationJob(kind, seed, arguments.policies)
        for kind in arguments.kinds
        for seed in arguments.seeds
    ]


def write_drawings(
    results: Iterable[DayResult], folder: Path | None
) -> Iterator[DayResult]:
    """Pass the results on; write the drawings of the first day of every kind."""
    kinds = set()
    for result in results:
        kind = result.job.kind
        if folder and kind not in kinds:
            for name, drawing in result.drawings.items():
                (folder / f"{kind}-{name}.svg").write_text(drawing)
        kinds.add(kind)
        yield result


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
    parser.add_argument(
        "--target-start-seconds", type=float, help="how long a task may wait"
    )
    parser.add_argument(
        "--scale-in-delay-seconds", type=float, help="how long before workers drain"
    )
    parser.add_argument("--no-predictive-scaling", action="store_true")
    parser.add_argument(
        "--scenarios",
        action="store_true",
        help="the shipped policies alone, under other conditions",
    )
    parser.add_argument("--history", type=Path, help="a CSV of your own tasks")
    parser.add_argument("--concurrency", type=int, default=8, help="with --history")
    parser.add_argument("--minimum", type=int, default=1, help="with --history")
    parser.add_argument("--maximum", type=int, default=25, help="with --history")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = options()
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    first, last = arguments.hours
    if not first < last:
        parser.error(f"--hours {first:g} {last:g}: the first is not before the last")
    if arguments.charts:
        try:
            arguments.charts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"--charts {arguments.charts}: {error.strerror}")
    settings = Options(
        template=arguments.template,
        target_start_seconds=arguments.target_start_seconds,
        scale_in_delay_seconds=arguments.scale_in_delay_seconds,
        predictive_scaling=not arguments.no_predictive_scaling,
        shape=PoolShape(arguments.concurrency, arguments.minimum, arguments.maximum),
        hours=tuple(arguments.hours) if arguments.charts else None,
    )
    try:
        results = write_drawings(every(jobs(arguments), settings), arguments.charts)
        for text in (by_scenario if arguments.scenarios else by_kind)(results):
            say(text)
    except (
        step_scaling.ScalingRuleError,
        history.HistoryError,
        SettingsError,
    ) as error:
        sys.stderr.write(f"simulation: {error}\n")
        return 1
    sys.stderr.write(f"\n{time.monotonic() - started:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
