"""What can be asked of a running emulator that is none of AWS's business."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import urlencode

Kind = Literal["real", "emulated", "stand-in"]

SECONDS = 5.0


def identity(endpoint_url: str, *, seconds: float = SECONDS) -> dict[str, Any]:
    """Return who answers: the process ID, and whether the migration job is a stand-in."""
    return _ask("GET", f"{endpoint_url}/_local/identity", seconds=seconds)


def resource_kinds(
    endpoint_url: str, *, account: str, region: str
) -> dict[str, dict[str, Kind]]:
    """Return what each resource is here, by stack name and logical ID."""
    where = urlencode({"account": account, "region": region})
    answer = _ask("GET", f"{endpoint_url}/_local/resources?{where}")
    return cast(dict[str, dict[str, Kind]], answer)


def records(
    endpoint_url: str, *, account: str, region: str, types: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what was compiled: launched resources of some types, filled in.

    Each has ``stack``, ``id``, ``type``, ``physical_id``, ``properties`` and
    ``attributes``, in the words of CloudFormation.
    """
    where = urlencode({"account": account, "region": region, "type": types}, doseq=True)
    answer = _ask("GET", f"{endpoint_url}/_local/records?{where}")
    return cast(list[dict[str, Any]], answer["records"])


def plant(
    endpoint_url: str,
    *,
    resources: Mapping[str, str] | None = None,
    when: Literal["forward", "rollback", "always"] = "forward",
    slow: Mapping[str, float] | None = None,
    unreadable: tuple[str, ...] = (),
) -> None:
    """Make resources fail or slow, by logical ID or type, and templates unreadable.

    One that fails in a rollback leaves its stack in UPDATE_ROLLBACK_FAILED. What was
    planted before is taken away, and nothing given takes away everything.
    """
    wanted = {
        "resources": dict(resources or {}),
        "when": when,
        "slow": dict(slow or {}),
        "unreadable": list(unreadable),
    }
    _ask("PUT", f"{endpoint_url}/_local/faults", wanted)


def _ask(
    method: str, url: str, content: object = None, *, seconds: float = SECONDS
) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - http on the loopback
        url,
        data=None if content is None else json.dumps(content).encode(),
        method=method,
    )
    # No proxy stands between this machine and itself.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=seconds) as answer:
        found: dict[str, Any] = json.load(answer)
    return found
