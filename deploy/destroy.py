"""Delete an environment, after a list of every resource that holds data.

``--keep-data`` and ``--delete-data`` decide about resources whose deletion policy
retains them: buckets, logs, keys, the backup vault. Kept, they stay in the account and
are still billed. Deleted, buckets are emptied with all versions, and keys are scheduled
for deletion with the longest waiting period. Final snapshots stay, except for the empty
ones of a launch that failed (:mod:`deploy.final_snapshots`).

Three protections prevent a deletion: termination protection of the stack, and deletion
protection of the database and of the load balancer. They are listed, and disabled only
with ``--unprotect`` or after the name of the stack was typed. What tasks still run does
not count as data: it ends with the environment (:mod:`deploy.running_tasks`).

The decision about the data is remembered in the ClientRequestToken of the deletion,
which every event of the stack carries. When the command is interrupted before the
retained resources are deleted, the next ``destroy`` reads it and deletes them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cli import console
from cli.errors import AwsError, ExitCode, Failure, Problem, Refused, UsageError
from deploy import final_snapshots, inventory, prompts, running_tasks, stacks
from deploy.aws import Aws, is_missing, tolerant
from deploy.dist import Dist, Environment
from deploy.foreign import foreign_resources
from deploy.inventory import StackResource
from deploy.launch import operate
from deploy.planning import PollInterval
from deploy.stacks import REVIEW, StackSummary

BUCKET = "AWS::S3::Bucket"
CLUSTER = "AWS::ECS::Cluster"
DATABASE = "AWS::RDS::DBCluster"
KEY = "AWS::KMS::Key"
ROLE = "AWS::IAM::Role"
VAULT = "AWS::Backup::BackupVault"
LOAD_BALANCER = "AWS::ElasticLoadBalancingV2::LoadBalancer"

KEY_DAYS = 30
"""The longest waiting period of KMS: without the key no backup is readable."""

SECRET_DAYS = 30

ALB_PROTECTION = "deletion_protection.enabled"

DELETE_DATA = "DeleteData-"
KEEP_DATA = "KeepData-"
"""How the ClientRequestToken of a deletion begins."""

CONTINUES = (
    "The deletion of stack {stack} continues. `build.py destroy ENV` follows it, and "
    "deletes the retained resources afterwards."
)


@dataclass(frozen=True)
class DeletionPlan:
    """What happens to the resources when the stack is deleted."""

    lost: tuple[StackResource, ...] = ()
    """Hold data and are deleted with their stack."""
    snapshot: tuple[StackResource, ...] = ()
    retained: tuple[StackResource, ...] = ()
    protected: tuple[StackResource, ...] = ()
    full: tuple[StackResource, ...] = ()
    """Buckets that would be deleted with their stack but are not empty, which fails."""


@dataclass(frozen=True)
class DestroyOptions:
    """Options of the command; None is not decided."""

    deletes_data: bool | None = None
    unprotects: bool = False
    retains: tuple[str, ...] = ()
    yes: bool = False


@dataclass
class CleanupReport:
    """What happened to the resources that the stack retained."""

    deleted: list[tuple[StackResource, str]] = field(default_factory=list)
    """Each with what was done to it."""
    left: list[tuple[StackResource, str]] = field(default_factory=list)
    """Each with the reason, if it is not the wish of the operator."""
    has_vault: bool = False
    """Whether a backup vault stays."""


def destroy(
    aws: Aws,
    dist: Dist,
    environment: Environment,
    options: DestroyOptions,
    *,
    interval: PollInterval | None = None,
) -> ExitCode:
    """Delete a stack, after a list of what is deleted and what stays."""
    stack = stacks.find(aws, environment.stack_name)
    if stack is None:
        return _finish(aws, environment.stack_name, options)
    if stack.is_busy and stack.status != "DELETE_IN_PROGRESS":
        raise Refused(
            Problem(
                where=f"Stack {stack.name}",
                what=f"Stack is {stack.status}: another operation is running.",
                remedy="Wait, or see `build.py recover ENV`.",
            )
        )
    resources = [] if stack.status == REVIEW else list(inventory.take(aws, stack.id))
    if stack.status == "ROLLBACK_COMPLETE":
        # The rollback has deleted the nested stacks, and not all that they held.
        resources += left_behind(aws, stack.id)
    plan = deletion_plan(aws, resources)
    parameters = _retained(stack, resources, options.retains)
    _print_plan(stack, plan)
    console.record(Stack=stack.name, Status=stack.status, Plan=_as_json(stack, plan))
    _print_foreign(aws, resources)
    deletes_data = _deletes_data(aws, stack, plan, options)
    if (
        deletes_data
        and plan.snapshot
        and any(resource.type == KEY for resource in plan.retained)
    ):
        console.note(
            f"The key is deleted in {KEY_DAYS} days: from then on the final snapshots "
            "are unreadable."
        )
    _confirm(stack, plan, options, deletes_data=deletes_data)
    _unprotect(aws, stack, plan)
    _make_room(aws, resources, plan, deletes_data=deletes_data)
    decision = DELETE_DATA if deletes_data else KEEP_DATA
    exit_code, status = operate(
        aws,
        dist,
        environment,
        stack,
        "delete_stack",
        interval=interval,
        options={**parameters, "ClientRequestToken": f"{decision}{uuid.uuid4().hex}"},
    )
    if exit_code is ExitCode.INTERRUPTED:
        if deletes_data:
            console.message(CONTINUES.format(stack=stack.name))
        return exit_code
    if status != "DELETE_COMPLETE":
        return ExitCode.FAILED
    console.result(f"Stack {stack.name} is deleted.")
    return clean_up(aws, plan, deletes_data=deletes_data)


def _make_room(
    aws: Aws,
    resources: Sequence[StackResource],
    plan: DeletionPlan,
    *,
    deletes_data: bool,
) -> None:
    """End running tasks and empty buckets: with either, the deletion would fail."""
    for resource in resources:
        if resource.type == CLUSTER and resource.physical_id:
            try:
                running_tasks.end(aws, resource.physical_id)
            except Failure as error:
                # Most have none that matters; then the deletion succeeds without it.
                console.note(
                    f"Running tasks of {resource.name} were not ended: {error}"
                )
    if deletes_data:
        for bucket in plan.full:
            empty_bucket(aws, bucket.physical_id)


def _finish(aws: Aws, name: str, options: DestroyOptions) -> ExitCode:
    """Delete what a deletion or a rollback has left, if that is decided."""
    stack_id = stacks.deleted(aws, name)
    left = left_behind(aws, stack_id) if stack_id else []
    console.record(Stack=name, Status=None, Stays=[each.as_json() for each in left])
    console.result(f"There is no stack {name}.")
    if not left:
        return ExitCode.UNCHANGED
    console.result("\nIts deletion left in the account", style="bold")
    for resource in left:
        console.result(f"  {resource.name}  {resource.type}  {resource.physical_id}")
    decision = _decision(aws, stack_id)
    if decision == DELETE_DATA and options.deletes_data is None:
        console.result("The deletion was to delete these, and was interrupted.")
    elif decision == KEEP_DATA or not options.deletes_data:
        return ExitCode.UNCHANGED
    if not options.yes:
        prompts.type_name(
            name,
            where=f"Stack {name}",
            question="Deletes these permanently.",
            remedy="Confirm with --yes.",
        )
    return clean_up(aws, DeletionPlan(retained=tuple(left)), deletes_data=True)


def left_behind(aws: Aws, stack_id: str) -> list[StackResource]:
    """Return what a deleted stack has left in the account and is still there.

    With the final snapshots of a stack that never ran; others hold data.
    """
    retained = [r for r in inventory.retained(aws, stack_id) if _exists(aws, r)]
    return [*retained, *final_snapshots.of_failed_launch(aws, stack_id)]


def _decision(aws: Aws, stack_id: str) -> str:
    """Return how the last deletion of a stack was to treat its data, or nothing.

    A failed launch that `recover` deleted has no decision.
    """
    tokens = [
        event.token
        for event in stacks.deletion_events(aws, stack_id)
        if event.is_of_the_stack and event.token
    ]
    last = tokens[-1] if tokens else ""
    return next(
        (known for known in (DELETE_DATA, KEEP_DATA) if last.startswith(known)), ""
    )


def deletion_plan(aws: Aws, resources: Sequence[StackResource]) -> DeletionPlan:
    """Return what happens to the resources when their stack is deleted."""
    data = [resource for resource in resources if resource.holds_data]
    return DeletionPlan(
        lost=tuple(resource for resource in data if not resource.deletion_policy),
        snapshot=tuple(
            resource for resource in data if resource.deletion_policy == "Snapshot"
        ),
        retained=tuple(resource for resource in resources if resource.stays),
        protected=tuple(
            resource for resource in resources if _is_protected(aws, resource)
        ),
        full=tuple(
            resource
            for resource in resources
            if resource.type == BUCKET
            and not resource.stays
            and not _is_empty(aws, resource)
        ),
    )


def _print_plan(stack: StackSummary, plan: DeletionPlan) -> None:
    console.result(
        f"Would delete stack {stack.name} with all stacks in it.\n", style="bold"
    )
    for title, style, group in (
        ("Hold data and are deleted permanently", "bold red", plan.lost),
        (
            "Deleted after a final snapshot, which stays and is billed",
            "bold",
            plan.snapshot,
        ),
        ("Stay in the account", "bold", plan.retained),
        ("Protected from deletion", "bold yellow", plan.protected),
        ("Not empty, so CloudFormation cannot delete them", "bold yellow", plan.full),
    ):
        if group:
            console.result(title, style=style)
        for resource in group:
            costs = (
                "  still billed"
                if resource in plan.retained and resource.is_billed
                else ""
            )
            console.result(
                f"  {resource.name}  {resource.type}  {resource.physical_id}{costs}"
            )
    if stack.is_protected:
        console.result(
            "Termination protection of the stack is on.", style="bold yellow"
        )


def _as_json(stack: StackSummary, plan: DeletionPlan) -> dict[str, Any]:
    """Return what would happen to the resources, for other programs."""
    groups = {
        "Deleted": plan.lost,
        "DeletedAfterSnapshot": plan.snapshot,
        "Retained": plan.retained,
        "Protected": plan.protected,
        "NotEmpty": plan.full,
    }
    return {
        "IsProtected": stack.is_protected,
        **{name: [each.as_json() for each in group] for name, group in groups.items()},
    }


def _print_foreign(aws: Aws, resources: Sequence[StackResource]) -> None:
    """Print what is in the VPC and not of the stack, with the command for each."""
    foreign = list(foreign_resources(aws, resources))
    if not foreign:
        return
    console.result(
        "In the VPC and not of this stack: until they are deleted, its network cannot "
        "be",
        style="bold yellow",
    )
    for resource in foreign:
        console.result(f"  {resource.id}  {resource.name}")
        console.result(f"    {resource.remedy}", style="dim")


def _deletes_data(
    aws: Aws, stack: StackSummary, plan: DeletionPlan, options: DestroyOptions
) -> bool:
    """Return whether retained resources are deleted as well."""
    if options.deletes_data is not None:
        return options.deletes_data
    if stack.status.startswith("DELETE_") and _decision(aws, stack.id) == DELETE_DATA:
        return True
    if not (plan.retained or plan.full):
        return False
    raise Refused(
        Problem(
            where=f"Stack {stack.name}",
            what="It is undecided what happens to the retained data.",
            why="Kept data is still billed; deleted data is lost.",
            remedy="Add --keep-data or --delete-data.",
        )
    )


def _confirm(
    stack: StackSummary,
    plan: DeletionPlan,
    options: DestroyOptions,
    *,
    deletes_data: bool,
) -> None:
    where = f"Stack {stack.name}"
    is_guarded = stack.is_protected or bool(plan.protected)
    if (
        is_guarded
        and not options.unprotects
        and (options.yes or not prompts.is_possible())
    ):
        raise Refused(
            Problem(
                where=where,
                what="The stack, or a resource in it, is protected from deletion.",
                why="--yes does not cover that.",
                remedy="Add --unprotect.",
            )
        )
    if options.yes:
        return
    lifted = " Protection is disabled first." if is_guarded else ""
    also = " Retained resources are deleted as well." if deletes_data else ""
    prompts.type_name(
        stack.name,
        where=where,
        question=f"Deletes stack {stack.name} permanently.{also}{lifted}",
        remedy="Confirm with --yes.",
    )


def _unprotect(aws: Aws, stack: StackSummary, plan: DeletionPlan) -> None:
    for resource in plan.protected:
        if resource.type == DATABASE:
            aws.call(
                "rds",
                "modify_db_cluster",
                resource.physical_id,
                DBClusterIdentifier=resource.physical_id,
                DeletionProtection=False,
                ApplyImmediately=True,
            )
        else:
            aws.call(
                "elbv2",
                "modify_load_balancer_attributes",
                resource.physical_id,
                LoadBalancerArn=resource.physical_id,
                Attributes=[{"Key": ALB_PROTECTION, "Value": "false"}],
            )
        console.message(f"{resource.name} is no longer protected.")
    if stack.is_protected:
        aws.call(
            "cloudformation",
            "update_termination_protection",
            f"Stack {stack.name}",
            StackName=stack.id,
            EnableTerminationProtection=False,
        )
        console.message(f"Stack {stack.name} is no longer protected.")


def _retained(
    stack: StackSummary, resources: Sequence[StackResource], names: Sequence[str]
) -> dict[str, Any]:
    """Return what to retain, which CloudFormation accepts only after a failure."""
    if not names:
        return {}
    stuck = [o.name for o in resources if o.status == "DELETE_FAILED" and not o.path]
    wrong = [name for name in names if name not in stuck]
    if wrong or stack.status != "DELETE_FAILED":
        raise UsageError(
            Problem(
                where=f"--retain {(wrong or list(names))[0]}",
                what="Only a resource whose deletion failed can be retained.",
                why=f"In the parent: {', '.join(stuck) or 'none'}.",
                remedy="Remove the option, or name one of these.",
            )
        )
    return {"RetainResources": list(names)}


def clean_up(aws: Aws, plan: DeletionPlan, *, deletes_data: bool) -> ExitCode:
    """Delete retained resources, or print that they stay.

    A role is deleted last, and stays while a vault does: AWS Backup deletes an expired
    copy with the role that made it.
    """
    report = CleanupReport()
    for resource in sorted(plan.retained, key=lambda r: r.type == ROLE):
        is_used = resource.type == ROLE and report.has_vault
        remove = REMOVALS.get(resource.type) if deletes_data and not is_used else None
        if not remove or not resource.physical_id:
            report.left.append((resource, ""))
            continue
        try:
            report.deleted.append((resource, remove(aws, resource.physical_id)))
        except AwsError as error:
            if is_missing(error):
                report.deleted.append((resource, "did not exist any more"))
            else:
                report.left.append((resource, error.message))
                report.has_vault |= resource.type == VAULT
        except Failure as error:
            report.left.append((resource, str(error)))
    for resource, what in report.deleted:
        console.result(f"  deleted: {resource.name}  {what}")
    for resource, why in report.left:
        place = f"{resource.name}  {resource.type}  {resource.physical_id}"
        console.result(f"  stays: {place}{why and f': {why}'}")
    console.record(
        Deleted=[resource.as_json() for resource, _ in report.deleted],
        Stays=[{**resource.as_json(), "Why": why} for resource, why in report.left],
        Snapshots=[resource.as_json() for resource in plan.snapshot],
    )
    for resource in plan.snapshot:
        console.result(f"  stays: the final snapshot of {resource.name}, still billed")
    if deletes_data and report.left:
        return ExitCode.FAILED
    return ExitCode.OK


def _is_protected(aws: Aws, resource: StackResource) -> bool:
    if resource.type == DATABASE and resource.physical_id:
        clusters: list[dict[str, Any]] = tolerant(
            lambda: aws.call(
                "rds",
                "describe_db_clusters",
                resource.physical_id,
                DBClusterIdentifier=resource.physical_id,
            )["DBClusters"],
            [],
        )
        return any(cluster.get("DeletionProtection") for cluster in clusters)
    if resource.type == LOAD_BALANCER and resource.physical_id:
        attributes: list[dict[str, str]] = tolerant(
            lambda: aws.call(
                "elbv2",
                "describe_load_balancer_attributes",
                resource.physical_id,
                LoadBalancerArn=resource.physical_id,
            )["Attributes"],
            [],
        )
        return any(
            a["Key"] == ALB_PROTECTION and a["Value"] == "true" for a in attributes
        )
    return False


def _is_empty(aws: Aws, bucket: StackResource) -> bool:
    page: dict[str, Any] = tolerant(
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
    return not (page.get("Versions") or page.get("DeleteMarkers"))


def empty_bucket(aws: Aws, name: str) -> None:
    """Delete every version of every object."""
    while True:
        page = aws.call(
            "s3",
            "list_object_versions",
            name,
            Bucket=name,
            ExpectedBucketOwner=aws.account,
        )
        versions = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if not versions:
            return
        answer = aws.call(
            "s3",
            "delete_objects",
            name,
            Bucket=name,
            ExpectedBucketOwner=aws.account,
            Delete={
                "Objects": [
                    {"Key": version["Key"], "VersionId": version["VersionId"]}
                    for version in versions
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
                    remedy="Remove its lock, then run this again.",
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
    cancel = aws.shell_command(f"aws kms cancel-key-deletion --key-id {key}")
    return f"{key} in {KEY_DAYS} days, or not: `{cancel}` cancels it"


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


def _remove_role(aws: Aws, name: str) -> str:
    attached = aws.call("iam", "list_attached_role_policies", name, RoleName=name)
    for policy in attached["AttachedPolicies"]:
        aws.call(
            "iam",
            "detach_role_policy",
            name,
            RoleName=name,
            PolicyArn=policy["PolicyArn"],
        )
    aws.call("iam", "delete_role", name, RoleName=name)
    return name


def _exists(aws: Aws, resource: StackResource) -> bool:
    """Whether a retained resource is there, and is not scheduled for deletion."""
    try:
        return resource.type not in PRESENCE or PRESENCE[resource.type](
            aws, resource.physical_id
        )
    except AwsError as error:
        if is_missing(error):
            return False
        raise


def _has_bucket(aws: Aws, name: str) -> bool:
    aws.call("s3", "head_bucket", name, Bucket=name, ExpectedBucketOwner=aws.account)
    return True


def _has_log(aws: Aws, name: str) -> bool:
    groups = aws.call("logs", "describe_log_groups", name, logGroupNamePrefix=name)
    return any(group["logGroupName"] == name for group in groups["logGroups"])


def _has_key(aws: Aws, key: str) -> bool:
    metadata = aws.call("kms", "describe_key", key, KeyId=key)["KeyMetadata"]
    return bool(metadata.get("KeyState") != "PendingDeletion")


def _has_secret(aws: Aws, arn: str) -> bool:
    secret = aws.call("secretsmanager", "describe_secret", arn, SecretId=arn)
    return "DeletedDate" not in secret


def _has_role(aws: Aws, name: str) -> bool:
    aws.call("iam", "get_role", name, RoleName=name)
    return True


def _has_vault(aws: Aws, name: str) -> bool:
    aws.call("backup", "describe_backup_vault", name, BackupVaultName=name)
    return True


REMOVALS: Mapping[str, Callable[[Aws, str], str]] = {
    BUCKET: _remove_bucket,
    "AWS::Logs::LogGroup": _remove_log,
    KEY: _remove_key,
    "AWS::SecretsManager::Secret": _remove_secret,
    VAULT: _remove_vault,
    ROLE: _remove_role,
    **{
        kind.type: partial(final_snapshots.delete, kind)
        for kind in final_snapshots.KINDS.values()
    },
}
"""How each type that a stack leaves is deleted."""

PRESENCE: Mapping[str, Callable[[Aws, str], bool]] = {
    BUCKET: _has_bucket,
    "AWS::Logs::LogGroup": _has_log,
    KEY: _has_key,
    "AWS::SecretsManager::Secret": _has_secret,
    VAULT: _has_vault,
    ROLE: _has_role,
}
"""How to see whether a retained resource of each type still exists."""
