"""Deletions that AWS refuses: full buckets, protected resources, and dependencies.

MiniStack's CloudFormation would delete them, so ``destroy`` could not be tested. Also
takes the snapshot of a database that an update replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local.emulator.patches.ministack import (
    ENGINE,
    PROVISIONERS,
    STACKS,
    names,
    replace,
    stack_named,
)

ALB = names("services.alb")
ELASTICACHE = names("services.elasticache")
RDS = names("services.rds")
S3 = names("services.s3")

REPLICATION_GROUP = "AWS::ElastiCache::ReplicationGroup"


class DeletionRefusedError(ValueError):
    """The service refuses a deletion; the message is its own."""


def install() -> None:
    """Check deletions before MiniStack carries them out."""
    replace("_delete_resource", _with_checks, STACKS, PROVISIONERS)


def _with_checks(delete: Callable[..., None]) -> Callable[..., None]:
    def checked_delete(
        resource_type: str,
        physical_id: str,
        properties: Any,
        stack_name: str = "",
        logical_id: str = "",
    ) -> None:
        stack = stack_named(stack_name) or {}
        status = stack.get("StackStatus")
        if status == "DELETE_IN_PROGRESS":
            _check_unused(stack, logical_id)
        if status == "UPDATE_IN_PROGRESS" and _takes_snapshot(
            stack, logical_id, physical_id
        ):
            PROVISIONERS["_snapshot_resource"](resource_type, physical_id, properties)
        delete(resource_type, physical_id, properties, stack_name, logical_id)

    return checked_delete


def _check_unused(stack: Mapping[str, Any], logical_id: str) -> None:
    """Refuse to delete a dependency of a resource whose deletion failed."""
    definitions = (stack.get("_template") or {}).get("Resources", {})
    for name, record in stack.get("_resources", {}).items():
        if record.get("ResourceStatus") == "DELETE_FAILED" and name != logical_id:
            dependencies = ENGINE["_extract_deps"](
                definitions.get(name, {}), {logical_id}
            )
            if dependencies:
                raise DeletionRefusedError("Resource deletion cancelled")


def _takes_snapshot(
    stack: Mapping[str, Any], logical_id: str, physical_id: str
) -> bool:
    """Return whether an update replaces a resource that wants a snapshot."""
    record = stack.get("_resources", {}).get(logical_id)
    if record is None or record["PhysicalResourceId"] == physical_id:
        return False
    # The record has the template from before until the update is done.
    template = ENGINE["_parse_template"](stack["_template_body"])
    policy = STACKS["_resource_policy"](
        template["Resources"].get(logical_id),
        "UpdateReplacePolicy",
        stack["_resources"],
        stack.get("_resolved_params", {}),
        stack.get("_conditions", {}),
        template.get("Mappings", {}),
        stack["StackName"],
        stack["StackId"],
    )
    return bool(policy == "Snapshot")


def guarded(handlers: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return handlers whose delete checks first, and one that takes a snapshot."""
    checked = {
        resource_type: {
            **handlers[resource_type],
            "delete": _check_first(check, handlers[resource_type]["delete"]),
        }
        for resource_type, check in CHECKS.items()
    }
    snapshot = {**handlers[REPLICATION_GROUP], "snapshot": _snapshot_of_cache}
    return {**checked, REPLICATION_GROUP: snapshot}


def _snapshot_of_cache(identifier: str, _properties: Any) -> None:
    """Take the final snapshot of a cache, which MiniStack leaves out."""
    name = f"{identifier}-final-snapshot"
    ELASTICACHE["_create_snapshot"](
        {"SnapshotName": name, "ReplicationGroupId": identifier}
    )


def _check_first(
    check: Callable[[str], None], delete: Callable[..., None]
) -> Callable[..., None]:
    def delete_if_allowed(physical_id: str, *more: Any) -> None:
        check(physical_id)
        delete(physical_id, *more)

    return delete_if_allowed


def _bucket(name: str) -> None:
    bucket = S3["_buckets"].get(name)
    versions = any(
        owner == name and stored
        for (owner, _), stored in S3["_object_versions"].items()
    )
    if bucket is not None and (bucket["objects"] or versions):
        raise DeletionRefusedError(
            "The bucket you tried to delete is not empty. "
            "You must delete all versions in the bucket. "
            "(Service: S3, Status Code: 409)"
        )


def _cluster(identifier: str) -> None:
    if (RDS["_clusters"].get(identifier) or {}).get("DeletionProtection"):
        raise DeletionRefusedError(
            "Cannot delete protected Cluster, please disable deletion protection and "
            "try again. (Service: Rds, Status Code: 400)"
        )


def _instance(identifier: str) -> None:
    if (RDS["_instances"].get(identifier) or {}).get("DeletionProtection"):
        raise DeletionRefusedError(
            "Cannot delete protected DB Instance, please disable deletion protection "
            "and try again. (Service: Rds, Status Code: 400)"
        )


def _load_balancer(arn: str) -> None:
    for attribute in ALB["_lb_attrs"].get(arn, ()):
        if (
            attribute["Key"] == "deletion_protection.enabled"
            and str(attribute["Value"]).lower() == "true"
        ):
            raise DeletionRefusedError(
                f"Load balancer '{arn}' cannot be deleted because deletion protection "
                "is enabled (Service: ElasticLoadBalancingV2, Status Code: 400)"
            )


CHECKS: Mapping[str, Callable[[str], None]] = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _load_balancer,
    "AWS::RDS::DBCluster": _cluster,
    "AWS::RDS::DBInstance": _instance,
    "AWS::S3::Bucket": _bucket,
}
