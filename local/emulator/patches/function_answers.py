"""An answer for a function that gives none: its custom resource fails, with the reason.

MiniStack starts the function of a custom resource and waits for an answer. When the
function cannot start, dies or just returns, nobody answers, and the stack stays in
progress for as long as ``ServiceTimeout`` says: 50 minutes for the migration job. On AWS
that is so, too; whoever rehearses should not wait to be told what is known at once.

A function may hand its work over to another invocation of itself before it returns, so
one that just returns has some seconds in which another one may begin.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from local.emulator.patches.ministack import names, replace

HANDOVER_SECONDS = 5.0
"""MiniStack begins an invocation that nobody waits for within milliseconds."""

ANSWERS = names("services.cloudformation.custom_resource")
RESPONSES = "/_ministack/cfn-response/"

_lock = threading.Lock()
_under_way: Counter[str] = Counter()
"""Invocations of functions that owe an answer, by its token."""


def install() -> None:
    """Look after every invocation that owes an answer."""
    replace("_execute_function_dispatch", _watched, names("services.lambda_svc"))


def _watched(original: Callable[..., Any]) -> Callable[..., Any]:
    def invoke(func: Any, config: Any, event: Any, *more: Any) -> Any:
        token = _owed(event)
        if not token:
            return original(func, config, event, *more)
        with _lock:
            _under_way[token] += 1
        try:
            result = original(func, config, event, *more)
        except Exception as error:
            _fail(token, config, f"{type(error).__name__}: {error}")
            raise
        finally:
            with _lock:
                _under_way[token] -= 1
        if isinstance(result, dict) and result.get("error"):
            body = result.get("body") or {}
            _fail(token, config, str(body.get("errorMessage") or body))
        else:
            _expect(token, config)
        return result

    return invoke


def _owed(event: Any) -> str:
    """Return the token of the answer that an event asks for, if it does.

    The gate's function hands itself the request that it was called with.
    """
    if not isinstance(event, dict):
        return ""
    request = event.get("Request", event)
    url = request.get("ResponseURL") if isinstance(request, dict) else None
    _, found, token = str(url or "").partition(RESPONSES)
    return token if found else ""


def _expect(token: str, config: Any) -> None:
    """Fail the resource later, unless it is answered or the work goes on."""

    def look() -> None:
        with _lock:
            goes_on = _under_way[token] > 0
            if not goes_on:
                del _under_way[token]
        if not goes_on:
            _fail(token, config, "it returned without an answer")

    timer = threading.Timer(HANDOVER_SECONDS, look)
    timer.daemon = True
    timer.start()


def _fail(token: str, config: Any, why: str) -> None:
    """Answer in the function's place, unless it has answered."""
    name = config.get("FunctionName", "")
    reason = f"The function {name} did not answer: {why}"
    with ANSWERS["_lock"]:
        entry = ANSWERS["_pending"].get(token)
        if entry is None or entry["result"] is not None:
            return
        entry["result"] = {"Status": "FAILED", "Reason": reason}
        entry["event"].set()
