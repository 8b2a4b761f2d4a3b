"""Client of the ECS agent: task scale-in protection and task metadata version 4.

Both are plain HTTP on a link-local address that only the task reaches. The addresses
come from ``ECS_AGENT_URI`` and ``ECS_CONTAINER_METADATA_URI_V4``, which Fargate sets.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 14
"""For one response. A bounded call that is retried beats one that hangs."""

MAX_RESPONSE_BYTES = 65536
"""Both responses have some hundreds."""


class EcsAgentError(Exception):
    """No usable response; whether the agent executed the request is unknown."""


class ProtectionDeniedError(Exception):
    """ECS refused and changed nothing; ``reason`` is its code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskIdentity:
    """Identity of the own task. ``created`` is a Unix time."""

    task: str
    """The ID of the task, the last part of its ARN."""

    created: float | None
    """The earliest time in the metadata, which lack the creation itself."""


def protect(agent_uri: str, *, minutes: int) -> None:
    """Protect the task from scale-in for ``minutes`` (1..2880) from now.

    Raises ProtectionDeniedError, and EcsAgentError after 14 s at the latest.
    """
    _request_protection(
        agent_uri, {"ProtectionEnabled": True, "ExpiresInMinutes": minutes}
    )


def unprotect(agent_uri: str) -> None:
    """Remove the protection. Raises as ``protect`` does."""
    _request_protection(agent_uri, {"ProtectionEnabled": False})


def task_identity(metadata_uri: str) -> TaskIdentity:
    """Return the identity of this task. Raises EcsAgentError."""
    metadata = _exchange("GET", f"{metadata_uri}/task", None)
    try:
        times = [
            metadata.get("PullStartedAt"),
            *(each.get("CreatedAt") for each in metadata.get("Containers", ())),
        ]
        return TaskIdentity(
            task=metadata["TaskARN"].rpartition("/")[2],
            created=min(map(_epoch, filter(None, times)), default=None),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EcsAgentError(f"invalid task metadata: {error!r}") from error


def _request_protection(agent_uri: str, body: dict[str, Any]) -> None:
    response = _exchange("PUT", f"{agent_uri}/task-protection/v1/state", body)
    failure, error = response.get("failure"), response.get("error")
    if isinstance(failure, dict):
        raise ProtectionDeniedError(
            str(failure.get("Reason")), str(failure.get("Detail") or "")
        )
    if isinstance(error, dict):
        raise EcsAgentError(f"{error.get('Code')}: {error.get('Message')}")
    protection = response.get("protection")
    is_on = (
        protection.get("ProtectionEnabled") if isinstance(protection, dict) else None
    )
    if is_on is not body["ProtectionEnabled"]:
        raise EcsAgentError(f"unexpected response {response!r}")


def _exchange(method: str, url: str, body: dict[str, Any] | None) -> dict[str, Any]:
    address = urlsplit(url)
    end = time.monotonic() + TIMEOUT_SECONDS
    try:
        # http.client uses no proxies, and this address is behind none.
        connection = HTTPConnection(address.netloc, timeout=TIMEOUT_SECONDS)
        try:
            connection.connect()
            connection.sock.settimeout(max(end - time.monotonic(), 0.1))
            connection.request(
                method,
                address.path,
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
            response = json.loads(connection.getresponse().read(MAX_RESPONSE_BYTES))
        finally:
            connection.close()
    except (HTTPException, OSError, ValueError) as error:
        raise EcsAgentError(f"{type(error).__name__}: {error}") from error
    if not isinstance(response, dict):
        raise EcsAgentError(f"unexpected response {response!r}")
    return response


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
