"""The number of connections by Aurora's capacity units.

Aurora computes ``max_connections`` from the memory at the **maximum** capacity, when
an instance starts; a later change of the maximum waits for a reboot. The formula below
equals AWS's published figures exactly (1 unit 189, 4 units 823, 8 units 1,669, 16
units 3,360): two GiB a unit, less what the engine and the host keep.
"""

from __future__ import annotations

CONNECTIONS_PER_UNIT = 211.4
CONNECTIONS_KEPT_BACK = 22

MOST_UNITS = 256
"""Aurora's largest capacity; ``AuroraCapacity`` allows no larger one."""

MOST_CONNECTIONS = 5000
"""Aurora's own limit, whatever the capacity."""

MOST_CONNECTIONS_WHEN_SMALL = 2000
"""The limit of a cluster that may shrink below one unit."""

SMALLEST_FOR_ALL_CONNECTIONS = 1
"""Fewest units of a cluster to which the lower limit does not apply."""

SMALLEST_FOR_INSIGHTS = 2
"""Fewest units with which AWS recommends Performance Insights: it needs memory."""


def max_connections(minimum: float, maximum: float) -> int:
    """Return how many connections a cluster between two capacities admits."""
    limit = (
        MOST_CONNECTIONS
        if minimum >= SMALLEST_FOR_ALL_CONNECTIONS
        else MOST_CONNECTIONS_WHEN_SMALL
    )
    return min(limit, int(CONNECTIONS_PER_UNIT * maximum - CONNECTIONS_KEPT_BACK))


def halves_below(units: float) -> tuple[str, ...]:
    """Return every capacity below ``units`` as a parameter spells it: 0, 0.5, 1, ..."""
    return tuple(f"{half / 2:g}" for half in range(int(units * 2)))
