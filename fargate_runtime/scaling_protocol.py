"""Celery remote control commands between the autoscaler and the workers.

The autoscaler broadcasts ``STATE`` to all workers, and each answers with a
``WorkerReport``. It sends ``DRAIN`` or ``REVIVE`` to workers by their node names, and
waits for no answer: the next report shows the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum

STATE = "scaling_state"
"""Return a report."""

DRAIN = "scaling_drain"
"""Accept no new tasks, finish those that run, then release the protection."""

REVIVE = "scaling_revive"
"""Accept tasks again; refused by a worker that has released its protection."""


class WorkerState(StrEnum):
    """The life cycle of a worker, in its order."""

    WAITING = "waiting"
    """It runs, but ECS has not granted its protection, so it accepts no tasks."""

    READY = "ready"
    """It is protected and accepts tasks."""

    DRAINING = "draining"
    """It is protected, finishes its tasks and accepts no others."""

    RELEASED = "released"
    """It has released its protection for ever: ECS may stop it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerReport:
    """What a worker reports. ``since`` and ``created`` are Unix times."""

    pool: str
    task: str
    """The ID of its ECS task."""

    host: str
    """Its address, as Airflow writes it into ``task_instance.hostname``."""

    state: WorkerState
    running: int
    """How many tasks it runs."""

    since: float
    """When its process started."""

    overdue: int = 0
    """How many of them have run for longer than ``LongestTaskMinutes``."""

    created: float | None = None
    """When ECS created its task, where that is known."""

    def reply(self) -> dict[str, str | int | float | None]:
        """Return the report as a remote control command answers it."""
        return {**asdict(self), "state": self.state.value}

    @classmethod
    def parse(cls, reply: object) -> WorkerReport:
        """Return the report in ``reply``; raises ValueError, which says what is wrong.

        Keys of a later version are ignored.
        """
        # A worker that failed to answer sends {"error": ...}.
        if not isinstance(reply, Mapping) or "error" in reply:
            raise ValueError(f"{reply!r} is not a report")
        known = {field.name for field in fields(cls)}
        values = {name: reply[name] for name in known & reply.keys()}
        if missing := known - values.keys() - {"created", "overdue"}:
            raise ValueError(f"the report lacks {', '.join(sorted(missing))}")
        for name in ("pool", "task", "host"):
            if not isinstance(values[name], str) or not values[name]:
                raise ValueError(f"{name} is {values[name]!r}, not a name")
        for name in ("running", "overdue"):
            count = values.get(name, 0)
            if type(count) is not int or count < 0:
                raise ValueError(f"{name} is {count!r}, not a count")
        if not _is_time(values["since"]):
            raise ValueError(f"since is {values['since']!r}, not a time")
        if values.get("created") is not None and not _is_time(values["created"]):
            raise ValueError(f"created is {values['created']!r}, not a time")
        values["state"] = WorkerState(values["state"])
        return cls(**values)


def _is_time(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
