"""Demand, workers and start delay of one day, as an SVG file that any browser shows.

Drawn by hand: three lines and their axes are not worth a plotting library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from html import escape
from itertools import pairwise

from simulation.model import SAMPLE_SECONDS, Simulation
from simulation.tasks import DAY_SECONDS
from simulation.workloads import HOUR as HOUR_SECONDS

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 960, 170, 56, 24, 40, 34
DAY_HOURS = (0.0, 24.0)
GRIDS = ((12, 3), (4, 1), (0, 0.5))
"""From how many hours on a line is drawn every so many hours."""
INK, PALE, BLUE, ORANGE, GREEN = "#222", "#999", "#1f6fb2", "#d9730d", "#2e8540"


class LineForm(Enum):
    """How a series is drawn."""

    LINE = auto()
    AREA = auto()
    DOTS = auto()


@dataclass(frozen=True, slots=True)
class Line:
    """One named series over the day: (seconds, value)."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    form: LineForm = LineForm.LINE


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines with one axis."""

    title: str
    lines: Sequence[Line]


def panels(simulation: Simulation) -> list[Panel]:
    """Return what a day looked like, pool by pool, and how long tasks waited."""
    shown = []
    for pool in simulation.pools.values():
        slots = pool.shape.concurrency
        shown.append(
            Panel(
                f"Workers of the {pool.name} pool",
                (
                    Line(
                        "tasks / slots",
                        PALE,
                        _series(pool.demand, slots),
                        LineForm.AREA,
                    ),
                    Line("alive", ORANGE, _series(pool.alive)),
                    Line("consuming", BLUE, _series(pool.supply)),
                ),
            )
        )
    delays = [
        (task.queued_at, task.delay)
        for task in simulation.day.tasks()
        if task.first_started_at >= 0
    ]
    dots = Line("one task", GREEN, delays, LineForm.DOTS)
    return [*shown, Panel("Start delay in seconds", (dots,))]


def _series(values: Iterable[float], unit: float = 1) -> list[tuple[float, float]]:
    """Return the corners of a step line: a value counts until it changes."""
    points: list[tuple[float, float]] = []
    for number, value in enumerate(values):
        height = value / unit
        if points and points[-1][1] == height:
            continue
        if points:
            points.append((number * SAMPLE_SECONDS, points[-1][1]))
        points.append((number * SAMPLE_SECONDS, height))
    if points:
        points.append((DAY_SECONDS, points[-1][1]))
    return points


def draw(
    title: str, shown: Sequence[Panel], hours: tuple[float, float] = DAY_HOURS
) -> str:
    """Return the drawing of these hours."""
    height = TOP + len(shown) * (PANEL + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        '<g font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14" fill="{INK}">{escape(title)}</text>',
    ]
    for place, panel in enumerate(shown):
        parts += _panel(panel, TOP + place * (PANEL + GAP), hours)
    return "\n".join([*parts, "</g>\n</svg>\n"])


def _panel(panel: Panel, top: int, hours: tuple[float, float]) -> Iterable[str]:
    first, last = hours
    lines = [
        _within(line, first * HOUR_SECONDS, last * HOUR_SECONDS) for line in panel.lines
    ]
    most = max((y for line in lines for _, y in line.points), default=0) or 1
    bottom = top + PANEL
    width = WIDTH - LEFT - RIGHT

    def along(hour: float) -> float:
        return LEFT + width * (hour - first) / (last - first)

    def at(point: tuple[float, float]) -> str:
        height = (PANEL - 12) * point[1] / most
        return f"{along(point[0] / HOUR_SECONDS):.1f},{bottom - height:.1f}"

    yield f'<text x="{LEFT}" y="{top + 4}" fill="{INK}">{escape(panel.title)}</text>'
    name_at = WIDTH - RIGHT
    for line in reversed(panel.lines):
        name_at -= 7 * len(line.name) + 14
        yield (
            f'<text x="{name_at}" y="{top + 4}" fill="{line.colour}">'
            f"{escape(line.name)}</text>"
        )
    step = next(step for least, step in GRIDS if last - first >= least)
    for number in range(int((last - first) / step) + 1):
        hour = first + number * step
        x = along(hour)
        yield f'<path d="M{x:.1f} {top + 10}V{bottom}" stroke="#eee"/>'
        yield (
            f'<text x="{x:.1f}" y="{bottom + 13}" text-anchor="middle" fill="{INK}">'
            f"{int(hour):02}:{int(hour % 1 * 60):02}</text>"
        )
    yield f'<path d="M{LEFT} {bottom}H{WIDTH - RIGHT}" stroke="{INK}"/>'
    for value in (most, most / 2, 0):
        y = bottom - (PANEL - 12) * value / most
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#eee"/>'
        yield (
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="{INK}">'
            f"{value:.0f}</text>"
        )
    for line in lines:
        if line.form is LineForm.DOTS:
            dots = "".join(f"M{at(point)}h.1" for point in _visible(line.points))
            yield (
                f'<path d="{dots}" fill="none" stroke="{line.colour}" '
                'stroke-width="3" stroke-linecap="round" stroke-opacity="0.5"/>'
            )
        elif line.points:
            way = "L".join(map(at, line.points))
            if line.form is LineForm.AREA:
                begin, end = (at((line.points[i][0], 0)) for i in (0, -1))
                yield f'<path d="M{begin}L{way}L{end}" fill="{line.colour}"/>'
            else:
                yield (
                    f'<path d="M{way}" fill="none" stroke="{line.colour}" '
                    'stroke-width="1.4"/>'
                )


def _within(line: Line, begin: float, end: float) -> Line:
    """Return the part of a line that is seen, from edge to edge."""
    points = [point for point in line.points if begin <= point[0] <= end]
    if line.form is not LineForm.DOTS:
        before = [point for point in line.points if point[0] < begin]
        points[:0] = [(begin, before[-1][1])] if before else []
        points += [(end, points[-1][1])] if points else []
    return Line(line.name, line.colour, points, line.form)


def _visible(points: Sequence[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """Leave out what would be drawn on the same spot."""
    rounded = sorted({(round(x / 60) * 60.0, round(y)) for x, y in points})
    yield from rounded[:1]
    yield from (new for old, new in pairwise(rounded) if new != old)
