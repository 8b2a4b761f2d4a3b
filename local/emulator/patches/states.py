"""Refuses operations that the state of a stack does not permit, as AWS does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local.emulator.patches.ministack import CLOUDFORMATION, HELPERS, stack_named

Request = Mapping[str, Any]
Answer = tuple[int, dict[str, str], bytes]
Action = Callable[[Request], Answer]

GONE = "DELETE_COMPLETE"
UPDATABLE = frozenset(
    {
        "CREATE_COMPLETE",
        "IMPORT_COMPLETE",
        "IMPORT_ROLLBACK_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_FAILED",
        "UPDATE_ROLLBACK_COMPLETE",
    }
)
DELETABLE_IN_PROGRESS = frozenset({"CREATE_IN_PROGRESS", "REVIEW_IN_PROGRESS"})


def install() -> None:
    """Refuse operations by stack state."""
    actions: dict[str, Action] = CLOUDFORMATION["_ACTION_HANDLERS"]
    for name, refusal in REFUSALS.items():
        actions[name] = _guarded(actions[name], refusal)


def _guarded(
    action: Action, refusal: Callable[[Request, dict[str, Any]], tuple[str, str] | None]
) -> Action:
    def guarded(request: Request) -> Answer:
        stack = stack_named(_value(request, "StackName"))
        if stack is not None and stack["StackStatus"] != GONE:
            error = refusal(request, stack)
            if error:
                answer: Answer = HELPERS["_error"](*error)
                return answer
        return action(request)

    return guarded


def _no_create(_request: Request, stack: dict[str, Any]) -> tuple[str, str] | None:
    return "AlreadyExistsException", f"Stack [{stack['StackName']}] already exists"


def _no_update(_request: Request, stack: dict[str, Any]) -> tuple[str, str] | None:
    if stack["StackStatus"] in UPDATABLE:
        return None
    return "ValidationError", (
        f"Stack:{stack['StackId']} is in {stack['StackStatus']} state "
        "and can not be updated."
    )


def _no_change_set(request: Request, stack: dict[str, Any]) -> tuple[str, str] | None:
    kind = _value(request, "ChangeSetType") or "UPDATE"
    if kind == "UPDATE":
        return _no_update(request, stack)
    if kind == "CREATE" and stack["StackStatus"] != "REVIEW_IN_PROGRESS":
        return "ValidationError", (
            f"Stack [{stack['StackName']}] already exists and cannot be created "
            f"again with the changeSet [{_value(request, 'ChangeSetName')}]."
        )
    return None


def _no_execution(_request: Request, stack: dict[str, Any]) -> tuple[str, str] | None:
    if stack["StackStatus"] == "REVIEW_IN_PROGRESS":
        return None
    return _no_update(_request, stack)


def _no_deletion(_request: Request, stack: dict[str, Any]) -> tuple[str, str] | None:
    status = str(stack["StackStatus"])
    if not status.endswith("_IN_PROGRESS") or status in DELETABLE_IN_PROGRESS:
        return None
    return "ValidationError", (
        f"Stack [{stack['StackName']}] cannot be deleted while in status {status}"
    )


REFUSALS = {
    "CreateStack": _no_create,
    "CreateChangeSet": _no_change_set,
    "DeleteStack": _no_deletion,
    "ExecuteChangeSet": _no_execution,
    "UpdateStack": _no_update,
}


def _value(request: Request, name: str) -> str:
    value = request.get(name, [""])
    return str(value[0] if isinstance(value, list) else value)
