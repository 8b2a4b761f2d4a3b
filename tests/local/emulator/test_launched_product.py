"""The whole product on the emulator: create, update, roll back and delete."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cli import product as shipped
from compiler.values import ASSET_BUCKET, ASSET_FOLDER
from compiler.wiring import Build
from local.emulator import control_client
from local.emulator.process import EmulatorProcess
from templates import parent
from templates.airflow.pools import POOLS
from tests.local.emulator.cloud import Cloud, Stack

pytestmark = pytest.mark.slow

ROOT = shipped.ROOT
ENVIRONMENTS = sorted(path.stem for path in (ROOT / "parameters").glob("*.json"))
CATALOG = "service-catalog.template.json"
STACK = "AWS::CloudFormation::Stack"


@pytest.fixture(scope="module")
def templates(compiled: Mapping[str, str]) -> Mapping[str, str]:
    """Every template of the product, by file name."""
    return {path: text for path, text in compiled.items() if path != CATALOG}


@pytest.fixture(scope="module")
def smaller() -> Mapping[str, str]:
    """The product with one pool of workers fewer."""
    product = Build(shipped.assets()).root(parent.define_with(POOLS[:1]))
    return {template.path: template.text() for template in product.walk()}


def publish(cloud: Cloud, templates: Mapping[str, str]) -> str:
    """Publish everything under its content's digest; return the parent's URL."""
    asset = shipped.assets()["runtime"]
    key = f"{ASSET_FOLDER}{asset.sha256}.zip"
    cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=asset.content)
    urls: dict[str, str] = {}
    for path, text in templates.items():
        document = json.loads(
            text.replace(ASSET_BUCKET, cloud.bucket).replace(asset.path, key)
        )
        for resource in document["Resources"].values():
            if resource["Type"] == STACK:
                properties = resource["Properties"]
                properties["TemplateURL"] = urls[properties["TemplateURL"]]
        digest = hashlib.sha256(json.dumps(document).encode()).hexdigest()
        urls[path] = cloud.publish(document, f"{digest}.json")
    return urls["parent.template.json"]


ADDED = {
    "prod": {"Image": "111122223333.dkr.ecr.us-east-1.amazonaws.com/team/airflow:3.3"}
}
"""One environment pulls from ECR, and so has the policies for that."""


def parameters(environment: str, **changes: str) -> list[dict[str, str]]:
    document = json.loads((ROOT / "parameters" / f"{environment}.json").read_text())
    values = {**document["Parameters"], **ADDED.get(environment, {}), **changes}
    return [
        {"ParameterKey": name, "ParameterValue": value}
        for name, value in values.items()
    ]


def launch(cloud: Cloud, url: str, environment: str, name: str) -> Stack:
    answer = cloud.cloudformation.create_stack(
        StackName=name,
        TemplateURL=url,
        Parameters=parameters(environment),
        Capabilities=["CAPABILITY_IAM"],
        Tags=[{"Key": "environment", "Value": environment}],
    )
    return cloud.settled(answer["StackId"])


def change(cloud: Cloud, stack: Stack, url: str, **changes: str) -> dict[str, Any]:
    """Make a change set; return it."""
    answer = cloud.cloudformation.create_change_set(
        StackName=stack.name,
        ChangeSetName=f"change-{time.monotonic_ns()}",
        TemplateURL=url,
        Parameters=parameters("dev", **changes),
        Capabilities=["CAPABILITY_IAM"],
        IncludeNestedStacks=True,
    )
    change_set: dict[str, Any] = cloud.cloudformation.describe_change_set(
        ChangeSetName=answer["Id"]
    )
    return change_set


def execute(cloud: Cloud, stack: Stack, change_set: Mapping[str, Any]) -> Stack:
    cloud.cloudformation.execute_change_set(ChangeSetName=change_set["ChangeSetId"])
    return cloud.settled(stack.id)


def root_causes(cloud: Cloud, stack_id: str) -> dict[str, str]:
    """Walk nested stacks down to what failed by itself."""
    family = cloud.family(stack_id)
    causes: dict[str, str] = {}
    for name, reason in cloud.failures(stack_id).items():
        if name in family:
            causes |= {
                f"{name}/{path}": cause
                for path, cause in root_causes(cloud, family[name]).items()
            }
        else:
            causes[name] = reason
    return causes


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_launches(
    environment: str, cloud: Cloud, templates: Mapping[str, str]
) -> None:
    stack = launch(cloud, publish(cloud, templates), environment, f"{environment}-0")
    assert stack.status == "CREATE_COMPLETE", root_causes(cloud, stack.id)
    assert stack.outputs["WebUrl"].startswith("http")
    statuses = {
        cloud.settled(child).status for child in cloud.family(stack.id).values()
    }
    assert statuses == {"CREATE_COMPLETE"}


def test_unchanged_plan_is_empty(cloud: Cloud, templates: Mapping[str, str]) -> None:
    url = publish(cloud, templates)
    stack = launch(cloud, url, "dev", "unchanged")

    change_set = change(cloud, stack, url)

    assert change_set["Status"] == "FAILED"
    assert "didn't contain changes" in change_set["StatusReason"]


def test_pool_of_workers_is_added(
    cloud: Cloud, templates: Mapping[str, str], smaller: Mapping[str, str]
) -> None:
    values = [
        entry
        for entry in parameters("dev")
        if entry["ParameterKey"]
        in json.loads(smaller["parent.template.json"])["Parameters"]
    ]
    answer = cloud.cloudformation.create_stack(
        StackName="grown",
        TemplateURL=publish(cloud, smaller),
        Parameters=values,
        Capabilities=["CAPABILITY_IAM"],
    )
    stack = cloud.settled(answer["StackId"])
    assert stack.status == "CREATE_COMPLETE", root_causes(cloud, stack.id)

    change_set = change(cloud, stack, publish(cloud, templates))

    added = {
        entry["ResourceChange"]["LogicalResourceId"]
        for entry in change_set["Changes"]
        if entry["ResourceChange"]["Action"] == "Add"
    }
    assert len(added) == 2 * len(POOLS[1:])
    grown = execute(cloud, stack, change_set)
    assert grown.status == "UPDATE_COMPLETE", root_causes(cloud, stack.id)
    assert added <= set(cloud.family(stack.id))


def test_failed_update_names_its_cause_and_is_rolled_back(
    cloud: Cloud, templates: Mapping[str, str]
) -> None:
    url = publish(cloud, templates)
    stack = launch(cloud, url, "dev", "failed-update")
    before = cloud.family(stack.id)
    reason = "The migration job ended with exit code 1: relation does not exist"
    control_client.inject_faults(
        cloud.emulator.endpoint_url, resources={"Custom::Migration": reason}
    )

    failed = execute(
        cloud, stack, change(cloud, stack, url, Image="apache/airflow:3.3.3-python3.12")
    )

    assert failed.status == "UPDATE_ROLLBACK_COMPLETE"
    assert root_causes(cloud, stack.id) == {"Migration/Migration": reason}
    assert cloud.family(stack.id) == before
    assert failed.outputs == stack.outputs
    control_client.inject_faults(cloud.emulator.endpoint_url)
    assert change(cloud, stack, url)["Status"] == "FAILED"


def test_failed_migration_rolls_back_the_launch(
    cloud: Cloud, templates: Mapping[str, str]
) -> None:
    control_client.inject_faults(
        cloud.emulator.endpoint_url, resources={"Custom::Migration": "No database."}
    )
    stack = launch(cloud, publish(cloud, templates), "dev", "failed-launch")
    assert stack.status == "ROLLBACK_COMPLETE"
    assert root_causes(cloud, stack.id) == {"Migration/Migration": "No database."}
    assert "AirflowServices" not in cloud.family(stack.id)
    assert cloud.delete(stack).status == "DELETE_COMPLETE"


def test_delete_leaves_no_stack(
    own_emulator: EmulatorProcess, templates: Mapping[str, str]
) -> None:
    own_emulator.start()
    cloud = Cloud(own_emulator)
    stack = launch(cloud, publish(cloud, templates), "dev", "destroyed")
    assert cloud.delete(stack).status == "DELETE_COMPLETE", root_causes(cloud, stack.id)
    assert cloud.cloudformation.describe_stacks()["Stacks"] == []


def test_production_is_protected_from_deletion(
    cloud: Cloud, templates: Mapping[str, str]
) -> None:
    stack = launch(cloud, publish(cloud, templates), "prod", "protected")
    assert cloud.delete(stack).status == "DELETE_FAILED"
    causes = root_causes(cloud, stack.id)
    assert "deletion protection" in causes["Database/Cluster"]
    # What the database depends on still exists.
    status = cloud.settled(cloud.family(stack.id)["Encryption"]).status
    assert status == "CREATE_COMPLETE"


def test_catalog_lists_versions_in_order(
    cloud: Cloud, compiled: Mapping[str, str]
) -> None:
    first, second = (
        cloud.publish({"Resources": {name: {"Type": "AWS::SNS::Topic"}}})
        for name in ("First", "Second")
    )
    stack = cloud.create(json.loads(compiled[CATALOG]), FirstVersionUrl=first)
    assert stack.status == "CREATE_COMPLETE", root_causes(cloud, stack.id)
    product = stack.outputs["ProductId"]

    offers = cloud.client("servicecatalog")
    for _ in range(2):  # the second call repeats the first, whose answer was lost
        added = offers.create_provisioning_artifact(
            ProductId=product,
            Parameters={"Name": "v2", "Info": {"LoadTemplateFromURL": second}},
            IdempotencyToken="one",
        )
    listed = offers.list_provisioning_artifacts(ProductId=product)
    old, new = listed["ProvisioningArtifactDetails"]
    assert (old["Name"], new["Name"]) == ("v1", "v2")

    offers.update_provisioning_artifact(
        ProductId=product, ProvisioningArtifactId=old["Id"], Guidance="DEPRECATED"
    )
    description = offers.describe_provisioning_artifact(
        ProductId=product, ProvisioningArtifactId=old["Id"]
    )
    assert description["ProvisioningArtifactDetail"]["Guidance"] == "DEPRECATED"
    assert description["Info"] == {"TemplateUrl": first}
    assert added["Info"] == {"TemplateUrl": second}


def test_catalog_refuses_an_unreadable_version(
    cloud: Cloud, compiled: Mapping[str, str]
) -> None:
    first = cloud.publish({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    stack = cloud.create(json.loads(compiled[CATALOG]), FirstVersionUrl=first)
    with pytest.raises(ClientError, match="specified key does not exist"):
        cloud.client("servicecatalog").create_provisioning_artifact(
            ProductId=stack.outputs["ProductId"],
            Parameters={"Name": "v2", "Info": {"LoadTemplateFromURL": f"{first}x"}},
            IdempotencyToken="two",
        )


def test_most_resources_are_no_stubs(
    cloud: Cloud, templates: Mapping[str, str]
) -> None:
    stack = launch(cloud, publish(cloud, templates), "dev", "counted")
    kinds = Counter(
        kind
        for name, resources in cloud.emulator.resource_kinds().items()
        if name.startswith(stack.name)
        for kind in resources.values()
    )
    assert kinds["stub"] * 10 < sum(kinds.values())
    assert kinds["real"] > kinds["stub"]
