"""The cluster: who opened a shell is on record, and scratch disks are ours."""

from __future__ import annotations

import re
from typing import Any

import pytest

from compiler.wiring import Build
from templates import cluster
from tests.resolver import deploy

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0"
GIVEN = {"KeyArn": KEY, "LogDays": "365"}


def deployed(name: str = "airflow") -> dict[str, dict[str, Any]]:
    document = Build().page(cluster.define).document
    return deploy(document, {}, GIVEN, name=name).resources


@pytest.fixture(scope="module")
def properties() -> dict[str, Any]:
    found: dict[str, Any] = deployed()["Cluster"]["Properties"]
    return found


def test_every_shell_is_recorded_in_an_encrypted_log_of_our_own(
    properties: dict[str, Any],
) -> None:
    # Control 86. DEFAULT would write to the task's own log, beside its output.
    exec_ = properties["Configuration"]["ExecuteCommandConfiguration"]
    assert exec_["Logging"] == "OVERRIDE"
    assert exec_["KmsKeyId"] == KEY
    assert exec_["LogConfiguration"] == {
        "CloudWatchLogGroupName": "<ExecLog>",
        "CloudWatchEncryptionEnabled": True,
    }
    log = deployed()["ExecLog"]
    assert log["Properties"] == {"KmsKeyId": KEY, "RetentionInDays": "365"}
    assert log["DeletionPolicy"] == log["UpdateReplacePolicy"] == "Retain"


def test_scratch_disks_are_encrypted_with_the_key_by_its_arn(
    properties: dict[str, Any],
) -> None:
    # Control 87. Fargate takes no alias here.
    storage = properties["Configuration"]["ManagedStorageConfiguration"]
    assert storage == {"FargateEphemeralStorageKmsKeyId": KEY}


def test_spot_is_at_hand_and_nothing_lands_on_it_unasked(
    properties: dict[str, Any],
) -> None:
    assert properties["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    (default,) = properties["DefaultCapacityProviderStrategy"]
    assert default["CapacityProvider"] == "FARGATE"


def test_insights_are_enhanced(properties: dict[str, Any]) -> None:
    # The safe floor of a pool reads the desired count from them.
    assert properties["ClusterSettings"] == [
        {"Name": "containerInsights", "Value": "enhanced"}
    ]


def test_two_stacks_of_an_account_have_a_namespace_each() -> None:
    # Cloud Map refuses a second namespace of one name in an account and region.
    longest = "a" * 128
    one, two = (
        deployed(name)["Namespace"]["Properties"]["Name"] for name in ("one", longest)
    )
    assert one != two
    assert re.fullmatch(r"(?!arn:)[!-~]{1,1024}", two)
    assert not set('<>"/') & set(two), "Service Connect refuses these"
