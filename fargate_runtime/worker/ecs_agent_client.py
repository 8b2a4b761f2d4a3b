"""What a task asks the ECS agent beside it: its protection, and who it is.

Both are plain HTTP on a link-local address that only the task reaches. The addresses
come from ``ECS_AGENT_URI`` and ``ECS_CONTAINER_METADATA_URI_V4``, which Fargate sets;
AWS documents them as "task scale-in protection endpoint" and "task metadata version 4".
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

PATIENCE_SECONDS = 14
"""For one answer. A bounded call that is tried again beats one that hangs."""

LONGEST_ANSWER = 65536
"""Bytes; both answers are some hundreds."""


class AgentError(Exception):
    """The agent gave no answer of use; whether it did what was asked is unknown."""


class RefusedError(Exception):
    """ECS refused and changed nothing; ``reason`` is its word for it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who the task is. ``created`` is a Unix time."""

    task: str
    """The ID of the task, the last part of its ARN."""

    revision: str
    """Its task definition, as ``family:revision``."""

    created: float | None
    """The earliest time in the metadata: they do not hold the creation itself."""


def protect(agent_uri: str, *, minutes: int) -> None:
    """Have the task protected from scale-in for ``minutes`` (1..2880) from now.

    Raises RefusedError, and AgentError after 14 s at the latest.
    """
    _ask_for(agent_uri, {"ProtectionEnabled": True, "ExpiresInMinutes": minutes})


def unprotect(agent_uri: str) -> None:
    """Let the protection go. Raises as ``protect`` does."""
    _ask_for(agent_uri, {"ProtectionEnabled": False})


def identity(metadata_uri: str) -> Identity:
    """Return who this task is. Raises AgentError."""
    answer = _exchange("GET", f"{metadata_uri}/task", None)
    try:
        times = [
            answer.get("PullStartedAt"),
            *(one.get("CreatedAt") for one in answer.get("Containers", ())),
        ]
        return Identity(
            task=answer["TaskARN"].rpartition("/")[2],
            revision=f"{answer['Family']}:{answer['Revision']}",
            created=min(map(_epoch, filter(None, times)), default=None),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AgentError(f"the task's metadata cannot be read: {error!r}") from error


def _ask_for(agent_uri: str, wanted: dict[str, Any]) -> None:
    answer = _exchange("PUT", f"{agent_uri}/task-protection/v1/state", wanted)
    failure, error = answer.get("failure"), answer.get("error")
    if isinstance(failure, dict):
        raise RefusedError(str(failure.get("Reason")), str(failure.get("Detail") or ""))
    if isinstance(error, dict):
        raise AgentError(f"{error.get('Code')}: {error.get('Message')}")
    given = answer.get("protection")
    is_on = given.get("ProtectionEnabled") if isinstance(given, dict) else None
    if is_on is not wanted["ProtectionEnabled"]:
        raise AgentError(f"the agent answers {answer!r}")


def _exchange(method: str, url: str, body: dict[str, Any] | None) -> dict[str, Any]:
    parts = urlsplit(url)
    end = time.monotonic() + PATIENCE_SECONDS
    try:
        # http.client knows no proxies, and this address is behind none.
        connection = HTTPConnection(parts.netloc, timeout=PATIENCE_SECONDS)
        try:
            connection.connect()
            connection.sock.settimeout(max(end - time.monotonic(), 0.1))
            connection.request(
                method,
                parts.path,
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
            answer = json.loads(connection.getresponse().read(LONGEST_ANSWER))
        finally:
            connection.close()
    except (HTTPException, OSError, ValueError) as error:
        raise AgentError(f"{type(error).__name__}: {error}") from error
    if not isinstance(answer, dict):
        raise AgentError(f"the agent answers {answer!r}")
    return answer


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
