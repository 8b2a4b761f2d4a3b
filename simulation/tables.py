"""How scores are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulation import scores
from simulation.scores import Score

HEADER = (
    f"{'policy':18}{'p50 s':>9}{'p95 s':>9}{'p99 s':>9}{'>60 s':>7}{'>10 min':>8}"
    f"{'killed':>8}{'left':>6}{'starts':>8}{'cost':>7}"
)
ELASTICITY = (
    f"{'policy':18}{'missing':>9}{'unneeded':>9}{'missing':>9}{'unneeded':>9}"
    f"{'wrong':>9}\n"
    f"{'':18}{'workers':>9}{'workers':>9}{'of time':>9}{'of time':>9}{'moves':>9}"
)


def line(name: str, score: Score) -> str:
    """Return one row of the table."""
    return (
        f"{name:18}{score.p50:9.1f}{score.p95:9.1f}{score.p99:9.1f}{score.late:7.1%}"
        f"{score.very_late:8.0f}{score.kills:8.0f}{score.unfinished:6.0f}"
        f"{score.launches:8.0f}{score.ratio:7.3f}"
    )


def elasticity(name: str, score: Score) -> str:
    """Return one row of the second table."""
    return (
        f"{name:18}{score.under:9.2f}{score.over:9.2f}{score.under_time:9.1%}"
        f"{score.over_time:9.1%}{score.instability:9.1%}"
    )


def totals(
    results: Mapping[str, Sequence[Score]], tasks: Sequence[int]
) -> Sequence[str]:
    """Return both tables over all days, which had as many tasks.

    The share of late tasks is there twice: as the mean of the days, and of all tasks.
    """
    lines = [f"{HEADER}  late of all"]
    for name, days in results.items():
        late = sum(s.late * n for s, n in zip(days, tasks, strict=True)) / sum(tasks)
        lines.append(f"{line(name, scores.mean(days))} {late:12.1%}")
    lines += ["", ELASTICITY]
    lines += [elasticity(name, scores.mean(days)) for name, days in results.items()]
    return lines
