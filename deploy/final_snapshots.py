"""The final snapshots of a launch that failed: of an empty database and an empty cache.

``DeletionPolicy: Snapshot`` has no exception for the rollback of a creation
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-attribute-deletionpolicy.html),
so each failed first launch leaves snapshots that hold nothing and are billed. The
snapshots of a stack that once ran hold data, and are not looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy import stacks
from deploy.aws import Aws
from deploy.inventory import StackResource


@dataclass(frozen=True, kw_only=True)
class SnapshotKind:
    """How a service lists and deletes the snapshots of one of its resources."""

    type: str
    """The type that AWS Config gives to such a snapshot."""
    service: str
    operation: str
    member: str
    source: str
    """The parameter that names the resource, and the member of a row that has it."""
    made_by_request: tuple[str, str]
    """The parameter, and its value, that leaves automatic snapshots out."""
    deletion: str
    key: str
    """The member of a row, and the parameter of the deletion, with the name."""


DATABASE_SNAPSHOT = SnapshotKind(
    type="AWS::RDS::DBClusterSnapshot",
    service="rds",
    operation="describe_db_cluster_snapshots",
    member="DBClusterSnapshots",
    source="DBClusterIdentifier",
    made_by_request=("SnapshotType", "manual"),
    deletion="delete_db_cluster_snapshot",
    key="DBClusterSnapshotIdentifier",
)
CACHE_SNAPSHOT = SnapshotKind(
    type="AWS::ElastiCache::Snapshot",
    service="elasticache",
    operation="describe_snapshots",
    member="Snapshots",
    source="ReplicationGroupId",
    made_by_request=("SnapshotSource", "user"),
    deletion="delete_snapshot",
    key="SnapshotName",
)
KINDS = {
    "AWS::RDS::DBCluster": DATABASE_SNAPSHOT,
    "AWS::ElastiCache::ReplicationGroup": CACHE_SNAPSHOT,
}
"""Type of a resource -> its snapshots."""


def of_failed_launch(aws: Aws, stack_id: str) -> Iterator[StackResource]:
    """Yield the final snapshots of a deleted stack; none if its creation succeeded."""
    if not any(
        event.is_of_the_stack and event.status == "CREATE_COMPLETE"
        for event in stacks.events(aws, stack_id)
    ):
        yield from _in_tree(aws, stack_id)


def delete(kind: SnapshotKind, aws: Aws, name: str) -> str:
    """Delete a snapshot, and return its name."""
    aws.call(kind.service, kind.deletion, name, **{kind.key: name})
    return name


def _in_tree(
    aws: Aws, stack_id: str, path: tuple[str, ...] = ()
) -> Iterator[StackResource]:
    for event in stacks.deletion_events(aws, stack_id):
        if event.status != "DELETE_COMPLETE":
            continue
        if event.is_nested_stack:
            yield from _in_tree(aws, event.physical_id, (*path, event.logical_id))
        elif event.type in KINDS:
            kind = KINDS[event.type]
            for name in _names(aws, kind, event.physical_id):
                yield StackResource(
                    path=path,
                    stack_id=stack_id,
                    logical_id=event.logical_id,
                    physical_id=name,
                    type=kind.type,
                    status=event.status,
                    deletion_policy="Snapshot",
                )


def _names(aws: Aws, kind: SnapshotKind, source: str) -> Iterator[str]:
    filtered, value = kind.made_by_request
    for page in aws.pages(
        kind.service,
        kind.operation,
        f"Snapshots of {source}",
        **{kind.source: source, filtered: value},
    ):
        for row in page[kind.member]:
            # CloudFormation generates the name of the resource, so no other had it.
            if row.get(kind.source) == source:
                yield row[kind.key]
