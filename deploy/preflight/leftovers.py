"""What an earlier stack of the same name has left in the account, and is billed.

The resources of a new stack get other names, so nothing here stops a launch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cli.console import shortened
from deploy.preflight.context import LaunchContext
from deploy.preflight.findings import Check, Finding, passed, warning

SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A kind of resource that can outlive its stack."""

    name: str
    service: str
    operation: str
    member: str
    key: str
    """The member of a row that holds the name."""
    action: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    prefix_parameter: str = ""
    """Takes the beginning of the name, where the operation has one."""


LEFTOVERS = (
    Leftover(
        name="Leftover buckets",
        service="s3",
        operation="list_buckets",
        member="Buckets",
        key="Name",
        action="s3:ListAllMyBuckets",
        prefix_parameter="Prefix",
        parameters={"MaxBuckets": 1000},
    ),
    Leftover(
        name="Leftover log groups",
        service="logs",
        operation="describe_log_groups",
        member="logGroups",
        key="logGroupName",
        action="logs:DescribeLogGroups",
        prefix_parameter="logGroupNamePrefix",
    ),
    Leftover(
        name="Leftover secrets",
        service="secretsmanager",
        operation="list_secrets",
        member="SecretList",
        key="Name",
        action="secretsmanager:ListSecrets",
    ),
    Leftover(
        name="Leftover database snapshots",
        service="rds",
        operation="describe_db_cluster_snapshots",
        member="DBClusterSnapshots",
        key="DBClusterSnapshotIdentifier",
        action="rds:DescribeDBClusterSnapshots",
        parameters={"SnapshotType": "manual"},
    ),
    Leftover(
        name="Leftover cache snapshots",
        service="elasticache",
        operation="describe_snapshots",
        member="Snapshots",
        key="SnapshotName",
        action="elasticache:DescribeSnapshots",
        parameters={"SnapshotSource": "user"},
    ),
)


def checks() -> Iterator[Check]:
    """Yield one question for each kind."""
    for leftover in LEFTOVERS:
        yield Check(
            name=leftover.name,
            run=partial(_left, leftover),
            asks=(leftover.action,),
            emulated=True,
        )


def _left(leftover: Leftover, context: LaunchContext) -> Iterator[Finding]:
    if not context.is_new:
        return
    prefix = f"{context.environment.stack_name}-"
    options = dict(leftover.parameters)
    if leftover.prefix_parameter:
        # Buckets are named in lower case.
        options[leftover.prefix_parameter] = (
            prefix.lower() if leftover.service == "s3" else prefix
        )
    names = [
        row[leftover.key]
        for page in context.aws.pages(
            leftover.service, leftover.operation, leftover.name, **options
        )
        for row in page[leftover.member]
        if row[leftover.key].lower().startswith(prefix.lower())
    ]
    if not names:
        yield passed("None of an earlier stack of this name.")
        return
    yield warning(
        f"{shortened(sorted(names), SHOWN)}, from an earlier stack of this name; the "
        "launch does not use them, and they are billed.",
        "Delete what is not needed, or choose another --stack-name.",
    )
