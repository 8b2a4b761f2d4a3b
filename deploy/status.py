"""status, events and outputs: what a stack is, does and gives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from cli.errors import ExitCode
from deploy import console, inventory, stacks
from deploy.aws import Aws
from deploy.dist import Dist, Environment
from deploy.events import TreeEvent, StackWatcher
from deploy.launch import follow
from deploy.stacks import StackEvent

UNKNOWN_KIND = "not listed"


def status(
    aws: Aws, environment: Environment, *, lists_all: bool, as_json: bool
) -> ExitCode:
    """Show a stack, the stacks in it and, if asked, every resource."""
    stack = stacks.existing(aws, environment.stack_name)
    held = list(inventory.take(aws, stack.id))
    kinds = _kinds(aws, held)
    if as_json:
        console.show(
            json.dumps(
                {
                    "Stack": stack.name,
                    "StackId": stack.id,
                    "Status": stack.status,
                    "IsProtected": stack.is_protected,
                    "Resources": [_as_json(one, kinds) for one in held],
                },
                indent=2,
            )
        )
        return _health(stack.status)
    protection = "protected from deletion" if stack.is_protected else "not protected"
    console.show(f"{stack.name}  {stack.status}  {protection}")
    if stack.reason:
        console.show(f"  {stack.reason}")
    rows = []
    for one in held:
        if one.is_stack:
            inside = [r for r in held if r.path == (*one.path, one.logical_id)]
            ready = sum(_is_ready(r.status) for r in inside)
            rows.append(
                (one.name, one.status, f"{ready} of {len(inside)}", one.purpose)
            )
        elif not one.path:
            rows.append((one.name, one.status, "", one.purpose))
    console.table(rows, ("Stack", "Status", "Ready", "For"))
    if lists_all or kinds:
        console.show()
        console.table(
            [
                (
                    one.name,
                    one.type,
                    one.status,
                    *((kinds[one.name],) if kinds else ()),
                )
                for one in held
                if not one.is_stack
            ],
            ("Resource", "Type", "Status", *(("Here",) if kinds else ())),
        )
    if kinds:
        counts: dict[str, int] = {}
        for one in held:
            if not one.is_stack:
                kind = kinds[one.name]
                counts[kind] = counts.get(kind, 0) + 1
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        console.show(f"\nLocally, of {sum(counts.values())} resources: {told}.")
    return _health(stack.status)


def events(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    *,
    follows: bool,
    failed_only: bool,
) -> ExitCode:
    """Show the last operation of a stack and of the stacks in it, in order."""
    stack = stacks.existing(aws, environment.stack_name)
    if follows and stack.is_busy:
        return follow(aws, dist, environment, StackWatcher(aws, stack.id))
    for seen in operation(aws, stack.id):
        if not failed_only or seen.event.is_failure:
            console.show(console.event(seen, dist))
    if follows:
        console.say(f"Stack {stack.name} is {stack.status}: nothing to follow.")
    return _health(stack.status)


def operation(aws: Aws, stack_id: str) -> list[TreeEvent]:
    """Return the events of the last operation, of all stacks, in order."""
    own = stacks.last_operation(aws, stack_id)
    found = [TreeEvent((), row) for row in own]
    if own:
        found += _nested(aws, own, (), own[0])
    return sorted(found, key=lambda seen: seen.event.time)


def _nested(
    aws: Aws, rows: list[StackEvent], path: tuple[str, ...], start: StackEvent
) -> list[TreeEvent]:
    found: list[TreeEvent] = []
    # By ID, so that a nested stack that a rollback deleted is read, too.
    ids = {r.physical_id: r.logical_id for r in rows if r.is_nested_stack}
    for stack_id, logical_id in ids.items():
        if not stack_id.startswith("arn:"):
            continue
        inside = []
        for row in stacks.events(aws, stack_id):
            if row.time >= start.time:
                inside.append(row)
            elif row.starts_operation:
                break
        deeper = (*path, logical_id)
        found += [TreeEvent(deeper, row) for row in stacks.in_order(inside)]
        found += _nested(aws, inside, deeper, start)
    return found


def outputs(aws: Aws, environment: Environment, *, as_json: bool) -> ExitCode:
    """Show what a stack gives."""
    stack = stacks.existing(aws, environment.stack_name)
    if as_json:
        console.show(json.dumps(dict(stack.outputs), indent=2))
    else:
        console.outputs(stack.outputs, stack.descriptions)
    return ExitCode.OK


def _kinds(aws: Aws, held: Sequence[inventory.StackResource]) -> dict[str, str]:
    """Return what each resource is in the emulator; nothing on AWS."""
    if not aws.emulator:
        return {}
    told = aws.emulator.kinds()
    return {
        one.name: told.get(stacks.name_of(one.stack_id), {}).get(
            one.logical_id, UNKNOWN_KIND
        )
        for one in held
    }


def _as_json(one: inventory.StackResource, kinds: dict[str, str]) -> dict[str, Any]:
    told = {
        "Name": one.name,
        "Type": one.type,
        "Status": one.status,
        "PhysicalId": one.physical_id,
        "Purpose": one.purpose,
    }
    if kinds and not one.is_stack:
        told["Here"] = kinds[one.name]
    return told


def _is_ready(status: str) -> bool:
    return status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")


def _health(status: str) -> ExitCode:
    """Return failed for a stack that somebody has to see to."""
    bad = "FAILED" in status or status == "ROLLBACK_COMPLETE"
    return ExitCode.FAILED if bad else ExitCode.OK
