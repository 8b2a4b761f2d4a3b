"""Stack events and clean-up as on AWS, where MiniStack's differ.

- A failed create or update names the failed resources; a nested stack's event names the
  child.
- A rolled-back create also deletes the child stacks that failed.
- A resource that an update does not change has no events.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from local.emulator.patches import nested_stacks
from local.emulator.patches.ministack import (
    CHANGE_SETS,
    CLOUDFORMATION,
    HANDLERS,
    PROVISIONERS,
    STACKS,
    replace,
)

_unchanged: set[tuple[str, str]] = set()
"""Stack name and logical ID of resources that the running update did not change."""


def install() -> None:
    """Record events as AWS does."""
    replace("_add_event", _filtered, STACKS, HANDLERS, CHANGE_SETS)
    replace("_update_resource", _tracking, STACKS, PROVISIONERS)
    replace("_roll_back_operation", _with_cleanup, STACKS, HANDLERS)


def _tracking(original: Callable[..., Any]) -> Callable[..., Any]:
    """Record which resources an update does not change."""

    def update(  # noqa: PLR0917 - MiniStack's own signature
        resource_type: str,
        physical_id: str,
        old: dict[str, Any],
        new: dict[str, Any],
        stack_name: str,
        logical_id: str = "",
        attributes: dict[str, Any] | None = None,
    ) -> Any:
        # A nested stack is always updated, as on AWS.
        if old == new and resource_type != nested_stacks.TYPE:
            _unchanged.add((stack_name, logical_id))
        return original(
            resource_type, physical_id, old, new, stack_name, logical_id, attributes
        )

    return update


def _filtered(original: Callable[..., None]) -> Callable[..., None]:
    def add_event(  # noqa: PLR0917 - MiniStack's own signature
        stack_id: str,
        stack_name: str,
        logical_id: str,
        resource_type: str,
        status: str,
        reason: str = "",
        physical_id: str = "",
        detailed_status: str = "",
    ) -> None:
        key = (stack_name, logical_id)
        if status == "UPDATE_COMPLETE" and key in _unchanged:
            _unchanged.discard(key)
            _remove_first_event(stack_id, logical_id)
            return
        if status.endswith("_FAILED") and not physical_id:
            physical_id = _known_physical_id(stack_id, logical_id)
        original(
            stack_id,
            stack_name,
            logical_id,
            resource_type,
            status,
            reason,
            physical_id,
            detailed_status,
        )

    return add_event


def _remove_first_event(stack_id: str, logical_id: str) -> None:
    """Remove the event of the beginning of this resource's update."""
    recorded = CLOUDFORMATION["_stack_events"][stack_id]
    for index in range(len(recorded) - 1, -1, -1):
        if recorded[index]["LogicalResourceId"] == logical_id:
            if recorded[index]["ResourceStatus"] == "UPDATE_IN_PROGRESS":
                del recorded[index]
            return


def _known_physical_id(stack_id: str, logical_id: str) -> str:
    for event in reversed(CLOUDFORMATION["_stack_events"].get(stack_id, ())):
        if event["LogicalResourceId"] == logical_id and event["PhysicalResourceId"]:
            return str(event["PhysicalResourceId"])
    return ""


def _with_cleanup(
    original: Callable[..., Coroutine[Any, Any, None]],
) -> Callable[..., Coroutine[Any, Any, None]]:
    async def roll_back(
        stack_name: str,
        stack_id: str,
        stack: dict[str, Any],
        operation: dict[str, Any],
        reason: str = "",
    ) -> None:
        failed = operation.get("failed_logical_id")
        if failed and not operation.get("is_update") and not reason:
            reason = (
                f"The following resource(s) failed to create: [{failed}]. "
                "Rollback requested by user."
            )
        if failed and not operation.get("failed_update"):
            await _delete_failed_child(stack_name, stack, str(failed))
        await original(stack_name, stack_id, stack, operation, reason)

    return roll_back


async def _delete_failed_child(
    stack_name: str, stack: dict[str, Any], logical_id: str
) -> None:
    """Delete a child that failed before its parent recorded it, as AWS does first."""
    child_id = _known_physical_id(stack["StackId"], logical_id)
    if child_id not in {
        child["StackId"] for child in nested_stacks.children(stack["StackId"])
    }:
        return

    def tell(status: str, reason: str = "") -> None:
        STACKS["_add_event"](
            stack["StackId"],
            stack_name,
            logical_id,
            nested_stacks.TYPE,
            status,
            reason,
            child_id,
        )

    tell("DELETE_IN_PROGRESS")
    try:
        await STACKS["run_reentrant"](nested_stacks.delete, child_id, {})
    except nested_stacks.ChildError as error:
        tell("DELETE_FAILED", str(error))
    else:
        tell("DELETE_COMPLETE")
