"""Launch a stack: preflight, publish, plan, confirm, prepare, execute, follow, finish.

stage      input                   output                    changes
--------   ---------------------   -----------------------   ------------------------
preflight  dist/, environment      warnings, refusals         nothing
publish    dist/                   URLs by content           the bucket
plan       URLs, environment       a plan                    an unexecuted change set
confirm    the plan                a confirmation            nothing
prepare    the templates           service-linked roles      missing roles of services
execute    the change set          a running operation       the stack
follow     the stack               its end                   nothing
protect    a first launch that     a second, short           the database and the load
           succeeded               operation                 balancer
finish     a stack that succeeded  protection, stack policy  the stack's settings

A first launch leaves deletion protection off: a rollback cannot delete what is
protected. The second operation switches it on.

Ctrl-C before prepare leaves everything as it was; after it, the operation continues.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cli import console
from cli.errors import AwsError, ExitCode, Failure, Problem, Refused, Unable
from deploy import changes, diagnosis, durations, prompts, stacks, trees
from deploy.aws import Aws, is_missing
from deploy.changes import ChangePlan
from deploy.console import ProgressDisplay, print_diagnosis, print_outputs, print_plan
from deploy.dist import DEFERRED, PROTECTION, Dist, Environment
from deploy.events import StackWatcher, known_events, watch_interval
from deploy.planning import PollInterval, proposed
from deploy.prefix_list import with_prefix_list
from deploy.preflight import linked_roles
from deploy.preflight.context import LaunchContext
from deploy.preflight.run import before_launch
from deploy.publishing import publish
from deploy.stacks import REVIEW
from deploy.zones import with_zones

SUCCEEDED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})

QUIET_ENDS = SUCCEEDED | {
    "DELETE_COMPLETE",
    "ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
}
"""How a recovery or a deletion succeeds."""

TAKEN = frozenset(
    {
        "InvalidChangeSetStatus",
        "InvalidChangeSetStatusException",
        "OperationInProgressException",
        "ChangeSetNotFound",
        "ChangeSetNotFoundException",
    }
)
"""Codes of CloudFormation when another operation started first."""


@dataclass(frozen=True)
class Confirmation:
    """What the options of the command line confirm."""

    yes: bool = False
    replaces_data: bool = False


def launch(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    *,
    bucket: str | None = None,
    confirmation: Confirmation = Confirmation(),
    is_nested: bool = True,
    detaches: bool = False,
    checks_first: bool = True,
    interval: PollInterval | None = None,
) -> ExitCode:
    """Create or update a stack from ``dist`` and an environment.

    With ``detaches``, end as soon as the operation has started.
    """
    environment = with_prefix_list(aws, dist, environment)
    if environment.topic_arns and aws.is_local:
        console.note("The emulator sends no events to topics.")
    context = LaunchContext(aws, dist, environment)
    if checks_first:
        before_launch(context)
    published = publish(aws, dist, bucket)
    publication = published.publication
    console.message(_published(len(publication.files), len(published.uploaded)))
    stack = stacks.find(aws, environment.stack_name)
    environment = with_zones(aws, dist, environment, stack)
    is_new = stack is None or stack.status == REVIEW
    first = first_launch(dist, environment) if is_new else environment
    with proposed(aws, dist, publication, first, is_nested=is_nested) as plan:
        print_plan(plan, dist)
        console.record(Stack=plan.stack_name, Plan=changes.as_json(plan))
        if plan.is_empty:
            protect(aws, environment)
            if stack:
                console.record(Status=stack.status, Outputs=commands(aws, stack))
                note_topics(stack, environment)
            return ExitCode.OK
        confirm(plan, confirmation)
        linked_roles.create(context)
        known = execute(aws, plan)
    if detaches:
        console.record(StackId=plan.stack_id, Detached=True)
        console.message(f"{DETACHED.format(stack=plan.stack_name)}{_later(first)}")
        return ExitCode.OK
    watcher = StackWatcher(aws, plan.stack_id, known)
    if first is environment:
        return follow(
            aws, dist, environment, watcher, interval=interval, creates=is_new
        )
    exit_code = follow(
        aws, dist, first, watcher, interval=interval, quiet=SUCCEEDED, creates=is_new
    )
    if exit_code is not ExitCode.OK:
        return exit_code
    console.message(
        f"\nStack {plan.stack_name} is {watcher.status}. A second operation switches "
        "its deletion protection on.\n"
    )
    protect(aws, environment)
    # Without nested change sets: each would leave one that cannot be deleted.
    with proposed(aws, dist, publication, environment, is_nested=False) as plan:
        known = execute(aws, plan)
    watcher = StackWatcher(aws, plan.stack_id, known)
    return follow(aws, dist, environment, watcher, interval=interval)


def note_topics(stack: stacks.StackSummary, environment: Environment) -> None:
    """Say that an unchanged stack keeps the topics of its events."""
    if set(environment.topic_arns) - set(stack.topic_arns):
        console.note(
            "The stack sends its events to the same topics as before: CloudFormation "
            "takes others only with a change."
        )


def first_launch(dist: Dist, environment: Environment) -> Environment:
    """Return the environment as it is first launched: without deletion protection."""
    if not (environment.is_protected and dist.defers_protection()):
        return environment
    return replace(
        environment, parameters={**environment.parameters, PROTECTION: DEFERRED}
    )


def confirm(plan: ChangePlan, confirmation: Confirmation) -> None:
    """Prompt for confirmation; the stack's name when data is endangered."""
    where = f"Stack {plan.stack_name}"
    if confirmation.yes and plan.dangers and not confirmation.replaces_data:
        raise Refused(
            Problem(
                where=where,
                what="Resources with data are or may be replaced or deleted: "
                f"{', '.join(c.name for c in plan.dangers)}.",
                why="--yes does not cover that.",
                remedy="Launch at a terminal and type the name, or add --replace-data.",
            )
        )
    if confirmation.yes:
        return
    if plan.dangers and not confirmation.replaces_data:
        prompts.type_name(
            plan.stack_name,
            where=where,
            question="Resources with data are or may be replaced or deleted, as listed "
            "first.",
            remedy="Confirm with --yes and --replace-data.",
        )
        return
    verb = "Create" if plan.is_new else "Update"
    prompts.confirm(f"{verb} stack {plan.stack_name}?", where=where, yes=False)


def execute(aws: Aws, plan: ChangePlan) -> frozenset[str]:
    """Execute the change set; return the IDs of the events before it.

    Raises Refused when another operation has started, or when another launch has
    deleted the new stack with its change sets.
    """
    try:
        known = known_events(aws, plan.stack_id)
        # Even if the answer is lost: it may have been executed.
        plan.executed.append(plan.change_set_id)
        aws.call(
            "cloudformation",
            "execute_change_set",
            f"Stack {plan.stack_name}",
            ChangeSetName=plan.change_set_id,
            StackName=plan.stack_id,
            ClientRequestToken=uuid.uuid4().hex,
        )
    except AwsError as error:
        plan.executed.clear()
        raise _overtaken(plan, error) or error from error
    return known


def _overtaken(plan: ChangePlan, error: AwsError) -> Refused | None:
    """Return a refusal where an error means that another operation came first."""
    if not (error.code in TAKEN or "IN_PROGRESS" in error.message or is_missing(error)):
        return None
    return Refused(
        Problem(
            where=f"Stack {plan.stack_name}",
            what="Another operation has started in the meantime.",
            why=error.message,
            remedy="Follow it with `build.py events ENV --follow`; then launch again, "
            "with a new plan.",
        )
    )


def follow(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    watcher: StackWatcher,
    *,
    interval: PollInterval | None = None,
    quiet: Collection[str] = (),
    creates: bool = False,
) -> ExitCode:
    """Show an operation to its end; explain a failure, or print the outputs.

    When it ``creates`` the stack, progress counts what dist/ says will be in it, and
    says how long the last creation took.
    Of the statuses in ``quiet`` the caller reports a success.
    """
    diagnoser = diagnosis.Diagnoser(aws, dist)
    expected = trees.expected(dist, environment.parameters) if creates else {}
    estimate = durations.estimate(aws, dist) if creates else None
    display = ProgressDisplay(watcher, dist, expected, estimate)
    try:
        with display.live():
            for tree_events in watcher.follow(interval or watch_interval(aws)):
                display.add(tree_events)
                for tree_event in tree_events:
                    # Now: a rollback deletes the tasks and their logs.
                    if (
                        tree_event.event.is_failure
                        and not tree_event.event.is_nested_stack
                    ):
                        diagnoser.record_evidence(tree_event.event)
    except KeyboardInterrupt:
        console.message(
            f"\n{DETACHED.format(stack=environment.stack_name)}{_later(environment)}"
        )
        return ExitCode.INTERRUPTED
    except (AwsError, Unable) as error:
        raise _unfollowed(aws, environment, error) from error
    console.record(Stack=environment.stack_name, Status=watcher.status)
    if creates and watcher.status in SUCCEEDED:
        durations.remember(aws, dist, watcher)
    if watcher.status in quiet:
        return ExitCode.OK
    stack = stacks.existing(aws, watcher.root.stack_id)
    if stack.status not in SUCCEEDED:
        console.message()
        outcome = diagnoser.diagnose(stack)
        console.record(Diagnosis=diagnosis.as_json(outcome))
        print_diagnosis(outcome)
        return ExitCode.FAILED
    finish(aws, environment)
    console.message(
        f"\nStack {stack.name} is {stack.status} after {display.elapsed}.\n",
        style="green",
    )
    console.record(StackId=stack.id, Outputs=commands(aws, stack))
    print_outputs(aws, stack.outputs, stack.descriptions)
    console.message(NEXT_IN_EMULATOR if aws.is_local else NEXT)
    return ExitCode.OK


def _unfollowed(
    aws: Aws, environment: Environment, error: AwsError | Unable
) -> Failure:
    """Return why an operation is not followed any more, and how it goes on."""
    where = f"Stack {environment.stack_name}"
    if isinstance(error, AwsError):
        if not is_missing(error):
            return error
        return Refused(
            Problem(
                where=where,
                what="Another command has deleted it in the meantime.",
                why=error.message,
                remedy="Launch again when that command has ended.",
            )
        )
    if aws.is_local:
        return error
    return Unable(
        *error.problems,
        Problem(
            where=where,
            what="It is no longer followed.",
            why="The operation itself continues.",
            remedy="`build.py events ENV --follow` follows it again."
            f"{_later(environment)}",
        ),
    )


def commands(aws: Aws, stack: stacks.StackSummary) -> dict[str, str]:
    """Return the outputs of a stack, its commands as they reach this account."""
    return {name: aws.shell_command(value) for name, value in stack.outputs.items()}


def operate(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    stack: stacks.StackSummary,
    operation: str,
    *,
    interval: PollInterval | None,
    options: Mapping[str, Any],
) -> tuple[ExitCode, str]:
    """Start an operation on a stack and follow it to its end.

    ``operation`` is a method of boto3's CloudFormation client. Returns how following it
    ended, and the final status of the stack.
    """
    known = known_events(aws, stack.id)
    aws.call(
        "cloudformation",
        operation,
        f"Stack {stack.name}",
        StackName=stack.id,
        **options,
    )
    watcher = StackWatcher(aws, stack.id, known)
    exit_code = follow(
        aws,
        dist,
        environment,
        watcher,
        interval=interval or watch_interval(aws),
        quiet=QUIET_ENDS,
    )
    return exit_code, watcher.status


def finish(aws: Aws, environment: Environment) -> None:
    """Set what a change set cannot: termination protection and stack policy."""
    protect(aws, environment)
    if environment.stack_policy is not None:
        aws.call(
            "cloudformation",
            "set_stack_policy",
            f"Stack {environment.stack_name}",
            StackName=environment.stack_name,
            StackPolicyBody=json.dumps(environment.stack_policy),
        )


def protect(aws: Aws, environment: Environment) -> None:
    """Enable termination protection where the environment protects its data.

    Only `destroy` disables it, after confirmation.
    """
    if not environment.is_protected:
        return
    stack = stacks.find(aws, environment.stack_name)
    if stack and not stack.is_protected:
        aws.call(
            "cloudformation",
            "update_termination_protection",
            f"Stack {environment.stack_name}",
            StackName=environment.stack_name,
            EnableTerminationProtection=True,
        )


DETACHED = (
    "Detached. The operation of stack {stack} continues; follow it again with: "
    "build.py events ENV --follow"
)

NEXT_IN_EMULATOR = """
Next
  These are stacks in an emulator: no Airflow runs, and no page opens.
  Run Airflow on this machine: build.py local ENV
  Status of every stack:       build.py status ENV
  Delete the stacks again:     build.py destroy ENV"""

NEXT = """
Next
  AdminLoginCommand above prints the first login; DagUploadCommand copies DAGs.
  Tasks, health and alarms: build.py status ENV
  These outputs again:      build.py outputs ENV
  Most of the cost is Fargate tasks, database capacity, NAT gateways or endpoints, and
  cache nodes."""


def _later(environment: Environment) -> str:
    """Return what is left to do after a launch that is no longer followed."""
    if environment.parameters.get(PROTECTION) != DEFERRED:
        return ""
    return "\nWhen it has ended, launch again: deletion protection is off until then."


def _published(files: int, uploaded: int) -> str:
    if not uploaded:
        return f"All {files} files are published already."
    if uploaded == files:
        return f"Published all {files} files."
    return f"Published {uploaded} of {files} files; the others were published already."
