"""What AWS does not delete: full buckets, what is protected, and what those stand on.

MiniStack's CloudFormation would throw them away, and ``destroy`` would be tried out
against something that never says no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from local.shim.seams import ENGINE, PROVISIONERS, STACKS, names, replace, stack_named

ALB = names("services.alb")
RDS = names("services.rds")
S3 = names("services.s3")


class KeptError(ValueError):
    """The service would not delete this; the message is its own."""


def install() -> None:
    """Leave alone what a resource stands on that could not be deleted."""
    replace("_delete_resource", _leaving_foundations, STACKS, PROVISIONERS)


def _leaving_foundations(delete: Callable[..., None]) -> Callable[..., None]:
    def delete_if_unused(
        resource_type: str,
        physical_id: str,
        properties: Any,
        stack_name: str = "",
        logical_id: str = "",
    ) -> None:
        stack = stack_named(stack_name) or {}
        if stack.get("StackStatus") == "DELETE_IN_PROGRESS":
            _check_unused(stack, logical_id)
        delete(resource_type, physical_id, properties, stack_name, logical_id)

    return delete_if_unused


def _check_unused(stack: Mapping[str, Any], logical_id: str) -> None:
    definitions = (stack.get("_template") or {}).get("Resources", {})
    for name, record in stack.get("_resources", {}).items():
        if record.get("ResourceStatus") == "DELETE_FAILED" and name != logical_id:
            needed = ENGINE["_extract_deps"](definitions.get(name, {}), {logical_id})
            if needed:
                raise KeptError("Resource deletion cancelled")


def guarded(handlers: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return handlers whose delete asks first."""
    return {
        resource_type: {
            **handlers[resource_type],
            "delete": _asking(check, handlers[resource_type]["delete"]),
        }
        for resource_type, check in CHECKS.items()
    }


def _asking(
    check: Callable[[str], None], delete: Callable[..., None]
) -> Callable[..., None]:
    def delete_if_allowed(physical_id: str, *more: Any) -> None:
        check(physical_id)
        delete(physical_id, *more)

    return delete_if_allowed


def _bucket(name: str) -> None:
    bucket = S3["_buckets"].get(name)
    versions = any(
        owner == name and kept for (owner, _), kept in S3["_object_versions"].items()
    )
    if bucket is not None and (bucket["objects"] or versions):
        raise KeptError(
            "The bucket you tried to delete is not empty. "
            "You must delete all versions in the bucket. "
            "(Service: S3, Status Code: 409)"
        )


def _cluster(identifier: str) -> None:
    if (RDS["_clusters"].get(identifier) or {}).get("DeletionProtection"):
        raise KeptError(
            "Cannot delete protected Cluster, please disable deletion protection and "
            "try again. (Service: Rds, Status Code: 400)"
        )


def _instance(identifier: str) -> None:
    if (RDS["_instances"].get(identifier) or {}).get("DeletionProtection"):
        raise KeptError(
            "Cannot delete protected DB Instance, please disable deletion protection "
            "and try again. (Service: Rds, Status Code: 400)"
        )


def _load_balancer(arn: str) -> None:
    for attribute in ALB["_lb_attrs"].get(arn, ()):
        if (
            attribute["Key"] == "deletion_protection.enabled"
            and str(attribute["Value"]).lower() == "true"
        ):
            raise KeptError(
                f"Load balancer '{arn}' cannot be deleted because deletion protection "
                "is enabled (Service: ElasticLoadBalancingV2, Status Code: 400)"
            )


CHECKS: Mapping[str, Callable[[str], None]] = {
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _load_balancer,
    "AWS::RDS::DBCluster": _cluster,
    "AWS::RDS::DBInstance": _instance,
    "AWS::S3::Bucket": _bucket,
}
