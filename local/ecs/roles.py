"""Authorizes calls by the policies of roles in the emulator, and records them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import ClientError

from local.iam.policy import ApiCall, RolePermissions

CACHE_SECONDS = 5
"""Short, because an update of a stack may change a policy."""


class AccessDeniedError(Exception):
    """The role's policies do not allow the call."""

    def __init__(self, role_arn: str, call: ApiCall) -> None:
        role = role_arn.rpartition("/")[2]
        super().__init__(
            f"User: {role_arn} is not authorized to perform: {call} because no "
            f"identity-based policy of {role} allows the {call.action} action"
        )
        self.role_arn = role_arn
        self.call = call


@dataclass
class RoleAuthorizer:
    """Checks calls against the policies of roles and records every decision."""

    permissions: Callable[[str], RolePermissions]
    record: Path
    is_authorising: bool = True
    refused: list[str] = field(default_factory=list)
    """Every refusal, for the report."""
    _known: dict[str, tuple[float, RolePermissions]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, role_arn: str, call: ApiCall) -> None:
        """Raise AccessDeniedError unless the role's policies allow the call."""
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

    def _of(self, role_arn: str) -> RolePermissions:
        now = time.monotonic()
        with self._lock:
            cached = self._known.get(role_arn)
        if cached and now - cached[0] < CACHE_SECONDS:
            return cached[1]
        try:
            permissions = self.permissions(role_arn)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchEntity":
                raise
            # A role that does not exist has no rights.
            permissions = RolePermissions(())
        with self._lock:
            self._known[role_arn] = (now, permissions)
        return permissions
