"""Drift: resources that were changed without CloudFormation.

CloudFormation compares the properties that a template sets with those that a resource
has. It leaves nested stacks out, so each is asked, all at the same time. Detection is
free, changes nothing, and takes minutes. A resource is not compared where its type has
no detection, or where the credentials may not read it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli import console
from cli.errors import AwsError, Problem, Unable
from deploy import stacks
from deploy.aws import Aws
from deploy.changes import short
from deploy.inventory import StackResource
from deploy.planning import PollInterval, poll_interval

DRIFTED = ("DELETED", "MODIFIED")
COMPARED = (*DRIFTED, "IN_SYNC")
RUNNING = "DETECTION_IN_PROGRESS"

PATIENCE_SECONDS = 30 * 60
"""AWS says that a detection can take several minutes."""


@dataclass(frozen=True)
class DriftedResource:
    """A resource that is not as its template says."""

    resource: StackResource
    status: str
    """MODIFIED or DELETED."""
    differences: tuple[tuple[str, str, str], ...] = ()
    """Path of each property, its value in the template, and the value it has."""


@dataclass(frozen=True)
class DriftReport:
    """What the detection of all stacks found."""

    drifted: tuple[DriftedResource, ...]
    compared: int
    not_compared: int
    problems: tuple[str, ...]
    """Stacks that could not be compared, or not wholly, with the reason."""

    def as_json(self) -> dict[str, Any]:
        """Return it for other programs."""
        return {
            "Compared": self.compared,
            "NotCompared": self.not_compared,
            "Drifted": [
                {
                    **each.resource.as_json(),
                    "Status": each.status,
                    "Differences": [
                        dict(zip(("Path", "Expected", "Actual"), row, strict=True))
                        for row in each.differences
                    ],
                }
                for each in self.drifted
            ],
            "Problems": list(self.problems),
        }


def detect(
    aws: Aws,
    stack: stacks.StackSummary,
    resources: Sequence[StackResource],
    interval: PollInterval | None = None,
) -> DriftReport:
    """Compare a stack and its nested stacks with what their resources are."""
    ids = [stack.id, *(r.physical_id for r in resources if r.is_stack)]
    problems: dict[str, str] = {}
    detections: dict[str, str] = {}
    with console.progress(f"Comparing {len(ids)} stacks with their resources ..."):
        for stack_id in ids:
            try:
                detections[stack_id] = _start(aws, stack_id)
            except AwsError as error:
                problems[stack_id] = error.message
        problems |= _wait(aws, detections, interval or poll_interval(aws))
        rows = {
            (stack_id, row["LogicalResourceId"]): row
            for stack_id in detections
            for page in aws.pages(
                "cloudformation",
                "describe_stack_resource_drifts",
                f"Stack {stacks.name_of(stack_id)}",
                StackName=stack_id,
            )
            for row in page["StackResourceDrifts"]
        }
    plain = [resource for resource in resources if not resource.is_stack]
    statuses = {
        resource: rows.get((resource.stack_id, resource.logical_id), {})
        for resource in plain
    }
    compared = sum(_status(row) in COMPARED for row in statuses.values())
    return DriftReport(
        drifted=tuple(
            DriftedResource(resource, _status(row), _differences(row))
            for resource, row in statuses.items()
            if _status(row) in DRIFTED
        ),
        compared=compared,
        not_compared=len(plain) - compared,
        problems=tuple(
            f"{stacks.name_of(stack_id)}: {reason}"
            for stack_id, reason in problems.items()
        ),
    )


def print_report(report: DriftReport) -> None:
    """Print the resources that have drifted, with each property."""
    total = report.compared + report.not_compared
    console.result(
        f"\nDrift: {len(report.drifted)} of {report.compared} compared resources "
        f"differ from their template; {report.not_compared} of {total} cannot be "
        "compared."
    )
    for each in report.drifted:
        console.result(f"  {each.status:<8} {each.resource.name}", style="red")
        for path, expected, actual in each.differences:
            console.result(f"    {path}: {short(expected)} -> {short(actual)}")
    for problem in report.problems:
        console.result(f"  not compared: {problem}")
    if report.drifted:
        console.message(
            "A launch undoes none of these unless it changes the same property: change "
            "them back by hand, or set the same value in the parameter file."
        )


def _start(aws: Aws, stack_id: str) -> str:
    answer = aws.call(
        "cloudformation",
        "detect_stack_drift",
        f"Stack {stacks.name_of(stack_id)}",
        StackName=stack_id,
    )
    return str(answer["StackDriftDetectionId"])


def _wait(
    aws: Aws, detections: Mapping[str, str], interval: PollInterval
) -> dict[str, str]:
    """Wait for the end of every detection; return the stacks where it failed."""
    waits, until = interval.waits(), time.monotonic() + PATIENCE_SECONDS
    left, failed = dict(detections), dict[str, str]()
    while left:
        for stack_id, detection in list(left.items()):
            answer = aws.call(
                "cloudformation",
                "describe_stack_drift_detection_status",
                f"Stack {stacks.name_of(stack_id)}",
                StackDriftDetectionId=detection,
            )
            if answer["DetectionStatus"] == RUNNING:
                continue
            del left[stack_id]
            if answer["DetectionStatus"] == "DETECTION_FAILED":
                failed[stack_id] = answer.get("DetectionStatusReason", "it failed")
        if left and time.monotonic() > until:
            raise Unable(
                Problem(
                    where=f"Stack {stacks.name_of(next(iter(left)))}",
                    what="Its drift detection has not ended after "
                    f"{PATIENCE_SECONDS // 60} minutes.",
                    remedy="Run this again later.",
                )
            )
        if left:
            interval.sleep(next(waits))
    return failed


def _status(row: Mapping[str, Any]) -> str:
    return str(row.get("StackResourceDriftStatus", ""))


def _differences(row: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (each["PropertyPath"], each["ExpectedValue"], each["ActualValue"])
        for each in row.get("PropertyDifferences", ())
    )
