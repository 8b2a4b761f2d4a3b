"""Faults that a test plants: what fails, and in whose words.

Nothing here fires by itself. A plant is asked for through the shim's own address
(see :mod:`local.emulator.patches.control`) and is named in ``status --local`` while it lasts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


class PlantedError(ValueError):
    """A failure that was asked for."""


@dataclass
class Faults:
    """What is planted now."""

    resources: dict[str, str] = field(default_factory=dict)
    """The reason that a resource gives, by its logical ID or its type."""
    when: str = "forward"
    """Whether they fail on the way ``forward``, in a ``rollback``, or ``always``."""
    slow: dict[str, float] = field(default_factory=dict)
    """Seconds that a resource takes, by its logical ID or its type."""
    unreadable: list[str] = field(default_factory=list)
    """Ends of object keys that answer ``Access Denied``."""

    def replace(self, wanted: Mapping[str, Any]) -> None:
        """Plant these, and take away whatever was planted before."""
        self.resources = {
            str(name): str(reason)
            for name, reason in dict(wanted.get("resources", {})).items()
        }
        self.when = str(wanted.get("when", "forward"))
        self.slow = {
            str(name): float(seconds)
            for name, seconds in dict(wanted.get("slow", {})).items()
        }
        self.unreadable = [str(end) for end in wanted.get("unreadable", ())]

    def strike(self, logical_id: str, resource_type: str, *, is_rollback: bool) -> None:
        """Wait and fail as planted for this resource."""
        now = "rollback" if is_rollback else "forward"
        for name in (logical_id, resource_type):
            if name in self.slow:
                time.sleep(self.slow[name])
            if name in self.resources and self.when in (now, "always"):
                raise PlantedError(self.resources[name])

    def hides(self, key: str) -> bool:
        """Whether an object may not be read."""
        return any(key.endswith(end) for end in self.unreadable)

    def as_json(self) -> dict[str, Any]:
        """Return what is planted, to be shown."""
        return asdict(self)


FAULTS = Faults()
