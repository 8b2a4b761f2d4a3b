"""What the autoscaler and the workers say to each other, by Celery's remote control.

The autoscaler broadcasts ``STATE`` to all workers, and each answers with a ``Report``. It
sends ``DRAIN`` or ``REVIVE`` to workers by their node names, and takes no answer for
done: the next report tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

STATE = "scaling_state"
"""Asks a worker for its report."""

DRAIN = "scaling_drain"
"""Take no new tasks, finish what runs, then let the protection go."""

REVIVE = "scaling_revive"
"""Take tasks again; refused by a worker that has let its protection go."""


class Phase(StrEnum):
    """How far a worker is in its life."""

    WAITING = "waiting"
    """It takes no tasks, because ECS has not granted its protection."""

    READY = "ready"
    """It is protected and takes tasks."""

    DRAINING = "draining"
    """It is protected, finishes what it has and takes nothing new."""

    RELEASED = "released"
    """It let its protection go, for ever: it may be taken away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a worker says of itself. ``since`` and ``created`` are Unix times."""

    pool: str
    task: str
    """The ID of its ECS task."""

    revision: str
    """Its task definition, as ``family:revision``."""

    host: str
    """Its address, as Airflow writes it into ``task_instance.hostname``."""

    state: Phase
    running: int
    """How many tasks it runs."""

    since: float
    """When its process started."""

    created: float | None = None
    """When ECS created its task, where that is known."""

    def reply(self) -> dict[str, str | int | float | None]:
        """Return the report as a remote control command answers it."""
        return {**asdict(self), "state": self.state.value}

    @classmethod
    def parse(cls, reply: object) -> Report:
        """Return what ``reply`` tells; raises ValueError, which says what is wrong.

        Keys of a later version are left out.
        """
        # A worker that failed to answer sends {"error": ...}.
        if not isinstance(reply, Mapping) or "error" in reply:
            raise ValueError(f"{reply!r} is not a report")
        known = {field.name for field in fields(cls)}
        values = {name: reply[name] for name in known & reply.keys()}
        if missing := known - values.keys() - {"created"}:
            raise ValueError(f"the report lacks {', '.join(sorted(missing))}")
        for name in ("pool", "task", "revision", "host"):
            if not isinstance(values[name], str) or not values[name]:
                raise ValueError(f"{name} is {values[name]!r}, not a name")
        if type(values["running"]) is not int or values["running"] < 0:
            raise ValueError(f"running is {values['running']!r}, not a count")
        if not _is_time(values["since"]):
            raise ValueError(f"since is {values['since']!r}, not a time")
        if values.get("created") is not None and not _is_time(values["created"]):
            raise ValueError(f"created is {values['created']!r}, not a time")
        values["state"] = Phase(values["state"])
        return cls(**values)


def _is_time(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
