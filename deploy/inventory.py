"""List every resource of a stack and its nested stacks, with its deletion policy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from cli.errors import AwsError
from deploy import stacks
from deploy.aws import Aws
from deploy.changes import KEEPING, is_stateful
from deploy.dist import STACK

BILLED = frozenset(
    {
        "AWS::Backup::BackupVault",
        "AWS::EC2::EIP",
        "AWS::ElastiCache::ReplicationGroup",
        "AWS::KMS::Key",
        "AWS::Logs::LogGroup",
        "AWS::RDS::DBCluster",
        "AWS::S3::Bucket",
        "AWS::SecretsManager::Secret",
    }
)
"""Types that are billed as long as they exist, used or not."""


@dataclass(frozen=True)
class StackResource:
    """An existing resource."""

    path: tuple[str, ...]
    stack_id: str
    logical_id: str
    physical_id: str
    type: str
    status: str
    reason: str = ""
    deletion_policy: str = ""
    holds_data: bool = False
    purpose: str = ""

    @property
    def name(self) -> str:
        """Path in the tree of stacks, as Database/Cluster."""
        return "/".join((*self.path, self.logical_id))

    def as_json(self) -> dict[str, str]:
        """Return its names for other programs."""
        return {
            "Name": self.name,
            "Type": self.type,
            "PhysicalId": self.physical_id,
        }

    @property
    def stays(self) -> bool:
        """Whether it is retained when its stack is deleted."""
        return self.deletion_policy.startswith("Retain")

    @property
    def is_billed(self) -> bool:
        """Whether it is billed as long as it exists."""
        return self.type in BILLED

    @property
    def is_stack(self) -> bool:
        """Whether it is a nested stack."""
        return self.type == STACK


def take(
    aws: Aws,
    stack_id: str,
    path: tuple[str, ...] = (),
    *,
    reads_templates: bool = True,
) -> Iterator[StackResource]:
    """Yield every resource of a stack, with those of nested stacks after them.

    Without ``reads_templates``, which takes half the calls, no resource has a purpose
    or a deletion policy.
    """
    definitions = {}
    if reads_templates:
        with contextlib.suppress(AwsError):
            definitions = stacks.template(aws, stack_id).get("Resources", {})
    for row in stacks.resources(aws, stack_id):
        if row["ResourceStatus"] == "DELETE_COMPLETE":
            continue
        body = definitions.get(row["LogicalResourceId"], {})
        policy = str(body.get("DeletionPolicy", ""))
        resource = StackResource(
            path=path,
            stack_id=stack_id,
            logical_id=row["LogicalResourceId"],
            physical_id=row.get("PhysicalResourceId", ""),
            type=row["ResourceType"],
            status=row["ResourceStatus"],
            reason=row.get("ResourceStatusReason", ""),
            deletion_policy=policy if policy in KEEPING else "",
            holds_data=is_stateful({**body, "Type": row["ResourceType"]}),
            purpose=str(body.get("Metadata", {}).get("Purpose", "")),
        )
        yield resource
        if resource.is_stack and resource.physical_id:
            yield from take(
                aws,
                resource.physical_id,
                (*path, resource.logical_id),
                reads_templates=reads_templates,
            )


def retained(
    aws: Aws, stack_id: str, path: tuple[str, ...] = ()
) -> Iterator[StackResource]:
    """Yield what a deleted stack and its nested stacks have left in the account."""
    for event in stacks.deletion_events(aws, stack_id):
        if event.is_nested_stack and event.status == "DELETE_COMPLETE":
            yield from retained(aws, event.physical_id, (*path, event.logical_id))
        elif event.status == "DELETE_SKIPPED" and event.physical_id:
            yield StackResource(
                path=path,
                stack_id=stack_id,
                logical_id=event.logical_id,
                physical_id=event.physical_id,
                type=event.type,
                status=event.status,
                deletion_policy="Retain",
            )
