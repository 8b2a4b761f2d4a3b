"""The shim's own addresses, beside those of AWS.

======  ==================  ====================================================
GET     /_local/identity    who answers: process ID, and whether the gate is real
GET     /_local/resources   kind of each resource, by stack name and logical ID;
                            ``?account=...&region=...``
GET     /_local/records     what was compiled: the resources of some types, with their
                            properties; as above, and ``&type=...``, repeated
GET     /_local/faults      what is planted
PUT     /_local/faults      plants faults, as JSON; takes away earlier ones
======  ==================  ====================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from local.emulator.patches import (
    migration,
    resource_types,
    service_catalog,
    stack_resources,
)
from local.emulator.patches.faults import FAULTS
from local.emulator.patches.ministack import CLOUDFORMATION, RESPONSES
from local.emulator.patches.service_catalog import Catalog

PREFIX = "/_local/"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def beside(app: App, catalog: Catalog) -> App:
    """Return an application that answers at our addresses, and else is ``app``."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        target = _target(scope)
        if target.startswith(service_catalog.TARGET):
            await _ask(catalog, target, receive, send)
            return
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await app(scope, receive, send)
            return
        what = (scope["method"], scope["path"].removeprefix(PREFIX))
        if what == ("GET", "identity"):
            await _reply(send, 200, _identity())
        elif what == ("GET", "resources"):
            await _reply(send, 200, _resources(scope))
        elif what == ("GET", "records"):
            await _reply(send, 200, _records(scope))
        elif what == ("GET", "faults"):
            await _reply(send, 200, FAULTS.as_json())
        elif what == ("PUT", "faults"):
            FAULTS.replace(json.loads(await _body(receive)))
            await _reply(send, 200, FAULTS.as_json())
        else:
            await _reply(send, 404, {"message": "There is no such address."})

    return answer


def _target(scope: Scope) -> str:
    """Return the operation that a request of a JSON service names."""
    headers: dict[bytes, bytes] = dict(scope.get("headers", ()))
    return headers.get(b"x-amz-target", b"").decode()


async def _ask(catalog: Catalog, target: str, receive: Receive, send: Send) -> None:
    """Pass one call on to Service Catalog, which MiniStack does not have."""
    try:
        answer = catalog.answer(target, json.loads(await _body(receive) or b"{}"))
    except service_catalog.RefusedError as refusal:
        await _reply(send, 400, {"__type": refusal.code, "Message": str(refusal)})
    else:
        await _reply(send, 200, answer)


def _identity() -> dict[str, Any]:
    return {"pid": os.getpid(), "gate_is_stand_in": migration.is_stand_in()}


def _resources(scope: Scope) -> dict[str, Any]:
    _enter(scope)
    return {**resource_types.report(CLOUDFORMATION["_stacks"])}


def _records(scope: Scope) -> dict[str, Any]:
    types = _enter(scope).get("type", [])
    return {"records": stack_resources.of_types(CLOUDFORMATION["_stacks"], types)}


def _enter(scope: Scope) -> dict[str, list[str]]:
    """Go to the account and the region that a query names; return the query."""
    query = parse_qs(scope["query_string"].decode())
    RESPONSES["set_request_account_id"](query.get("account", [""])[0])
    RESPONSES["set_request_region"](query.get("region", [""])[0])
    return query


async def _body(receive: Receive) -> bytes:
    content = b""
    while True:
        message = await receive()
        content += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return content


async def _reply(send: Send, status: int, content: dict[str, Any]) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json")],
        }
    )
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})
