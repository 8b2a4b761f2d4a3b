"""Whether a role may do something: its policies from the emulator, and a record."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from local.ecs.emulator_client import EmulatorError
from local.ecs.policy import Call, Permissions

KEPT_SECONDS = 5
"""An update of a stack may change a policy; nobody should wait for it."""


class AccessDeniedError(Exception):
    """The role's policies do not allow the call."""

    def __init__(self, role_arn: str, call: Call) -> None:
        role = role_arn.rpartition("/")[2]
        super().__init__(
            f"User: {role_arn} is not authorized to perform: {call} because no "
            f"identity-based policy of {role} allows the {call.action} action"
        )
        self.role_arn = role_arn
        self.call = call


@dataclass
class Roles:
    """Asks the policies of roles and writes down every question."""

    permissions: Callable[[str], Permissions]
    record: Path
    is_authorising: bool = True
    refused: list[str] = field(default_factory=list)
    """Every refusal, for the report."""
    _known: dict[str, tuple[float, Permissions]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, role_arn: str, call: Call) -> None:
        """Raise AccessDeniedError unless the role may do it."""
        is_allowed = not self.is_authorising or self._of(role_arn).allows(call)
        word = "allowed" if is_allowed else "REFUSED"
        role = role_arn.rpartition("/")[2]
        with self._lock, self.record.open("a") as record:
            stamp = time.strftime("%H:%M:%S")
            record.write(f"{stamp} {word} {role} {call.action} {call.resource}\n")
        if not is_allowed:
            error = AccessDeniedError(role_arn, call)
            self.refused.append(str(error))
            raise error

    def _of(self, role_arn: str) -> Permissions:
        now = time.monotonic()
        with self._lock:
            known = self._known.get(role_arn)
        if known and now - known[0] < KEPT_SECONDS:
            return known[1]
        try:
            found = self.permissions(role_arn)
        except EmulatorError:
            # A role that is not there may do nothing.
            found = Permissions(())
        with self._lock:
            self._known[role_arn] = (now, found)
        return found
