"""Ways out of the states in which CloudFormation takes no update.

state                        way out
--------------------------   ---------------------------------------------------------
REVIEW_IN_PROGRESS           delete the empty stack that a change set left
ROLLBACK_COMPLETE, CREATE_   delete it; what is to be kept stays in the account
FAILED, ROLLBACK_FAILED
UPDATE_ROLLBACK_FAILED       take the rollback up again, skipping what cannot be undone
                             if that is asked for by name
UPDATE_FAILED                roll back
UPDATE_IN_PROGRESS           cancel: it rolls back
CREATE_IN_PROGRESS           delete it while it is being made
others in progress           wait: there is no way to interrupt them
DELETE_FAILED                `destroy` again
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cli.errors import ExitCode, Problem, Refused, UsageError
from deploy import console, inventory, prompts, stacks
from deploy.aws import Aws
from deploy.dist import Dist, Environment
from deploy.inventory import StackResource
from deploy.launch import operate
from deploy.planning import PollInterval
from deploy.stacks import REVIEW, StackSummary

DELETED = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", REVIEW})

RETURNED = frozenset({"UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE"})


@dataclass(frozen=True)
class RecoveryAction:
    """What a recovery would do."""

    operation: str
    sentence: str


def recovery_action(stack: StackSummary) -> RecoveryAction | None:
    """Return the way out of a stack's state, or None when it needs none."""
    if stack.status in DELETED:
        return RecoveryAction(
            "delete_stack",
            "It never ran, so it is deleted. What it is to keep stays in the account "
            "and is listed below; launch it again afterwards.",
        )
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        return RecoveryAction(
            "continue_update_rollback",
            "The rollback is taken up again where it stopped. Correct what it stumbled "
            "over first, or name it with --skip: what is skipped stays as it is, and "
            "differs from the template until it is corrected.",
        )
    if stack.status == "UPDATE_FAILED":
        return RecoveryAction(
            "rollback_stack", "The update is rolled back to what was before it."
        )
    if stack.status == "UPDATE_IN_PROGRESS":
        return RecoveryAction(
            "cancel_update_stack",
            "The update is cancelled and rolled back to what was before it. What it "
            "waits for is listed below; an ECS service that never becomes steady ends "
            "by itself when its circuit breaker gives up.",
        )
    if stack.status == "CREATE_IN_PROGRESS":
        return RecoveryAction(
            "delete_stack",
            "It is deleted while it is being made. What is being waited for is listed "
            "below.",
        )
    if stack.status in stacks.UPDATABLE:
        return None
    if stack.status == "DELETE_FAILED":
        raise Refused(
            Problem(
                where=f"Stack {stack.name}",
                what="It could not be deleted.",
                why=stack.reason,
                remedy="Run `build.py destroy ENV`: it says what stands in the way.",
            )
        )
    raise Refused(
        Problem(
            where=f"Stack {stack.name}",
            what=f"It is {stack.status}, which CloudFormation does not interrupt.",
            remedy="Watch it with `build.py events ENV --follow`; run this again when "
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
    """Say what will happen, ask, and bring a stack to where it takes updates."""
    stack = stacks.find(aws, environment.stack_name)
    if stack is None:
        console.show(f"There is no stack {environment.stack_name}: launch it.")
        return ExitCode.UNCHANGED
    way = recovery_action(stack)
    if way is None:
        console.show(f"Stack {stack.name} is {stack.status}: nothing to recover from.")
        return ExitCode.UNCHANGED
    if skip and way.operation != "continue_update_rollback":
        raise UsageError(
            Problem(
                where="--skip",
                what=f"A stack that is {stack.status} has no rollback to skip in.",
                remedy="Leave it out.",
            )
        )
    held = [] if stack.status == REVIEW else list(inventory.take(aws, stack.id))
    console.say(f"Stack {stack.name} is {stack.status}. {way.sentence}")
    _list(way, held)
    skipped = [_real_name(name, held) for name in skip]
    _refuse_to_unprotect(way, stack)
    prompts.agree("Go on?", where=f"Stack {stack.name}", yes=yes)
    if stack.status == REVIEW:
        aws.call("cloudformation", "delete_stack", stack.name, StackName=stack.id)
        console.say("Deleted.")
        return ExitCode.OK
    options = {"ResourcesToSkip": skipped} if skipped else {}
    ended, status = operate(
        aws, dist, environment, stack, way.operation, interval=interval, options=options
    )
    if ended is ExitCode.INTERRUPTED:
        return ended
    if status == "DELETE_COMPLETE" or status in RETURNED:
        console.show(f"Stack {stack.name} is {status}.")
        console.say("Next: build.py launch ENV")
        return ExitCode.OK
    return ExitCode.FAILED


def failed_in_rollback(held: Sequence[StackResource]) -> list[StackResource]:
    """Return what a rollback stumbled over, without the stacks that hold it."""
    return [
        one
        for one in held
        if one.status in ("UPDATE_FAILED", "CREATE_FAILED", "DELETE_FAILED")
        and not one.is_stack
    ]


def _list(way: RecoveryAction, held: Sequence[StackResource]) -> None:
    if way.operation == "continue_update_rollback":
        for one in failed_in_rollback(held):
            console.say(f"  {one.name}  {one.status}  {one.reason}")
            console.say(f"    --skip {one.name}", style="dim")
        return
    if way.operation == "delete_stack":
        for one in held:
            if one.stays:
                console.say(f"  stays: {one.name}  {one.physical_id}  {one.purpose}")
    for one in held:
        if one.status.endswith("_IN_PROGRESS") and not one.is_stack:
            console.say(f"  waits for: {one.name}  {one.status}  {one.purpose}")


def _real_name(name: str, held: Sequence[StackResource]) -> str:
    """Return a resource as ContinueUpdateRollback wants it: NestedStackName.LogicalId.

    The stack's name there is the child's real one, which nobody knows by heart.
    """
    for one in failed_in_rollback(held):
        if one.name == name:
            return (
                f"{stacks.name_of(one.stack_id)}.{one.logical_id}"
                if one.path
                else one.logical_id
            )
    known = ", ".join(one.name for one in failed_in_rollback(held)) or "none"
    raise UsageError(
        Problem(
            where=f"--skip {name}",
            what="The rollback did not stumble over it.",
            why=f"It stumbled over: {known}.",
            remedy="Name one of these.",
        )
    )


def _refuse_to_unprotect(way: RecoveryAction, stack: StackSummary) -> None:
    if way.operation == "delete_stack" and stack.is_protected:
        raise Refused(
            Problem(
                where=f"Stack {stack.name}",
                what="It is protected from deletion.",
                remedy="Run `build.py destroy ENV --unprotect`: it lists what goes.",
            )
        )
