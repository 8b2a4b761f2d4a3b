"""Remove each permission of the launching roles, and look whether a call misses it.

``python -m tests.compliance.iam_mutation`` runs the life of an environment once
(``iam_life.py``), then evaluates the recorded calls again without one action at a time.
An action that no call misses must be in ``UNTESTABLE``, with the reason. Some actions
are also removed from the role in the emulator, where a launch then fails.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cli import product
from local.emulator.process import EmulatorProcess
from local.iam.policy import RolePermissions, Statement
from tests.compliance import iam_life
from tests.compliance.iam_life import Decision, LifeRecord

Untestable = Mapping[str, str]

ONCE = "Called once in the life of an account, which the emulator does not have."
PLAN = "Called for a plan of Service Catalog, which the emulator does not have."
SHOWN = "Called where the console of Service Catalog shows a launch."

ROLLBACK = "Called where the creation of the nested stack with the resource fails."

THROUGH = "Called by S3 and Secrets Manager for the caller, not by verify."

DETECTION = "Called by CloudFormation for the caller, while it detects drift."

BESIDE = "Checked by ECS beside RunTask, which the emulator does not do."

BUILD = "Called by `image`, which is no part of the life: the emulator builds nothing."

DRIFT = (
    "cloudformation:BatchDescribeTypeConfigurations",
    "cloudformation:DetectStackResourceDrift",
)

RETAINED = dict.fromkeys(
    (
        "backup:DeleteBackupVault",
        "kms:ScheduleKeyDeletion",
        "logs:DeleteDataProtectionPolicy",
        "logs:DeleteLogGroup",
        "s3:DeleteBucket",
    ),
    ROLLBACK,
)
"""Actions on what a deletion retains."""

UNTESTABLE: Mapping[str, Untestable] = {
    "service": {"iam:CreateServiceLinkedRole": ONCE, **RETAINED},
    "caller": {
        **dict.fromkeys(DRIFT, DETECTION),
        **dict.fromkeys(("codebuild:BatchGetBuilds", "codebuild:StartBuild"), BUILD),
    },
    "verifier": {
        **dict.fromkeys(DRIFT, DETECTION),
        **dict.fromkeys(("kms:Decrypt", "kms:GenerateDataKey"), THROUGH),
        **dict.fromkeys(("ecs:TagResource", "iam:PassRole"), BESIDE),
    },
    "launch": {
        **RETAINED,
        "iam:CreateServiceLinkedRole": ONCE,
        "cloudformation:CreateChangeSet": PLAN,
        "cloudformation:DeleteChangeSet": PLAN,
        "cloudformation:DescribeChangeSet": PLAN,
        "cloudformation:ExecuteChangeSet": PLAN,
        "cloudformation:ListChangeSets": PLAN,
        "cloudformation:DescribeStackResources": SHOWN,
        "cloudformation:ListStackResources": SHOWN,
        "cloudformation:TagResource": "Called for a launch that only changes tags.",
        "cloudformation:UntagResource": "Called for a launch that only changes tags.",
    },
}
"""Actions that no call of the life misses, by role, and the reason."""

SAMPLE = ("kms:CreateKey", "ec2:CreateTags", "iam:PassRole")
"""Actions that are removed from the service role in the emulator as well."""


def actions(permissions: RolePermissions) -> list[str]:
    """Return every action that a role is allowed."""
    return sorted(
        {
            action
            for statement in permissions.identity
            if statement["Effect"] == "Allow"
            for action in _several(statement["Action"])
        }
    )


def without(permissions: RolePermissions, action: str) -> RolePermissions:
    """Return the same permissions with an action removed from every statement."""
    return RolePermissions(
        tuple(_without(statement, action) for statement in permissions.identity)
    )


def survivors(record: LifeRecord, role: str) -> list[str]:
    """Return the actions of a role that no recorded call misses."""
    permissions = record.permissions(role)
    decisions = [d for d in record.decisions if d.role == role and d.is_allowed]
    return [
        action
        for action in actions(permissions)
        if not any(_misses(permissions, action, decisions))
    ]


def _misses(
    permissions: RolePermissions, action: str, decisions: Sequence[Decision]
) -> Iterator[bool]:
    less = without(permissions, action)
    for decision in decisions:
        if decision.call.action.lower() == action.lower():
            yield not less.allows(decision.call)


def _without(statement: Statement, action: str) -> Statement:
    if statement["Effect"] != "Allow":
        return statement
    rest = [each for each in _several(statement["Action"]) if each != action]
    # A statement without an action is not valid, and allows nothing.
    return {**statement, "Action": rest or ["none:None"]}


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def main() -> int:
    """Print the count for each role; return 1 if an action survives unexplained."""
    with tempfile.TemporaryDirectory() as folder:
        emulator = EmulatorProcess(product.ROOT, Path(folder) / "emulator")
        with emulator:
            life = iam_life.EnvironmentRun(Path(folder), emulator)
            record = iam_life.live(life)
            for action in SAMPLE:
                iam_life.fails_without(life, action)
                sys.stdout.write(f"removed in the emulator: {action}: launch fails\n")
    failures = 0
    for role in UNTESTABLE:
        granted = actions(record.permissions(role))
        surviving = survivors(record, role)
        unexplained = sorted(set(surviving) - UNTESTABLE[role].keys())
        calls = sum(decision.role == role for decision in record.decisions)
        sys.stdout.write(
            f"{role}: {calls} recorded calls; {len(granted)} actions removed one by "
            f"one, {len(granted) - len(surviving)} missed by a call, "
            f"{len(surviving) - len(unexplained)} untestable, "
            f"{len(unexplained)} unexplained\n"
        )
        for action in unexplained:
            sys.stdout.write(f"  survives: {action}\n")
        failures += len(unexplained)
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
