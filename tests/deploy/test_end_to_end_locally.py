"""The commands against the emulator, from launch to destroy."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from cli import deployment
from cli import product as shipped
from cli.errors import ExitCode
from compiler import output
from deploy import final_snapshots, prompts, stacks, status
from deploy import launch as launch_module
from deploy.aws import Aws, EmulatorEndpoint
from deploy.dist import Dist
from deploy.events import StackWatcher
from local.emulator import control_client, process
from tests.deploy.fakes import bucket, nest, template, write

pytestmark = pytest.mark.slow
"""Each starts stacks; together they take half a minute."""

ROOT = shipped.ROOT
NAME = "airflow-dev"

PATIENCE = 60
"""Seconds to wait for another thread on a busy machine."""


def topic(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::SNS::Topic",
        "Metadata": {"Purpose": "Tells of alarms."},
        "Properties": {"DisplayName": name},
    }


def product(*pools: str, size: str = "1", **storage: Any) -> dict[str, Any]:
    """A small product: what holds data, and pools that can be added."""
    parent = {
        "Parameters": {
            "DeletionProtection": {"Type": "String", "Default": "false"},
            "Size": {"Type": "String", "Default": "1"},
        },
        "Resources": {
            "Storage": nest("storage.template.json", Size={"Ref": "Size"}),
            **{
                pool: nest(
                    "pool.template.json",
                    Name={"Fn::GetAtt": ["Storage", "Outputs.Name"]},
                )
                for pool in pools
            },
        },
        "Outputs": {
            "DagBucketName": {
                "Value": {"Fn::GetAtt": ["Storage", "Outputs.Name"]},
                "Description": "Bucket of the DAGs.",
            }
        },
    }
    return {
        "parent.template.json": parent,
        "storage.template.json": {
            "Parameters": {"Size": {"Type": "String"}},
            **template(**{"Data": bucket(), "Alarms": topic("alarms"), **storage}),
            "Outputs": {"Name": {"Value": {"Ref": "Data"}}},
        },
        "pool.template.json": {
            "Parameters": {"Name": {"Type": "String"}},
            **template(Workers=topic("workers")),
        },
        "parameters/dev/codepipeline.json": {
            "Parameters": {"Size": size},
            "Tags": {"environment": "dev"},
        },
        "assets/runtime.zip": b"runtime",
    }


class Shell:
    """Runs commands of an operator against an emulator."""

    def __init__(self, folder: Path, running: process.EmulatorProcess) -> None:
        self.folder, self.emulator = folder, running

    def connect(
        self, _region: str | None
    ) -> tuple[str, Mapping[str, str], deployment.ResourceKinds]:
        self.emulator.start()
        options = self.emulator.client_options
        texts = {name: str(value) for name, value in options.items()}
        return self.emulator.endpoint_url, texts, self.emulator.resource_kinds

    def run(self, name: str, *words: str, environment: str = "dev") -> Result:
        group = click.Group(commands=deployment.commands(self.folder, self.connect))
        return CliRunner().invoke(group, [name, environment, "--emulator", *words])

    def aws(self) -> Aws:
        endpoint, options, _ = self.connect(None)
        return Aws(
            emulator=EmulatorEndpoint(
                endpoint=endpoint,
                region=options["region_name"],
                access_key_id=options["aws_access_key_id"],
                secret_access_key=options["aws_secret_access_key"],
            )
        )

    def plant(self, **faults: Any) -> None:
        control_client.inject_faults(self.emulator.endpoint_url, **faults)


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[process.EmulatorProcess]:
    started = process.EmulatorProcess(ROOT, tmp_path_factory.mktemp("emulator"))
    with started:
        yield started
    started.erase()


@pytest.fixture
def shell(running: process.EmulatorProcess, tmp_path: Path) -> Iterator[Shell]:
    """Give an emulator without the stack, before and after."""
    shell = Shell(write(tmp_path / "dist", product()), running)
    yield shell
    running.start()
    shell.plant()
    shell.run("destroy", "--delete-data", "--unprotect", "--yes")


def stack_status(aws: Aws) -> str:
    """Return the status of the stack, or nothing before there is one."""
    stack = stacks.find(aws, NAME)
    return stack.status if stack else ""


def statuses(shell: Shell) -> dict[str, str]:
    data = json.loads(shell.run("status", "--json").output)
    return {r["Name"]: r["Status"] for r in data["Resources"]} | {
        "": str(data["Status"])
    }


def test_second_launch_and_plan_find_nothing_to_change(shell: Shell) -> None:
    first = shell.run("launch", "--yes")
    assert first.exit_code == ExitCode.OK, first.output
    assert set(statuses(shell).values()) == {"CREATE_COMPLETE"}
    assert "Storage/Data  Holds the data." in first.output
    assert "DagBucketName  Bucket of the DAGs." in first.output

    second = shell.run("launch", "--yes")
    assert second.exit_code == ExitCode.OK
    assert f"Nothing to change in stack {NAME}." in second.output
    assert shell.run("plan").exit_code == ExitCode.UNCHANGED


def test_status_has_the_kind_of_every_resource(shell: Shell) -> None:
    shell.run("launch", "--yes")
    resources = json.loads(shell.run("status", "--json").output)["Resources"]
    here = {r["Here"] for r in resources if "Here" in r}
    assert here <= {"real", "emulated", "stub"}
    assert here


def test_drift_of_a_nested_stack_is_listed_and_is_a_failure(shell: Shell) -> None:
    shell.run("launch", "--yes")
    assert shell.run("status", "--drift").exit_code == ExitCode.OK
    shell.aws().call(
        "sns",
        "set_topic_attributes",
        TopicArn=physical_ids(shell)["Storage/Alarms"],
        AttributeName="DisplayName",
        AttributeValue="changed by hand",
    )
    drifted = shell.run("status", "--drift")
    assert drifted.exit_code == ExitCode.FAILED
    assert "MODIFIED Storage/Alarms" in drifted.output
    assert "DisplayName: alarms -> changed by hand" in drifted.output


def test_a_plan_of_a_new_stack_leaves_nothing(shell: Shell) -> None:
    assert shell.run("plan").exit_code == ExitCode.OK
    assert "There is no stack of that name" in shell.run("status").output


def test_a_pool_is_added_by_an_update(shell: Shell) -> None:
    shell.run("launch", "--yes")
    write(shell.folder, product("Pool"))
    assert "+ add     Pool  a stack of 1" in shell.run("plan").output
    updated = shell.run("launch", "--yes")
    assert updated.exit_code == ExitCode.OK, updated.output
    assert statuses(shell)["Pool/Workers"] == "CREATE_COMPLETE"


def test_a_failed_update_is_rolled_back_and_its_cause_is_named(shell: Shell) -> None:
    shell.run("launch", "--yes")
    before = statuses(shell).keys()
    write(shell.folder, product(Planted=topic("planted")))
    shell.plant(resources={"Planted": "The planted cause."})

    failed = shell.run("launch", "--yes")
    assert failed.exit_code == ExitCode.FAILED
    assert "Root cause: Storage/Planted" in failed.output
    assert "The planted cause." in failed.output

    later = shell.run("diagnose")
    assert later.exit_code == ExitCode.FAILED
    assert "Root cause: Storage/Planted" in later.output
    assert statuses(shell).keys() == before
    assert statuses(shell)[""] == "UPDATE_ROLLBACK_COMPLETE"

    shell.plant()
    assert shell.run("launch", "--yes").exit_code == ExitCode.OK
    assert "Storage/Planted" in statuses(shell)


@pytest.mark.parametrize(
    "storage",
    [{"Data": bucket(Properties={"BucketName": "b"})}, {"Data": topic("data")}],
)
def test_yes_does_not_cover_lost_data_without_nested_change_sets(
    shell: Shell, storage: dict[str, Any]
) -> None:
    shell.run("launch", "--yes")
    before = physical_ids(shell)
    write(shell.folder, product(**storage))
    refused = shell.run("launch", "--yes")
    assert refused.exit_code == ExitCode.REFUSED
    assert "Storage/Data" in refused.output
    assert physical_ids(shell) == before


def test_a_failed_launch_is_explained_recovered_and_repeated(shell: Shell) -> None:
    shell.plant(resources={"Alarms": "The planted cause."})
    failed = shell.run("launch", "--yes", "--json")
    document = json.loads(failed.stdout)
    assert document["ExitCode"] == failed.exit_code == ExitCode.FAILED
    assert document["Diagnosis"]["Causes"][0]["Name"] == "Storage/Alarms"
    assert "Root cause: Storage/Alarms" in failed.stderr
    # The nested stack is gone by now; its history is not.
    assert "Root cause: Storage/Alarms" in shell.run("diagnose").output

    refused = shell.run("launch", "--yes")
    assert refused.exit_code == ExitCode.REFUSED
    assert "build.py recover dev --emulator" in refused.output

    shell.plant()
    recovered = shell.run("recover", "--yes", "--json")
    assert recovered.exit_code == ExitCode.OK
    assert json.loads(recovered.stdout)["Status"] == "DELETE_COMPLETE"
    assert shell.run("launch", "--yes").exit_code == ExitCode.OK


def test_destroy_leaves_nothing(shell: Shell) -> None:
    launched = json.loads(shell.run("launch", "--yes", "--json").stdout)
    data = launched["Outputs"]["DagBucketName"]
    assert {change["Kind"] for change in launched["Plan"]["Changes"]} == {"ADD"}
    aws = shell.aws()
    aws.call("s3", "put_object", Bucket=data, Key="dag.py", Body=b"x")
    destroyed = shell.run("destroy", "--delete-data", "--yes", "--json")
    document = json.loads(destroyed.stdout)
    assert document["ExitCode"] == destroyed.exit_code == ExitCode.OK
    assert [each["Name"] for each in document["Deleted"]] == ["Storage/Data"]
    left = [b["Name"] for b in aws.call("s3", "list_buckets")["Buckets"]]
    assert data not in left
    assert "There is no stack of that name" in shell.run("status").output


def test_destroy_that_was_interrupted_is_finished_by_the_next(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_arguments: Any) -> Iterator[Any]:
        raise KeyboardInterrupt

    shell.run("launch", "--yes")
    data = json.loads(shell.run("outputs", "--json").output)["DagBucketName"]
    with monkeypatch.context() as patch:
        patch.setattr(StackWatcher, "follow", interrupted)
        first = shell.run("destroy", "--delete-data", "--yes")
    assert first.exit_code == ExitCode.INTERRUPTED
    assert "build.py destroy dev --emulator` follows it" in first.output
    aws = shell.aws()
    until = time.monotonic() + PATIENCE
    while stack_status(aws):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert data in [b["Name"] for b in aws.call("s3", "list_buckets")["Buckets"]]

    second = shell.run("destroy", "--yes")
    assert second.exit_code == ExitCode.OK, second.output
    assert data not in [b["Name"] for b in aws.call("s3", "list_buckets")["Buckets"]]
    assert shell.run("destroy", "--yes").exit_code == ExitCode.UNCHANGED


def test_kept_data_outlives_its_stack(shell: Shell) -> None:
    shell.run("launch", "--yes")
    data = json.loads(shell.run("outputs", "--json").output)["DagBucketName"]
    aws = shell.aws()
    aws.call("s3", "put_object", Bucket=data, Key="dag.py", Body=b"x")
    result = shell.run("destroy", "--keep-data", "--yes")
    assert result.exit_code == ExitCode.OK, result.output
    assert aws.call("s3", "get_object", Bucket=data, Key="dag.py")["ContentLength"] == 1


def test_the_second_of_two_launches_at_once_is_refused(shell: Shell) -> None:
    shell.connect(None)
    shell.plant(slow={"Alarms": 3.0})
    codes: list[int] = []
    shell.run("publish")
    aws = shell.aws()

    def first() -> None:
        dist = Dist.read(shell.folder)
        codes.append(
            launch_module.launch(
                aws,
                dist,
                dist.environment("dev"),
                confirmation=launch_module.Confirmation(yes=True),
            )
        )

    background = threading.Thread(target=first)
    background.start()
    until = time.monotonic() + PATIENCE
    other = shell.aws()
    while stack_status(other) != "CREATE_IN_PROGRESS":
        assert time.monotonic() < until
        time.sleep(0.02)
    second = shell.run("launch", "--yes")
    background.join()
    assert second.exit_code == ExitCode.REFUSED, second.output
    assert "another operation is running" in second.output
    assert codes == [ExitCode.OK]


def test_crash_of_the_emulator_during_a_launch_is_reported(
    tmp_path: Path,
) -> None:
    mortal = process.EmulatorProcess(ROOT, tmp_path / "emulator")
    shell = Shell(write(tmp_path / "dist", product()), mortal)
    try:
        shell.connect(None)
        shell.plant(slow={"Alarms": 30.0})
        alive = mortal.running()
        assert alive

        def kill() -> None:
            aws = shell.aws()
            until = time.monotonic() + PATIENCE
            while stack_status(aws) != "CREATE_IN_PROGRESS":
                assert time.monotonic() < until
                time.sleep(0.02)
            os.kill(alive.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        done = shell.run("launch", "--yes")
        killer.join()
        assert done.exit_code == ExitCode.UNABLE, done.output
        assert "does not answer any more" in done.output
        # The next command restarts it.
        assert shell.run("launch", "--yes").exit_code == ExitCode.OK
    finally:
        mortal.erase()


def test_a_stack_name_of_128_characters_works(shell: Shell) -> None:
    name = "airflow-" + "x" * 120
    done = shell.run("launch", "--yes", "--stack-name", name)
    assert done.exit_code == ExitCode.OK, done.output
    gone = shell.run("destroy", "--delete-data", "--yes", "--stack-name", name)
    assert gone.exit_code == ExitCode.OK, gone.output


def test_events_are_those_of_all_stacks(shell: Shell) -> None:
    shell.run("launch", "--yes")
    output = shell.run("events").output
    assert "CREATE_COMPLETE" in output
    assert "Storage/Data" in output
    aws = shell.aws()
    times = [e.event.time for e in status.operation(aws, stacks.existing(aws, NAME).id)]
    assert times == sorted(times)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the real dist/, without its lint."""
    folder = tmp_path_factory.mktemp("dist")
    files = {
        template.path: template.text().encode()
        for template in shipped.compile_templates()
    }
    files |= {asset.path: asset.content for asset in shipped.assets().values()}
    for path in (ROOT / "parameters").glob("*.json"):
        files[f"parameters/{path.stem}/codepipeline.json"] = path.read_bytes()
    output.write(folder, files, "no lint")
    return folder


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_product_is_launched_planned_and_destroyed(
    whole: Path, running: process.EmulatorProcess, environment: str
) -> None:
    shell = Shell(whole, running)
    first = shell.run("launch", "--yes", environment=environment)
    assert first.exit_code == ExitCode.OK, first.output[-3000:]

    is_protected = environment != "dev"
    stack = stacks.existing(shell.aws(), f"airflow-{environment}")
    assert stack.parameters["DeletionProtection"] == str(is_protected).lower()
    assert stack.is_protected is is_protected
    # Launched without protection, which a second operation has switched on.
    assert (stack.status == "UPDATE_COMPLETE") is is_protected
    names = stack.parameters["AvailabilityZones"].split(",")
    assert len(names) == len(set(names)) == 3

    planned = shell.run("plan", environment=environment)
    assert planned.exit_code == ExitCode.UNCHANGED, planned.output

    refused = shell.run("destroy", "--delete-data", "--yes", environment=environment)
    if is_protected:
        assert refused.exit_code == ExitCode.REFUSED
        refused = shell.run(
            "destroy", "--delete-data", "--yes", "--unprotect", environment=environment
        )
    assert refused.exit_code == ExitCode.OK, refused.output[-3000:]


CHANGED = {
    "EnableFlower": "true",
    "InternetAccess": "nat-per-zone",
    "LogDays": "7",
    "ServiceArchitecture": "ARM64",
}


def physical_ids(shell: Shell) -> dict[str, str]:
    resources = json.loads(shell.run("status", "--json").output)["Resources"]
    return {each["Name"]: each["PhysicalId"] for each in resources}


def test_update_does_what_the_plan_says(
    whole: Path, running: process.EmulatorProcess, tmp_path: Path
) -> None:
    """No addition, replacement or deletion is invented, and none is missing."""
    other = shutil.copytree(whole, tmp_path / "other")
    files = {
        str(path.relative_to(other)): path.read_bytes()
        for path in other.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    environment = json.loads(files["parameters/dev/codepipeline.json"])
    environment["Parameters"] |= CHANGED
    files["parameters/dev/codepipeline.json"] = json.dumps(environment).encode()
    output.write(other, files, "no lint")

    for folders in ((whole, other), (other, whole)):
        launched, planned = (Shell(folder, running) for folder in folders)
        assert launched.run("launch", "--yes", "--replace-data").exit_code == 0
        before = physical_ids(launched)
        entries = json.loads(planned.run("plan", "--json").stdout)["Changes"]
        expected = {kind: set() for kind in ("ADD", "REPLACE", "DELETE")} | {
            kind: {each["Name"] for each in entries if each["Kind"] == kind}
            for kind in {each["Kind"] for each in entries}
        }
        assert {each["Certainty"] for each in entries} == {"CERTAIN"}
        assert planned.run("launch", "--yes", "--replace-data").exit_code == 0
        after = physical_ids(planned)
        assert after.keys() - before.keys() == expected["ADD"]
        assert before.keys() - after.keys() == expected["DELETE"]
        both = before.keys() & after.keys()
        assert {n for n in both if before[n] != after[n]} == expected["REPLACE"]
    planned.run("destroy", "--delete-data", "--yes")


def test_failed_first_launch_of_the_product_is_rolled_back_and_cleaned_up(
    whole: Path, running: process.EmulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protected resources and the load balancer's test file stopped the rollback.

    The emulator retains in nested stacks what RetainExceptOnCreate may delete on AWS.
    """
    shell = Shell(whole, running)
    aws = shell.aws()
    earlier = {
        row[kind.key]
        for kind in final_snapshots.KINDS.values()
        for row in aws.call(kind.service, kind.operation)[kind.member]
    }

    def left() -> dict[str, set[str]]:
        names = {
            "buckets": [b["Name"] for b in aws.call("s3", "list_buckets")["Buckets"]],
            "logs": [
                group["logGroupName"]
                for group in aws.call("logs", "describe_log_groups")["logGroups"]
            ],
        }
        keys = [key["KeyId"] for key in aws.call("kms", "list_keys")["Keys"]]
        listed = {
            kind: {name for name in every if "airflow-staging" in name}
            for kind, every in names.items()
        }
        listed["keys"] = {
            key
            for key in keys
            if aws.call("kms", "describe_key", KeyId=key)["KeyMetadata"]["Enabled"]
        }
        for kind in final_snapshots.KINDS.values():
            rows = aws.call(kind.service, kind.operation)[kind.member]
            listed[kind.type] = {row[kind.key] for row in rows} - earlier
        return {kind: items for kind, items in listed.items() if items}

    shell.plant(resources={"Dashboard": "The planted cause."})
    failed = shell.run("launch", "--yes", environment="staging")
    assert failed.exit_code == ExitCode.FAILED, failed.output[-3000:]
    assert stacks.existing(aws, "airflow-staging").status == "ROLLBACK_COMPLETE"
    assert aws.call("rds", "describe_db_clusters")["DBClusters"] == []
    assert aws.call("elbv2", "describe_load_balancers")["LoadBalancers"] == []
    assert any("accesslogs" in name for name in left()["buckets"])
    for kind in final_snapshots.KINDS.values():
        (snapshot,) = left()[kind.type]
        assert snapshot.startswith("airflow-staging-")

    shell.plant()
    monkeypatch.setattr(prompts, "agrees", lambda _question: True)
    recovered = shell.run("recover", "--yes", environment="staging")
    assert recovered.exit_code == ExitCode.OK, recovered.output
    assert "Storage/AccessLogs  AWS::S3::Bucket" in recovered.output
    assert left() == {}
