"""The emulator refuses what AWS refuses, with the same messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.emulator.patches.template_validation import trim_lists
from tests.local.emulator.cloud import Cloud

BUCKET = {"Type": "AWS::S3::Bucket"}
ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "sts:AssumeRole",
                    "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                }
            ],
        }
    },
}


def of(**resources: Any) -> dict[str, Any]:
    return {"Resources": resources}


REFUSED: Mapping[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "an unknown parameter": (
        of(Bucket=BUCKET),
        {"Misspelt": "1"},
        "Parameters: [Misspelt] do not exist in the template",
    ),
    "a parameter without a value": (
        {"Parameters": {"A": {"Type": "String"}, "B": {"Type": "String"}}}
        | of(Bucket=BUCKET),
        {"A": "1"},
        "Parameters: [B] must have values",
    ),
    "a Ref to nothing": (
        of(
            Topic={"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "X"}}}
        ),
        {},
        "Unresolved resource dependencies [X] in the Resources block",
    ),
    "a name in text that is nothing": (
        of(Bucket=BUCKET) | {"Outputs": {"A": {"Value": {"Fn::Sub": "a ${Buckett}"}}}},
        {},
        "Unresolved resource dependencies [Buckett] in the Outputs block",
    ),
    "a dependency on nothing": (
        of(Bucket={**BUCKET, "DependsOn": "Gone"}),
        {},
        "Unresolved resource dependencies [Gone] in the Resources block",
    ),
    "an attribute that a type does not have": (
        of(Bucket=BUCKET)
        | {"Outputs": {"A": {"Value": {"Fn::GetAtt": ["Bucket", "Arnn"]}}}},
        {},
        "resource Bucket does not support attribute type Arnn in Fn::GetAtt",
    ),
    "an attribute of what a condition leaves out": (
        of(Bucket={**BUCKET, "Condition": "Never"}, Other=BUCKET)
        | {
            "Conditions": {"Never": {"Fn::Equals": ["a", "b"]}},
            "Outputs": {"A": {"Value": {"Fn::GetAtt": ["Bucket", "Arn"]}}},
        },
        {},
        "Unresolved resource dependencies [Bucket] in the Outputs block",
    ),
    "a Rule that does not hold": (
        {
            "Parameters": {"A": {"Type": "String"}},
            "Rules": {
                "R": {
                    "Assertions": [
                        {
                            "Assert": {"Fn::Equals": [{"Ref": "A"}, "yes"]},
                            "AssertDescription": "A must be yes.",
                        }
                    ]
                }
            },
        }
        | of(Bucket=BUCKET),
        {"A": "no"},
        "A must be yes.",
    ),
    "more resources than the quota": (
        of(**{f"Topic{number}": {"Type": "AWS::SNS::Topic"} for number in range(501)}),
        {},
        "Number of resources, 501, is greater than maximum allowed, 500",
    ),
    "an unknown type": (
        of(It={"Type": "AWS::S3::Bukket"}),
        {},
        "Unrecognized resource types: [AWS::S3::Bukket]",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_template_is_refused_with(mistake: str, cloud: Cloud) -> None:
    template, parameters, words = REFUSED[mistake]
    with pytest.raises(ClientError) as refusal:
        cloud.create(template, **parameters)
    assert words in str(refusal.value)


FAILED: Mapping[str, tuple[dict[str, Any], str]] = {
    "an unknown property": (
        {"Type": "AWS::SNS::Topic", "Properties": {"DisplayNam": "x"}},
        "#: extraneous key [DisplayNam] is not permitted",
    ),
    "an unknown property deep inside": (
        {
            "Type": "AWS::S3::Bucket",
            "Properties": {"VersioningConfiguration": {"State": "Enabled"}},
        },
        "#/VersioningConfiguration: extraneous key [State] is not permitted",
    ),
    "a required property that is missing": (
        {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": {"GroupId": "sg-1"}},
        "#: required key [IpProtocol] not found",
    ),
    "a value that is none of those allowed": (
        {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": "8"}},
        "#/RetentionInDays: 8 is not a valid enum value",
    ),
    "a text where a number belongs": (
        {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": "week"}},
        "#/RetentionInDays: expected type: integer, found: String",
    ),
}


@pytest.mark.parametrize("mistake", FAILED)
def test_resource_fails_for(mistake: str, cloud: Cloud) -> None:
    resource, words = FAILED[mistake]
    stack = cloud.create(of(It=resource))
    assert stack.status == "ROLLBACK_COMPLETE"
    assert words in cloud.failures(stack.id)["It"]


def test_role_needs_a_capability(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match=r"Requires capabilities : \[CAPABILITY_IAM"):
        cloud.cloudformation.create_stack(
            StackName="no-capability", TemplateURL=cloud.publish(of(Role=ROLE))
        )


def test_nested_role_needs_the_capability_of_the_parent(cloud: Cloud) -> None:
    url = cloud.publish(of(Role=ROLE))
    parent = of(
        Child={"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}
    )
    answer = cloud.cloudformation.create_stack(
        StackName="no-capability-parent", TemplateURL=cloud.publish(parent)
    )
    stack = cloud.settled(answer["StackId"])
    assert stack.status == "ROLLBACK_COMPLETE"
    assert "Requires capabilities" in cloud.failures(stack.id)["Child"]
    # The same with the capability, which is given to the parent alone.
    assert cloud.create(parent).status == "CREATE_COMPLETE"


def test_rolled_back_stack_can_only_be_deleted(cloud: Cloud) -> None:
    stack = cloud.create(of(It=FAILED["an unknown property"][0]))
    good = cloud.publish(of(Bucket=BUCKET))
    with pytest.raises(ClientError, match="already exists"):
        cloud.cloudformation.create_stack(StackName=stack.name, TemplateURL=good)
    for call, more in (
        (cloud.cloudformation.update_stack, {}),
        (cloud.cloudformation.create_change_set, {"ChangeSetName": "next"}),
    ):
        with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state"):
            call(StackName=stack.name, TemplateURL=good, **more)
    assert cloud.delete(stack).status == "DELETE_COMPLETE"


def test_change_set_cannot_create_an_existing_stack(cloud: Cloud) -> None:
    stack = cloud.create(of(Bucket=BUCKET))
    with pytest.raises(ClientError, match="already exists and cannot be created again"):
        cloud.cloudformation.create_change_set(
            StackName=stack.name,
            ChangeSetName="again",
            ChangeSetType="CREATE",
            TemplateURL=cloud.publish(of(Bucket=BUCKET)),
        )


def test_full_bucket_and_its_dependencies_are_not_deleted(cloud: Cloud) -> None:
    key = {
        "Type": "AWS::KMS::Key",
        "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": []}},
    }
    bucket = {**BUCKET, "DependsOn": "Key"}
    stack = cloud.create(
        of(Key=key, Bucket=bucket, Topic={"Type": "AWS::SNS::Topic"})
        | {"Outputs": {"Bucket": {"Value": {"Ref": "Bucket"}}}}
    )
    cloud.s3.put_object(Bucket=stack.outputs["Bucket"], Key="a", Body=b"a")

    assert cloud.delete(stack).status == "DELETE_FAILED"
    assert "is not empty" in cloud.failures(stack.id)["Bucket"]
    assert cloud.failures(stack.id)["Key"] == "Resource deletion cancelled"
    assert ("Topic", "DELETE_COMPLETE") in cloud.story(stack.id)

    cloud.s3.delete_object(Bucket=stack.outputs["Bucket"], Key="a")
    assert cloud.delete(stack).status == "DELETE_COMPLETE"


def test_protected_database_is_not_deleted(cloud: Cloud) -> None:
    cluster = {
        "Type": "AWS::RDS::DBCluster",
        "DeletionPolicy": "Delete",
        "Properties": {"Engine": "aurora-postgresql", "DeletionProtection": "true"},
    }
    stack = cloud.create(
        of(Cluster=cluster) | {"Outputs": {"Id": {"Value": {"Ref": "Cluster"}}}}
    )
    assert cloud.delete(stack).status == "DELETE_FAILED"
    assert "protected Cluster" in cloud.failures(stack.id)["Cluster"]

    cloud.client("rds").modify_db_cluster(
        DBClusterIdentifier=stack.outputs["Id"], DeletionProtection=False
    )
    assert cloud.delete(stack).status == "DELETE_COMPLETE"


def test_conditions_support_every_function(cloud: Cloud) -> None:
    """An unresolved condition would launch the wrong resources."""
    region = {
        "Fn::Select": [1, {"Fn::Split": [":", {"Fn::Sub": "a:${AWS::Region}:b"}]}]
    }
    named = {"Fn::FindInMap": ["Names", {"Ref": "AWS::Region"}, "name"]}
    template = {
        "Mappings": {"Names": {"us-east-1": {"name": "virginia"}}},
        "Conditions": {
            "IsHere": {"Fn::Equals": [region, {"Ref": "AWS::Region"}]},
            "IsVirginia": {"Fn::Equals": [named, "virginia"]},
            "Both": {"Fn::And": [{"Condition": "IsHere"}, {"Condition": "IsVirginia"}]},
        },
        "Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Condition": "Both"}},
        "Outputs": {"Topic": {"Condition": "Both", "Value": {"Ref": "Topic"}}},
    }
    assert "Topic" in cloud.create(template).outputs


def test_members_of_list_parameters_are_trimmed() -> None:
    kinds = {"Ids": "CommaDelimitedList", "Text": "String"}
    template = {"Parameters": {name: {"Type": kind} for name, kind in kinds.items()}}
    parameters = {name: {"Value": "22 a, 23 b,"} for name in kinds}
    trim_lists(template, parameters)
    assert parameters["Ids"]["Value"] == "22 a,23 b,"
    assert parameters["Text"]["Value"] == "22 a, 23 b,"
