"""Recover a stack from a failed or stuck state.

status                       recovery
--------------------------   ---------------------------------------------------------
REVIEW_IN_PROGRESS           delete the empty stack that a change set left
ROLLBACK_COMPLETE, CREATE_   delete it; offer to delete what it retained
FAILED, ROLLBACK_FAILED
UPDATE_ROLLBACK_FAILED       continue the rollback, without the resources of --skip
UPDATE_FAILED                roll back
UPDATE_IN_PROGRESS           cancel: it rolls back
CREATE_IN_PROGRESS           delete it during its creation
others in progress           wait: CloudFormation cannot interrupt them
DELETE_FAILED                `destroy` again
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cli import console
from cli.errors import ExitCode, Problem, Refused, UsageError
from deploy import inventory, prompts, stacks
from deploy.aws import Aws
from deploy.destroy import DeletionPlan, clean_up, left_behind
from deploy.dist import Dist, Environment
from deploy.inventory import StackResource
from deploy.launch import operate
from deploy.planning import PollInterval
from deploy.stacks import REVIEW, StackSummary

DELETED = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", REVIEW})

RETURNED = frozenset({"UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE"})


@dataclass(frozen=True)
class RecoveryAction:
    """The operation that recovers a stack."""

    operation: str
    sentence: str


def recovery_action(stack: StackSummary) -> RecoveryAction | None:
    """Return how to recover a stack, or None when its status needs no recovery."""
    if stack.status in DELETED:
        return RecoveryAction(
            "delete_stack",
            "It never ran, so it is deleted. What stays in the account is listed "
            "below; launch it again afterwards.",
        )
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        return RecoveryAction(
            "continue_update_rollback",
            "The rollback continues where it stopped. First correct the resource that "
            "failed, or name it with --skip: a skipped resource stays as it is, and "
            "differs from the template until it is corrected.",
        )
    if stack.status == "UPDATE_FAILED":
        return RecoveryAction(
            "rollback_stack", "The update is rolled back to the state before it."
        )
    if stack.status == "UPDATE_IN_PROGRESS":
        return RecoveryAction(
            "cancel_update_stack",
            "The update is cancelled and rolled back to the state before it. Resources "
            "that it waits for are listed below; an ECS service that does not become "
            "steady fails by itself when its circuit breaker trips.",
        )
    if stack.status == "CREATE_IN_PROGRESS":
        return RecoveryAction(
            "delete_stack",
            "It is deleted during its creation. Resources that it waits for are listed "
            "below.",
        )
    if stack.status in stacks.UPDATABLE:
        return None
    if stack.status == "DELETE_FAILED":
        raise Refused(
            Problem(
                where=f"Stack {stack.name}",
                what="Its deletion has failed.",
                why=stack.reason,
                remedy="Run `build.py destroy ENV`: it lists what prevents the "
                "deletion.",
            )
        )
    raise Refused(
        Problem(
            where=f"Stack {stack.name}",
            what=f"Stack is {stack.status}, which CloudFormation cannot interrupt.",
            remedy="Follow it with `build.py events ENV --follow`; run this again when "
            "it has ended.",
        )
    )


def recover(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    *,
    skip: Sequence[str] = (),
    yes: bool = False,
    interval: PollInterval | None = None,
) -> ExitCode:
    """Print what will happen, prompt, and recover the stack."""
    stack = stacks.find(aws, environment.stack_name)
    if stack is None:
        console.record(Stack=environment.stack_name, Status=None)
        console.result(f"There is no stack {environment.stack_name}: launch it.")
        return ExitCode.UNCHANGED
    recovery = recovery_action(stack)
    if recovery is None:
        console.record(Stack=stack.name, Status=stack.status)
        console.result(
            f"Stack {stack.name} is {stack.status}: nothing to recover from."
        )
        return ExitCode.UNCHANGED
    if skip and recovery.operation != "continue_update_rollback":
        raise UsageError(
            Problem(
                where="--skip",
                what=f"A stack that is {stack.status} has no failed rollback.",
                remedy="Run this again without --skip.",
            )
        )
    resources = [] if stack.status == REVIEW else list(inventory.take(aws, stack.id))
    console.message(f"Stack {stack.name} is {stack.status}. {recovery.sentence}")
    console.record(Stack=stack.name, Status=stack.status, Operation=recovery.operation)
    _list(recovery, resources)
    skipped = [_skip_name(name, resources) for name in skip]
    _refuse_if_protected(recovery, stack)
    prompts.confirm("Continue?", where=f"Stack {stack.name}", yes=yes)
    if stack.status == REVIEW:
        aws.call("cloudformation", "delete_stack", stack.name, StackName=stack.id)
        console.message("Deleted.")
        console.record(Status="DELETE_COMPLETE")
        return ExitCode.OK
    options = {"ResourcesToSkip": skipped} if skipped else {}
    exit_code, status = operate(
        aws,
        dist,
        environment,
        stack,
        recovery.operation,
        interval=interval,
        options=options,
    )
    if exit_code is ExitCode.INTERRUPTED:
        return exit_code
    if status == "DELETE_COMPLETE" or status in RETURNED:
        console.result(f"Stack {stack.name} is {status}.")
        left_code = (
            _left_behind(aws, stack) if status == "DELETE_COMPLETE" else exit_code
        )
        console.message("Next: build.py launch ENV")
        return left_code
    return ExitCode.FAILED


def _left_behind(aws: Aws, stack: StackSummary) -> ExitCode:
    """Offer to delete what a stack that never ran has left, buckets with their files.

    Never silently: without a terminal it stays, and the command that deletes it is
    named.
    """
    left = left_behind(aws, stack.id)
    if not left:
        return ExitCode.OK
    console.record(Stays=[resource.as_json() for resource in left])
    console.message("It left in the account:")
    for resource in left:
        console.message(f"  {resource.name}  {resource.type}  {resource.physical_id}")
    if not prompts.agrees("Delete these, with all files in buckets?"):
        console.message("They stay. Delete them: build.py destroy ENV --delete-data")
        return ExitCode.OK
    return clean_up(aws, DeletionPlan(retained=tuple(left)), deletes_data=True)


def failed_in_rollback(resources: Sequence[StackResource]) -> list[StackResource]:
    """Return the resources that failed in a rollback, without nested stacks."""
    return [
        resource
        for resource in resources
        if resource.status in ("UPDATE_FAILED", "CREATE_FAILED", "DELETE_FAILED")
        and not resource.is_stack
    ]


def _list(recovery: RecoveryAction, resources: Sequence[StackResource]) -> None:
    if recovery.operation == "continue_update_rollback":
        for resource in failed_in_rollback(resources):
            console.message(f"  {resource.name}  {resource.status}  {resource.reason}")
            console.message(f"    --skip {resource.name}", style="dim")
        return
    if recovery.operation == "delete_stack":
        for resource in resources:
            if resource.stays:
                console.message(
                    f"  stays: {resource.name}  {resource.physical_id}  "
                    f"{resource.purpose}"
                )
    for resource in resources:
        if resource.status.endswith("_IN_PROGRESS") and not resource.is_stack:
            console.message(
                f"  waiting for: {resource.name}  {resource.status}  {resource.purpose}"
            )


def _skip_name(name: str, resources: Sequence[StackResource]) -> str:
    """Return a resource as ContinueUpdateRollback wants it: NestedStackName.LogicalId.

    The name there is the generated name of the nested stack.
    """
    for resource in failed_in_rollback(resources):
        if resource.name == name:
            return (
                f"{stacks.name_of(resource.stack_id)}.{resource.logical_id}"
                if resource.path
                else resource.logical_id
            )
    known = (
        ", ".join(resource.name for resource in failed_in_rollback(resources)) or "none"
    )
    raise UsageError(
        Problem(
            where=f"--skip {name}",
            what="It did not fail in the rollback.",
            why=f"These failed: {known}.",
            remedy="Name one of these.",
        )
    )


def _refuse_if_protected(recovery: RecoveryAction, stack: StackSummary) -> None:
    if recovery.operation == "delete_stack" and stack.is_protected:
        raise Refused(
            Problem(
                where=f"Stack {stack.name}",
                what="It has termination protection.",
                remedy="Run `build.py destroy ENV --unprotect`: it lists what is "
                "deleted.",
            )
        )
