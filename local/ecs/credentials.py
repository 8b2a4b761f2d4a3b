"""Temporary credentials of roles, and the caller of a request by its credentials.

Only key and session token are compared. The signature is not verified: the emulator
does not verify it either, and nothing on this machine has a reason to forge one.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from dataclasses import dataclass

LIFE_SECONDS = 6 * 3600
"""As long as Fargate's credentials live."""

RENEWED_BEFORE_SECONDS = 3600


@dataclass(frozen=True)
class TemporaryCredentials:
    """Temporary credentials of a role."""

    role_arn: str
    access_key: str
    secret_key: str
    token: str
    expires: float

    def document(self) -> dict[str, str]:
        """Return the answer of the credentials endpoint."""
        return {
            "RoleArn": self.role_arn,
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.token,
            "Expiration": time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.expires)
            ),
        }


class InvalidTokenError(Exception):
    """Credentials that this agent issued, with a wrong or expired token."""


class RoleCredentials:
    """Issues credentials of roles and recognises them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[str, TemporaryCredentials] = {}
        self._latest: dict[str, TemporaryCredentials] = {}

    def issue(self, role_arn: str, session: str) -> TemporaryCredentials:
        """Return credentials of a role for one session, renewed before they expire."""
        name = f"{role_arn} {session}"
        with self._lock:
            latest = self._latest.get(name)
            if latest and latest.expires - time.time() > RENEWED_BEFORE_SECONDS:
                return latest
            new = TemporaryCredentials(
                role_arn=role_arn,
                access_key=f"ASIA{secrets.token_hex(8).upper()}",
                secret_key=secrets.token_urlsafe(30),
                token=secrets.token_urlsafe(120),
                expires=time.time() + LIFE_SECONDS,
            )
            self._by_key[new.access_key] = self._latest[name] = new
            return new

    def of_key(self, access_key: str, token: str) -> TemporaryCredentials | None:
        """Return the credentials of an access key, or None if not issued here.

        Raises InvalidTokenError.
        """
        with self._lock:
            credentials = self._by_key.get(access_key)
        if credentials is None:
            return None
        if (
            not hmac.compare_digest(credentials.token, token)
            or credentials.expires < time.time()
        ):
            raise InvalidTokenError(access_key)
        return credentials
