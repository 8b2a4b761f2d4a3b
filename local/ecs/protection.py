"""Task scale-in protection, with the rules of ECS.

Only tasks of services can be protected. A protection expires. While more tasks of a
service are protected than its desired count, every further call for that service is
refused: DEPLOYMENT_BLOCKED.
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_MINUTES = 120
LONGEST_MINUTES = 2880


class InvalidExpiryError(ValueError):
    """A time of protection that ECS does not accept."""


class ProtectionRefusedError(Exception):
    """ECS refuses a change of protection; ``reason`` is its code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass
class TaskProtection:
    """The protection of one task; times in seconds since the epoch."""

    until: float = 0

    def is_on(self, now: float) -> bool:
        """Return whether the task is protected now."""
        return now < self.until

    def change(
        self,
        *,
        is_enabled: bool,
        minutes: int | None,
        now: float,
        is_of_service: bool,
        others: int,
        desired: int,
    ) -> None:
        """Set or end the protection.

        ``others`` counts the other protected tasks of the service, ``desired`` is its
        desired count. Raises ProtectionRefusedError, and InvalidExpiryError for a
        time that ECS does not accept.
        """
        if minutes is None:
            minutes = DEFAULT_MINUTES
        if not 1 <= minutes <= LONGEST_MINUTES:
            raise InvalidExpiryError(
                f"expiresInMinutes must be between 1 and {LONGEST_MINUTES}"
            )
        if not is_of_service:
            raise ProtectionRefusedError(
                "TASK_NOT_VALID", "only tasks of a service can be protected"
            )
        if others + (is_enabled or self.is_on(now)) > desired:
            raise ProtectionRefusedError(
                "DEPLOYMENT_BLOCKED",
                f"{others} other tasks are protected; the desired count is {desired}",
            )
        self.until = now + 60 * minutes if is_enabled else 0
