"""The control API of the emulator, beside the APIs of AWS.

======  ==================  ====================================================
GET     /_local/identity    process ID, and whether the migration job is a stub
GET     /_local/resources   kind of each resource, by stack name and logical ID;
                            ``?account=...&region=...``
GET     /_local/records     launched resources of some types, with resolved
                            properties; as above, and ``&type=...``, repeated
GET     /_local/faults      the injected faults
PUT     /_local/faults      injects faults, as JSON, and removes earlier ones
GET     /_local/decisions   calls of roles, and whether they were allowed
======  ==================  ====================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from local.emulator.patches import (
    migration,
    resource_types,
    service_catalog,
    stack_resources,
)
from local.emulator.patches.authorization import Authorizer
from local.emulator.patches.faults import FAULTS
from local.emulator.patches.ministack import CLOUDFORMATION, RESPONSES
from local.emulator.patches.service_catalog import Catalog
from local.iam import aws_calls

PREFIX = "/_local/"

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def with_control_api(app: App, catalog: Catalog, authorizer: Authorizer) -> App:
    """Return an application that adds the control API to ``app``."""
    reads: Mapping[tuple[str, str], Callable[[Scope], dict[str, Any]]] = {
        ("GET", "identity"): _identity,
        ("GET", "resources"): _resources,
        ("GET", "records"): _records,
        ("GET", "decisions"): lambda _scope: {"decisions": authorizer.record()},
        ("GET", "faults"): lambda _scope: FAULTS.as_json(),
    }

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        target = operation_of(scope)
        if target.startswith(service_catalog.TARGET):
            _enter_signed(scope)
            await _call_catalog(catalog, target, receive, send)
            return
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await app(scope, receive, send)
            return
        route = (scope["method"], scope["path"].removeprefix(PREFIX))
        if route in reads:
            await reply(send, 200, reads[route](scope))
        elif route == ("PUT", "faults"):
            FAULTS.replace(json.loads(await body_of(receive)))
            await reply(send, 200, FAULTS.as_json())
        else:
            await reply(send, 404, {"message": "no such route"})

    return answer


def operation_of(scope: Scope) -> str:
    """Return the operation of a request to a JSON service."""
    headers: dict[bytes, bytes] = dict(scope.get("headers", ()))
    return headers.get(b"x-amz-target", b"").decode()


def _enter_signed(scope: Scope) -> None:
    """Enter the account and the region of a signed request."""
    headers: dict[bytes, bytes] = dict(scope.get("headers", ()))
    signed = headers.get(b"authorization", b"").decode()
    match = aws_calls.SCOPE.search(signed)
    RESPONSES["set_request_account_id"](aws_calls.access_key(signed, ""))
    RESPONSES["set_request_region"](match[1] if match else "")


async def _call_catalog(
    catalog: Catalog, target: str, receive: Receive, send: Send
) -> None:
    """Answer a call of Service Catalog, which MiniStack does not have."""
    try:
        answer = catalog.answer(target, json.loads(await body_of(receive) or b"{}"))
    except service_catalog.CatalogError as refusal:
        await reply(send, 400, {"__type": refusal.code, "Message": str(refusal)})
    else:
        await reply(send, 200, answer)


def _identity(_scope: Scope) -> dict[str, Any]:
    return {"pid": os.getpid(), "migration_is_stub": migration.is_stub()}


def _resources(scope: Scope) -> dict[str, Any]:
    _enter(scope)
    return {**resource_types.report(CLOUDFORMATION["_stacks"])}


def _records(scope: Scope) -> dict[str, Any]:
    types = _enter(scope).get("type", [])
    return {"records": stack_resources.of_types(CLOUDFORMATION["_stacks"], types)}


def _enter(scope: Scope) -> dict[str, list[str]]:
    """Enter the account and the region of a query; return the query."""
    query = parse_qs(scope["query_string"].decode())
    RESPONSES["set_request_account_id"](query.get("account", [""])[0])
    RESPONSES["set_request_region"](query.get("region", [""])[0])
    return query


async def body_of(receive: Receive) -> bytes:
    """Return the whole body of a request."""
    content = b""
    while True:
        message = await receive()
        content += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return content


async def reply(send: Send, status: int, content: dict[str, Any]) -> None:
    """Answer with JSON."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(b"content-type", b"application/json")],
        }
    )
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})
