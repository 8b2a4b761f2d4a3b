"""The setup gate: a stand-in that says so, or the function itself when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local import control
from local.emulator import Emulator
from tests.local.cloud import Cloud
from tests.local.contracts import SUPPORT, att

ROOT = Path(__file__).parents[2]

FUNCTION = """
import json, urllib.request

def handler(event, context):
    answer = {
        "Status": "SUCCESS" if event["ResourceProperties"]["Version"] == "good"
        else "FAILED",
        "Reason": "The setup task ended with exit code 1.",
        "PhysicalResourceId": "gate",
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
        "Data": {"Version": event["ResourceProperties"]["Version"]},
    }
    urllib.request.urlopen(urllib.request.Request(
        event["ResponseURL"], json.dumps(answer).encode(), method="PUT"))
"""


def gated(version: str) -> dict[str, Any]:
    return {
        "Resources": {
            "Role": SUPPORT["Role"],
            "Function": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"ZipFile": FUNCTION},
                    "Handler": "index.handler",
                    "Role": att("Role", "Arn"),
                    "Runtime": "python3.12",
                    "Timeout": 30,
                },
            },
            "Gate": {
                "Type": "Custom::SetupGate",
                "Properties": {
                    "ServiceToken": att("Function", "Arn"),
                    "Version": version,
                },
            },
        }
    }


def test_the_stand_in_lets_every_version_pass_and_says_what_it_is(cloud: Cloud) -> None:
    assert control.identity(cloud.emulator.endpoint_url)["gate_is_stand_in"]
    stack = cloud.create(gated("bad"))
    assert stack.status == "CREATE_COMPLETE"
    assert cloud.emulator.resource_kinds()[stack.name]["Gate"] == "stand-in"


@pytest.fixture
def real(tmp_path: Path) -> Any:
    emulator = Emulator(ROOT, tmp_path / "emulator", gate="real")
    with emulator:
        yield Cloud(emulator)
    emulator.erase()


def test_asked_for_the_function_itself_decides(real: Cloud) -> None:
    passed = real.create(gated("good"))
    assert passed.status == "CREATE_COMPLETE", real.failures(passed.id)
    assert real.emulator.resource_kinds()[passed.name]["Gate"] == "real"

    shut = real.create(gated("bad"))
    assert shut.status == "ROLLBACK_COMPLETE"
    reason = real.failures(shut.id)["Gate"]
    assert "The setup task ended with exit code 1." in reason
