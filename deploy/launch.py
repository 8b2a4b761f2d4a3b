"""From a plan to a running stack.

stage      input                   output                    what it touches
--------   ---------------------   -----------------------   ------------------------
publish    dist/                   addresses by content      the bucket
plan       addresses, environment  a change set, read        an unexecuted change set
confirm    the plan                a person's word           nothing
execute    the change set          an operation under way    the stack
follow     the stack               its end                   nothing
finish     a stack that succeeded  protection, stack policy  the stack's settings

Ctrl-C before execute leaves everything as it was; after it, the operation goes on
without us.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.errors import AwsError, ExitCode, Problem, Refused, Unable
from deploy import console, prompts, stacks
from deploy.aws import Aws
from deploy.changes import ChangePlan
from deploy.diagnosis import Diagnoser
from deploy.dist import Dist, Environment
from deploy.events import StackWatcher, known_events, watch_interval
from deploy.planning import PollInterval, proposed
from deploy.publishing import publish

SUCCEEDED = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})

QUIET_ENDS = SUCCEEDED | {
    "DELETE_COMPLETE",
    "ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
}
"""What a recovery or a deletion hopes for."""

TAKEN = frozenset(
    {
        "InvalidChangeSetStatus",
        "InvalidChangeSetStatusException",
        "OperationInProgressException",
        "ChangeSetNotFound",
        "ChangeSetNotFoundException",
    }
)
"""Codes with which CloudFormation says that somebody else was faster."""


@dataclass(frozen=True)
class Confirmation:
    """What was agreed to on the command line."""

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
    interval: PollInterval | None = None,
) -> ExitCode:
    """Bring a stack to what ``dist`` and its environment say."""
    done = publish(aws, dist, bucket)
    console.say(_published(len(done.publication.files), len(done.uploaded)))
    with proposed(
        aws, dist, done.publication, environment, is_nested=is_nested
    ) as plan:
        console.plan(plan, dist)
        if plan.is_empty:
            protect(aws, environment)
            return ExitCode.OK
        confirm(plan, confirmation)
        known = known_events(aws, plan.stack_id)
        execute(aws, plan)
    return follow(
        aws,
        dist,
        environment,
        StackWatcher(aws, plan.stack_id, known),
        interval=interval,
    )


def confirm(plan: ChangePlan, confirmation: Confirmation) -> None:
    """Get a person's word; typed in full when data is at stake."""
    where = f"Stack {plan.stack_name}"
    sure = [c for c in plan.dangers if c.certainty == 0]
    if confirmation.yes and sure and not confirmation.replaces_data:
        raise Refused(
            Problem(
                where=where,
                what="What holds data would be replaced or deleted: "
                f"{', '.join(c.name for c in sure)}.",
                why="--yes does not cover that.",
                remedy="Launch it at a terminal and type the name, or say "
                "--replace-data, too.",
            )
        )
    if confirmation.yes:
        return
    if plan.dangers and not confirmation.replaces_data:
        prompts.type_name(
            plan.stack_name,
            where=where,
            question="What holds data is or may be replaced or deleted, as listed "
            "first.",
            remedy="--yes with --replace-data says so beforehand.",
        )
        return
    verb = "Create" if plan.is_new else "Update"
    prompts.agree(f"{verb} stack {plan.stack_name}?", where=where, yes=False)


def execute(aws: Aws, plan: ChangePlan) -> None:
    """Start what was planned; say so when somebody else was faster."""
    # Even if the answer is lost: it may have been executed.
    plan.executed.append(plan.change_set_id)
    try:
        aws.call(
            "cloudformation",
            "execute_change_set",
            f"Stack {plan.stack_name}",
            ChangeSetName=plan.change_set_id,
            StackName=plan.stack_id,
            ClientRequestToken=uuid.uuid4().hex,
            # A first launch that fails leaves no empty buckets and logs behind.
            **({"RetainExceptOnCreate": True} if plan.is_new else {}),
        )
    except AwsError as error:
        plan.executed.clear()
        if error.code in TAKEN or "IN_PROGRESS" in error.message:
            raise Refused(
                Problem(
                    where=f"Stack {plan.stack_name}",
                    what="Somebody else has started an operation in the meantime.",
                    why=error.message,
                    remedy="Watch it with `build.py events ENV --follow`; then launch "
                    "again, with a new plan.",
                )
            ) from error
        raise


def follow(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    watch: StackWatcher,
    *,
    interval: PollInterval | None = None,
    quiet: bool = False,
) -> ExitCode:
    """Show an operation to its end; explain a failure, or say what is next.

    With ``quiet`` whoever asked says how a success looks.
    """
    diagnoser = Diagnoser(aws, dist)
    shown = console.ProgressDisplay(watch, dist)
    try:
        with shown.showing():
            for seen in watch.follow(interval or watch_interval(aws)):
                shown.new(seen)
                for one in seen:
                    # Now: a rollback takes the tasks and their logs away.
                    if one.event.is_failure and not one.event.is_nested_stack:
                        diagnoser.record_evidence(one.event)
    except KeyboardInterrupt:
        console.say(
            f"\nDetached. Stack {environment.stack_name} goes on by itself; watch it "
            f"again with: build.py events ENV --follow"
        )
        return ExitCode.INTERRUPTED
    except Unable as error:
        if aws.is_local:
            raise
        raise Unable(
            *error.problems,
            Problem(
                where=f"Stack {environment.stack_name}",
                what="It is not watched any more.",
                why="The operation itself goes on without us.",
                remedy="`build.py events ENV --follow` watches it again.",
            ),
        ) from error
    if quiet and watch.status in QUIET_ENDS:
        return ExitCode.OK
    stack = stacks.existing(aws, watch.root.stack_id)
    if stack.status not in SUCCEEDED:
        console.say()
        console.diagnosis(diagnoser.diagnose(stack))
        return ExitCode.FAILED
    finish(aws, environment)
    console.say(
        f"\nStack {stack.name} is {stack.status} after {shown.elapsed}.\n",
        style="green",
    )
    console.outputs(stack.outputs, stack.descriptions)
    console.say(NEXT)
    return ExitCode.OK


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
    """Start an operation on a stack and show it to its end.

    ``operation`` is CloudFormation's, as boto3 spells it. Returns how following it
    ended, and the status in which it left the stack.
    """
    known = known_events(aws, stack.id)
    aws.call(
        "cloudformation",
        operation,
        f"Stack {stack.name}",
        StackName=stack.id,
        **options,
    )
    watch = StackWatcher(aws, stack.id, known)
    ended = follow(
        aws,
        dist,
        environment,
        watch,
        interval=interval or watch_interval(aws),
        quiet=True,
    )
    return ended, watch.status


def finish(aws: Aws, environment: Environment) -> None:
    """Set what a change set cannot: protection and stack policy."""
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
    """Protect the stack from deletion where the environment wants its data protected.

    Only ever switched on: switching it off is `destroy`'s, with a person's word.
    """
    if not environment.is_protected:
        return
    found = stacks.find(aws, environment.stack_name)
    if found and not found.is_protected:
        aws.call(
            "cloudformation",
            "update_termination_protection",
            f"Stack {environment.stack_name}",
            StackName=environment.stack_name,
            EnableTerminationProtection=True,
        )


NEXT = """
Next
  AdminLoginCommand above prints the first login; DagUploadCommand copies DAGs.
  build.py status ENV     what runs, stack by stack
  build.py outputs ENV    these values again
  What it costs is mostly the Fargate tasks, the database's capacity, NAT gateways or
  endpoints, and the nodes of the cache."""


def _published(files: int, uploaded: int) -> str:
    if not uploaded:
        return f"All {files} files are published already."
    if uploaded == files:
        return f"Published all {files} files."
    return f"Published {uploaded} of {files} files; the others were there."
