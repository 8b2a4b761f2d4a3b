"""Drift of a stack and its nested stacks."""

from __future__ import annotations

from typing import Any

import pytest

from deploy import drift, stacks
from deploy.inventory import StackResource
from tests.deploy.fakes import AT_ONCE, FakeAws, described, error, stack_id

ROOT, CHILD = stack_id("airflow-dev"), stack_id("airflow-dev-Storage")

RESOURCES = (
    StackResource((), ROOT, "Storage", CHILD, "AWS::CloudFormation::Stack", ""),
    StackResource(("Storage",), CHILD, "Data", "data", "AWS::S3::Bucket", ""),
    StackResource(("Storage",), CHILD, "Key", "key", "AWS::KMS::Key", ""),
    StackResource(("Storage",), CHILD, "Alarms", "alarms", "AWS::SNS::Topic", ""),
)
DIFFERENCE = {
    "PropertyPath": "/VersioningConfiguration/Status",
    "ExpectedValue": "Enabled",
    "ActualValue": "Suspended",
}


def drifts(StackName: str, **_rest: Any) -> dict[str, Any]:  # noqa: N803 - AWS's name
    rows: dict[str, dict[str, Any]] = {
        "Data": {
            "StackResourceDriftStatus": "MODIFIED",
            "PropertyDifferences": [DIFFERENCE],
        },
        "Key": {"StackResourceDriftStatus": "UNKNOWN"},
        "Alarms": {"StackResourceDriftStatus": "IN_SYNC"},
    }
    listed = rows if StackName == CHILD else {}
    return {
        "StackResourceDrifts": [
            {"LogicalResourceId": name, **row} for name, row in listed.items()
        ]
    }


def detect(**answers: Any) -> tuple[drift.DriftReport, FakeAws]:
    aws = FakeAws(
        describe_stacks=described("airflow-dev", "UPDATE_COMPLETE"),
        **{
            "detect_stack_drift": {"StackDriftDetectionId": "id"},
            "describe_stack_drift_detection_status": [
                {"DetectionStatus": "DETECTION_IN_PROGRESS"},
                {"DetectionStatus": "DETECTION_COMPLETE"},
            ],
            "describe_stack_resource_drifts": drifts,
            **answers,
        },
    )
    stack = stacks.existing(aws, "airflow-dev")
    return drift.detect(aws, stack, RESOURCES, AT_ONCE), aws


def test_every_stack_is_compared_and_each_property_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report, aws = detect()
    compared = [p["StackName"] for p in aws.parameters("detect_stack_drift")]
    assert compared == [ROOT, CHILD]
    assert (report.compared, report.not_compared) == (2, 1)
    drift.print_report(report)
    shown = capsys.readouterr().out
    assert "MODIFIED Storage/Data" in shown
    assert "/VersioningConfiguration/Status: Enabled -> Suspended" in shown
    (row,) = report.as_json()["Drifted"]
    assert row["Differences"][0]["Actual"] == "Suspended"


@pytest.mark.parametrize(
    "answers",
    [
        {"detect_stack_drift": error("ValidationError", "It is being updated.")},
        {
            "describe_stack_drift_detection_status": {
                "DetectionStatus": "DETECTION_FAILED",
                "DetectionStatusReason": "It is being updated.",
            }
        },
    ],
    ids=["not started", "failed"],
)
def test_stack_that_cannot_be_compared_is_named(
    answers: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    report, _ = detect(**answers)
    drift.print_report(report)
    assert "airflow-dev-Storage: It is being updated." in capsys.readouterr().out
