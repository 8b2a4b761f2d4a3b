"""Client for the emulator's control API."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import urlencode

Kind = Literal["real", "emulated", "stub"]

SECONDS = 5.0


def identity(endpoint_url: str, *, seconds: float = SECONDS) -> dict[str, Any]:
    """Return the process ID, and whether the migration job is a stub."""
    return _ask("GET", f"{endpoint_url}/_local/identity", seconds=seconds)


def resource_kinds(
    endpoint_url: str, *, account: str, region: str
) -> dict[str, dict[str, Kind]]:
    """Return how each resource is emulated, by stack name and logical ID."""
    where = urlencode({"account": account, "region": region})
    answer = _ask("GET", f"{endpoint_url}/_local/resources?{where}")
    return cast(dict[str, dict[str, Kind]], answer)


def records(
    endpoint_url: str, *, account: str, region: str, types: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the launched resources of some types, with resolved properties.

    Each has ``stack``, ``id``, ``type``, ``physical_id``, ``properties`` and
    ``attributes``, as CloudFormation names them.
    """
    where = urlencode({"account": account, "region": region, "type": types}, doseq=True)
    answer = _ask("GET", f"{endpoint_url}/_local/records?{where}")
    return cast(list[dict[str, Any]], answer["records"])


def decisions(endpoint_url: str) -> list[dict[str, Any]]:
    """Return the calls of roles, and whether they were allowed.

    Each has ``role``, ``action``, ``resource``, ``context`` and ``allowed``.
    """
    answer = _ask("GET", f"{endpoint_url}/_local/decisions")
    return cast(list[dict[str, Any]], answer["decisions"])


def inject_faults(
    endpoint_url: str,
    *,
    resources: Mapping[str, str] | None = None,
    when: Literal["forward", "rollback", "always"] = "forward",
    slow: Mapping[str, float] | None = None,
    unreadable: tuple[str, ...] = (),
) -> None:
    """Make resources fail or slow, by logical ID or type, and templates unreadable.

    A failure in a rollback leaves the stack in UPDATE_ROLLBACK_FAILED. Earlier faults
    are removed; a call without arguments removes all.
    """
    faults = {
        "resources": dict(resources or {}),
        "when": when,
        "slow": dict(slow or {}),
        "unreadable": list(unreadable),
    }
    _ask("PUT", f"{endpoint_url}/_local/faults", faults)


def _ask(
    method: str, url: str, content: object = None, *, seconds: float = SECONDS
) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - http on the loopback
        url,
        data=None if content is None else json.dumps(content).encode(),
        method=method,
    )
    # No HTTP proxy for the loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=seconds) as answer:
        document: dict[str, Any] = json.load(answer)
    return document
