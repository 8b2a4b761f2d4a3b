"""Fault injection for tests: failing, slow and unreadable resources.

There are none by default; the control API adds and removes them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


class InjectedFaultError(ValueError):
    """An injected failure."""


@dataclass
class Faults:
    """The injected faults."""

    resources: dict[str, str] = field(default_factory=dict)
    """Logical ID or type of a resource -> the reason of its failure."""
    when: str = "forward"
    """Whether resources fail going ``forward``, in a ``rollback``, or ``always``."""
    slow: dict[str, float] = field(default_factory=dict)
    """Logical ID or type of a resource -> seconds that it takes."""
    unreadable: list[str] = field(default_factory=list)
    """Suffixes of object keys that answer ``Access Denied``."""

    def replace(self, faults: Mapping[str, Any]) -> None:
        """Inject these faults and remove earlier ones."""
        self.resources = {
            str(name): str(reason)
            for name, reason in dict(faults.get("resources", {})).items()
        }
        self.when = str(faults.get("when", "forward"))
        self.slow = {
            str(name): float(seconds)
            for name, seconds in dict(faults.get("slow", {})).items()
        }
        self.unreadable = [str(end) for end in faults.get("unreadable", ())]

    def apply(self, logical_id: str, resource_type: str, *, is_rollback: bool) -> None:
        """Delay and fail this resource as injected."""
        direction = "rollback" if is_rollback else "forward"
        for name in (logical_id, resource_type):
            if name in self.slow:
                time.sleep(self.slow[name])
            if name in self.resources and self.when in (direction, "always"):
                raise InjectedFaultError(self.resources[name])

    def hides(self, key: str) -> bool:
        """Whether an object may not be read."""
        return any(key.endswith(end) for end in self.unreadable)

    def as_json(self) -> dict[str, Any]:
        """Return the faults as a JSON document."""
        return asdict(self)


FAULTS = Faults()
