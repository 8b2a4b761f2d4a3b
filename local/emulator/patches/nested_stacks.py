"""Nested stacks, run by MiniStack's code for any stack instead of its shortcut.

So they have dynamic references, Rules, rollback, deletion policies, changes of every
attribute, and their own events. Failures of a child are reported as AWS reports them.
"""

from __future__ import annotations

import asyncio
import html
import random
import string
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from local.emulator.patches import operations
from local.emulator.patches.ministack import (
    CLOUDFORMATION,
    HANDLERS,
    HELPERS,
    STACKS,
    CreateResult,
    call,
    element,
    replace,
    stack_named,
)

TYPE = "AWS::CloudFormation::Stack"
LONGEST_NAME = 128
SUFFIX_LENGTH = 13
ROLLBACK_FAILED = "UPDATE_ROLLBACK_FAILED"
PENDING = "_rollback_failed"
"""Key under which MiniStack stores what a continued rollback has to repeat."""

SKIPPED = "_skipped"
"""Key of the resources that a child's continued rollback skips."""

NO_UPDATES = "No updates are to be performed."


class ChildError(ValueError):
    """An operation on a nested stack failed; its own events say why."""


def handlers() -> Mapping[str, Any]:
    """Return the handlers of the type, as MiniStack's provisioners take them."""
    return {
        "create": create,
        "update": update,
        "update_with_logical_id": True,
        "delete": delete,
    }


def install() -> None:
    """Show ParentId, RootId and RoleARN; support ResourcesToSkip in children."""
    replace("_stack_drift_information_xml", _with_ancestors, HANDLERS)
    actions = CLOUDFORMATION["_ACTION_HANDLERS"]
    actions["ContinueUpdateRollback"] = _passing_to_children(
        actions["ContinueUpdateRollback"]
    )


def create(
    logical_id: str, properties: dict[str, Any], parent_name: str
) -> CreateResult:
    """Create a child and wait for it. Runs on its own thread."""
    return _wait(_create(logical_id, properties, parent_name))


def update(
    child_id: str,
    _old: Any,
    properties: dict[str, Any],
    parent_name: str,
    _logical_id: str,
) -> CreateResult:
    """Update a child and wait for it."""
    return _wait(_update(child_id, properties, parent_name))


def delete(child_id: str, _properties: Any) -> None:
    """Delete a child and wait for it."""
    _wait(_delete(child_id))


def children(parent_id: str) -> list[dict[str, Any]]:
    """Return the records of the stacks nested directly in one."""
    return [
        record
        for record in CLOUDFORMATION["_stacks"].values()
        if record.get("ParentId") == parent_id
    ]


async def _create(
    logical_id: str, properties: dict[str, Any], parent_name: str
) -> CreateResult:
    parent = _record(parent_name)
    answer = _call(
        "_create_stack",
        {
            "StackName": child_name(parent_name, logical_id),
            "TemplateURL": str(properties.get("TemplateURL", "")),
            **_request(properties, parent),
        },
    )
    child = _record(element(answer, "StackId"))
    child["ParentId"] = parent["StackId"]
    child["RootId"] = parent.get("RootId") or parent["StackId"]
    # AWS emits this at once; a display finds the running child by it.
    STACKS["_add_event"](
        parent["StackId"],
        parent_name,
        logical_id,
        TYPE,
        "CREATE_IN_PROGRESS",
        "Resource creation Initiated",
        child["StackId"],
    )
    return _outcome(await operations.finished(child["StackId"]), "create")


async def _update(
    child_id: str, properties: dict[str, Any], parent_name: str
) -> CreateResult:
    parent = _record(parent_name)
    child = _record(child_id)
    if child["StackStatus"] == ROLLBACK_FAILED:
        return await _resume(child, parent)
    try:
        _call(
            "_update_stack",
            {
                "StackName": child_id,
                "TemplateURL": str(properties.get("TemplateURL", "")),
                **_request(properties, parent),
            },
        )
    except ChildError as refusal:
        if str(refusal) != NO_UPDATES:
            raise
        return child_id, _outputs(child)
    return _outcome(await operations.finished(child_id), "update")


async def _resume(child: dict[str, Any], parent: dict[str, Any]) -> CreateResult:
    """Continue a failed rollback when its parent's is continued."""
    if PENDING not in parent:
        raise ChildError(
            f"Embedded stack {child['StackId']} was not successfully updated. "
            f"Currently in {ROLLBACK_FAILED} with reason: "
            f"{child.get('StackStatusReason', '')}"
        )
    skipped = {
        f"ResourcesToSkip.member.{number}": name
        for number, name in enumerate(child.pop(SKIPPED, ()), 1)
    }
    _call("_continue_update_rollback", {"StackName": child["StackId"], **skipped})
    record = await operations.finished(child["StackId"])
    if record["StackStatus"] == ROLLBACK_FAILED:
        return await _resume(record, {})
    return child["StackId"], _outputs(record)


async def _delete(child_id: str) -> None:
    if stack_named(child_id) is None:
        return
    _call("_delete_stack", {"StackName": child_id})
    record = await operations.finished(child_id)
    if record["StackStatus"] != "DELETE_COMPLETE":
        raise ChildError(
            f"Embedded stack {child_id} was not successfully deleted: "
            f"{record.get('StackStatusReason', '')}"
        )


def child_name(parent_name: str, logical_id: str) -> str:
    """Return a name in CloudFormation's form, for a parent name of any length."""
    suffix = "".join(
        random.choices(  # noqa: S311 - a name, not a secret
            string.ascii_uppercase + string.digits, k=SUFFIX_LENGTH
        )
    )
    tail = f"-{logical_id}-{suffix}"
    return f"{parent_name[: LONGEST_NAME - len(tail)].rstrip('-')}{tail}"


def _outcome(child: dict[str, Any], verb: str) -> CreateResult:
    status = child["StackStatus"]
    if status == f"{verb.upper()}_COMPLETE":
        return child["StackId"], _outputs(child)
    raise ChildError(
        f"Embedded stack {child['StackId']} was not successfully {verb}d: "
        f"{_cause(child, verb)}"
    )


def _cause(child: dict[str, Any], verb: str) -> str:
    """Name the failed resources, as AWS does in the parent's event."""
    failed = [
        event["LogicalResourceId"]
        for event in CLOUDFORMATION["_stack_events"].get(child["StackId"], ())
        if event["ResourceStatus"] in ("CREATE_FAILED", "UPDATE_FAILED")
        and event["PhysicalResourceId"] != child["StackId"]
    ]
    if failed:
        named = ", ".join(dict.fromkeys(failed))
        return f"The following resource(s) failed to {verb}: [{named}]. "
    return str(child.get("StackStatusReason") or _last_reason(child))


def _last_reason(child: dict[str, Any]) -> str:
    reasons = [
        event["ResourceStatusReason"]
        for event in CLOUDFORMATION["_stack_events"].get(child["StackId"], ())
        if event["ResourceStatus"].endswith("_FAILED")
    ]
    return str(reasons[-1]) if reasons else ""


def _outputs(record: dict[str, Any]) -> dict[str, Any]:
    return {
        f"Outputs.{output['OutputKey']}": output["OutputValue"]
        for output in record.get("Outputs", ())
    }


def _request(properties: dict[str, Any], parent: dict[str, Any]) -> dict[str, str]:
    """Return a child's parameters, tags and capabilities for the Query API."""
    request: dict[str, str] = {}
    parameters = dict(properties.get("Parameters") or {})
    for number, (name, value) in enumerate(parameters.items(), 1):
        prefix = f"Parameters.member.{number}"
        request[f"{prefix}.ParameterKey"] = name
        request[f"{prefix}.ParameterValue"] = _text(value)
    tags = [
        tag
        for tag in properties.get("Tags", ())
        if not str(tag["Key"]).startswith("aws:")
    ]
    for number, tag in enumerate(tags, 1):
        request[f"Tags.member.{number}.Key"] = str(tag["Key"])
        request[f"Tags.member.{number}.Value"] = str(tag.get("Value", ""))
    for number, capability in enumerate(parent.get("Capabilities", ()), 1):
        request[f"Capabilities.member.{number}"] = capability
    return request


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_text(member) for member in value)
    return "" if value is None else str(value)


def _call(action: str, request: Mapping[str, str]) -> str:
    return call(HANDLERS, action, request, ChildError)


Result = TypeVar("Result")


def _wait(work: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run_coroutine_threadsafe(work, operations.loop()).result()


def _record(name_or_id: str) -> dict[str, Any]:
    record = stack_named(name_or_id)
    if record is None:
        raise ChildError(f"Stack [{name_or_id}] does not exist")
    return record


def _with_ancestors(original: Callable[..., str]) -> Callable[..., str]:
    def xml(record: dict[str, Any]) -> str:
        family = "".join(
            f"<{name}>{html.escape(str(record[name]))}</{name}>"
            for name in ("ParentId", "RootId", "RoleARN")
            if record.get(name)
        )
        return family + original(record)

    return xml


def _passing_to_children(action: Callable[..., Any]) -> Callable[..., Any]:
    """Pass ``ChildStackName.LogicalId`` in ResourcesToSkip on to the child."""

    def continue_rollback(request: dict[str, Any]) -> Any:
        requested = HELPERS["_extract_string_members"](request, "ResourcesToSkip")
        own: list[str] = []
        for name in requested:
            child_name, dot, logical_id = name.partition(".")
            child = stack_named(child_name) if dot else None
            if child is None:
                own.append(name)
            else:
                child.setdefault(SKIPPED, []).append(logical_id)
        remaining = {
            name: value
            for name, value in request.items()
            if not name.startswith("ResourcesToSkip")
        }
        for number, name in enumerate(own, 1):
            remaining[f"ResourcesToSkip.member.{number}"] = [name]
        return action(remaining)

    return continue_rollback
