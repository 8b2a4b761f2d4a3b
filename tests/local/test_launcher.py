"""Launches of one stack, against an emulator."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.aws import Aws, EmulatorEndpoint
from deploy.dist import Dist, Environment
from local.emulator import control_client
from local.emulator.process import EmulatorProcess
from local.launcher import Launcher
from tests.deploy.fakes import bucket, template, write

pytestmark = pytest.mark.slow
"""Each starts an emulator."""

ROOT = Path(__file__).parents[2]


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[EmulatorProcess]:
    """Give a running emulator."""
    with EmulatorProcess(ROOT, tmp_path / "emulator") as running:
        yield running
    running.erase()


def launched(emulator: EmulatorProcess, folder: Path) -> tuple[Launcher, Environment]:
    options = emulator.client_options
    aws = Aws(
        emulator=EmulatorEndpoint(
            endpoint=options["endpoint_url"],
            region=options["region_name"],
            access_key_id=options["aws_access_key_id"],
            secret_access_key=options["aws_secret_access_key"],
        )
    )
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Name"}}}
    parent = {
        "Parameters": {"Name": {"Type": "String"}},
        **template(Data=bucket(), Topic=topic),
    }
    write(
        folder,
        {
            "parent.template.json": parent,
            "parameters/dev/codepipeline.json": {"Parameters": {"Name": "one"}},
        },
    )
    dist = Dist.read(folder)
    return Launcher(aws, dist), replace(dist.environment("dev"), is_protected=False)


def test_stack_is_created_updated_and_left_unchanged(
    emulator: EmulatorProcess, tmp_path: Path
) -> None:
    launcher, environment = launched(emulator, tmp_path / "dist")
    created = launcher.launch(environment, time.sleep)
    assert (created.status, created.is_good, created.text) == (
        "CREATE_COMPLETE",
        True,
        "",
    )

    updated = launcher.launch(
        replace(environment, parameters={"Name": "two"}), time.sleep
    )
    assert updated.status == "UPDATE_COMPLETE"
    assert {"Topic"} <= {entry.event.logical_id for entry in updated.events}

    same = launcher.launch(replace(environment, parameters={"Name": "two"}), time.sleep)
    assert (same.status, same.events) == ("UPDATE_COMPLETE", ())


def test_failed_launch_has_the_diagnosis(
    emulator: EmulatorProcess, tmp_path: Path
) -> None:
    launcher, environment = launched(emulator, tmp_path / "dist")
    control_client.inject_faults(
        emulator.endpoint_url, resources={"Topic": "No topics today."}
    )
    failed = launcher.launch(environment, time.sleep)
    assert not failed.is_good
    assert "Root cause: Topic" in failed.text
    assert "No topics today." in failed.text
