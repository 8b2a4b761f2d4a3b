"""Fails a custom resource whose function ends without an answer, with the reason.

MiniStack starts the function of a custom resource and waits for its answer. When the
function cannot start, dies or returns without one, the stack stays in progress until
``ServiceTimeout``: 50 minutes for the migration job. AWS waits too; here the failure is
reported at once.

A function may pass its work to another invocation of itself before it returns, so that
invocation gets some seconds to begin.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from local.emulator.patches.ministack import names, replace

HANDOVER_SECONDS = 5.0
"""MiniStack begins an asynchronous invocation within milliseconds."""

ANSWERS = names("services.cloudformation.custom_resource")
RESPONSES = "/_ministack/cfn-response/"

_lock = threading.Lock()
_running: Counter[str] = Counter()
"""Response token -> running invocations that have to send this response."""


def install() -> None:
    """Track every invocation that has to send a response."""
    replace("_execute_function_dispatch", _tracked, names("services.lambda_svc"))


def _tracked(original: Callable[..., Any]) -> Callable[..., Any]:
    def invoke(func: Any, config: Any, event: Any, *more: Any) -> Any:
        token = _response_token(event)
        if not token:
            return original(func, config, event, *more)
        with _lock:
            _running[token] += 1
        try:
            result = original(func, config, event, *more)
        except Exception as error:
            _fail(token, config, f"{type(error).__name__}: {error}")
            raise
        finally:
            with _lock:
                _running[token] -= 1
        if isinstance(result, dict) and result.get("error"):
            body = result.get("body") or {}
            _fail(token, config, str(body.get("errorMessage") or body))
        else:
            _expect(token, config)
        return result

    return invoke


def _response_token(event: Any) -> str:
    """Return the token in the response URL of an event, if it has one.

    The migration function passes the original request on to itself.
    """
    if not isinstance(event, dict):
        return ""
    request = event.get("Request", event)
    url = request.get("ResponseURL") if isinstance(request, dict) else None
    _, separator, token = str(url or "").partition(RESPONSES)
    return token if separator else ""


def _expect(token: str, config: Any) -> None:
    """Fail the resource later, unless there is a response or another invocation."""

    def look() -> None:
        with _lock:
            is_running = _running[token] > 0
            if not is_running:
                del _running[token]
        if not is_running:
            _fail(token, config, "it returned without an answer")

    timer = threading.Timer(HANDOVER_SECONDS, look)
    timer.daemon = True
    timer.start()


def _fail(token: str, config: Any, why: str) -> None:
    """Send a failure, unless the function has sent a response."""
    name = config.get("FunctionName", "")
    reason = f"The function {name} did not answer: {why}"
    with ANSWERS["_lock"]:
        entry = ANSWERS["_pending"].get(token)
        if entry is None or entry["result"] is not None:
            return
        entry["result"] = {"Status": "FAILED", "Reason": reason}
        entry["event"].set()
