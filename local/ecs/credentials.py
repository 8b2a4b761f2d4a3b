"""Credentials of roles, and whom a request comes from by its credentials.

Only key and session token are compared; the signature is not, because the emulator
does not check it either. Nobody here has a reason to forge one.
"""

from __future__ import annotations

import hmac
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

LIFE_SECONDS = 6 * 3600
"""As long as Fargate's credentials live."""

RENEWED_BEFORE_SECONDS = 3600

CREDENTIAL = re.compile(r"(?:Credential=|X-Amz-Credential=)([^/%,&]+)(?:/|%2F)")


@dataclass(frozen=True)
class Credentials:
    """What a task gets for its role."""

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
    """Credentials that this agent handed out, with a token that it did not."""


class Sessions:
    """The sessions of all roles."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[str, Credentials] = {}
        self._latest: dict[str, Credentials] = {}

    def issue(self, role_arn: str, session: str) -> Credentials:
        """Return credentials of a role for one task, which have some life left."""
        name = f"{role_arn} {session}"
        with self._lock:
            latest = self._latest.get(name)
            if latest and latest.expires - time.time() > RENEWED_BEFORE_SECONDS:
                return latest
            new = Credentials(
                role_arn=role_arn,
                access_key=f"ASIA{secrets.token_hex(8).upper()}",
                secret_key=secrets.token_urlsafe(30),
                token=secrets.token_urlsafe(120),
                expires=time.time() + LIFE_SECONDS,
            )
            self._by_key[new.access_key] = self._latest[name] = new
            return new

    def whose(self, access_key: str, token: str) -> Credentials | None:
        """Return the session of an access key, or None for a key of somebody else.

        Raises InvalidTokenError.
        """
        with self._lock:
            found = self._by_key.get(access_key)
        if found is None:
            return None
        if not hmac.compare_digest(found.token, token) or found.expires < time.time():
            raise InvalidTokenError(access_key)
        return found


def access_key(headers: Mapping[str, str], target: str) -> str:
    """Return the access key that a request was signed with, or nothing."""
    signed = headers.get("Authorization") or target.partition("?")[2]
    match = CREDENTIAL.search(signed)
    return match[1] if match else ""
