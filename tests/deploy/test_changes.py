"""A plan shows what can happen, the worst first, and leaves out what cannot."""

from __future__ import annotations

from typing import Any

import pytest

from cloudformation.evaluation import Stack
from cloudformation.schemas import installed
from cloudformation.updates import compare
from deploy.changes import (
    UNKNOWN,
    Certainty,
    Change,
    ChangeKind,
    ChangePlan,
    ChangeSet,
    is_stateful,
    read,
)
from tests.deploy.fakes import bucket, nest, template

STACK = "AWS::CloudFormation::Stack"


def entry(
    logical_id: str,
    type: str = "AWS::S3::Bucket",
    action: str = "Modify",
    replacement: str = "False",
    **more: Any,
) -> dict[str, Any]:
    return {
        "LogicalResourceId": logical_id,
        "ResourceType": type,
        "Action": action,
        "Replacement": replacement,
        **more,
    }


def detail(evaluation: str, recreation: str = "Never", **target: Any) -> dict[str, Any]:
    return {
        "Evaluation": evaluation,
        "ChangeSource": "DirectModification",
        "Target": {
            "Attribute": "Properties",
            "Name": "Name",
            "RequiresRecreation": recreation,
            **target,
        },
    }


def tree(
    parent: dict[str, Any], values: dict[str, str], **nested: dict[str, Any]
) -> Stack:
    return Stack(parent, values, find_template=lambda path: nested.get(path[0]))


def parent(*names: str, **inputs: Any) -> dict[str, Any]:
    """A parent of nested stacks, the second of which takes outputs of the first."""
    return {
        "Parameters": {"Size": {"Type": "String"}},
        "Resources": {name: nest(name, **inputs.get(name, {})) for name in names},
    }


VPC = {
    "Resources": {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "a"}}},
    "Outputs": {"Id": {"Value": {"Ref": "Vpc"}}},
}
DATA = {
    "Parameters": {"VpcId": {"Type": "String"}, "Size": {"Type": "String"}},
    "Resources": {
        "Data": {
            **bucket(),
            "Properties": {"BucketName": {"Fn::Sub": "${VpcId}-${Size}"}},
        }
    },
}
PARENT = parent(
    "Network",
    "Storage",
    Storage={
        "VpcId": {"Fn::GetAtt": ["Network", "Outputs.Id"]},
        "Size": {"Ref": "Size"},
    },
)


def changed(**vpc: str) -> dict[str, Any]:
    properties = {"CidrBlock": "a", **vpc}
    return {
        **VPC,
        "Resources": {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": properties}},
    }


def changes_of(
    old: Stack | None, new: Stack | None, **children: list[dict[str, Any]]
) -> dict[str, Change]:
    """Return the changes of nested change sets, or of the templates without any."""
    schemas = installed()
    assert schemas
    change_set = ChangeSet(
        tuple(entry(name, STACK) for name in children),
        {name: ChangeSet(tuple(rows)) for name, rows in children.items()},
    )
    changes = read(change_set, compare(old, new, schemas))
    return {change.name: change for change in changes}


def stacks(size: str = "1", network: dict[str, Any] = VPC) -> Stack:
    return tree(PARENT, {"Size": size}, Network=network, Storage=DATA)


NOISE = [
    entry("Data", replacement="Conditional", Details=[detail("Dynamic", "Always")])
]
"""Recorded: a nested change set lists every resource with an input from another."""


def test_stack_with_unchanged_inputs_cannot_change() -> None:
    changes = changes_of(stacks(), stacks(), Storage=NOISE)
    assert changes["Storage/Data"].certainty is Certainty.UNFOUNDED


def test_modified_resource_keeps_the_id_that_others_take() -> None:
    """Else every change of the network would be a false alarm for the data."""
    modified = changed(EnableDnsSupport="true")
    vpc = [entry("Vpc", "AWS::EC2::VPC", Details=[detail("Static")])]
    changes = changes_of(stacks(), stacks(network=modified), Network=vpc, Storage=NOISE)
    assert changes["Network/Vpc"].certainty is Certainty.CERTAIN
    assert changes["Storage/Data"].certainty is Certainty.UNFOUNDED


def test_replaced_resource_changes_what_takes_its_id() -> None:
    changes = changes_of(
        stacks(), stacks(network=changed(CidrBlock="b")), Storage=NOISE
    )
    assert changes["Network/Vpc"].kind is ChangeKind.REPLACE
    data = changes["Storage/Data"]
    assert (data.kind, data.certainty) == (ChangeKind.REPLACE, Certainty.CERTAIN)
    assert data.endangers_data
    assert data.keeps == "Retain"


def test_certain_replacement_is_told_with_and_without_a_nested_change_set() -> None:
    """CloudFormation says Conditional where a parameter passes two stacks."""
    for children in ({}, {"Storage": NOISE}):
        data = changes_of(stacks("1"), stacks("2"), **children)["Storage/Data"]
        assert (data.kind, data.certainty) == (ChangeKind.REPLACE, Certainty.CERTAIN)


def test_value_that_only_cloudformation_knows_is_believed() -> None:
    """Such as a zone of the account, which is in no template."""
    known = detail("Static", "Always", BeforeValue="a", AfterValue="b")
    row = entry("Data", replacement="True", Details=[known])
    data = changes_of(stacks(), stacks(), Storage=[row])["Storage/Data"]
    assert (data.kind, data.certainty) == (ChangeKind.REPLACE, Certainty.CERTAIN)
    assert data.details == ("Name: a -> b",)


def test_known_modification_hides_no_replacement() -> None:
    known = detail("Static", BeforeValue="a", AfterValue="b")
    row = entry(
        "Data", replacement="Conditional", Details=[known, *NOISE[0]["Details"]]
    )
    data = changes_of(stacks("1"), stacks("2"), Storage=[row])["Storage/Data"]
    assert (data.kind, data.certainty) == (ChangeKind.REPLACE, Certainty.CERTAIN)


def test_value_known_only_later_is_not() -> None:
    later = detail("Static", "Always", BeforeValue="a", AfterValue=UNKNOWN)
    row = entry("Data", replacement="True", Details=[later])
    data = changes_of(stacks(), stacks(), Storage=[row])["Storage/Data"]
    assert data.certainty is Certainty.UNFOUNDED
    assert "known only during the update" in data.details[0]


def test_changed_tags_of_the_stack_are_certain() -> None:
    tags = {"Target": {"Attribute": "Tags"}, "Evaluation": "Static"}
    data = changes_of(stacks(), stacks(), Storage=[entry("Data", Details=[tags])])
    assert data["Storage/Data"].certainty is Certainty.CERTAIN


def test_attribute_of_a_modified_resource_may_change() -> None:
    old, new = (
        {
            "Resources": {
                "Topic": {
                    "Type": "AWS::SNS::Topic",
                    "Properties": {"DisplayName": name},
                },
                "Data": {
                    **bucket(),
                    "Properties": {"BucketName": {"Fn::GetAtt": ["Topic", "Other"]}},
                },
            }
        }
        for name in ("a", "b")
    )
    parents = [tree(parent("Storage"), {}, Storage=each) for each in (old, new)]
    data = changes_of(*parents)["Storage/Data"]
    assert (data.kind, data.certainty) == (ChangeKind.REPLACE, Certainty.MAY_CHANGE)


def test_stack_that_is_switched_off_adds_nothing() -> None:
    """Conditions of the parent and of the nested stack hold or do not hold."""
    switched = parent("Network", "Storage")
    switched["Conditions"] = {
        "IsBig": {"Fn::Equals": [{"Ref": "Size"}, "2"]},
        "IsNotBig": {"Fn::Not": [{"Condition": "IsBig"}]},
    }
    switched["Resources"]["Storage"]["Condition"] = "IsBig"
    inner = {
        "Conditions": {"Never": {"Fn::Or": [{"Fn::Equals": ["a", "b"]}]}},
        "Resources": {
            "Data": bucket(),
            "Unused": {**bucket(), "Condition": "Never"},
        },
    }
    small, big = (
        tree(switched, {"Size": size}, Network=VPC, Storage=inner)
        for size in ("1", "2")
    )
    assert changes_of(small, small) == {}
    added = changes_of(small, big)
    assert {name: c.kind for name, c in added.items()} == {
        "Storage": ChangeKind.ADD,
        "Storage/Data": ChangeKind.ADD,
    }
    removed = changes_of(big, small)
    assert [name for name, c in removed.items() if c.endangers_data] == ["Storage/Data"]
    assert removed["Storage/Data"].keeps == "Retain"


def test_new_metadata_alone_changes_nothing() -> None:
    """Metadata is for people: a better sentence is no reason for an alarm."""
    old, new = (
        tree(parent("Storage"), {}, Storage=template(Data=bucket(Metadata=each)))
        for each in ("a", "b")
    )
    assert changes_of(old, new) == {}


def test_changes_that_endanger_data_come_first() -> None:
    plan = ChangePlan(
        "airflow",
        is_new=False,
        change_set_id="x",
        changes=(
            Change((), "Added", "AWS::SNS::Topic", ChangeKind.ADD),
            Change((), "Group", "AWS::EC2::SecurityGroup", ChangeKind.DELETE),
            Change(("Storage",), "Data", "AWS::S3::Bucket", ChangeKind.REPLACE,
                   is_stateful=True),
            Change((), "Ghost", "AWS::S3::Bucket", ChangeKind.DELETE,
                   Certainty.UNFOUNDED, is_stateful=True),
        ),
    )  # fmt: skip
    assert [c.logical_id for c in plan.relevant] == ["Data", "Group", "Added"]
    assert [c.logical_id for c in plan.dangers] == ["Data"]
    assert plan.unfounded == 1


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (bucket(), True),
        ({"Type": "AWS::RDS::DBCluster"}, True),
        ({"Type": "AWS::Logs::LogGroup", "DeletionPolicy": "Retain"}, True),
        ({"Type": "AWS::SNS::Topic"}, False),
    ],
)
def test_stateful_resources_are_recognized_by_type_or_policy(
    resource: dict[str, Any], *, expected: bool
) -> None:
    assert is_stateful(resource) is expected
