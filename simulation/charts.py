"""Demand, workers and start delay of one day, as an SVG file that any browser shows.

Drawn by hand: three lines and their axes are not worth a plotting library.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from simulation.model import SAMPLE_SECONDS, World
from simulation.tasks import DAY_SECONDS

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 960, 170, 56, 16, 40, 34
HOURS = 24
GRID_HOURS = 3
INK, PALE, BLUE, ORANGE, GREEN = "#222", "#ccc", "#1f6fb2", "#d9730d", "#2e8540"


@dataclass(frozen=True, slots=True)
class Line:
    """One named series over the day: (seconds, value)."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines with one axis."""

    title: str
    lines: Sequence[Line]


def panels(world: World) -> list[Panel]:
    """Return what a day looked like, pool by pool, and how long tasks waited."""
    shown = []
    for fleet in world.fleets.values():
        slots = fleet.shape.concurrency
        shown.append(
            Panel(
                f"Workers of the {fleet.name} pool",
                (
                    Line("tasks / slots", PALE, _series(fleet.demand, slots)),
                    Line("alive", ORANGE, _series(fleet.alive)),
                    Line("consuming", BLUE, _series(fleet.supply)),
                ),
            )
        )
    delays = [
        (task.queued_at, task.delay)
        for task in world.day.tasks()
        if task.first_started_at >= 0
    ]
    dots = Line("one task", GREEN, delays, dots=True)
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


def draw(title: str, shown: Sequence[Panel]) -> str:
    """Return the drawing."""
    height = TOP + len(shown) * (PANEL + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}">',
        '<g font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14" fill="{INK}">{escape(title)}</text>',
    ]
    for place, panel in enumerate(shown):
        parts += _panel(panel, TOP + place * (PANEL + GAP))
    return "\n".join([*parts, "</g>\n</svg>\n"])


def _panel(panel: Panel, top: int) -> Iterable[str]:
    most = max((y for line in panel.lines for _, y in line.points), default=0) or 1
    bottom = top + PANEL
    width = WIDTH - LEFT - RIGHT

    def at(point: tuple[float, float]) -> str:
        x = LEFT + width * min(point[0], DAY_SECONDS) / DAY_SECONDS
        return f"{x:.1f},{bottom - (PANEL - 12) * point[1] / most:.1f}"

    yield f'<text x="{LEFT}" y="{top + 4}" fill="{INK}">{escape(panel.title)}</text>'
    x = WIDTH - RIGHT
    for line in reversed(panel.lines):
        x -= 7 * len(line.name) + 14
        yield (
            f'<text x="{x}" y="{top + 4}" fill="{line.colour}">'
            f"{escape(line.name)}</text>"
        )
    for hour in range(0, HOURS + 1, GRID_HOURS):
        x = LEFT + width * hour // HOURS
        yield f'<path d="M{x} {top + 10}V{bottom}" stroke="#eee"/>'
        yield (
            f'<text x="{x}" y="{bottom + 13}" text-anchor="middle" fill="{INK}">'
            f"{hour:02}:00</text>"
        )
    yield f'<path d="M{LEFT} {bottom}H{WIDTH - RIGHT}" stroke="{INK}"/>'
    for value, y in ((most, top + 16), (0, bottom)):
        yield (
            f'<text x="{LEFT - 6}" y="{y}" text-anchor="end" fill="{INK}">'
            f"{value:.0f}</text>"
        )
    for line in panel.lines:
        if line.dots:
            dots = "".join(f"M{at(point)}h.1" for point in _visible(line.points))
            yield (
                f'<path d="{dots}" fill="none" stroke="{line.colour}" '
                'stroke-width="2" stroke-linecap="round" stroke-opacity="0.5"/>'
            )
        elif line.points:
            way = "L".join(map(at, line.points))
            yield f'<path d="M{way}" fill="none" stroke="{line.colour}"/>'


def _visible(points: Sequence[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """Leave out what would be drawn on the same spot."""
    rounded = sorted({(round(x / 60) * 60.0, round(y)) for x, y in points})
    yield from rounded[:1]
    yield from (new for old, new in pairwise(rounded) if new != old)
