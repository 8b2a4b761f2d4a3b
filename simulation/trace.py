"""Predict the scaling of one trace: ``python -m simulation.trace``.

The acceptance checks compare real workers with this prediction. The trace is a task
history (``history.sql`` exports it); times are seconds since 1970, and rounds fall
where the autoscaler's fall by the wall clock.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from fargate_runtime.autoscaler.decide import PHASE_SECONDS
from fargate_runtime.autoscaler.settings import ScalingProfile, SettingsError
from fargate_runtime.contract import ROUND_SECONDS
from simulation import history, scores, step_scaling
from simulation.model import SAMPLE_SECONDS, Simulation
from simulation.policy import PoolJournal, ShippedPolicy
from simulation.pool import ImageStartUp, SimPool
from simulation.tasks import PoolShape

LEAD_SECONDS = 60.0
"""How long the pool rests before the first task is queued."""


class TraceError(Exception):
    """The options do not fit the trace; the message says which."""


@dataclass(frozen=True)
class QueueBounds:
    """A number for every pool, and others for some."""

    usual: int
    named: Mapping[str, int]

    @classmethod
    def of(cls, words: Sequence[str], usual: int) -> QueueBounds:
        """Read ``4`` and ``queue=4``. Raises TraceError."""
        named = {}
        for word in words:
            queue, _, number = word.rpartition("=")
            if not number.isdigit():
                raise TraceError(f"{word!r} is no number and no queue=number")
            if queue:
                named[queue] = int(number)
            else:
                usual = int(number)
        return cls(usual, named)

    def __getitem__(self, queue: str) -> int:
        return self.named.get(queue, self.usual)


def predict(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the trace and return the prediction, as JSON values."""
    rules = step_scaling.read(arguments.template)
    queued, ended = history.span(arguments.trace)
    begins = (queued - LEAD_SECONDS) // ROUND_SECONDS * ROUND_SECONDS + PHASE_SECONDS
    queues = history.read(arguments.trace).pools
    concurrency = QueueBounds.of(arguments.concurrency, 8)
    minimum, maximum = (
        QueueBounds.of(arguments.minimum, 0),
        QueueBounds.of(arguments.maximum, 10),
    )
    for bounds in (concurrency, minimum, maximum):
        for queue in bounds.named.keys() - queues.keys():
            raise TraceError(f"the trace has no queue {queue!r}")
    shapes = {q: PoolShape(concurrency[q], minimum[q], maximum[q]) for q in queues}
    policy = ShippedPolicy(
        rules,
        arguments.scaling_profile,
        target_start_seconds=arguments.target_start_seconds,
        scale_in_delay_seconds=arguments.scale_in_delay_seconds,
        predictive_scaling=not arguments.no_predictive_scaling,
    )
    day = history.read(arguments.trace, shapes, begins=begins)
    if arguments.expected is not None:
        for task in day.tasks():
            task.estimate = arguments.expected
    simulation = Simulation(
        day,
        policy,
        seed=arguments.seed,
        image=started_in(arguments.start_seconds, arguments.place_seconds),
        seconds=ended - begins + arguments.tail_seconds,
    ).run()
    return {
        "pools": {
            name: _pool_prediction(simulation, pool, policy.journals[name], begins)
            for name, pool in simulation.pools.items()
        },
        "killed": sum(pool.kills for pool in simulation.pools.values()),
        "unfinished": simulation.left,
    }


def started_in(start: float, place: float) -> ImageStartUp:
    """Return an image whose workers all start in about as many seconds."""
    rest = max(0.0, start - place)
    return ImageStartUp(
        place=(place, place),
        pull=0.001,
        pull_sigma=0.0,
        boot=rest,
        boot_sigma=rest / 20,
        boot_least=0.0,
    )


def _pool_prediction(
    simulation: Simulation, pool: SimPool, journal: PoolJournal, begins: float
) -> dict[str, Any]:
    tasks = [task for task in simulation.day.tasks() if task.pool == pool.name]
    delays = sorted(task.delay for task in tasks if task.first_started_at >= 0)
    last_at, last = journal.desired[-1]
    consuming = (
        (number * SAMPLE_SECONDS, workers) for number, workers in enumerate(pool.supply)
    )
    return {
        "desired": _dated(journal.desired, begins),
        "deficit": _dated(journal.deficit, begins),
        "surplus": _dated(journal.surplus, begins),
        "consuming": _dated(_changes(consuming), begins),
        "peak": max(number for _, number in journal.desired),
        "workers": pool.launches,
        "worker_seconds": round(pool.cost, 1),
        "start_delays": {
            "p50": round(scores.percentile(delays, 0.50), 1),
            "p95": round(scores.percentile(delays, 0.95), 1),
            "max": round(delays[-1], 1),
            "mean": round(fmean(delays), 1),
        }
        if delays
        else None,
        "first_start": round(
            begins + min((t.first_started_at for t in tasks), default=math.nan), 1
        ),
        "last_end": round(begins + max(task.ended_at for task in tasks), 1),
        "at_rest": round(begins + last_at, 1) if last == pool.shape.minimum else None,
    }


def _changes(values: Iterable[tuple[float, int]]) -> Iterable[tuple[float, int]]:
    before = None
    for at, number in values:
        if number != before:
            yield at, number
        before = number


def _dated(changes: Iterable[tuple[float, int]], begins: float) -> list[list[float]]:
    return [[round(begins + at, 1), number] for at, number in changes]


def report(prediction: Mapping[str, Any]) -> str:
    """Return the prediction for a reader."""
    header = f"{'pool':18}{'peak':>6}{'workers':>9}{'worker-s':>10}"
    lines = [f"{header}{'p50 s':>8}{'p95 s':>8}{'max s':>8}"]
    for name, pool in prediction["pools"].items():
        delays = pool["start_delays"] or dict.fromkeys(("p50", "p95", "max"), math.nan)
        lines.append(
            f"{name:18}{pool['peak']:6}{pool['workers']:9}{pool['worker_seconds']:10.0f}"
            f"{delays['p50']:8.1f}{delays['p95']:8.1f}{delays['max']:8.1f}"
        )
    return "\n".join(
        [*lines, f"killed {prediction['killed']}, left {prediction['unfinished']}"]
    )


def options() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulation.trace",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trace", type=Path, help="a CSV of tasks")
    parser.add_argument(
        "--template", type=Path, default=Path("dist/scaling.template.json")
    )
    for name, text in (
        ("concurrency", "tasks a worker runs at once (8)"),
        ("minimum", "minimum_workers workers (0)"),
        ("maximum", "most workers (10)"),
    ):
        parser.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="[QUEUE=]N",
            help=text,
        )
    parser.add_argument(
        "--scaling-profile",
        type=ScalingProfile,
        choices=list(ScalingProfile),
        default="balanced",
    )
    parser.add_argument(
        "--target-start-seconds", type=float, help="how long a task may wait"
    )
    parser.add_argument(
        "--scale-in-delay-seconds", type=float, help="how long before workers drain"
    )
    parser.add_argument("--no-predictive-scaling", action="store_true")
    parser.add_argument(
        "--expected",
        type=float,
        help="seconds that every task is expected to take, where nothing ran before "
        "(the mean of the trace)",
    )
    parser.add_argument(
        "--start-seconds", type=float, default=72.0, help="from launch to first task"
    )
    parser.add_argument(
        "--place-seconds", type=float, default=1.0, help="of these, before it is billed"
    )
    parser.add_argument(
        "--tail-seconds", type=float, default=900.0, help="to go on after the last task"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = options().parse_args(argv)
    try:
        prediction = predict(arguments)
    except (
        TraceError,
        step_scaling.ScalingRuleError,
        history.HistoryError,
        SettingsError,
    ) as error:
        sys.stderr.write(f"simulation: {error}\n")
        return 1
    sys.stdout.write(
        f"{json.dumps(prediction) if arguments.json else report(prediction)}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
