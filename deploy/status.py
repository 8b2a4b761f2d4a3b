"""The commands status, events and outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from cli import console
from cli.errors import ExitCode, Failure
from deploy import drift, health, inventory, stacks
from deploy.aws import Aws
from deploy.console import clock, event_line, print_outputs
from deploy.dist import Dist, Environment
from deploy.events import StackWatcher, TreeEvent
from deploy.health import AlarmState, ServiceHealth
from deploy.launch import follow
from deploy.quick_create import stack_page
from deploy.stacks import StackEvent

Answer = TypeVar("Answer")

CREATING = "CREATE_IN_PROGRESS"
WEB_URL = "WebUrl"
"""Output with the address of the UI."""
VERSION = "Version"
"""Output with the version of the templates."""
NO_AIRFLOW = (
    "No Airflow runs in the emulator: build.py local ENV runs it on this machine."
)
UNKNOWN_KIND = "not listed"


def status(
    aws: Aws,
    environment: Environment,
    *,
    lists_all: bool,
    as_json: bool,
    detects_drift: bool = False,
) -> ExitCode:
    """Print tasks, alarms and stacks; with ``lists_all`` every resource.

    With ``detects_drift`` also what was changed without CloudFormation, which is a
    failure.
    """
    stack = stacks.existing(aws, environment.stack_name)
    resources = list(inventory.take(aws, stack.id))
    kinds = _kinds(aws, resources)
    problems: list[str] = []
    services: list[ServiceHealth] = []
    alarms: list[AlarmState] = []
    if not kinds:
        services = _asked(problems, "Tasks", lambda: health.services(aws, resources))
        alarms = _asked(problems, "Alarms", lambda: health.alarms(aws, resources))
    report = drift.detect(aws, stack, resources) if detects_drift else None
    code = ExitCode.FAILED if report and report.drifted else _health(stack.status)
    if as_json:
        document = {
            "Stack": stack.name,
            "StackId": stack.id,
            "Status": stack.status,
            "Version": stack.outputs.get(VERSION, ""),
            "LastOperation": stack.started.isoformat() if stack.started else None,
            "Console": stack_page(aws, stack.id),
            "IsProtected": stack.is_protected,
            "Services": [_service_as_json(service) for service in services],
            "Alarms": [
                {"Name": alarm.name, "State": alarm.state, "Reason": alarm.reason}
                for alarm in alarms
            ],
            "NotShown": problems,
            "Drift": report.as_json() if report else None,
            "Resources": [_as_json(aws, resource, kinds) for resource in resources],
        }
        console.document(document)
        return code
    _print_stack(aws, stack)
    if services:
        console.result()
        _print_services(services)
    _print_alarms(alarms)
    for problem in problems:
        console.result(problem)
    if kinds:
        console.result(NO_AIRFLOW)
    _print_resources(resources, kinds, lists_all=lists_all)
    if report:
        drift.print_report(report)
    return code


def _asked(
    problems: list[str], what: str, ask: Callable[[], list[Answer]]
) -> list[Answer]:
    """Return an optional answer; without one say why."""
    try:
        return ask()
    except Failure as error:
        problems.append(f"{what} are not shown: {error.problems[0].what}")
        return []


def _print_stack(aws: Aws, stack: stacks.StackSummary) -> None:
    console.result(f"{stack.name}  {stack.status}", style="bold")
    began = clock(stack.started) if stack.started else "unknown"
    facts = [
        f"Version {stack.outputs[VERSION]}" if VERSION in stack.outputs else "",
        f"termination protection {'on' if stack.is_protected else 'off'}",
    ]
    lines = [
        f"Last operation began {began}",
        ", ".join(filter(None, facts)),
        stack.reason,
        stack_page(aws, stack.id),
    ]
    for line in filter(None, lines):
        console.result(f"  {line}")


def _print_services(services: Sequence[ServiceHealth]) -> None:
    console.table(
        [
            (
                service.name,
                str(service.running),
                str(service.desired),
                str(service.healthy),
                f"{service.deployment} {_minute(service.since)}".rstrip(),
            )
            for service in services
        ],
        ("Tasks", "Running", "Desired", "Healthy", "Last deployment"),
    )


def _minute(time: datetime | None) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}" if time else ""


def _print_alarms(alarms: Sequence[AlarmState]) -> None:
    if not alarms:
        return
    counts = Counter(alarm.state for alarm in alarms)
    states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    console.result(f"\nAlarms: {states}.")
    for alarm in alarms:
        if alarm.state == "ALARM":
            console.result(f"  {alarm.name}  {alarm.reason}", style="red")


def _print_resources(
    resources: Sequence[inventory.StackResource],
    kinds: Mapping[str, str],
    *,
    lists_all: bool,
) -> None:
    """Print what is not complete, or everything, by stack."""
    nested = [resource for resource in resources if resource.is_stack]
    plain = [resource for resource in resources if not resource.is_stack]
    others = [r for r in resources if not _is_ready(r.status)]
    state = f"{len(others)} not complete" if others else "all complete"
    console.result(f"\n{len(nested)} nested stacks, {len(plain)} resources: {state}.")
    if kinds:
        counts = Counter(kinds[resource.name] for resource in plain)
        console.result(
            "In the emulator: "
            + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
            + "."
        )
    if not lists_all:
        for resource in others:
            line = f"  {resource.status:<20} {resource.name}  {resource.reason}"
            console.result(line.rstrip())
        return
    own = [resource for resource in plain if not resource.path]
    for resource in (*own, *nested):
        if not resource.is_stack:
            _print_resource(resource, kinds)
            continue
        inside = [r for r in plain if r.path == (*resource.path, resource.logical_id)]
        ready = sum(_is_ready(r.status) for r in inside)
        console.result(
            f"\n{resource.name}  {resource.status}  {ready} of {len(inside)}",
            style="bold",
        )
        if resource.purpose:
            console.result(f"  {resource.purpose}", style="dim")
        for row in inside:
            _print_resource(row, kinds)


def _print_resource(
    resource: inventory.StackResource, kinds: Mapping[str, str]
) -> None:
    kind = resource.type.removeprefix("AWS::")
    facts = [
        kinds.get(resource.name, ""),
        "" if _is_ready(resource.status) else resource.status,
    ]
    line = f"  {resource.logical_id:<32} {kind:<34} {' '.join(filter(None, facts))}"
    console.result(line.rstrip())


def events(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    *,
    follows: bool,
    failed_only: bool,
    lists_all: bool = False,
    as_json: bool = False,
) -> ExitCode:
    """Print the last operation, of all nested stacks: how each resource ended.

    With ``lists_all`` every event is printed, with ``failed_only`` every failure; JSON
    has every event.
    """
    stack = stacks.existing(aws, environment.stack_name)
    if follows and stack.is_busy:
        parameters = stack.parameters if stack.status == CREATING else None
        return follow(
            aws,
            dist,
            replace(environment, parameters=parameters or environment.parameters),
            StackWatcher(aws, stack.id),
            creates=stack.status == CREATING,
        )
    shown = [
        tree_event
        for tree_event in operation(aws, stack.id)
        if not failed_only or tree_event.event.is_failure
    ]
    if as_json:
        console.document([_event_as_json(event) for event in shown])
        return _health(stack.status)
    for tree_event in shown if lists_all or failed_only else ends(shown):
        console.result(event_line(tree_event, dist if lists_all else None))
    if failed_only and not shown:
        console.message("No resource failed in the last operation.")
    if follows:
        console.message(
            f"Stack {stack.name} is {stack.status}: no operation is running."
        )
    return _health(stack.status)


def ends(tree_events: Sequence[TreeEvent]) -> list[TreeEvent]:
    """Return the last event of each resource, and every failure before it.

    A nested stack is a resource of its parent; its own events say the same again.
    """
    once = [e for e in tree_events if not (e.path and e.event.is_of_the_stack)]
    last = {(*e.path, e.event.logical_id): e.event.id for e in once}
    return [
        e
        for e in once
        if e.event.is_failure or last[*e.path, e.event.logical_id] == e.event.id
    ]


def _event_as_json(tree_event: TreeEvent) -> dict[str, str]:
    event = tree_event.event
    return {
        "Time": event.time.isoformat(),
        "Name": "/".join((*tree_event.path, event.logical_id)),
        "Type": event.type,
        "Status": event.status,
        "Reason": event.reason,
        "PhysicalId": event.physical_id,
    }


def operation(aws: Aws, stack_id: str) -> list[TreeEvent]:
    """Return the events of the last operation, of all stacks, in order."""
    own = stacks.last_operation(aws, stack_id)
    tree_events = [TreeEvent((), row) for row in own]
    if own:
        tree_events += _nested(aws, own, (), own[0])
    return sorted(tree_events, key=lambda tree_event: tree_event.event.time)


def _nested(
    aws: Aws, rows: list[StackEvent], path: tuple[str, ...], start: StackEvent
) -> list[TreeEvent]:
    tree_events: list[TreeEvent] = []
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
        tree_events += [TreeEvent(deeper, row) for row in stacks.in_order(inside)]
        tree_events += _nested(aws, inside, deeper, start)
    return tree_events


def outputs(
    aws: Aws, environment: Environment, *, as_json: bool, url: str = ""
) -> ExitCode:
    """Print the outputs of a stack; ``url`` is where its UI is if it runs here."""
    stack = stacks.existing(aws, environment.stack_name)
    values = {**stack.outputs, **({WEB_URL: url} if url else {})}
    if as_json:
        console.document({k: aws.shell_command(v) for k, v in values.items()})
    else:
        print_outputs(aws, values, stack.descriptions)
    return ExitCode.OK


def _kinds(aws: Aws, resources: Sequence[inventory.StackResource]) -> dict[str, str]:
    """Return whether each resource is real, emulated or a stub; nothing on AWS."""
    kinds = aws.emulator.kinds() if aws.emulator else {}
    if not kinds:
        return {}
    return {
        resource.name: kinds.get(stacks.name_of(resource.stack_id), {}).get(
            resource.logical_id, UNKNOWN_KIND
        )
        for resource in resources
    }


def _service_as_json(service: ServiceHealth) -> dict[str, Any]:
    return {
        "Name": service.name,
        "Running": service.running,
        "Desired": service.desired,
        "Healthy": service.healthy,
        "Deployment": service.deployment,
        "Since": service.since.isoformat() if service.since else None,
    }


def _as_json(
    aws: Aws,
    resource: inventory.StackResource,
    kinds: dict[str, str],
) -> dict[str, Any]:
    fields = {
        "Name": resource.name,
        "Type": resource.type,
        "Status": resource.status,
        "PhysicalId": resource.physical_id,
        "Purpose": resource.purpose,
    }
    if resource.is_stack:
        fields["Console"] = stack_page(aws, resource.physical_id)
    elif kinds:
        fields["Here"] = kinds[resource.name]
    return fields


def _is_ready(status: str) -> bool:
    return status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE")


def _health(status: str) -> ExitCode:
    """Return FAILED for a stack in a failed state."""
    failed = "FAILED" in status or status == "ROLLBACK_COMPLETE"
    return ExitCode.FAILED if failed else ExitCode.OK
