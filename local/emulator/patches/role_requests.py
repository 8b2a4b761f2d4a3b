"""Checks requests that are signed with the credentials of a role."""

from __future__ import annotations

import logging
from html import escape
from typing import Any

from local.emulator.patches import authorization
from local.emulator.patches.authorization import Authorizer
from local.emulator.patches.control import (
    App,
    Receive,
    Scope,
    Send,
    body_of,
    operation_of,
    reply,
)
from local.iam import aws_calls

LOG = logging.getLogger("local.emulator.patches")


def with_authorization(app: App, authorizer: Authorizer) -> App:
    """Return an application that refuses what the role of a request may not do."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        role = _role(scope)
        if not role:
            await app(scope, receive, send)
            return
        body = await body_of(receive)
        with authorization.acting_as(role):
            try:
                for call in authorization.request_calls(
                    scope["method"], _request_line(scope), scope["headers"], body
                ):
                    authorizer.check(call)
            except authorization.AccessDeniedError as refusal:
                await _refuse(send, str(refusal), is_json=bool(operation_of(scope)))
                return
            except Exception as error:
                # A call that cannot be decided is not allowed.
                LOG.exception("A call of %s could not be decided", role)
                text = f"{type(error).__name__}: {error}"
                await reply(send, 500, {"message": text})
                return
            await app(scope, _repeated(body), send)

    return answer


def _request_line(scope: Scope) -> str:
    path = scope.get("raw_path", scope["path"].encode()).decode()
    query = scope["query_string"].decode()
    return f"{path}?{query}" if query else path


def _role(scope: Scope) -> str:
    """Return the role whose temporary credentials signed a request, or nothing."""
    if scope["type"] != "http":
        return ""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    signed = headers.get(b"authorization", b"").decode()
    key = aws_calls.access_key(signed, f"?{scope['query_string'].decode()}")
    return authorization.role_of_session(key)


def _repeated(body: bytes) -> Receive:
    """Return a channel that gives a body which was read already."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _refuse(send: Send, message: str, *, is_json: bool) -> None:
    if is_json:
        document = {"__type": "AccessDeniedException", "message": message}
        await reply(send, 400, document)
        return
    error = (
        f"<Error><Code>AccessDenied</Code><Message>{escape(message)}</Message></Error>"
    )
    text = f"<ErrorResponse>{error}<RequestId>local</RequestId></ErrorResponse>"
    start = {"type": "http.response.start", "status": 403}
    await send({**start, "headers": [(b"content-type", b"text/xml")]})
    await send({"type": "http.response.body", "body": text.encode()})
