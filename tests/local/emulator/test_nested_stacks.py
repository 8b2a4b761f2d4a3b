"""Nested stacks: create, update, rollback and delete as in CloudFormation."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.emulator import control_client
from tests.local.emulator.cloud import Cloud

STACK = "AWS::CloudFormation::Stack"
TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Label"}}}
CHILD = {
    "Parameters": {"Label": {"Type": "String"}},
    "Resources": {"Topic": TOPIC},
    "Outputs": {
        "Label": {"Value": {"Ref": "Label"}},
        "Arn": {"Value": {"Ref": "Topic"}},
    },
}


def nested(url: str, **parameters: Any) -> dict[str, Any]:
    return {"Type": STACK, "Properties": {"TemplateURL": url, "Parameters": parameters}}


def chain(cloud: Cloud, label: str = "one", second: Any = CHILD) -> dict[str, Any]:
    """Return a parent of two children; the second depends on the first."""
    passed_on = {"Fn::GetAtt": ["First", "Outputs.Label"]}
    return {
        "Resources": {
            "First": nested(cloud.publish(CHILD), Label=label),
            "Second": nested(cloud.publish(second), Label=passed_on),
        },
        "Outputs": {"Label": {"Value": {"Fn::GetAtt": ["Second", "Outputs.Label"]}}},
    }


def refusing() -> dict[str, Any]:
    """Return a child that fails after its first resource."""
    return {
        **CHILD,
        "Resources": {
            "Topic": TOPIC,
            "Bad": {
                "Type": "AWS::SNS::Topic",
                "DependsOn": "Topic",
                "Properties": {"Nonsense": "1"},
            },
        },
    }


def topics(cloud: Cloud) -> set[str]:
    pages = cloud.client("sns").get_paginator("list_topics").paginate()
    return {topic["TopicArn"] for page in pages for topic in page["Topics"]}


def test_outputs_reach_siblings_and_the_parent(cloud: Cloud) -> None:
    stack = cloud.create(chain(cloud))
    assert stack.status == "CREATE_COMPLETE"
    assert stack.outputs == {"Label": "one"}


def test_child_knows_its_parent_and_root(cloud: Cloud) -> None:
    url = cloud.publish(
        {"Resources": {"Inner": nested(cloud.publish(CHILD), Label="x")}}
    )
    stack = cloud.create({"Resources": {"Outer": nested(url)}})
    outer = cloud.family(stack.id)["Outer"]
    inner = cloud.family(outer)["Inner"]
    (description,) = cloud.cloudformation.describe_stacks(StackName=inner)["Stacks"]
    assert (description["ParentId"], description["RootId"]) == (outer, stack.id)


def test_child_is_named_by_its_first_event(cloud: Cloud) -> None:
    """A display follows a child while it runs; rolled back, it may be gone."""
    stack = cloud.create(chain(cloud))
    begun = [
        event
        for event in cloud.events(stack.id)
        if event["LogicalResourceId"] == "First"
        and event["ResourceStatus"] == "CREATE_IN_PROGRESS"
    ]
    assert [bool(event.get("PhysicalResourceId")) for event in begun] == [False, True]


def test_stack_names_of_128_characters_work(cloud: Cloud) -> None:
    stack = cloud.create(chain(cloud), name="n" * 128)
    assert stack.status == "CREATE_COMPLETE"
    for child in cloud.family(stack.id).values():
        assert len(child.split("/")[1]) <= 128


def test_update_reaches_the_children(cloud: Cloud) -> None:
    stack = cloud.create(chain(cloud))
    changed = cloud.update(stack, chain(cloud, "two"))
    assert changed.status == "UPDATE_COMPLETE"
    assert changed.outputs == {"Label": "two"}


def test_update_without_changes_is_refused(cloud: Cloud) -> None:
    template = chain(cloud)
    stack = cloud.create(template)
    with pytest.raises(ClientError, match="No updates are to be performed"):
        cloud.update(stack, template)
    answer = cloud.cloudformation.create_change_set(
        StackName=stack.name, ChangeSetName="same", TemplateURL=cloud.publish(template)
    )
    change_set = cloud.cloudformation.describe_change_set(ChangeSetName=answer["Id"])
    assert change_set["Status"] == "FAILED"
    assert "didn't contain changes" in change_set["StatusReason"]


def test_unchanged_resources_have_no_events(cloud: Cloud) -> None:
    two = {
        "Resources": {
            "Same": {"Type": "AWS::SNS::Topic"},
            "Changed": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "a"}},
        }
    }
    stack = cloud.create(two)
    before = len(cloud.events(stack.id))
    two["Resources"]["Changed"] = {
        "Type": "AWS::SNS::Topic",
        "Properties": {"DisplayName": "b"},
    }
    cloud.update(stack, two)
    touched = {event["LogicalResourceId"] for event in cloud.events(stack.id)[before:]}
    assert touched == {stack.name, "Changed"}


def test_failed_child_is_reported_as_by_aws(cloud: Cloud) -> None:
    before = topics(cloud)
    stack = cloud.create(chain(cloud, second=refusing()))

    assert stack.status == "ROLLBACK_COMPLETE"
    child = cloud.family(stack.id)["Second"]
    assert cloud.failures(stack.id)["Second"] == (
        f"Embedded stack {child} was not successfully created: "
        "The following resource(s) failed to create: [Bad]. "
    )
    assert "extraneous key [Nonsense]" in cloud.failures(child)["Bad"]
    # Neither a topic nor a child is left behind.
    assert topics(cloud) == before
    for child_id in cloud.family(stack.id).values():
        assert cloud.settled(child_id).status == "DELETE_COMPLETE"


def test_failed_update_is_rolled_back(cloud: Cloud) -> None:
    stack = cloud.create(chain(cloud))
    before = topics(cloud)

    failed = cloud.update(stack, chain(cloud, "two", refusing()))

    assert failed.status == "UPDATE_ROLLBACK_COMPLETE"
    assert failed.outputs == {"Label": "one"}
    assert topics(cloud) == before
    second = cloud.family(stack.id)["Second"]
    assert cloud.failures(stack.id)["Second"].startswith(
        f"Embedded stack {second} was not successfully updated: "
    )
    again = cloud.update(stack, chain(cloud, "three"))
    assert again.outputs == {"Label": "three"}


def test_child_added_by_a_failed_update_is_deleted(cloud: Cloud) -> None:
    template = chain(cloud)
    stack = cloud.create(template)
    template["Resources"]["Third"] = nested(cloud.publish(refusing()), Label="third")
    assert cloud.update(stack, template).status == "UPDATE_ROLLBACK_COMPLETE"
    third = cloud.family(stack.id)["Third"]
    assert cloud.settled(third).status == "DELETE_COMPLETE"


def test_child_removed_from_the_template_is_deleted(cloud: Cloud) -> None:
    template = chain(cloud)
    stack = cloud.create(template)
    second = cloud.family(stack.id)["Second"]
    del template["Resources"]["Second"]
    template["Outputs"] = {}
    assert cloud.update(stack, template).status == "UPDATE_COMPLETE"
    assert cloud.settled(second).status == "DELETE_COMPLETE"


def test_delete_leaves_no_child(cloud: Cloud) -> None:
    before = topics(cloud)
    stack = cloud.create(chain(cloud))
    children = cloud.family(stack.id)
    assert cloud.delete(stack).status == "DELETE_COMPLETE"
    assert {cloud.settled(child).status for child in children.values()} == {
        "DELETE_COMPLETE"
    }
    assert topics(cloud) == before


def test_retained_resources_survive_their_stack(cloud: Cloud) -> None:
    child = {"Resources": {"Kept": {**TOPIC, "DeletionPolicy": "Retain"}}}
    child["Resources"]["Kept"]["Properties"] = {}
    url = cloud.publish({**child, "Outputs": {"Arn": {"Value": {"Ref": "Kept"}}}})
    stack = cloud.create(
        {
            "Resources": {"Child": nested(url)},
            "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Child", "Outputs.Arn"]}}},
        }
    )
    assert cloud.delete(stack).status == "DELETE_COMPLETE"
    assert stack.outputs["Arn"] in topics(cloud)


def test_snapshot_policy_takes_a_snapshot(cloud: Cloud) -> None:
    cluster = {
        "Type": "AWS::RDS::DBCluster",
        "DeletionPolicy": "Snapshot",
        "Properties": {"Engine": "aurora-postgresql"},
    }
    stack = cloud.create(
        {
            "Resources": {"Cluster": cluster},
            "Outputs": {"Id": {"Value": {"Ref": "Cluster"}}},
        }
    )
    assert cloud.delete(stack).status == "DELETE_COMPLETE"
    snapshots = cloud.client("rds").describe_db_cluster_snapshots()
    assert stack.outputs["Id"] in {
        snapshot["DBClusterIdentifier"] for snapshot in snapshots["DBClusterSnapshots"]
    }


def test_dynamic_reference_resolves_in_a_child(cloud: Cloud) -> None:
    secret = cloud.client("secretsmanager").create_secret(
        Name="login-of-a-user", SecretString='{"username": "a-user"}'
    )
    child = {
        "Parameters": {"Secret": {"Type": "String"}},
        "Resources": {
            "Topic": {
                "Type": "AWS::SNS::Topic",
                "Properties": {
                    "DisplayName": {
                        "Fn::Sub": "{{resolve:secretsmanager:${Secret}"
                        ":SecretString:username}}"
                    }
                },
            }
        },
        "Outputs": {"Arn": {"Value": {"Ref": "Topic"}}},
    }
    stack = cloud.create(
        {
            "Resources": {"Child": nested(cloud.publish(child), Secret=secret["ARN"])},
            "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Child", "Outputs.Arn"]}}},
        }
    )
    topic = cloud.client("sns").get_topic_attributes(TopicArn=stack.outputs["Arn"])
    assert topic["Attributes"]["DisplayName"] == "a-user"


def test_rules_apply_to_children(cloud: Cloud) -> None:
    rule = {
        "Assertions": [
            {
                "Assert": {"Fn::Equals": [{"Ref": "Label"}, "right"]},
                "AssertDescription": "Label must be right.",
            }
        ]
    }
    url = cloud.publish({**CHILD, "Rules": {"Right": rule}})
    stack = cloud.create({"Resources": {"Child": nested(url, Label="wrong")}})
    assert "Label must be right." in cloud.failures(stack.id)["Child"]


def test_child_without_a_required_parameter_fails(cloud: Cloud) -> None:
    stack = cloud.create({"Resources": {"Child": nested(cloud.publish(CHILD))}})
    assert cloud.failures(stack.id)["Child"] == "Parameters: [Label] must have values"


def test_concurrent_operation_is_refused(cloud: Cloud) -> None:
    """Two people launch one environment at once: the first is not disturbed."""
    stack = cloud.create(chain(cloud))
    urls = [cloud.publish(chain(cloud, label)) for label in ("two", "three")]
    control_client.inject_faults(cloud.emulator.endpoint_url, slow={"Topic": 0.3})

    cloud.cloudformation.update_stack(StackName=stack.name, TemplateURL=urls[0])
    with pytest.raises(ClientError, match="is in UPDATE_IN_PROGRESS state"):
        cloud.cloudformation.update_stack(StackName=stack.name, TemplateURL=urls[1])
    with pytest.raises(ClientError, match="cannot be deleted while in status UPDATE"):
        cloud.cloudformation.delete_stack(StackName=stack.name)

    assert cloud.settled(stack.id).outputs == {"Label": "two"}


def test_injected_fault_fails_a_resource_until_it_is_removed(cloud: Cloud) -> None:
    control_client.inject_faults(
        cloud.emulator.endpoint_url, resources={"Topic": "No room left."}
    )
    stack = cloud.create(chain(cloud))
    first = cloud.family(stack.id)["First"]
    assert cloud.failures(first)["Topic"] == "No room left."
    cloud.delete(stack)

    control_client.inject_faults(cloud.emulator.endpoint_url)
    assert cloud.create(chain(cloud)).status == "CREATE_COMPLETE"


@pytest.mark.parametrize("way", ["corrected", "skipped"])
def test_failed_rollback_of_a_child_is_continued(cloud: Cloud, way: str) -> None:
    stack = cloud.create(chain(cloud))
    child = cloud.settled(cloud.family(stack.id)["Second"])
    control_client.inject_faults(
        cloud.emulator.endpoint_url, resources={"Topic": "Stuck."}, when="rollback"
    )
    cloud.update(stack, chain(cloud, "two", refusing()))
    assert cloud.settled(stack.id).status == "UPDATE_ROLLBACK_FAILED"
    assert cloud.settled(child.id).status == "UPDATE_ROLLBACK_FAILED"

    control_client.inject_faults(cloud.emulator.endpoint_url)
    skip = [f"{child.name}.Topic"] if way == "skipped" else []
    cloud.cloudformation.continue_update_rollback(
        StackName=stack.name, ResourcesToSkip=skip
    )
    assert cloud.settled(stack.id).status == "UPDATE_ROLLBACK_COMPLETE"
    assert cloud.settled(child.id).status == "UPDATE_ROLLBACK_COMPLETE"
    assert cloud.settled(stack.id).outputs == {"Label": "one"}
