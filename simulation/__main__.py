"""Compare policies over simulated days: ``python -m simulation``.

Prints a table for every kind of day and for all of them, and writes one chart a kind
and policy of ours. The templates must have been compiled: our policy runs with the
alarms and step policies that they hold.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from runtime.brain.settings import SettingsError, Style
from simulation import actor, charts, clairvoyant, history, ours, rivals, scores
from simulation.model import Policy, World
from simulation.tasks import DAY_SECONDS, Day, Shape
from simulation.workloads import KINDS

TUNED_SEEDS = (1, 2)
"""Days that were looked at while the decision was made; never measure on them."""

UNSEEN_SEEDS = (101, 102, 103)
DELAYS = (0.0, 30.0, 60.0)
"""Allowed start delays for which the lower bound of the cost is printed."""

POLICIES = (
    "ours-balanced",
    "ours-economy",
    "cpu-tracking",
    "cpu-20s",
    "backlog-tracking",
    "queue-steps",
    "keda",
    "mwaa",
)

HEADER = (
    f"{'policy':18}{'p50 s':>9}{'p95 s':>9}{'p99 s':>9}{'>60 s':>7}{'>10 min':>8}"
    f"{'killed':>8}{'left':>6}{'starts':>8}{'cost':>7}{'under':>7}{'over':>7}{'moves':>7}"
)


def say(text: str) -> None:
    """Print a line at once: a day takes a moment, and somebody waits."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def line(name: str, score: scores.Score) -> str:
    """Return one row of the table."""
    return (
        f"{name:18}{score.p50:9.1f}{score.p95:9.1f}{score.p99:9.1f}{score.late:7.1%}"
        f"{score.very_late:8.0f}{score.kills:8.0f}{score.unfinished:6.0f}"
        f"{score.launches:8.0f}{score.ratio:7.3f}{score.under:7.2f}{score.over:7.2f}"
        f"{score.instability:7.3f}"
    )


def contenders(
    orders: Sequence[actor.Order], asked: argparse.Namespace
) -> Mapping[str, Callable[[], Policy]]:
    """Return every policy by its name."""

    def native(style: Style) -> Callable[[], Policy]:
        return lambda: ours.Native(
            orders,
            style,
            objective_seconds=asked.objective,
            hold_seconds=asked.hold,
            look_ahead=not asked.no_look_ahead,
        )

    return {
        **{f"ours-{style}": native(style) for style in Style},
        "cpu-tracking": rivals.cpu_tracking,
        "cpu-20s": rivals.fast_cpu_tracking,
        "backlog-tracking": rivals.backlog_tracking,
        "queue-steps": rivals.QueueSteps,
        "keda": rivals.Keda,
        "mwaa": rivals.Mwaa,
    }


def days(asked: argparse.Namespace) -> Iterable[tuple[str, list[Day]]]:
    """Return the days to run, by kind."""
    if asked.history:
        shape = Shape(asked.concurrency, asked.minimum, asked.maximum)
        names = dict.fromkeys(history.read(asked.history).pools, shape)
        yield "history", [history.read(asked.history, names)]
        return
    for kind in asked.kinds:
        yield kind, [KINDS[kind](seed) for seed in asked.seeds]


def compare(asked: argparse.Namespace) -> None:
    """Run every day under every policy; print and draw."""
    every = contenders(actor.read(asked.template), asked)
    chosen = {name: every[name] for name in asked.policies}
    totals: dict[str, list[scores.Score]] = {name: [] for name in chosen}
    late = dict.fromkeys(chosen, 0.0)
    tasks = 0
    for kind, some in days(asked):
        plans = [clairvoyant.plan(day) for day in some]
        number = sum(len(day.tasks()) for day in some)
        tasks += number
        cost = sum(plan.seconds for plan in plans) / len(plans)
        bounds = [
            sum(
                clairvoyant.bound(day, plan.arrivals, delay) / plan.seconds
                for day, plan in zip(some, plans, strict=True)
            )
            / len(some)
            for delay in DELAYS
        ]
        shown = ", ".join(f"{b:.2f}" for b in bounds)
        say(
            f"\n{kind}: {number / len(some):.0f} tasks a day; "
            f"the clairvoyant plan runs {cost / DAY_SECONDS:.2f} workers on average.\n"
            f"No schedule costs less than {shown} of it with delays up to "
            f"{', '.join(f'{d:.0f}' for d in DELAYS)} s.\n{HEADER}"
        )
        for name, policy in chosen.items():
            results = []
            for day, plan in zip(some, plans, strict=True):
                world = World(day, policy(), seed=day.seed).run()
                results.append(scores.score(world, plan.seconds))
                if day is some[0] and asked.charts and name.startswith("ours"):
                    title = f"{kind}, seed {day.seed}, {name}"
                    drawing = charts.draw(title, charts.panels(world))
                    (asked.charts / f"{kind}-{name}.svg").write_text(drawing)
            totals[name] += results
            late[name] += sum(
                score.late * len(day.tasks())
                for score, day in zip(results, some, strict=True)
            )
            say(line(name, scores.mean(results)))
    say(f"\nall days\n{HEADER}  late of all")
    for name, results in totals.items():
        say(f"{line(name, scores.mean(results))} {late[name] / tasks:12.1%}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seeds", type=int, nargs="+", default=UNSEEN_SEEDS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=POLICIES)
    parser.add_argument(
        "--template", type=Path, default=Path("dist/scaling.template.json")
    )
    parser.add_argument("--charts", type=Path, help="folder for drawings")
    parser.add_argument("--objective", type=float, help="seconds a task may wait")
    parser.add_argument("--hold", type=float, help="seconds before one is drained")
    parser.add_argument("--no-look-ahead", action="store_true")
    parser.add_argument("--history", type=Path, help="a CSV of your own tasks")
    parser.add_argument("--concurrency", type=int, default=8, help="with --history")
    parser.add_argument("--minimum", type=int, default=1, help="with --history")
    parser.add_argument("--maximum", type=int, default=25, help="with --history")
    asked = parser.parse_args(arguments)
    if asked.charts:
        asked.charts.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    try:
        compare(asked)
    except (actor.TemplateError, history.HistoryError, SettingsError) as error:
        sys.stderr.write(f"simulation: {error}\n")
        return 1
    sys.stderr.write(f"\n{time.monotonic() - begun:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
