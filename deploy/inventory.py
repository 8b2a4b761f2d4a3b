"""Every resource of a stack and of the stacks in it, and what becomes of each."""

from __future__ import annotations

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
"""Types that cost something for as long as they exist, used or not."""


@dataclass(frozen=True)
class StackResource:
    """One resource that exists."""

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
        """The way to it, as Database/Cluster."""
        return "/".join((*self.path, self.logical_id))

    @property
    def stays(self) -> bool:
        """Whether it outlives its stack."""
        return self.deletion_policy.startswith("Retain")

    @property
    def is_billed(self) -> bool:
        """Whether what outlives the stack goes on costing."""
        return self.type in BILLED

    @property
    def is_stack(self) -> bool:
        """Whether it is a nested stack."""
        return self.type == STACK


def take(
    aws: Aws, stack_id: str, path: tuple[str, ...] = ()
) -> Iterator[StackResource]:
    """Yield every resource of a stack, with those of nested stacks after them."""
    try:
        written = stacks.template(aws, stack_id).get("Resources", {})
    except AwsError:
        written = {}
    for row in stacks.resources(aws, stack_id):
        if row["ResourceStatus"] == "DELETE_COMPLETE":
            continue
        body = written.get(row["LogicalResourceId"], {})
        policy = str(body.get("DeletionPolicy", ""))
        found = StackResource(
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
        yield found
        if found.is_stack and found.physical_id:
            yield from take(aws, found.physical_id, (*path, found.logical_id))
