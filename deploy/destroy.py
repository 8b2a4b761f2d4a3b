"""Deleting an environment, with everything that holds data called by its name.

``--keep-data`` and ``--delete-data`` decide about what outlives the stack by its
deletion policy: buckets, logs, keys, the backup vault. Kept, it stays where it is and
goes on costing. Deleted, buckets are emptied with all versions, and keys are scheduled
for deletion with the longest waiting period. Snapshots are never deleted here.

Three things stand in the way of a deletion on purpose: termination protection of the
stack, and deletion protection of the database and of the load balancer. They are
named, and lifted only with ``--unprotect`` or a typed word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cli.errors import AwsError, ExitCode, Failure, Problem, Refused, UsageError
from deploy import console, inventory, prompts, stacks
from deploy.aws import Aws, is_missing, tolerant
from deploy.dist import Dist, Environment
from deploy.inventory import StackResource
from deploy.launch import operate
from deploy.planning import PollInterval
from deploy.stacks import REVIEW, StackSummary

BUCKET = "AWS::S3::Bucket"
DATABASE = "AWS::RDS::DBCluster"
KEY = "AWS::KMS::Key"
LOAD_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"

KEY_DAYS = 30
"""The longest that KMS waits: a key is what makes backups readable."""

SECRET_DAYS = 30

ALB_PROTECTION = "deletion_protection.enabled"


@dataclass(frozen=True)
class DeletionPlan:
    """What becomes of everything."""

    lost: tuple[StackResource, ...] = ()
    """Holds data and goes with its stack."""
    snapshot: tuple[StackResource, ...] = ()
    kept: tuple[StackResource, ...] = ()
    protected: tuple[StackResource, ...] = ()
    full: tuple[StackResource, ...] = ()
    """Buckets that go with their stack but are not empty, which fails."""


@dataclass(frozen=True)
class DestroyOptions:
    """What was decided on the command line; None asks."""

    deletes_data: bool | None = None
    unprotects: bool = False
    retains: tuple[str, ...] = ()
    yes: bool = False


@dataclass
class CleanupReport:
    """What was done with what outlived the stack."""

    deleted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def destroy(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    wishes: DestroyOptions,
    *,
    interval: PollInterval | None = None,
) -> ExitCode:
    """Delete a stack after saying what that takes away and what it leaves."""
    stack = stacks.find(aws, environment.stack_name)
    if stack is None:
        console.show(f"There is no stack {environment.stack_name}.")
        return ExitCode.UNCHANGED
    if stack.is_busy and stack.status != "DELETE_IN_PROGRESS":
        raise Refused(
            Problem(
                where=f"Stack {stack.name}",
                what=f"It is {stack.status}: somebody is at it.",
                remedy="Wait, or see `build.py recover ENV`.",
            )
        )
    held = [] if stack.status == REVIEW else list(inventory.take(aws, stack.id))
    fate = deletion_plan(aws, held)
    options = _retained(stack, held, wishes.retains)
    _tell(stack, fate)
    deletes_data = _decided(stack, fate, wishes)
    if deletes_data and fate.snapshot and any(one.type == KEY for one in fate.kept):
        console.note(
            f"The key is deleted in {KEY_DAYS} days: from then on nobody can read the "
            "last snapshots."
        )
    _confirm(stack, fate, wishes, deletes_data=deletes_data)
    _unprotect(aws, stack, fate)
    if deletes_data:
        for bucket in fate.full:
            empty_bucket(aws, bucket.physical_id)
    ended, status = operate(
        aws,
        dist,
        environment,
        stack,
        "delete_stack",
        interval=interval,
        options=options,
    )
    if ended is ExitCode.INTERRUPTED:
        return ended
    if status != "DELETE_COMPLETE":
        return ExitCode.FAILED
    console.show(f"Stack {stack.name} is deleted.")
    return _afterwards(aws, fate, deletes_data=deletes_data)


def deletion_plan(aws: Aws, held: Sequence[StackResource]) -> DeletionPlan:
    """Return what becomes of the resources when their stack is deleted."""
    data = [one for one in held if one.holds_data]
    return DeletionPlan(
        lost=tuple(one for one in data if not one.deletion_policy),
        snapshot=tuple(one for one in data if one.deletion_policy == "Snapshot"),
        kept=tuple(one for one in held if one.stays),
        protected=tuple(one for one in held if _is_protected(aws, one)),
        full=tuple(
            one
            for one in held
            if one.type == BUCKET and not one.stays and not _is_empty(aws, one)
        ),
    )


def _tell(stack: StackSummary, fate: DeletionPlan) -> None:
    console.show(
        f"Would delete stack {stack.name} with all stacks in it.\n", style="bold"
    )
    for title, style, listed in (
        ("Holds data and goes for good", "bold red", fate.lost),
        ("Goes after a last snapshot, which stays and costs", "bold", fate.snapshot),
        ("Stays in the account", "bold", fate.kept),
        ("Is protected from deletion", "bold yellow", fate.protected),
        ("Is not empty, so it cannot be deleted as it is", "bold yellow", fate.full),
    ):
        if listed:
            console.show(title, style=style)
        for one in listed:
            costs = "  goes on costing" if one in fate.kept and one.is_billed else ""
            console.show(f"  {one.name}  {one.type}  {one.physical_id}{costs}")
    if stack.is_protected:
        console.show("Termination protection of the stack is on.", style="bold yellow")


def _decided(stack: StackSummary, fate: DeletionPlan, wishes: DestroyOptions) -> bool:
    """Return whether what outlives the stack is deleted, too."""
    if wishes.deletes_data is not None:
        return wishes.deletes_data
    if not (fate.kept or fate.full):
        return False
    raise Refused(
        Problem(
            where=f"Stack {stack.name}",
            what="It is not said what becomes of the data that would stay.",
            why="It goes on costing when it stays, and is gone for ever when not.",
            remedy="Say --keep-data or --delete-data.",
        )
    )


def _confirm(
    stack: StackSummary,
    fate: DeletionPlan,
    wishes: DestroyOptions,
    *,
    deletes_data: bool,
) -> None:
    where = f"Stack {stack.name}"
    is_guarded = stack.is_protected or bool(fate.protected)
    if (
        is_guarded
        and not wishes.unprotects
        and (wishes.yes or not prompts.is_possible())
    ):
        raise Refused(
            Problem(
                where=where,
                what="It, or something in it, is protected from deletion.",
                why="--yes does not cover that.",
                remedy="Say --unprotect, too.",
            )
        )
    if wishes.yes:
        return
    lifted = " Protection is lifted first." if is_guarded else ""
    also = " What would stay is deleted, too." if deletes_data else ""
    prompts.type_name(
        stack.name,
        where=where,
        question=f"Deletes stack {stack.name} for good.{also}{lifted}",
        remedy="--yes says so beforehand.",
    )


def _unprotect(aws: Aws, stack: StackSummary, fate: DeletionPlan) -> None:
    for one in fate.protected:
        if one.type == DATABASE:
            aws.call(
                "rds",
                "modify_db_cluster",
                one.physical_id,
                DBClusterIdentifier=one.physical_id,
                DeletionProtection=False,
                ApplyImmediately=True,
            )
        else:
            aws.call(
                "elbv2",
                "modify_load_balancer_attributes",
                one.physical_id,
                LoadBalancerArn=one.physical_id,
                Attributes=[{"Key": ALB_PROTECTION, "Value": "false"}],
            )
        console.say(f"{one.name} is no longer protected.")
    if stack.is_protected:
        aws.call(
            "cloudformation",
            "update_termination_protection",
            f"Stack {stack.name}",
            StackName=stack.id,
            EnableTerminationProtection=False,
        )
        console.say(f"Stack {stack.name} is no longer protected.")


def _retained(
    stack: StackSummary, held: Sequence[StackResource], names: Sequence[str]
) -> dict[str, Any]:
    """Return what to leave behind, which CloudFormation takes after a failure only."""
    if not names:
        return {}
    stuck = [o.name for o in held if o.status == "DELETE_FAILED" and not o.path]
    wrong = [name for name in names if name not in stuck]
    if wrong or stack.status != "DELETE_FAILED":
        raise UsageError(
            Problem(
                where=f"--retain {(wrong or list(names))[0]}",
                what="Only what could not be deleted can be left behind.",
                why=f"Of the parent that is: {', '.join(stuck) or 'nothing'}.",
                remedy="Leave it out, or name one of these.",
            )
        )
    return {"RetainResources": list(names)}


def _afterwards(aws: Aws, fate: DeletionPlan, *, deletes_data: bool) -> ExitCode:
    """Delete what outlived the stack, or say that it goes on costing."""
    done = CleanupReport()
    for one in fate.kept:
        remove = REMOVALS.get(one.type) if deletes_data else None
        if not remove or not one.physical_id:
            done.left.append(f"{one.name}  {one.type}  {one.physical_id}")
            continue
        try:
            done.deleted.append(f"{one.name}  {remove(aws, one.physical_id)}")
        except AwsError as error:
            if is_missing(error):
                done.deleted.append(f"{one.name}  was gone already")
            else:
                done.left.append(f"{one.name}  {one.physical_id}: {error.message}")
        except Failure as error:
            done.left.append(f"{one.name}  {one.physical_id}: {error}")
    for line in done.deleted:
        console.show(f"  deleted: {line}")
    for line in done.left:
        console.show(f"  stays: {line}")
    for one in fate.snapshot:
        console.show(f"  stays: the last snapshot of {one.name}, which costs")
    if deletes_data and done.left:
        return ExitCode.FAILED
    return ExitCode.OK


def _is_protected(aws: Aws, one: StackResource) -> bool:
    if one.type == DATABASE and one.physical_id:
        clusters: list[dict[str, Any]] = tolerant(
            lambda: aws.call(
                "rds",
                "describe_db_clusters",
                one.physical_id,
                DBClusterIdentifier=one.physical_id,
            )["DBClusters"],
            [],
        )
        return any(cluster.get("DeletionProtection") for cluster in clusters)
    if one.type == LOAD_BALANCER and one.physical_id:
        attributes: list[dict[str, str]] = tolerant(
            lambda: aws.call(
                "elbv2",
                "describe_load_balancer_attributes",
                one.physical_id,
                LoadBalancerArn=one.physical_id,
            )["Attributes"],
            [],
        )
        return any(
            a["Key"] == ALB_PROTECTION and a["Value"] == "true" for a in attributes
        )
    return False


def _is_empty(aws: Aws, bucket: StackResource) -> bool:
    found: dict[str, Any] = tolerant(
        lambda: aws.call(
            "s3",
            "list_object_versions",
            bucket.physical_id,
            Bucket=bucket.physical_id,
            MaxKeys=1,
            ExpectedBucketOwner=aws.account,
        ),
        {},
    )
    return not (found.get("Versions") or found.get("DeleteMarkers"))


def empty_bucket(aws: Aws, name: str) -> None:
    """Delete every version of every object."""
    while True:
        found = aws.call(
            "s3",
            "list_object_versions",
            name,
            Bucket=name,
            ExpectedBucketOwner=aws.account,
        )
        listed = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
        if not listed:
            return
        answer = aws.call(
            "s3",
            "delete_objects",
            name,
            Bucket=name,
            ExpectedBucketOwner=aws.account,
            Delete={
                "Objects": [
                    {"Key": one["Key"], "VersionId": one["VersionId"]} for one in listed
                ],
                "Quiet": True,
            },
        )
        if answer.get("Errors"):
            first = answer["Errors"][0]
            raise Failure(
                Problem(
                    where=f"Bucket {name}",
                    what=f"{first.get('Key')} stays: {first.get('Message')}.",
                    remedy="Lift what locks it, then run this again.",
                )
            )


def _remove_bucket(aws: Aws, name: str) -> str:
    empty_bucket(aws, name)
    aws.call("s3", "delete_bucket", name, Bucket=name, ExpectedBucketOwner=aws.account)
    return name


def _remove_log(aws: Aws, name: str) -> str:
    aws.call("logs", "delete_log_group", name, logGroupName=name)
    return name


def _remove_key(aws: Aws, key: str) -> str:
    aws.call(
        "kms", "schedule_key_deletion", key, KeyId=key, PendingWindowInDays=KEY_DAYS
    )
    return (
        f"{key} in {KEY_DAYS} days; until then `aws kms cancel-key-deletion` keeps it"
    )


def _remove_secret(aws: Aws, arn: str) -> str:
    aws.call(
        "secretsmanager",
        "delete_secret",
        arn,
        SecretId=arn,
        RecoveryWindowInDays=SECRET_DAYS,
    )
    return f"{arn} in {SECRET_DAYS} days"


def _remove_vault(aws: Aws, name: str) -> str:
    aws.call("backup", "delete_backup_vault", name, BackupVaultName=name)
    return name


REMOVALS: Mapping[str, Callable[[Aws, str], str]] = {
    BUCKET: _remove_bucket,
    "AWS::Logs::LogGroup": _remove_log,
    KEY: _remove_key,
    "AWS::SecretsManager::Secret": _remove_secret,
    "AWS::Backup::BackupVault": _remove_vault,
}
"""How each type that our templates retain is deleted."""
